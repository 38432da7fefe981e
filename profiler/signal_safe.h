/* Included last by every file whose code runs in the signal handler or in the writer: names what such
 * code must not call, so that a mistake does not compile. Anything that allocates, locks, formats,
 * or touches errno or thread-local state of the target's libc. */
#ifndef HPP_PROFILER_SIGNAL_SAFE_H
#define HPP_PROFILER_SIGNAL_SAFE_H

#ifdef HPP_AGENT
#pragma GCC poison malloc calloc realloc free strdup strndup asprintf getline
#pragma GCC poison printf fprintf dprintf vfprintf snprintf sprintf puts perror fopen fclose fwrite fread
#pragma GCC poison exit abort atexit getenv setenv putenv strerror
#pragma GCC poison pthread_mutex_lock pthread_create pthread_once pthread_getspecific pthread_self
#pragma GCC poison dlopen dlsym dladdr dl_iterate_phdr backtrace
#pragma GCC poison sigprocmask pthread_sigmask
#pragma GCC poison strtok localtime gmtime qsort
#endif

#endif
