/* Whether the program is built with a sanitizer of gcc or clang: then its runtime is loaded, or is part of
 * it. Start-up code. */
#ifndef HPP_PRELOAD_SANITIZER_H
#define HPP_PRELOAD_SANITIZER_H

/* All runtimes have the first (sanitizer/common_interface_defs.h); ThreadSanitizer's has the second. */
extern void __sanitizer_set_report_path(const char *) __attribute__((weak));
extern void __tsan_init(void) __attribute__((weak));

/* Any: they look at addresses, so that text stays where it is. */
static inline int hpp_sanitizer_is_here(void)
{
    return __sanitizer_set_report_path != 0;
}

/* ThreadSanitizer has functions of its own in place of memcpy and the like, which work in threads that it
 * knows alone: our writer is none. */
static inline int hpp_sanitizer_is_of_threads(void)
{
    return __tsan_init != 0;
}

#endif
