/* An ELF file through libelf: its build-id, segments, symbol tables, and where its debug file is. The file is
 * not trusted. Offline only. */
#ifndef HPP_SYMBOLIZER_ELF_FILE_H
#define HPP_SYMBOLIZER_ELF_FILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HPP_BUILD_ID_TEXT = 2 * 64 + 1 /* lower-case hex of at most 64 bytes */ };

struct hpp_elf_file {
    Elf *elf;
    int descriptor; /* -1: in memory */
    char build_id[HPP_BUILD_ID_TEXT];
};

/* One PT_LOAD with PF_X. */
struct hpp_elf_segment {
    uint64_t address, offset, size; /* size: bytes in memory */
};

/* Opens PATH. Returns 0, or -errno: -ENOEXEC if it is no ELF file. */
int hpp_elf_open(struct hpp_elf_file *file, const char *path);

/* This process's own vdso. Returns as hpp_elf_open. */
int hpp_elf_open_vdso(struct hpp_elf_file *file);

void hpp_elf_close(struct hpp_elf_file *file);

/* The executable segments, at most ROOM into SEGMENTS; returns how many. */
size_t hpp_elf_segments(const struct hpp_elf_file *file, struct hpp_elf_segment *segments, size_t room);

/* Calls VISIT for each function symbol of .symtab and .dynsym that is defined; RANK is lower for the better
 * of two names of one address (global, weak, local). Returns whether there was a .symtab. */
typedef void hpp_elf_visit(void *context, uint64_t address, uint64_t size, int rank, const char *name);
bool hpp_elf_symbols(const struct hpp_elf_file *file, hpp_elf_visit *visit, void *context);

/* Opens the separate debug file of the image PATH with build-id BUILD_ID (hex, not ""): by build-id under
 * /usr/lib/debug, or by the .gnu_debuglink of IMAGE (may be NULL) beside it. One whose build-id differs is
 * passed over. Returns 0 or -ENOENT. */
int hpp_elf_open_debug(struct hpp_elf_file *file, const char *path, const char *build_id,
                       const struct hpp_elf_file *image);

#endif
