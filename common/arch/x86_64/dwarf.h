/* x86-64. Included through common/arch_dwarf.h only. */
#ifndef HPP_COMMON_ARCH_X86_64_DWARF_H
#define HPP_COMMON_ARCH_X86_64_DWARF_H

#include <elf.h>

#define HPP_ARCH_ELF_MACHINE EM_X86_64

/* Numbers of registers (System V ABI, AMD64 supplement, figure 3.36). */
#define HPP_ARCH_DWARF_FP        6  /* rbp */
#define HPP_ARCH_DWARF_SP        7  /* rsp */
#define HPP_ARCH_DWARF_PC        16 /* the return address's column */
#define HPP_ARCH_DWARF_REGISTERS 17 /* those above are not kept */
#define HPP_ARCH_DWARF_NAMES                                                                               \
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", \
        "r15", "rip"

#endif
