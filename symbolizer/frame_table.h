/* The sorted table of an ELF file's frame descriptions, like that in .eh_frame_hdr, for files that have none:
 * static programs, above all. Offline only. */
#ifndef HPP_SYMBOLIZER_FRAME_TABLE_H
#define HPP_SYMBOLIZER_FRAME_TABLE_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

/* Both relative to the section. */
struct hpp_frame_row {
    int32_t start;       /* of the code */
    int32_t description; /* of it */
};

struct hpp_frame_table {
    uint64_t section; /* link-time address of .eh_frame */
    struct hpp_frame_row *rows;
    size_t count; /* 0: nothing to be found */
};

/* Makes the table from ELF's section .eh_frame. */
void hpp_frame_table_make(struct hpp_frame_table *table, Elf *elf);
void hpp_frame_table_free(struct hpp_frame_table *table);

#endif
