/* One ELF file that another process has mapped: its bytes, unwind table and names by run-time address.
 * Offline only. */
#ifndef HPP_SYMBOLIZER_PROCESS_IMAGE_H
#define HPP_SYMBOLIZER_PROCESS_IMAGE_H

#include "symbolizer/elf_file.h"
#include "symbolizer/frame_table.h"
#include "symbolizer/process_stop.h"
#include "symbolizer/symbols.h"

#include <gelf.h>
#include <limits.h>

enum { HPP_PROCESS_SEGMENTS = 32 };

struct hpp_process_image {
    struct hpp_process_image *next;
    const struct hpp_process_mapping *mapping; /* the line by which it was found */
    bool usable;   /* else it has one segment, that line, and neither table nor names */
    uint64_t bias; /* run-time address minus link-time address */
    GElf_Phdr segments[HPP_PROCESS_SEGMENTS]; /* PT_LOAD */
    unsigned segment_count;
    uint64_t header;          /* link-time address of .eh_frame_hdr, 0: none */
    char path[PATH_MAX + 64]; /* where it can be opened */
    struct hpp_elf_file file;
    bool named; /* symbols have been read, if there are any */
    struct hpp_symbols symbols;
    bool tabled; /* frames has been made, if it is needed */
    struct hpp_frame_table frames;
    struct hpp_process_page *pages;
};

/* Where an image's sorted table of unwind information lies (.eh_frame_hdr, Linux Standard Base Core 5.0,
 * 10.6.2); run-time addresses. */
struct hpp_unwind_place {
    uint64_t text_start, text_end;
    uint64_t base;  /* addresses in the table count from here */
    uint64_t table; /* in the file; 0: rows */
    const struct hpp_frame_row *rows;
    uint64_t entries; /* of two 32-bit words */
};

/* Opens the file that MAPPING of process PID shows, below the directory ROOT if that is not -1. A file is
 * used only if its build-id is that of the process's memory, or, without one, if it is the same file. */
struct hpp_process_image *hpp_process_image_open(const struct hpp_process_mapping *mapping, pid_t pid,
                                                 int root);
void hpp_process_image_free(struct hpp_process_image *image);

/* The segment that holds the run-time ADDRESS, or NULL. */
const GElf_Phdr *hpp_process_image_segment(const struct hpp_process_image *image, uint64_t address);

/* SIZE bytes at the run-time ADDRESS as the file has them: not relocated. */
bool hpp_process_image_read(struct hpp_process_image *image, uint64_t address, void *to, size_t size);

/* The table for ADDRESS. False when IMAGE has no unwind information. */
bool hpp_process_image_unwind_place(struct hpp_process_image *image, uint64_t address,
                                    struct hpp_unwind_place *place);

/* Last part of the file's path, or "[vdso]". */
const char *hpp_process_image_title(const struct hpp_process_image *image);

/* The function at ADDRESS, as people write it, or `IMAGE+0xOFFSET` where no symbol is. Free it. TELL (may be
 * NULL) gets a line, once, when the file gives no names. */
char *hpp_process_image_name(struct hpp_process_image *image, uint64_t address,
                             void (*tell)(const char *line));

#endif
