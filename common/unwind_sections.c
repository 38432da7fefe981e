/* Where the call-frame information of a file is. Builder of unwind tables only. */
#include "common/unwind_sections.h"

#include <errno.h>

#include "common/arch_dwarf.h"
#include "common/sys.h"

#define SECTIONS_MAX 4096u       /* of one file, looked at */
#define PLT_MAX      (16u << 20) /* bytes of a procedure linkage table */
#define COPY_BYTES   (1u << 20)  /* between two pauses */

/* The start of .eh_frame_hdr (LSB Core, 10.6.2). */
enum { HEADER_VERSION = 1, HEADER_BYTES = 20, HEADER_UDATA4 = 0x03, HEADER_RELATIVE = 0x30 };

static int fail(struct hpp_unwind_build *build, int error, const char *reason)
{
    build->reason = reason;
    return error;
}

int hpp_unwind_pause(struct hpp_unwind_build *build)
{
    return build->pause && build->pause(build->context) ? fail(build, -ECANCELED, "it was given up") : 0;
}

/* Copies SIZE bytes at PLACE (an address of ours, or an offset in the file). */
static int copy(struct hpp_unwind_build *build, uint64_t place, uint64_t size, void *to)
{
    uint8_t *at = to;

    while (size) {
        size_t part = size < COPY_BYTES ? size : COPY_BYTES;
        long count = build->source.memory ? hpp_sys_copy_own_memory(at, place, part)
                                          : hpp_sys_pread(build->source.fd, at, part, place);
        if (count <= 0)
            return fail(build, count ? (int)count : -ENOEXEC,
                        count ? "it cannot be read" : "it is shorter than its headers say");
        at += count;
        place += (uint64_t)count;
        size -= (uint64_t)count;
        if (size && hpp_unwind_pause(build))
            return -ECANCELED;
    }
    return 0;
}

/* Where the byte of link-time ADDRESS is to be copied from; *LEFT gets how many bytes follow in its segment.
 * 0: nowhere. */
static uint64_t place_of(const struct hpp_unwind_sections *sections, uint64_t address, uint64_t *left)
{
    uint64_t memory = sections->build->source.memory;

    for (unsigned i = 0; i < sections->segments; i++) {
        const Elf64_Phdr *p = &sections->segment[i];
        if (p->p_type != PT_LOAD || address < p->p_vaddr || address - p->p_vaddr >= p->p_filesz)
            continue;
        *left = p->p_filesz - (address - p->p_vaddr);
        return memory ? memory + (address - sections->header.base) : p->p_offset + (address - p->p_vaddr);
    }
    return 0;
}

/* Reads SIZE bytes at PLACE, which stand at link-time ADDRESS, into SECTION. */
static int read_section(struct hpp_unwind_sections *sections, uint64_t place, uint64_t address, uint64_t size,
                        struct hpp_cfi_section *section)
{
    uint8_t *data = size <= UINT32_MAX ? hpp_arena_allocate(sections->arena, size) : NULL;
    int error;

    if (!data)
        return fail(sections->build, -ENOMEM, "its unwind information is larger than the memory for it");
    error = copy(sections->build, place, size, data);
    if (error)
        return error;
    section->data = data;
    section->size = size;
    section->address = address;
    return 0;
}

static int read_program_headers(struct hpp_unwind_sections *sections)
{
    struct hpp_unwind_build *build = sections->build;
    int error = hpp_elf_header_read(&build->source, &sections->header);

    if (error)
        return fail(build, error, error == -ENOEXEC ? "it is not a 64-bit ELF file" : "it cannot be read");
    error = copy(build, build->source.memory, sizeof sections->elf, &sections->elf);
    if (error)
        return error;
    if (sections->elf.e_machine != HPP_ARCH_ELF_MACHINE)
        return fail(build, -ENOEXEC, "it is for another processor");
    sections->segments =
        sections->elf.e_phnum < HPP_UNWIND_SEGMENTS ? sections->elf.e_phnum : HPP_UNWIND_SEGMENTS;
    return copy(build, build->source.memory + sections->elf.e_phoff, sections->segments * sizeof(Elf64_Phdr),
                sections->segment);
}

/* The name of a section, written at PLACE, begins with the SIZE bytes of NAME: its 0 may be among them. */
static int is_named(struct hpp_unwind_build *build, uint64_t place, const char *name, size_t size)
{
    char text[16];

    if (hpp_sys_pread(build->source.fd, text, size, place) != (long)size)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] != name[i])
            return 0;
    return 1;
}

/* Reads the section of HEADER, where it is a procedure linkage table: .plt, .plt.got, .plt.sec, .iplt. One
 * that cannot be read is none. Returns 0 or -ECANCELED. */
static int read_plt(struct hpp_unwind_sections *sections, uint64_t name, const Elf64_Shdr *header)
{
    static const char plt_name[] = {'.', 'p', 'l', 't'}, iplt_name[] = {'.', 'i', 'p', 'l', 't'};
    struct hpp_cfi_section plt = {0};
    unsigned place = sections->plts;
    uint64_t from, left;
    int error;

    if (place == HPP_UNWIND_PLTS || !header->sh_size || header->sh_size > PLT_MAX ||
        !(from = place_of(sections, header->sh_addr, &left)) || left < header->sh_size ||
        !(is_named(sections->build, name, plt_name, sizeof plt_name) ||
          is_named(sections->build, name, iplt_name, sizeof iplt_name)))
        return 0;
    error = read_section(sections, from, header->sh_addr, header->sh_size, &plt);
    if (error == -ECANCELED)
        return error;
    sections->build->reason = NULL;
    if (error)
        return 0;
    for (; place && sections->plt[place - 1].address > plt.address; place--)
        sections->plt[place] = sections->plt[place - 1];
    sections->plt[place] = plt;
    sections->plts++;
    return 0;
}

/* Finds .eh_frame and .debug_frame among a file's sections: their headers are copied; type SHT_NULL if not
 * found. Procedure linkage tables are read. Files without sections, and such as lie about them, have none. */
static int find_sections(struct hpp_unwind_sections *sections, Elf64_Shdr *eh, Elf64_Shdr *debug)
{
    static const char eh_name[] = ".eh_frame", debug_name[] = ".debug_frame";
    const Elf64_Ehdr *elf = &sections->elf;
    unsigned count = elf->e_shnum < SECTIONS_MAX ? elf->e_shnum : SECTIONS_MAX;
    struct hpp_unwind_build *build = sections->build;
    Elf64_Shdr *headers;

    if (!elf->e_shoff || elf->e_shentsize != sizeof *headers || elf->e_shstrndx >= count)
        return 0;
    headers = hpp_arena_allocate(sections->arena, count * sizeof *headers);
    if (!headers)
        return fail(build, -ENOMEM, "no memory");
    if (copy(build, elf->e_shoff, count * sizeof *headers, headers)) {
        build->reason = NULL; /* the segments will do */
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t name = headers[elf->e_shstrndx].sh_offset + headers[i].sh_name;
        if (headers[i].sh_type == SHT_NULL || headers[i].sh_type == SHT_STRTAB)
            continue;
        if (eh->sh_type == SHT_NULL && is_named(build, name, eh_name, sizeof eh_name))
            *eh = headers[i];
        else if (debug->sh_type == SHT_NULL && is_named(build, name, debug_name, sizeof debug_name))
            *debug = headers[i];
        else if (headers[i].sh_type == SHT_PROGBITS && headers[i].sh_flags & SHF_EXECINSTR &&
                 read_plt(sections, name, &headers[i]))
            return -ECANCELED;
    }
    return 0;
}

/* Finds .eh_frame by the segment that PT_GNU_EH_FRAME names; SIZE gets up to the segment's end. Returns its
 * link-time address, or 0 if there is none. */
static uint64_t find_by_header(struct hpp_unwind_sections *sections, uint64_t *place, uint64_t *size)
{
    uint8_t bytes[HEADER_BYTES] = {0};
    const Elf64_Phdr *p = sections->segment, *end = p + sections->segments;
    struct hpp_cfi_section header = {.data = bytes, .size = sizeof bytes};
    struct hpp_cursor cursor = {bytes, bytes + sizeof bytes, 0};
    uint64_t left, address;
    uint8_t version, encoding, count;

    while (p < end && p->p_type != PT_GNU_EH_FRAME)
        p++;
    if (p == end || !(*place = place_of(sections, p->p_vaddr, &left)) || left < sizeof bytes ||
        copy(sections->build, *place, sizeof bytes, bytes)) {
        sections->build->reason = NULL;
        return 0;
    }
    header.address = p->p_vaddr;
    version = hpp_cursor_u8(&cursor);
    encoding = hpp_cursor_u8(&cursor);
    count = hpp_cursor_u8(&cursor);
    hpp_cursor_u8(&cursor);                   /* the search table's: it is not used */
    if ((encoding & 0x70) == HEADER_RELATIVE) /* to the header */
        address = p->p_vaddr + hpp_cfi_read_address(&header, &cursor, encoding & 0x8f, 0);
    else
        address = hpp_cfi_read_address(&header, &cursor, encoding, 0);
    sections->eh_entries = count == HEADER_UDATA4 ? hpp_cursor_u32(&cursor) : UINT64_MAX;
    if (cursor.bad || version != HEADER_VERSION || !(*place = place_of(sections, address, size)))
        return 0;
    return address;
}

static int read_eh_frame(struct hpp_unwind_sections *sections, const Elf64_Shdr *eh)
{
    uint64_t place, size, address;

    sections->eh_entries = UINT64_MAX;
    if (eh->sh_type == SHT_NOBITS) /* a file of debug information, apart */
        return 0;
    if (eh->sh_type != SHT_NULL)
        return read_section(sections, eh->sh_offset, eh->sh_addr, eh->sh_size, &sections->eh);
    address = find_by_header(sections, &place, &size);
    if (!address)
        return 0;
    sections->is_eh_open = 1;
    return read_section(sections, place, address, size, &sections->eh);
}

int hpp_unwind_sections_read(struct hpp_unwind_sections *sections)
{
    struct hpp_unwind_build *build = sections->build;
    Elf64_Shdr eh = {.sh_type = SHT_NULL}, debug = {.sh_type = SHT_NULL};
    int error = read_program_headers(sections);

    if (!error && !build->source.memory)
        error = find_sections(sections, &eh, &debug);
    if (!error)
        error = read_eh_frame(sections, &eh);
    if (!error && debug.sh_type != SHT_NULL && debug.sh_type != SHT_NOBITS) {
        if (debug.sh_flags & SHF_COMPRESSED)
            build->note = "its .debug_frame is compressed, and not used";
        else
            error = read_section(sections, debug.sh_offset, 0, debug.sh_size, &sections->debug);
        sections->debug.debug = 1;
    }
    if (error)
        return error;
    if (!sections->eh.size && !sections->debug.size)
        return fail(build, -ENODATA,
                    build->note ? "it has no .eh_frame, and its .debug_frame is compressed"
                                : "it has no unwind information (.eh_frame)");
    for (unsigned i = 0; i < sections->segments; i++)
        if (sections->segment[i].p_type == PT_GNU_EH_FRAME)
            build->frame_bytes = sections->segment[i].p_filesz;
    build->frame_bytes += sections->eh.size;
    return 0;
}
