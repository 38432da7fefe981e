/* Reserved huge pages can be changed as wholes only: what the program does to a part of them (it patches its
 * text, or gives some of it back) fails there, and does not where the text was. And who writes to one that
 * fork children share needs another: where there is none, he, or they, are ended by a SIGBUS. So those pages
 * are put back on small ones, when that happens, or may. */
#ifndef HPP_PRELOAD_REMAP_PUT_BACK_H
#define HPP_PRELOAD_REMAP_PUT_BACK_H

#include <stdint.h>

/* [START, END) of the text is to lie on reserved pages. Before the move; start-up code and writer. */
void hpp_put_back_note(uint64_t start, uint64_t end);

/* The program's call for [START, END) has failed with EINVAL: puts what it cuts in two on small pages.
 * Returns whether it may be for that, so that the call is to be made again. On the target's threads, in
 * signal handlers too, between hpp_guard_before_change and hpp_guard_after_change. */
int hpp_put_back(uint64_t start, uint64_t end);

/* [START, END) is about to be writable: puts all of it on small pages. There too. */
void hpp_put_back_all(uint64_t start, uint64_t end);

/* How often that was done: another number than before, and what is on reserved pages may be another, too. */
unsigned hpp_put_back_count(void);

#endif
