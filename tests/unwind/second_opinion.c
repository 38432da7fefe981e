/* Walks the stacks that the second-opinion agent kept once more, with libdw, and compares frame by frame:
 * `second_opinion [-v] FILE…`. Prints how many samples are equal, and those that differ by address and
 * reason. Exit status 0: at least 99.9 % equal outside the classes where ours is held to be right, and those
 * classes are at most 0.5 %; 1: not so; 2: it could not run. */
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "profiler/walk.h"
#include "tests/unwind/opinion_classes.h"
#include "tests/unwind/second_opinion.h"

enum { FRAMES_MAX = 10000, CODES_MAX = 4096 };

/* One code map of one process. */
struct code {
    const struct opinion_code *map;
    Dwfl *dwfl;
};

static struct code codes[CODES_MAX];
static unsigned codes_count;
static int verbose;

static const struct opinion_sample *the_sample; /* what libdw's callbacks read */

static struct {
    uint64_t frames[FRAMES_MAX];
    unsigned count;
    int memory_missing; /* it wanted more of the stack than was kept */
} theirs;

static _Noreturn void die(const char *what, const char *name)
{
    fprintf(stderr, "second_opinion: %s: %s\n", name, what);
    exit(2);
}

/* ---- libdw ----------------------------------------------------------------------------------------- */

static pid_t next_thread(Dwfl *dwfl, void *argument, void **thread)
{
    (void)dwfl;
    (void)argument;
    if (*thread)
        return 0;
    *thread = (void *)1;
    return 1;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *argument, void **thread)
{
    (void)dwfl;
    (void)argument;
    *thread = (void *)1;
    return tid == 1;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *argument)
{
    const struct opinion_sample *sample = the_sample;
    const char *stack = (const char *)(sample->frames + sample->count);

    (void)dwfl;
    (void)argument;
    if (address < sample->stack || sample->stack_size < 8 ||
        address - sample->stack > sample->stack_size - 8) {
        theirs.memory_missing = 1;
        return false;
    }
    memcpy(word, stack + (address - sample->stack), sizeof *word);
    return true;
}

static bool set_registers(Dwfl_Thread *thread, void *argument)
{
    (void)argument;
    dwfl_thread_state_register_pc(thread, the_sample->registers[16]);
    return dwfl_thread_state_registers(thread, 0, OPINION_REGISTERS, the_sample->registers);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = read_memory,
    .set_initial_registers = set_registers,
};

static int no_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
                        const char *file, const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)userdata, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)found;
    return -1;
}

static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_build_id_find_elf, .find_debuginfo = no_debuginfo};

/* The kernel's own, which is the same in all processes, as a file. */
static int open_vdso(void)
{
    int fd = memfd_create("vdso", MFD_CLOEXEC);

    if (write(fd, (void *)getauxval(AT_SYSINFO_EHDR), 8192) != 8192)
        die("cannot be copied", "vdso");
    return fd;
}

static Dwfl *report_modules(const struct opinion_code *map)
{
    Dwfl *dwfl = dwfl_begin(&callbacks);

    dwfl_report_begin(dwfl);
    for (uint64_t i = 0; i < map->count; i++) {
        const struct opinion_range *range = &map->ranges[i];
        int fd, seen = 0;
        for (uint64_t before = 0; before < i && !seen; before++)
            seen = !strcmp(range->path, map->ranges[before].path) && range->bias == map->ranges[before].bias;
        if (seen || !strncmp(range->path, "//", 2))
            continue;
        fd = strcmp(range->path, "[vdso]") ? open(range->path, O_RDONLY | O_CLOEXEC) : open_vdso();
        if (fd < 0 || !dwfl_report_elf(dwfl, range->path, range->path, fd, range->bias, true))
            fprintf(stderr, "second_opinion: %s: %s\n", range->path,
                    fd < 0 ? "no such file" : dwfl_errmsg(-1));
    }
    dwfl_report_end(dwfl, NULL, NULL);
    if (!dwfl_attach_state(dwfl, NULL, 1, &thread_callbacks, NULL))
        die(dwfl_errmsg(-1), "dwfl_attach_state");
    return dwfl;
}

static int add_frame(Dwfl_Frame *frame, void *argument)
{
    Dwarf_Addr pc;
    bool interrupted;

    (void)argument;
    if (theirs.count == FRAMES_MAX || !dwfl_frame_pc(frame, &pc, &interrupted))
        return DWARF_CB_ABORT;
    /* under the agent's own function lies what is not part of the stack */
    if (theirs.count && pc > the_sample->agent_start && pc <= the_sample->agent_end)
        return DWARF_CB_ABORT;
    theirs.frames[theirs.count] = pc + (theirs.count && interrupted);
    theirs.count++;
    return DWARF_CB_OK;
}

/* ---- comparing ------------------------------------------------------------------------------------- */

static struct code *find_code(uint32_t pid, uint64_t generation, const char *name)
{
    for (unsigned i = codes_count; i--;)
        if (codes[i].map->record.pid == pid && codes[i].map->code == generation)
            return &codes[i];
    die("a sample without its code map", name);
}

static const struct opinion_range *find_range(const struct opinion_code *map, uint64_t address)
{
    for (uint64_t i = 0; i < map->count; i++)
        if (address >= map->ranges[i].start && address < map->ranges[i].end)
            return &map->ranges[i];
    return NULL;
}

static void print_frames(const struct opinion_code *map, const char *whose, const uint64_t *frames,
                         unsigned count, unsigned from)
{
    printf("    %s:", whose);
    for (unsigned i = from ? from - 1 : 0; i < count && i < from + 4; i++) {
        const struct opinion_range *range = find_range(map, frames[i]);
        const char *base = range ? strrchr(range->path, '/') : NULL;
        printf(" %s+0x%lx", range ? (base ? base + 1 : range->path) : "?",
               frames[i] - (range ? range->bias : 0));
    }
    printf("%s\n", count > from + 4 ? " ..." : "");
}

/* Of a deep stack ours has the two ends: what they leave out is taken from theirs. */
static void fill_gap(struct opinion_case *found)
{
    static uint64_t whole[FRAMES_MAX];
    unsigned gap = 0, rest;

    while (gap < found->ours_count && found->ours[gap] != HPP_WALK_GAP)
        gap++;
    if (gap == found->ours_count)
        return;
    rest = found->ours_count - gap - 1;
    if (found->theirs_count < gap + rest)
        return;
    memcpy(whole, found->theirs, found->theirs_count * sizeof whole[0]);
    memcpy(whole, found->ours, gap * sizeof whole[0]);
    memcpy(whole + found->theirs_count - rest, found->ours + gap + 1, rest * sizeof whole[0]);
    found->ours = whole;
    found->ours_count = found->theirs_count;
}

static void compare(const struct opinion_sample *sample, const char *name)
{
    struct code *code = find_code(sample->record.pid, sample->code, name);
    struct opinion_case found = {.ours = sample->frames, .ours_count = sample->count, .end = sample->end};

    if (!code->dwfl)
        code->dwfl = report_modules(code->map);
    the_sample = sample;
    theirs.count = 0;
    theirs.memory_missing = 0;
    dwfl_getthread_frames(code->dwfl, 1, add_frame, NULL);
    found.theirs = theirs.frames;
    found.theirs_count = theirs.count;
    found.memory_missing = theirs.memory_missing;
    found.untold = sample->untold;
    found.dwfl = code->dwfl;
    fill_gap(&found);
    while (found.same < found.ours_count && found.same < theirs.count &&
           found.ours[found.same] == theirs.frames[found.same])
        found.same++;
    if (opinion_count(&found) && verbose) {
        printf("%s, %u frames the same, ours %u (end %d), theirs %u%s\n", opinion_name(&found), found.same,
               sample->count, sample->end, theirs.count, theirs.memory_missing ? ", memory missing" : "");
        print_frames(code->map, "ours", found.ours, found.ours_count, found.same);
        print_frames(code->map, "theirs", theirs.frames, theirs.count, found.same);
    }
}

/* Calls SEE with each complete record of the file. */
static void each_record(const char *name, const struct opinion_file *file, uint64_t size,
                        enum opinion_kind kind, void (*see)(const struct opinion_record *, const char *))
{
    uint64_t used = file->used < size ? file->used : size;

    for (uint64_t at = sizeof *file; at + sizeof(struct opinion_record) <= used;) {
        const struct opinion_record *record = (const struct opinion_record *)((const char *)file + at);
        if (record->size == 0 || record->size > used - at)
            break; /* a handler was ended while it wrote this one */
        if (record->kind == kind)
            see(record, name);
        at += record->size;
    }
}

static void see_code(const struct opinion_record *record, const char *name)
{
    if (codes_count == CODES_MAX)
        die("too many code maps", name);
    codes[codes_count++] = (struct code){(const struct opinion_code *)record, NULL};
}

static void see_sample(const struct opinion_record *record, const char *name)
{
    compare((const struct opinion_sample *)record, name);
}

static void check_file(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat status;
    const struct opinion_file *file;

    if (fd < 0 || fstat(fd, &status) || (size_t)status.st_size < sizeof *file)
        die("cannot be read", name);
    file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (file == MAP_FAILED || file->magic != OPINION_MAGIC)
        die("is not a file of samples", name);
    if (file->unlogged)
        fprintf(stderr, "second_opinion: %s: %lu samples had no room\n", name, file->unlogged);
    codes_count = 0;
    each_record(name, file, (uint64_t)status.st_size, OPINION_CODE, see_code);
    each_record(name, file, (uint64_t)status.st_size, OPINION_SAMPLE, see_sample);
    for (unsigned i = 0; i < codes_count; i++)
        if (codes[i].dwfl)
            dwfl_end(codes[i].dwfl);
    munmap((void *)file, (size_t)status.st_size);
}

int main(int argc, char **argv)
{
    int first = 1;

    verbose = argc > 1 && !strcmp(argv[1], "-v");
    first += verbose;
    if (first >= argc)
        die("usage: second_opinion [-v] FILE...", argv[0]);
    for (int i = first; i < argc; i++)
        check_file(argv[i]);
    return opinion_summary();
}
