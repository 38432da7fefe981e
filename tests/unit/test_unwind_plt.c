/* Procedure linkage tables without call-frame information: every stub that is known, what is none, and that
 * the rules are those that the linker would have written. */
#include "common/unwind_plt.h"

#include "common/unwind_build.h"
#include "symbolizer/unwind_check.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { AT = 0x1000, SIZE = 0x40, ALL = 1 << 20 };

#define ENDBR  0xf3, 0x0f, 0x1e, 0xfa
#define NUMBER 1, 2, 3, 4

static const char *const no_push = "CFA=rsp+8 fp=same ra=[CFA-8]";

/* A stub at AT, its size, how long its code is, and its rules: FIRST, and from byte CHANGES on LATER. */
struct sample {
    uint8_t code[16];
    unsigned size, length;
    const char *first;
    unsigned changes;
    const char *later;
};

static const struct sample samples[] = {
    {{0xff, 0x25, NUMBER, 0x68, NUMBER, 0xe9, NUMBER},
     16,
     12,
     "CFA=rsp+8+8*((pc&15)>=11) fp=same ra=[CFA-8]",
     0,
     NULL},
    {{ENDBR, 0x68, NUMBER, 0xe9, NUMBER, 0x66, 0x90},
     16,
     10,
     "CFA=rsp+8+8*((pc&15)>=9) fp=same ra=[CFA-8]",
     0,
     NULL},
    {{ENDBR, 0x68, NUMBER, 0xf2, 0xe9, NUMBER, 0x90},
     16,
     11,
     "CFA=rsp+8+8*((pc&15)>=9) fp=same ra=[CFA-8]",
     0,
     NULL},
    {{0xff, 0x35, NUMBER, 0xff, 0x25, NUMBER, 0x0f, 0x1f, 0x40, 0},
     16,
     8,
     "CFA=rsp+16 fp=same ra=[CFA-8]",
     6,
     "CFA=rsp+24 fp=same ra=[CFA-8]"},
    {{0xff, 0x35, NUMBER, 0xf2, 0xff, 0x25, NUMBER, 0x0f, 0x1f, 0},
     16,
     9,
     "CFA=rsp+16 fp=same ra=[CFA-8]",
     6,
     "CFA=rsp+24 fp=same ra=[CFA-8]"},
    {{ENDBR, 0xff, 0x25, NUMBER, 0x66, 0x0f, 0x1f, 0x44, 0, 0}, 16, 6, no_push, 0, NULL},
    {{ENDBR, 0xf2, 0xff, 0x25, NUMBER, 0x0f, 0x1f, 0x44, 0, 0}, 16, 7, no_push, 0, NULL},
    {{0xff, 0x25, NUMBER, 0x66, 0x90}, 8, 8, no_push, 0, NULL},
};

enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* The rule of each byte that was told. */
struct told {
    struct hpp_unwind_rule rule[SIZE];
    uint64_t end;
};

static void take(void *context, uint64_t from, uint64_t to, const struct hpp_unwind_rule *rule)
{
    struct told *told = context;

    assert_in_range(from, told->end, to - 1);
    assert_in_range(to, AT + 1, AT + SIZE);
    for (uint64_t at = from; at < to; at++)
        told->rule[at - AT] = *rule;
    told->end = to;
}

/* Runs over the SIZE bytes of CODE at AT + SHIFT; they are where reading behind them is seen. */
static struct told run(const uint8_t *code, size_t size, unsigned shift, uint64_t end)
{
    struct told told = {.end = AT};
    struct hpp_cfi_section plt = {.size = size, .address = AT + shift};
    uint8_t *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, code, size);
    plt.data = copy;
    hpp_unwind_plt_run(&plt, end, take, &told);
    free(copy);
    return told;
}

static void expect(const struct told *told, unsigned at, const char *text)
{
    char found[HPP_UNWIND_RULE_SIZE];

    assert_string_equal(hpp_unwind_rule_text(&told->rule[at], found), text);
}

static void test_stubs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        struct told told = run(sample->code, sample->size, 0, ALL);

        for (unsigned at = 0; at < sample->size; at++)
            expect(&told, at, sample->later && at >= sample->changes ? sample->later : sample->first);
        assert_int_equal(told.end, AT + sample->size);
    }
}

/* Any other byte in its place, a byte less, or another alignment: nothing is told. */
static void test_no_stubs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        struct told told;

        for (unsigned at = 0; at < sample->length; at++) {
            uint8_t code[16];
            memcpy(code, sample->code, sizeof code);
            if (code[at] >= 1 && code[at] <= 4)
                continue; /* of a number: it may be any */
            code[at] ^= 8;
            told = run(code, sample->size, 0, ALL);
            assert_int_equal(told.end, AT);
        }
        for (unsigned size = 0; size < sample->size; size++) {
            told = run(sample->code, size, 0, ALL);
            assert_int_equal(told.end, AT);
        }
        told = run(sample->code, sample->size, 4, ALL);
        assert_int_equal(told.end, AT);
    }
}

/* Those behind one that is not known are told, up to the end that is asked for. */
static void test_table(void **state)
{
    uint8_t code[SIZE] = {0};
    struct told told;

    (void)state;
    memcpy(code, samples[3].code, 16);
    memcpy(code + 0x20, samples[0].code, 16);
    memcpy(code + 0x30, samples[0].code, 16);
    told = run(code, sizeof code, 0, ALL);
    expect(&told, 0, samples[3].first);
    for (unsigned at = 0x10; at < 0x20; at++)
        expect(&told, at, "none");
    for (unsigned at = 0x20; at < 0x40; at++)
        expect(&told, at, samples[0].first);
    told = run(code, sizeof code, 0, AT + 0x30);
    assert_int_equal(told.end, AT + 0x30);
    told = run(code, sizeof code, 0, AT);
    assert_int_equal(told.end, AT);
}

/* ---- this program, and a copy of it whose linkage tables have no call-frame information ---------------- */

static const struct hpp_unwind_table *build(int fd, uint32_t *skipped)
{
    struct hpp_unwind_build build = {.source = {0, fd}};
    const struct hpp_unwind_table *table;

    if (hpp_unwind_build(&build, &table))
        fail_msg("%s", build.reason);
    assert_true(hpp_unwind_is_valid(table, table->size));
    *skipped = build.skipped;
    return table;
}

static const Elf64_Shdr *sections;
static const char *names;

static int is_plt(const Elf64_Shdr *section)
{
    return !strncmp(names + section->sh_name, ".plt", 4) && section->sh_flags & SHF_EXECINSTR;
}

/* Makes the descriptions of linkage tables in FRAME describe no code. Returns how many. */
static unsigned remove_descriptions(uint8_t *bytes, const Elf64_Shdr *frame, unsigned count)
{
    struct hpp_cfi_section section = {bytes + frame->sh_offset, frame->sh_size, frame->sh_addr, 0};
    struct hpp_cfi_entry entry;
    unsigned removed = 0;

    for (uint64_t at = 0; hpp_cfi_next(&section, &at, &entry) > 0;) {
        struct hpp_cursor cursor = entry.body;
        uint64_t start;
        if (entry.is_cie)
            continue;
        start = hpp_cfi_read_address(&section, &cursor, 0x1b, 0); /* as linkers write it */
        for (unsigned i = 0; i < count; i++) {
            if (!is_plt(&sections[i]) || start != sections[i].sh_addr)
                continue;
            memset(bytes + frame->sh_offset + (cursor.at - section.data), 0, 4);
            removed++;
        }
    }
    return removed;
}

static void test_linker(void **state)
{
    int fd = open("/proc/self/exe", O_RDONLY), copy = memfd_create("copy", 0);
    const struct hpp_unwind_table *theirs, *ours;
    const Elf64_Ehdr *elf;
    unsigned removed = 0;
    uint32_t skipped, more_skipped;
    struct stat status;
    uint8_t *bytes;

    (void)state;
    assert_return_code(fstat(fd, &status), 0);
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    elf = (const Elf64_Ehdr *)bytes;
    sections = (const Elf64_Shdr *)(bytes + elf->e_shoff);
    names = (const char *)bytes + sections[elf->e_shstrndx].sh_offset;
    for (unsigned i = 0; i < elf->e_shnum; i++)
        if (!strcmp(names + sections[i].sh_name, ".eh_frame"))
            removed += remove_descriptions(bytes, &sections[i], elf->e_shnum);
    assert_in_range(removed, 1, 4);
    assert_int_equal(write(copy, bytes, (size_t)status.st_size), status.st_size);
    theirs = build(fd, &skipped);
    ours = build(copy, &more_skipped);
    assert_int_equal(more_skipped, skipped + removed);
    for (unsigned i = 0; i < elf->e_shnum; i++)
        for (uint64_t at = 0; is_plt(&sections[i]) && at < sections[i].sh_size; at++)
            assert_memory_equal(hpp_unwind_find(ours, sections[i].sh_addr + at),
                                hpp_unwind_find(theirs, sections[i].sh_addr + at),
                                sizeof(struct hpp_unwind_rule));
    hpp_unwind_free(ours);
    hpp_unwind_free(theirs);
    munmap(bytes, (size_t)status.st_size);
    close(copy);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stubs),
        cmocka_unit_test(test_no_stubs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_linker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
