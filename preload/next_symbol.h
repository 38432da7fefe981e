/* Finds the function that a call would have reached without us. */
#ifndef HPP_PRELOAD_NEXT_SYMBOL_H
#define HPP_PRELOAD_NEXT_SYMBOL_H

/* The address of NAME's default version in the first object after ours in the loader's search order, or
 * NULL. Does what dlsym(RTLD_NEXT) does, which cannot be used: its own symbol version moved in glibc
 * 2.34, and a library that wants the new one starts no program on an older system. Takes no lock: for
 * use while the list of objects is not changing under us (start-up; the objects found are never
 * unloaded). */
void *hpp_next_symbol(const char *name);

#endif
