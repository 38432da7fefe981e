/* Finds and reads the call-frame information of an ELF file, in memory or on disk; of one on disk the
 * procedure linkage tables, too. Builder of unwind tables only. */
#ifndef HPP_COMMON_UNWIND_SECTIONS_H
#define HPP_COMMON_UNWIND_SECTIONS_H

#include <elf.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/cfi.h"
#include "common/elf_header.h"
#include "common/unwind_build.h"

#define HPP_UNWIND_SEGMENTS 64
#define HPP_UNWIND_PLTS     8

struct hpp_unwind_sections {
    struct hpp_unwind_build *build;
    struct hpp_arena *arena;
    struct hpp_elf_header header;
    Elf64_Ehdr elf;
    unsigned segments;
    Elf64_Phdr segment[HPP_UNWIND_SEGMENTS];
    struct hpp_cfi_section eh;                   /* .eh_frame; size 0: none */
    struct hpp_cfi_section debug;                /* .debug_frame; size 0: none */
    struct hpp_cfi_section plt[HPP_UNWIND_PLTS]; /* procedure linkage tables, by address */
    unsigned plts;
    uint64_t eh_entries; /* descriptions in .eh_frame at most */
    int is_eh_open;      /* nobody says where .eh_frame ends: it ends where it makes no sense */
};

/* Fills SECTIONS, whose build and arena are set. Returns 0, or -errno with build->reason set. */
int hpp_unwind_sections_read(struct hpp_unwind_sections *sections);

/* Calls the pause function. Returns 0, or -ECANCELED with the reason set. */
int hpp_unwind_pause(struct hpp_unwind_build *build);

#endif
