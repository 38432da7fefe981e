/* Small ELF files with call-frame information made by hand. */
#include "unwind_file.h"

#include "symbolizer/unwind_check.h"

#include <dwarf.h>
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { PAGE = 4096, TEXT_BYTES = 64 };

void unwind_file_start(struct unwind_file *file)
{
    *file = (struct unwind_file){.text_size = 0x10000, .encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4};
}

void unwind_file_end(struct unwind_file *file)
{
    free(file->frame);
    free(file->debug);
    free(file->bytes);
    *file = (struct unwind_file){0};
}

void unwind_file_add(struct unwind_file *file, const void *bytes, size_t size)
{
    if (file->size + size >= file->room) {
        file->room = 2 * (file->size + size) + 1024;
        file->frame = realloc(file->frame, file->room);
        assert_non_null(file->frame);
    }
    if (size)
        memcpy(file->frame + file->size, bytes, size);
    file->size += size;
}

void unwind_file_u8(struct unwind_file *file, uint8_t value)
{
    unwind_file_add(file, &value, sizeof value);
}

void unwind_file_u32(struct unwind_file *file, uint32_t value)
{
    unwind_file_add(file, &value, sizeof value);
}

size_t unwind_file_begin(struct unwind_file *file, int64_t cie)
{
    size_t offset = file->size;

    unwind_file_u32(file, 0);
    if (file->is_debug)
        unwind_file_u32(file, cie < 0 ? UINT32_MAX : (uint32_t)cie);
    else
        unwind_file_u32(file, cie < 0 ? 0 : (uint32_t)(file->size - (size_t)cie));
    return offset;
}

void unwind_file_close(struct unwind_file *file, size_t offset)
{
    uint32_t length;

    while ((file->size - offset) % 4)
        unwind_file_u8(file, DW_CFA_nop);
    length = (uint32_t)(file->size - offset - 4);
    memcpy(file->frame + offset, &length, sizeof length);
}

size_t unwind_file_cie(struct unwind_file *file, const char *letters, const void *instructions, size_t size)
{
    static const uint8_t initial[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1};
    size_t offset = unwind_file_begin(file, -1);

    unwind_file_u8(file, 1);
    unwind_file_add(file, letters, strlen(letters) + 1);
    unwind_file_add(file, "\x01\x78\x10", 3); /* alignments 1 and -8, return address in column 16 */
    if (*letters == 'z') {
        unwind_file_u8(file, 1);
        unwind_file_u8(file, file->encoding);
    }
    unwind_file_add(file, initial, sizeof initial);
    unwind_file_add(file, instructions, size);
    unwind_file_close(file, offset);
    return offset;
}

void unwind_file_address(struct unwind_file *file, uint64_t address, uint8_t encoding)
{
    uint64_t value = address;

    if ((encoding & 0x70) == DW_EH_PE_pcrel)
        value -= UNWIND_BASE + UNWIND_FRAME_AT + file->size;
    switch (encoding & 0x0f) {
    case DW_EH_PE_uleb128:
    case DW_EH_PE_sleb128: /* of 10 bytes, whatever the value */
        for (int i = 0; i < 9; i++, value = (uint64_t)((int64_t)value >> 7))
            unwind_file_u8(file, (uint8_t)(value | 0x80));
        unwind_file_u8(file, (encoding & 0x0f) == DW_EH_PE_uleb128 ? value & 1 : value & 0x7f);
        break;
    case DW_EH_PE_udata2:
    case DW_EH_PE_sdata2:
        unwind_file_add(file, &value, 2);
        break;
    case DW_EH_PE_udata4:
    case DW_EH_PE_sdata4:
        unwind_file_add(file, &value, 4);
        break;
    default:
        unwind_file_add(file, &value, 8);
    }
}

size_t unwind_file_description(struct unwind_file *file, size_t cie, uint64_t at, uint64_t code_size,
                               const void *instructions, size_t size)
{
    size_t offset = unwind_file_begin(file, (int64_t)cie);

    unwind_file_address(file, UNWIND_TEXT + at, file->encoding);
    unwind_file_address(file, code_size, file->encoding & 0x0f);
    if (file->frame[cie + 9] == 'z')
        unwind_file_u8(file, 0);
    unwind_file_add(file, instructions, size);
    unwind_file_close(file, offset);
    return offset;
}

void unwind_file_to_debug(struct unwind_file *file)
{
    file->debug = file->frame;
    file->debug_size = file->size;
    file->frame = NULL;
    file->size = file->room = 0;
    file->has_sections = 1;
}

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static void add_sections(struct unwind_file *file, Elf64_Ehdr *elf, size_t at)
{
    static const char names[] = "\0.shstrtab\0.eh_frame\0.debug_frame";
    Elf64_Shdr *section = (Elf64_Shdr *)(file->bytes + at);

    elf->e_shoff = at;
    elf->e_shentsize = sizeof *section;
    elf->e_shnum = 4;
    elf->e_shstrndx = 1;
    section[1] = (Elf64_Shdr){
        .sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = at + 4 * sizeof *section, .sh_size = sizeof names};
    memcpy(file->bytes + section[1].sh_offset, names, sizeof names);
    section[2] = (Elf64_Shdr){.sh_name = 11,
                              .sh_type = file->size ? SHT_PROGBITS : SHT_NOBITS,
                              .sh_flags = SHF_ALLOC,
                              .sh_addr = UNWIND_BASE + UNWIND_FRAME_AT,
                              .sh_offset = UNWIND_FRAME_AT,
                              .sh_size = file->size};
    section[3] = (Elf64_Shdr){.sh_name = 21,
                              .sh_type = file->debug_size ? SHT_PROGBITS : SHT_NULL,
                              .sh_flags = file->debug_flags,
                              .sh_offset = section[1].sh_offset + 64,
                              .sh_size = file->debug_size};
    if (file->debug_size)
        memcpy(file->bytes + section[3].sh_offset, file->debug, file->debug_size);
}

void unwind_file_finish(struct unwind_file *file)
{
    size_t text_at = round_up(UNWIND_FRAME_AT + file->size, 16), sections_at = text_at + TEXT_BYTES;
    uint32_t header[5] = {0x3b031b01, UNWIND_FRAME_AT - UNWIND_HEADER_AT - 4, UINT32_MAX};
    Elf64_Ehdr *elf;
    Elf64_Phdr *program;

    file->bytes_size =
        sections_at + (file->has_sections ? 4 * sizeof(Elf64_Shdr) + 64 + file->debug_size : 0);
    free(file->bytes);
    file->bytes = calloc(1, file->bytes_size);
    assert_non_null(file->bytes);
    elf = (Elf64_Ehdr *)file->bytes;
    program = (Elf64_Phdr *)(elf + 1);
    memcpy(elf->e_ident, ELFMAG "\2\1\1", 7);
    elf->e_type = ET_EXEC;
    elf->e_machine = EM_X86_64;
    elf->e_phoff = sizeof *elf;
    elf->e_phentsize = sizeof *program;
    elf->e_phnum = 3;
    program[0] = (Elf64_Phdr){PT_LOAD, PF_R, 0, UNWIND_BASE, 0, text_at, text_at, PAGE};
    program[1] =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_X, text_at, UNWIND_TEXT, 0, TEXT_BYTES, file->text_size, PAGE};
    program[2] = (Elf64_Phdr){
        PT_GNU_EH_FRAME, PF_R, UNWIND_HEADER_AT, UNWIND_BASE + UNWIND_HEADER_AT, 0, sizeof header,
        sizeof header,   4};
    memcpy(file->bytes + UNWIND_HEADER_AT, header, sizeof header);
    if (file->size)
        memcpy(file->bytes + UNWIND_FRAME_AT, file->frame, file->size);
    if (file->has_sections)
        add_sections(file, elf, sections_at);
}

/* From memory: the same as from the file. */
static void build_in_memory(const struct unwind_file *file, size_t size, int file_result,
                            const struct hpp_unwind_table *from_file)
{
    size_t room = round_up(size + 1, PAGE);
    uint8_t *memory = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct hpp_unwind_build build = {0};
    const struct hpp_unwind_table *table;
    int result;

    assert_ptr_not_equal(memory, MAP_FAILED);
    mprotect(memory + room, PAGE, PROT_NONE);
    memcpy(memory + room - size, file->bytes, size);
    build.source = (struct hpp_elf_source){(uint64_t)(uintptr_t)(memory + room - size), -1};
    result = hpp_unwind_build(&build, &table);
    if (!file->has_sections && size == file->bytes_size)
        assert_int_equal(result, file_result);
    if (result)
        assert_non_null(build.reason);
    else
        assert_true(hpp_unwind_is_valid(table, table->size));
    if (!file->has_sections && from_file && table) {
        assert_int_equal(table->size, from_file->size);
        assert_memory_equal(table, from_file, table->size);
    }
    hpp_unwind_free(table);
    munmap(memory, room + PAGE);
}

int unwind_file_build(const struct unwind_file *file, size_t size, struct hpp_unwind_build *build,
                      const struct hpp_unwind_table **table)
{
    int fd = memfd_create("elf", 0), result;

    assert_int_equal(write(fd, file->bytes, size), size);
    build->source = (struct hpp_elf_source){0, fd};
    result = hpp_unwind_build(build, table);
    close(fd);
    if (result) {
        assert_in_range(-result, 1, 4095);
        assert_non_null(build->reason);
        assert_null(*table);
    } else {
        assert_null(build->reason);
        assert_true(hpp_unwind_is_valid(*table, (*table)->size));
    }
    if (!build->memory_limit && !build->pause)
        build_in_memory(file, size, result, *table);
    return result;
}

void unwind_assert_rule(const struct hpp_unwind_table *table, uint64_t address, const char *text)
{
    char found[HPP_UNWIND_RULE_SIZE];

    hpp_unwind_rule_text(hpp_unwind_find(table, address), found);
    if (strcmp(found, text))
        fail_msg("at 0x%lx: '%s', expected '%s'", (unsigned long)address, found, text);
}
