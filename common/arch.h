/* Everything that depends on the processor: system calls, registers of an interrupted context, the
 * signal return, and the start of a process that shares memory. Any context. */
#ifndef HPP_COMMON_ARCH_H
#define HPP_COMMON_ARCH_H

#if defined(__x86_64__)
#include "common/arch/x86_64/arch.h"
#else
#error "hpprof has no code for this processor yet: see common/arch/"
#endif

#endif
