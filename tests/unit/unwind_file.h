/* Small ELF files with call-frame information made by hand. */
#ifndef HPP_TESTS_UNWIND_FILE_H
#define HPP_TESTS_UNWIND_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/unwind_build.h"

/* Where things are in each of them; link-time addresses but the code's are UNWIND_BASE +
 * the file's offset. */
enum {
    UNWIND_BASE = 0x400000,
    UNWIND_HEADER_AT = 0x200, /* .eh_frame_hdr */
    UNWIND_FRAME_AT = 0x240,  /* .eh_frame */
    UNWIND_TEXT = 0x1400000,  /* code, link-time */
};

struct unwind_file {
    uint8_t *frame; /* .eh_frame, growing */
    size_t size;
    size_t room;
    uint8_t *debug; /* .debug_frame */
    size_t debug_size;
    uint64_t text_size;
    int is_debug;         /* entries that follow are written as for .debug_frame */
    uint8_t encoding;     /* of addresses in the entries that follow (DW_EH_PE_*) */
    int has_sections;     /* the file gets section headers */
    uint32_t debug_flags; /* of .debug_frame's section */
    uint8_t *bytes;       /* the whole file, made by unwind_file_finish */
    size_t bytes_size;
};

void unwind_file_start(struct unwind_file *file);
void unwind_file_end(struct unwind_file *file);

/* Appends SIZE bytes at BYTES, or a number, to .eh_frame. */
void unwind_file_add(struct unwind_file *file, const void *bytes, size_t size);
void unwind_file_u8(struct unwind_file *file, uint8_t value);
void unwind_file_u32(struct unwind_file *file, uint32_t value);

/* Begins an entry: its length and identifier (for a description, CIE is its common entry's offset; -1: it is
 * a common entry). Returns its offset. */
size_t unwind_file_begin(struct unwind_file *file, int64_t cie);
/* Ends the entry at OFFSET: pads it and sets its length. */
void unwind_file_close(struct unwind_file *file, size_t offset);

/* A common entry as gcc writes it: "zR", rsp+8, return address at CFA-8; and INSTRUCTIONS. */
size_t unwind_file_cie(struct unwind_file *file, const char *letters, const void *instructions, size_t size);
/* The description of SIZE bytes of code at UNWIND_TEXT + AT, with INSTRUCTIONS. */
size_t unwind_file_description(struct unwind_file *file, size_t cie, uint64_t at, uint64_t code_size,
                               const void *instructions, size_t size);
/* An address in file->encoding. */
void unwind_file_address(struct unwind_file *file, uint64_t address, uint8_t encoding);

/* What .eh_frame holds becomes .debug_frame; .eh_frame is empty again. */
void unwind_file_to_debug(struct unwind_file *file);

/* Makes the file's bytes. */
void unwind_file_finish(struct unwind_file *file);

/* Builds the table from the first SIZE bytes of the finished file, once from a descriptor and once from
 * memory that ends at a page without access. Both must agree where the file has no sections, and a table must
 * be valid. Returns the result from the descriptor; TABLE is NULL if it is not 0. */
int unwind_file_build(const struct unwind_file *file, size_t size, struct hpp_unwind_build *build,
                      const struct hpp_unwind_table **table);

/* The rule at ADDRESS is TEXT (hpp_unwind_rule_text). */
void unwind_assert_rule(const struct hpp_unwind_table *table, uint64_t address, const char *text);

#endif
