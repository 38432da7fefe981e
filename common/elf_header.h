/* What the agent needs to know of an ELF file: its loadable segments and its build-id, read through
 * bounded copies so that a hostile or vanishing file can do no harm. Start-up code and writer. */
#ifndef HPP_COMMON_ELF_HEADER_H
#define HPP_COMMON_ELF_HEADER_H

#include <stdint.h>

#define HPP_ELF_SEGMENTS 4
#define HPP_BUILD_ID_MAX 32

/* Where the bytes of an ELF file come from. */
struct hpp_elf_source {
    uint64_t memory; /* run-time address of file offset 0, or 0 to read from FD */
    int fd;
};

struct hpp_elf_segment {
    uint64_t offset;  /* in the file */
    uint64_t address; /* link-time virtual address */
    uint64_t file_size;
    uint64_t memory_size;
};

struct hpp_elf_header {
    uint64_t base; /* link-time address of file offset 0 of the first PT_LOAD */
    uint64_t low;  /* link-time addresses [low, high), in whole pages: what all PT_LOADs span */
    uint64_t high;
    unsigned count; /* executable segments; those past HPP_ELF_SEGMENTS are left out */
    struct hpp_elf_segment executable[HPP_ELF_SEGMENTS];
    unsigned writable_count; /* all of them; those past HPP_ELF_SEGMENTS are left out */
    struct hpp_elf_segment writable[HPP_ELF_SEGMENTS];
    unsigned build_id_size; /* bytes; 0 if the file has none */
    uint8_t build_id[HPP_BUILD_ID_MAX];
};

/* Reads the header of the ELF file behind SOURCE. Returns 0, -ENOEXEC if it is not a 64-bit ELF file of
 * this machine's byte order, or -errno. */
int hpp_elf_header_read(const struct hpp_elf_source *source, struct hpp_elf_header *header);

/* Whether two build-ids say that it is one file: those of none say nothing. Any context. */
static inline int hpp_build_id_equal(const uint8_t *a, unsigned a_size, const uint8_t *b, unsigned b_size)
{
    for (unsigned i = 0; i < a_size && a_size == b_size; i++)
        if (a[i] != b[i])
            return 0;
    return a_size && a_size == b_size;
}

#endif
