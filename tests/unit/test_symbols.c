/* Symbols of ELF files that the test assembles, so that sizes, aliases and holes are known; broken ELF
 * files. */
#include "symbolizer/elf_file.h"
#include "symbolizer/symbols.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* outer has a hole in which inner lies; alias, _alias and __weak are one address; label has no size. */
static const char source[] = "        .text\n"
                             "        .globl outer, alias, _alias, _ZN3foo3barEi, after\n"
                             "        .weak aaa_weak\n"
                             "        .type outer, @function\n"
                             "        .type inner, @function\n"
                             "        .type alias, @function\n"
                             "        .type _alias, @function\n"
                             "        .type aaa_weak, @function\n"
                             "        .type label, @function\n"
                             "        .type hidden_label, @function\n"
                             "        .type _ZN3foo3barEi, @function\n"
                             "        .type data, @object\n"
                             "        .type after, @function\n"
                             "outer:  .fill 16, 1, 0x90\n"
                             "inner:  .fill 16, 1, 0x90\n"
                             "        .size inner, 16\n"
                             "hidden_label:\n"
                             "        .fill 32, 1, 0x90\n"
                             "        .size outer, 64\n"
                             "hole:   .fill 64, 1, 0x90\n"
                             "alias:\n"
                             "_alias:\n"
                             "aaa_weak:\n"
                             "        .fill 16, 1, 0x90\n"
                             "        .size alias, 16\n"
                             "        .size _alias, 16\n"
                             "        .size aaa_weak, 16\n"
                             "label:  .fill 16, 1, 0x90\n"
                             "_ZN3foo3barEi:\n"
                             "data:   .fill 16, 1, 0x90\n"
                             "        .size _ZN3foo3barEi, 16\n"
                             "        .size data, 16\n"
                             "after:  .fill 16, 1, 0x90\n"
                             "        .size after, 16\n";

static char folder[64], path[128];
static uint64_t text_offset; /* of outer, in the file */

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    if (system(command))
        fail_msg("%s", command);
}

static int build(void **state)
{
    struct hpp_elf_file file;
    struct hpp_elf_segment segment;
    char name[128];

    (void)state;
    strcpy(folder, "/tmp/hpprof-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(name, sizeof name, "%s/image.s", folder);
    snprintf(path, sizeof path, "%s/image.so", folder);
    FILE *out = fopen(name, "w");
    fputs(source, out);
    fclose(out);
    run("cc -shared -nostdlib -Wl,--build-id %s -o %s", name, path);
    if (hpp_elf_open(&file, path) || hpp_elf_segments(&file, &segment, 1) != 1)
        return -1;
    text_offset = segment.offset;
    hpp_elf_close(&file);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    run("rm -rf %s", folder);
    return 0;
}

/* The name at OFFSET after outer, or "" where there is none. */
static const char *at(const struct hpp_symbols *symbols, uint64_t base, uint64_t offset)
{
    size_t index = hpp_symbols_find(symbols, base + offset);

    if (index == symbols->count || symbols->symbols[index].start > base + offset)
        return "";
    return hpp_symbols_name(symbols, index);
}

/* Where outer is: the linker may have put other things before it. */
static uint64_t base_of(const struct hpp_symbols *symbols)
{
    for (size_t i = 0; i < symbols->count; i++)
        if (!strcmp(hpp_symbols_name(symbols, i), "outer"))
            return symbols->symbols[i].start;
    fail_msg("no outer");
    return 0;
}

static void read_symbols(struct hpp_symbols *symbols, const char *file)
{
    char why[HPP_WHY_SIZE] = "";

    if (hpp_symbols_read(symbols, file, "", text_offset, why))
        fail_msg("%s: %s", file, why);
}

static void test_sizes(void **state)
{
    struct hpp_symbols symbols;
    uint64_t base;

    (void)state;
    read_symbols(&symbols, path);
    base = base_of(&symbols);
    assert_string_equal(at(&symbols, base, 0), "outer");
    assert_string_equal(at(&symbols, base, 15), "outer");
    assert_string_equal(at(&symbols, base, 16), "inner");
    assert_string_equal(at(&symbols, base, 31), "inner");
    assert_string_equal(at(&symbols, base, 32), "outer"); /* not hidden_label, which has no size */
    assert_string_equal(at(&symbols, base, 63), "outer");
    assert_string_equal(at(&symbols, base, 64), ""); /* never the nearest */
    assert_string_equal(at(&symbols, base, 127), "");
    assert_string_equal(at(&symbols, base, 128), "alias");
    assert_string_equal(at(&symbols, base, 144), "label");
    assert_string_equal(at(&symbols, base, 145), "");
    assert_string_equal(at(&symbols, base, 160), "_ZN3foo3barEi"); /* not data */
    assert_string_equal(at(&symbols, base, 176), "after");
    assert_string_equal(at(&symbols, base, 192), "");
    assert_string_equal(at(&symbols, 0, 0), "");
    assert_string_equal(at(&symbols, 0, UINT64_MAX), "");
    hpp_symbols_free(&symbols);
}

static void test_order(void **state)
{
    struct hpp_symbols symbols;

    (void)state;
    read_symbols(&symbols, path);
    for (size_t i = 1; i < symbols.count; i++) {
        assert_true(symbols.symbols[i].start >= symbols.symbols[i - 1].end);
        assert_true(symbols.symbols[i].end > symbols.symbols[i].start);
    }
    hpp_symbols_free(&symbols);
}

static void test_stripped(void **state)
{
    struct hpp_symbols symbols;
    uint64_t base;
    char stripped[160];

    (void)state;
    snprintf(stripped, sizeof stripped, "%s/stripped.so", folder);
    run("strip -o %s %s", stripped, path);
    read_symbols(&symbols, stripped);
    base = base_of(&symbols);
    assert_string_equal(at(&symbols, base, 16), "outer"); /* inner was local */
    assert_string_equal(at(&symbols, base, 128), "alias");
    hpp_symbols_free(&symbols);
}

/* A stripped image with its debug file beside it; and only a debug file of its build-id left. */
static void test_debug_file(void **state)
{
    struct hpp_symbols symbols;
    char image[160], debug[160];

    (void)state;
    snprintf(image, sizeof image, "%s/linked.so", folder);
    snprintf(debug, sizeof debug, "%s/linked.debug", folder);
    run("objcopy --only-keep-debug %s %s && strip -o %s %s && objcopy --add-gnu-debuglink=%s %s", path, debug,
        image, path, debug, image);
    read_symbols(&symbols, image);
    assert_string_equal(at(&symbols, base_of(&symbols), 16), "inner");
    hpp_symbols_free(&symbols);
    /* a debug file of another build is passed over */
    run("cc -shared -nostdlib -Wl,--build-id=0x1234 %s/image.s -o %s", folder, debug);
    read_symbols(&symbols, image);
    assert_string_equal(at(&symbols, base_of(&symbols), 16), "outer");
    hpp_symbols_free(&symbols);
}

static void test_build_id(void **state)
{
    struct hpp_symbols symbols;
    struct hpp_elf_file file;
    char why[HPP_WHY_SIZE], build_id[HPP_BUILD_ID_TEXT];

    (void)state;
    assert_int_equal(hpp_elf_open(&file, path), 0);
    strcpy(build_id, file.build_id);
    hpp_elf_close(&file);
    assert_int_equal(strlen(build_id), 40);
    assert_int_equal(hpp_symbols_read(&symbols, path, build_id, text_offset, why), 0);
    assert_true(symbols.count > 0);
    hpp_symbols_free(&symbols);
    build_id[0] ^= 1;
    assert_int_equal(hpp_symbols_read(&symbols, path, build_id, text_offset, why), -ESTALE);
    assert_int_equal(symbols.count, 0);
    assert_non_null(strstr(why, "changed"));
    hpp_symbols_free(&symbols);
    assert_int_equal(hpp_symbols_read(&symbols, "/nonexistent", "ab", 0, why), -ENOENT);
    hpp_symbols_free(&symbols);
    assert_int_equal(hpp_symbols_read(&symbols, "/etc/passwd", "ab", 0, why), -ENOEXEC);
    hpp_symbols_free(&symbols);
    assert_int_equal(hpp_symbols_read(&symbols, "/dev/zero", "ab", 0, why), -ENOEXEC);
    hpp_symbols_free(&symbols);
}

static void test_vdso(void **state)
{
    struct hpp_symbols symbols;
    struct hpp_elf_file file;
    char why[HPP_WHY_SIZE], build_id[HPP_BUILD_ID_TEXT];
    bool found = false;

    (void)state;
    assert_int_equal(hpp_elf_open_vdso(&file), 0);
    strcpy(build_id, file.build_id);
    hpp_elf_close(&file);
    assert_int_equal(hpp_symbols_read(&symbols, "[vdso]", build_id, 0, why), 0);
    for (size_t i = 0; i < symbols.count; i++)
        found |= strstr(hpp_symbols_name(&symbols, i), "gettime") != NULL;
    assert_true(found);
    hpp_symbols_free(&symbols);
    assert_int_equal(hpp_symbols_read(&symbols, "[vdso]", "00", 0, why), -ESTALE);
    hpp_symbols_free(&symbols);
}

/* No change of a byte, and no cut, may lead to more than missing names. */
static void test_hostile(void **state)
{
    char broken[160], why[HPP_WHY_SIZE];
    FILE *in = fopen(path, "r");
    static unsigned char bytes[1 << 16], copy[1 << 16];
    size_t size = fread(bytes, 1, sizeof bytes, in);
    uint32_t random = 99;

    (void)state;
    fclose(in);
    snprintf(broken, sizeof broken, "%s/broken", folder);
    for (int i = 0; i < 1500; i++) {
        struct hpp_symbols symbols;
        size_t length = i % 5 ? size : (random >> 4) % size;
        memcpy(copy, bytes, size);
        for (int j = 0; j < 1 + i % 8; j++) {
            /* headers, at both ends of the file, half of the time */
            random = random * 1664525u + 1013904223u;
            size_t where = (random >> 8) % (j & 1 ? size : 4096);
            copy[j & 2 ? size - 1 - where % 3000 : where] =
                (unsigned char)(random >> 3 & (i & 1 ? 0xff : 0x80 | 0x7f));
        }
        FILE *out = fopen(broken, "w");
        fwrite(copy, 1, length, out);
        fclose(out);
        hpp_symbols_read(&symbols, broken, i & 1 ? "" : "00112233", 0x1000, why);
        for (size_t k = 1; k < symbols.count; k++)
            assert_true(symbols.symbols[k].start >= symbols.symbols[k - 1].end);
        hpp_symbols_find(&symbols, random);
        hpp_symbols_free(&symbols);
    }
}

static void test_demangle(void **state)
{
    static const char *const names[][2] = {
        {"_ZN3foo3barEi", "foo::bar(int)"},
        {"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
        {"_RNvC6_123foo3bar", "123foo::bar"},
        {"plain", NULL},
        {"_start", NULL},
        {"_Z", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *name = hpp_demangle(names[i][0]);
        if (names[i][1])
            assert_string_equal(name, names[i][1]);
        else
            assert_null(name);
        free(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_order),    cmocka_unit_test(test_stripped),
        cmocka_unit_test(test_debug_file), cmocka_unit_test(test_build_id), cmocka_unit_test(test_vdso),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_demangle),
    };

    return cmocka_run_group_tests(tests, build, clean);
}
