/* What the files that stand in front of libc functions share. */
#ifndef HPP_PRELOAD_INTERPOSE_H
#define HPP_PRELOAD_INTERPOSE_H

#include "preload/next_symbol.h"

/* Seen by the program instead of libc's; each is in preload/exports.list. */
#define EXPORT __attribute__((visibility("default")))

/* The real function NAME, looked up once. */
#define REAL(name)                                           \
    ({                                                       \
        static __typeof__(&name) real;                       \
        if (!real)                                           \
            real = (__typeof__(real))hpp_next_symbol(#name); \
        real;                                                \
    })

/* What arch/ has of syscall(2) jumps to: with all that it was called with, for numbers that the agent must
 * hear of (prctl, seccomp, rt_sigaction), and with the -errno of a call that failed. Both return what syscall
 * does. */
long hpp_syscall_told(long number, long a, long b, long c, long d, long e, long f);
long hpp_syscall_failed(long result);

#endif
