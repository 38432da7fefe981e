/* Fuzz target: any bytes as an ELF file, from a descriptor and from memory, make a valid unwind table or a
 * reason, and look-ups in the table stay within it. `make fuzz` runs it by libFuzzer; a unit test by
 * mutations of its own. */
#include "common/unwind_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FUZZ_PAGE = 4096, FUZZ_MEMORY = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_unwind_build: %s\n", what);
    abort();
}

/* Every page's ends and every row, and addresses outside. */
static void fuzz_look_up(const struct hpp_unwind_table *table)
{
    const struct hpp_unwind_rule *end = table->rule + table->rules;
    uint64_t size = (uint64_t)table->pages << table->shift;
    uint64_t step = size / 4096 + 1;

    for (uint64_t offset = 0; offset < size; offset += step) {
        const struct hpp_unwind_rule *rule = hpp_unwind_find(table, table->base + offset);
        fuzz_require(rule >= table->rule && rule < end, "a look-up leaves the rules");
    }
    fuzz_require(hpp_unwind_find(table, table->base - 1) == table->rule, "a rule before the first page");
    fuzz_require(hpp_unwind_find(table, table->base + size) == table->rule, "a rule behind the last page");
}

static void fuzz_build(struct hpp_elf_source source)
{
    struct hpp_unwind_build build = {.source = source, .memory_limit = FUZZ_MEMORY};
    const struct hpp_unwind_table *table;
    int result = hpp_unwind_build(&build, &table);

    fuzz_require(result <= 0 && result > -4096, "the result is no error");
    fuzz_require(!result == !!table && !result == !build.reason, "neither a table nor a reason, or both");
    if (result)
        return;
    fuzz_require(hpp_unwind_is_valid(table, table->size), "the table is not valid");
    fuzz_require(table->size <= FUZZ_MEMORY, "the table is larger than allowed");
    fuzz_look_up(table);
    hpp_unwind_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static uint8_t *memory;
    static const size_t room = 1 << 20;

    if (!memory) {
        fd = memfd_create("fuzz", 0);
        memory = mmap(NULL, room + FUZZ_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fuzz_require(fd >= 0 && memory != MAP_FAILED, "no memory");
        mprotect(memory + room, FUZZ_PAGE, PROT_NONE);
    }
    if (size > room)
        return 0;
    fuzz_require(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size, "cannot write");
    fuzz_build((struct hpp_elf_source){0, fd});
    if (size)
        memcpy(memory + room - size, data, size);
    fuzz_build((struct hpp_elf_source){(uint64_t)(uintptr_t)(memory + room - size), -1});
    return 0;
}
