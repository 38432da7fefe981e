/* What DWARF and ELF call things on this processor. Any context. */
#ifndef HPP_COMMON_ARCH_DWARF_H
#define HPP_COMMON_ARCH_DWARF_H

#if defined(__x86_64__)
#include "common/arch/x86_64/dwarf.h"
#else
#error "hpprof has no code for this processor yet: see common/arch/"
#endif

#endif
