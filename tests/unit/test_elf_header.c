/* ELF headers and build-ids: as libelf reads them; hostile files do no harm. */
#include "common/elf_header.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { PAGE = 4096, FILE_SIZE = 2 * PAGE, NOTES_AT = 2000 };

/* A small file: header, program headers, notes. */
struct file {
    uint8_t bytes[FILE_SIZE];
    Elf64_Ehdr *elf;
    Elf64_Phdr *program;
};

static void add_note(struct file *file, size_t *at, uint32_t type, const char *name, uint32_t name_size,
                     uint32_t size)
{
    Elf64_Nhdr note = {name_size, size, type};

    memcpy(file->bytes + *at, &note, sizeof note);
    strcpy((char *)file->bytes + *at + sizeof note, name);
    *at += sizeof note + ((name_size + 3u) & ~3u);
    for (uint32_t i = 0; i < size; i++)
        file->bytes[(*at)++] = (uint8_t)(i + 1);
    *at = (*at + 3) & ~(size_t)3;
}

static void make_file(struct file *file)
{
    size_t at = NOTES_AT;

    memset(file, 0, sizeof *file);
    file->elf = (Elf64_Ehdr *)file->bytes;
    file->program = (Elf64_Phdr *)(file->bytes + sizeof *file->elf);
    memcpy(file->elf->e_ident, ELFMAG, SELFMAG);
    file->elf->e_ident[EI_CLASS] = ELFCLASS64;
    file->elf->e_ident[EI_DATA] = ELFDATA2LSB;
    file->elf->e_phoff = sizeof *file->elf;
    file->elf->e_phentsize = sizeof *file->program;
    file->elf->e_phnum = 3;
    file->program[0] = (Elf64_Phdr){PT_LOAD, PF_R, 0, 0x400000, 0, 0x1000, 0x1000, PAGE};
    file->program[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, 0x401000, 0, 0x800, 0x900, PAGE};
    add_note(file, &at, NT_GNU_ABI_TAG, "GNU", 4, 16);
    add_note(file, &at, NT_GNU_BUILD_ID, "Other", 6, 9);
    add_note(file, &at, NT_GNU_BUILD_ID, "GNU", 4, 20);
    file->program[2] =
        (Elf64_Phdr){PT_NOTE, PF_R, NOTES_AT, 0x400000 + NOTES_AT, 0, at - NOTES_AT, at - NOTES_AT, 4};
}

/* Reads SIZE bytes of FILE, once from a file and once from memory that ends at a page without access. Both
 * must end in an error, or in the same header within its bounds. */
static int read_both(const struct file *file, size_t size, struct hpp_elf_header *header)
{
    static uint8_t *memory;
    static int fd = -1;
    struct hpp_elf_header other;
    struct hpp_elf_source source = {0, 0};
    int results[2];

    if (!memory) {
        memory = mmap(NULL, FILE_SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(memory + FILE_SIZE, PAGE, PROT_NONE);
        fd = memfd_create("elf", 0);
    }
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, file->bytes, size, 0), size);
    source.fd = fd;
    results[0] = hpp_elf_header_read(&source, header);
    memcpy(memory + FILE_SIZE - size, file->bytes, size);
    source = (struct hpp_elf_source){(uint64_t)(uintptr_t)(memory + FILE_SIZE - size), -1};
    results[1] = hpp_elf_header_read(&source, &other);
    assert_in_range(-results[0], 0, 4095);
    assert_in_range(-results[1], 0, 4095);
    assert_in_range(header->count, 0, HPP_ELF_SEGMENTS);
    assert_in_range(other.count, 0, HPP_ELF_SEGMENTS);
    assert_in_range(header->build_id_size, 0, HPP_BUILD_ID_MAX);
    assert_in_range(other.build_id_size, 0, HPP_BUILD_ID_MAX);
    return results[0];
}

static void test_small_file(void **state)
{
    struct file file;
    struct hpp_elf_header header;

    (void)state;
    make_file(&file);
    assert_int_equal(read_both(&file, FILE_SIZE, &header), 0);
    assert_int_equal(header.base, 0x400000);
    assert_int_equal(header.count, 1);
    assert_int_equal(header.executable[0].offset, 0x1000);
    assert_int_equal(header.executable[0].address, 0x401000);
    assert_int_equal(header.executable[0].file_size, 0x800);
    assert_int_equal(header.executable[0].memory_size, 0x900);
    assert_int_equal(header.build_id_size, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(header.build_id[i], i + 1);
}

/* At every length: an error as long as headers are missing, no build-id as long as notes are. */
static void test_truncated(void **state)
{
    struct file file;
    struct hpp_elf_header header;

    (void)state;
    make_file(&file);
    for (size_t size = 0; size <= NOTES_AT + 200; size++) {
        int result = read_both(&file, size, &header);
        assert_int_equal(result, size < sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr) ? -ENOEXEC : 0);
        if (result || size < NOTES_AT + file.program[2].p_filesz)
            assert_int_equal(header.build_id_size, 0);
        else
            assert_int_equal(header.build_id_size, 20);
    }
}

static void test_not_elf(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{EI_MAG0, 0},
                   {EI_MAG3, 'f'},
                   {EI_CLASS, ELFCLASS32},
                   {EI_DATA, ELFDATA2MSB},
                   {offsetof(Elf64_Ehdr, e_phentsize), 32}};
    struct file file;
    struct hpp_elf_header header;
    struct hpp_elf_source nothing = {0, -1}, hole = {PAGE, -1};

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_file(&file);
        file.bytes[changes[i].at] = changes[i].value;
        assert_int_equal(read_both(&file, FILE_SIZE, &header), -ENOEXEC);
    }
    assert_int_equal(hpp_elf_header_read(&nothing, &header), -EBADF);
    assert_int_equal(hpp_elf_header_read(&hole, &header), -EFAULT);
}

static void test_absurd_headers(void **state)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       0x1001,
                                       FILE_SIZE - 1,
                                       FILE_SIZE,
                                       0x80000000,
                                       (uint64_t)1 << 40,
                                       INT64_MAX,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX - 4095,
                                       UINT64_MAX};
    struct file file;
    struct hpp_elf_header header;

    (void)state;
    make_file(&file);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (size_t j = 0; j < 3; j++) {
            uint64_t *fields[] = {&file.program[j].p_offset, &file.program[j].p_vaddr,
                                  &file.program[j].p_filesz, &file.program[j].p_memsz,
                                  &file.program[j].p_align};
            for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
                make_file(&file);
                *fields[k] = numbers[i];
                assert_int_equal(read_both(&file, FILE_SIZE, &header), 0);
            }
        }
        make_file(&file);
        file.elf->e_phoff = numbers[i];
        read_both(&file, FILE_SIZE, &header);
        make_file(&file);
        file.elf->e_phnum = (Elf64_Half)numbers[i];
        read_both(&file, FILE_SIZE, &header);
    }
    /* all segments executable, more than are kept */
    make_file(&file);
    file.elf->e_phnum = 20;
    for (int i = 0; i < 20; i++)
        file.program[i] =
            (Elf64_Phdr){PT_LOAD, PF_X, (uint64_t)i * PAGE, (uint64_t)i * PAGE, 0, PAGE, PAGE, PAGE};
    assert_int_equal(read_both(&file, FILE_SIZE, &header), 0);
    assert_int_equal(header.count, HPP_ELF_SEGMENTS);
    assert_int_equal(header.executable[3].offset, 3 * PAGE);
}

static void test_hostile_notes(void **state)
{
    static const uint32_t sizes[] = {0, 1, 3, 5, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff};
    struct file file;
    struct hpp_elf_header header;
    size_t at;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int field = 0; field < 2; field++) {
            make_file(&file);
            ((uint32_t *)(file.bytes + NOTES_AT))[field] = sizes[i];
            assert_int_equal(read_both(&file, FILE_SIZE, &header), 0);
        }
    }
    for (uint32_t size = 0; size < 100; size++) {
        make_file(&file);
        at = NOTES_AT;
        add_note(&file, &at, NT_GNU_BUILD_ID, "GNU", 4, size);
        file.program[2].p_filesz = at - NOTES_AT;
        assert_int_equal(read_both(&file, FILE_SIZE, &header), 0);
        assert_int_equal(header.build_id_size, size <= HPP_BUILD_ID_MAX ? size : 0);
    }
}

/* A byte here and there, or a cut: ends, within bounds, nothing read that is not there. */
static void test_mutations(void **state)
{
    struct file file;
    struct hpp_elf_header header;

    (void)state;
    srandom(4);
    for (int round = 0; round < 20000; round++) {
        size_t size = random() % 4 ? FILE_SIZE : (size_t)random() % FILE_SIZE;
        make_file(&file);
        for (long i = random() % 8; i >= 0; i--) {
            size_t at = random() % 3 ? (size_t)random() % (sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr))
                                     : NOTES_AT + (size_t)random() % 120;
            file.bytes[at] = random() % 2 ? (uint8_t)random() : 0xff;
        }
        read_both(&file, size, &header);
    }
}

/* ---- real files, held against libelf ----------------------------------------------------------------- */

static void compare_notes(Elf *elf, const GElf_Phdr *program, const struct hpp_elf_header *header, int *found)
{
    Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)program->p_offset, program->p_filesz,
                                          program->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    GElf_Nhdr note;
    size_t at = 0, name, text;

    while (data && !*found && (at = gelf_getnote(data, at, &note, &name, &text))) {
        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
            memcmp((char *)data->d_buf + name, "GNU", 4))
            continue;
        assert_int_equal(header->build_id_size, note.n_descsz);
        assert_memory_equal(header->build_id, (char *)data->d_buf + text, note.n_descsz);
        *found = 1;
    }
}

/* Whether PATH is an ELF file of 64 bits; if so it must read as libelf reads it. */
static int compare_file(const char *path)
{
    int fd = open(path, O_RDONLY), found = 0;
    Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
    struct hpp_elf_source source = {0, fd};
    struct hpp_elf_header header;
    unsigned executables = 0;
    size_t count;

    if (fd < 0)
        return 0;
    if (!elf || elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64) {
        assert_int_not_equal(hpp_elf_header_read(&source, &header), 0);
        elf_end(elf);
        close(fd);
        return 0;
    }
    assert_int_equal(hpp_elf_header_read(&source, &header), 0);
    assert_int_equal(elf_getphdrnum(elf, &count), 0);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr program;
        assert_non_null(gelf_getphdr(elf, (int)i, &program));
        if (program.p_type == PT_LOAD && program.p_flags & PF_X && executables < HPP_ELF_SEGMENTS) {
            const struct hpp_elf_segment *segment = &header.executable[executables++];
            assert_int_equal(segment->offset, program.p_offset);
            assert_int_equal(segment->address, program.p_vaddr);
            assert_int_equal(segment->file_size, program.p_filesz);
            assert_int_equal(segment->memory_size, program.p_memsz);
        }
        if (program.p_type == PT_NOTE)
            compare_notes(elf, &program, &header, &found);
    }
    assert_int_equal(header.count, executables);
    if (!found)
        assert_int_equal(header.build_id_size, 0);
    elf_end(elf);
    close(fd);
    return 1;
}

static void test_real_files(void **state)
{
    struct dirent **entries;
    int count = scandir("/usr/bin", &entries, NULL, alphasort), compared = 0;

    (void)state;
    assert_in_range(count, 10, 1000000);
    elf_version(EV_CURRENT);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "/usr/bin/%s", entries[i]->d_name);
        if (compared < 200 && entries[i]->d_type == DT_REG)
            compared += compare_file(path);
        free(entries[i]);
    }
    free(entries);
    assert_in_range(compared, 10, 200);
    assert_int_equal(compare_file("/proc/self/exe"), 1);
}

/* The vdso is nowhere but in memory. */
static void test_vdso(void **state)
{
    struct hpp_elf_source source = {getauxval(AT_SYSINFO_EHDR), -1};
    struct hpp_elf_header header;

    (void)state;
    assert_int_equal(hpp_elf_header_read(&source, &header), 0);
    assert_int_equal(header.count, 1);
    assert_in_range(header.build_id_size, 1, HPP_BUILD_ID_MAX);
}

static void test_build_ids(void **state)
{
    static const uint8_t one[] = {1, 2, 3, 4}, other[] = {1, 2, 3, 5};

    (void)state;
    assert_true(hpp_build_id_equal(one, 4, one, 4));
    assert_false(hpp_build_id_equal(one, 4, other, 4));
    assert_true(hpp_build_id_equal(one, 3, other, 3));
    assert_false(hpp_build_id_equal(one, 4, one, 3));
    assert_false(hpp_build_id_equal(one, 0, one, 3));
    assert_false(hpp_build_id_equal(one, 0, other, 0)); /* two that have none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_file),    cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_not_elf),       cmocka_unit_test(test_absurd_headers),
        cmocka_unit_test(test_hostile_notes), cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_real_files),    cmocka_unit_test(test_vdso),
        cmocka_unit_test(test_build_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
