/* Reads ELF program headers and build-ids: /usr/include/elf.h, gABI chapter 5. */
#include "common/elf_header.h"

#include <elf.h>
#include <errno.h>

#include "common/sys.h"

#define PAGE            4096u
#define PROGRAM_HEADERS 64
#define NOTE_BYTES      4096
#define HEAD_BYTES      1024 /* most files have all that is wanted in them: one call */

/* A file being read. */
struct reader {
    const struct hpp_elf_source *source;
    size_t head_size;
    uint8_t head[HEAD_BYTES];
};

/* Copies up to SIZE bytes at OFFSET of the file. Returns how many, or -errno. */
static long copy_some(const struct hpp_elf_source *source, uint64_t offset, void *to, size_t size)
{
    return source->memory ? hpp_sys_copy_own_memory(to, source->memory + offset, size)
                          : hpp_sys_pread(source->fd, to, size, offset);
}

/* Copies SIZE bytes at OFFSET: all of them (0) or an error. */
static int copy(const struct reader *reader, uint64_t offset, void *to, size_t size)
{
    long count;

    if (offset <= reader->head_size && size <= reader->head_size - offset) {
        for (size_t i = 0; i < size; i++)
            ((uint8_t *)to)[i] = reader->head[offset + i];
        return 0;
    }
    count = copy_some(reader->source, offset, to, size);
    return count < 0 ? (int)count : (size_t)count == size ? 0 : -ENOEXEC;
}

/* Finds the build-id among the notes of segment P. */
static void read_notes(const struct reader *reader, const Elf64_Phdr *p, struct hpp_elf_header *header)
{
    uint64_t offset = reader->source->memory ? p->p_vaddr - header->base : p->p_offset;
    uint64_t size = p->p_filesz;
    uint32_t words[NOTE_BYTES / 4];
    const uint8_t *notes = (const uint8_t *)words;
    uint64_t at = 0;

    if (size > sizeof words)
        size = sizeof words;
    if (copy(reader, offset, words, size))
        return;
    while (size - at >= sizeof(Elf64_Nhdr)) {
        const Elf64_Nhdr *note = (const Elf64_Nhdr *)(notes + at);
        uint64_t name = at + sizeof *note;
        uint64_t text = name + (((uint64_t)note->n_namesz + 3) & ~3ull);
        uint64_t next = text + (((uint64_t)note->n_descsz + 3) & ~3ull);

        if (next > size)
            return;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && notes[name] == 'G' &&
            notes[name + 1] == 'N' && notes[name + 2] == 'U' && note->n_descsz &&
            note->n_descsz <= HPP_BUILD_ID_MAX) {
            header->build_id_size = note->n_descsz;
            for (unsigned i = 0; i < note->n_descsz; i++)
                header->build_id[i] = notes[text + i];
            return;
        }
        at = next;
    }
}

/* They come in the order of their addresses. */
static void add_load(const Elf64_Phdr *p, struct hpp_elf_header *header)
{
    struct hpp_elf_segment segment = {p->p_offset, p->p_vaddr, p->p_filesz, p->p_memsz};

    if (!header->high) {
        header->base = p->p_vaddr - p->p_offset;
        header->low = p->p_vaddr & ~(uint64_t)(PAGE - 1);
    }
    header->high = (p->p_vaddr + p->p_memsz + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    if (p->p_flags & PF_X && header->count < HPP_ELF_SEGMENTS)
        header->executable[header->count++] = segment;
    if (p->p_flags & PF_W && header->writable_count++ < HPP_ELF_SEGMENTS)
        header->writable[header->writable_count - 1] = segment;
}

int hpp_elf_header_read(const struct hpp_elf_source *source, struct hpp_elf_header *header)
{
    Elf64_Ehdr elf;
    Elf64_Phdr program[PROGRAM_HEADERS];
    unsigned count;
    int error;
    struct reader reader = {.source = source};
    long head = copy_some(source, 0, reader.head, sizeof reader.head);

    *header = (struct hpp_elf_header){0};
    if (head < 0)
        return (int)head;
    reader.head_size = (size_t)head;
    error = copy(&reader, 0, &elf, sizeof elf);
    if (error)
        return error;
    if (elf.e_ident[EI_MAG0] != ELFMAG0 || elf.e_ident[EI_MAG1] != ELFMAG1 ||
        elf.e_ident[EI_MAG2] != ELFMAG2 || elf.e_ident[EI_MAG3] != ELFMAG3 ||
        elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB ||
        elf.e_phentsize != sizeof program[0])
        return -ENOEXEC;
    count = elf.e_phnum < PROGRAM_HEADERS ? elf.e_phnum : PROGRAM_HEADERS;
    error = copy(&reader, elf.e_phoff, program, count * sizeof program[0]);
    if (error)
        return error;
    for (unsigned i = 0; i < count; i++)
        if (program[i].p_type == PT_LOAD)
            add_load(&program[i], header);
    for (unsigned i = 0; i < count && !header->build_id_size; i++)
        if (program[i].p_type == PT_NOTE)
            read_notes(&reader, &program[i], header);
    return 0;
}
