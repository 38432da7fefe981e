/* Registers of a thread that ptrace has stopped, in the order of call-frame information. Offline only. */
#ifndef HPP_COMMON_ARCH_REGISTERS_H
#define HPP_COMMON_ARCH_REGISTERS_H

#if defined(__x86_64__)
#include "common/arch/x86_64/registers.h"
#else
#error "hpprof has no code for this processor yet: see common/arch/"
#endif

#endif
