/* Text is swapped while threads (2) execute it: `swaps N [MIB [THREADS [BACKEND]]]` moves MIB of it (2; at
 * most 16) N times, by the agent's own code (preload/remap/), to fresh pages of BACKEND (anon; cache: of the
 * folder HPPROF_TEXT_CACHE); before each its file is mapped there again. Each thread calls functions all over
 * it and checks what they return, and measures how long it stood still in one call during a move, unless the
 * kernel gave its processor to another. Prints what was done; exit status 1 where a result was wrong, a move
 * failed, or text differs from the file. Linked with parts of ours. */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/maps.h"
#include "common/sys.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"

/* 4096 functions, a page each: number i returns its argument plus i. */
__asm__(".pushsection .text.zz_swapped, \"ax\", @progbits\n.balign 0x200000\n.globl swapped\n"
        ".set swapped_i, 0\nswapped:\n"
        ".rept 4096\n lea swapped_i(%rdi), %rax\n ret\n .balign 4096, 0xcc\n .set swapped_i, swapped_i + 1\n"
        ".endr\n.globl swapped_end\nswapped_end:\n .fill 4096, 1, 0xcc\n.popsection\n");

extern const char swapped[], swapped_end[];

static atomic_int stop, moving;
static atomic_ulong wrong, calls, longest;
static unsigned long size = HPP_HUGE_PAGE;

static unsigned long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long)t.tv_sec * 1000000000u + (unsigned long)t.tv_nsec;
}

static long preempted(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static void *run(void *unused)
{
    unsigned long seed = (unsigned long)pthread_self(), count = 0, before = now();
    long switches = preempted();

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        unsigned long page, after, stood;
        int in_move = atomic_load_explicit(&moving, memory_order_relaxed);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        page = (seed >> 52) % (size / 4096);
        if (((unsigned long (*)(unsigned long))(swapped + page * 4096))(seed) != seed + page)
            atomic_fetch_add(&wrong, 1);
        count++;
        after = now();
        stood = after - before;
        if (stood > 20000) {
            long present = preempted();
            if ((in_move || atomic_load(&moving)) && present == switches && stood > atomic_load(&longest))
                atomic_store(&longest, stood);
            switches = present;
            after = now();
        } else if (!(count & 0xffff)) {
            switches = preempted();
            after = now();
        }
        before = after;
    }
    atomic_fetch_add(&calls, count);
    return unused;
}

static struct hpp_image image = {.kind = HPP_IMAGE_FILE};
static struct hpp_segment segment = {.image = &image};

static void find_build_id(const struct dl_phdr_info *info, const ElfW(Phdr) * notes)
{
    const char *at = (const char *)(info->dlpi_addr + notes->p_vaddr), *end = at + notes->p_memsz;

    while (at + sizeof(ElfW(Nhdr)) < end) {
        const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
        const char *contents = at + sizeof *note + ((note->n_namesz + 3) & ~3u);
        if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz <= sizeof image.build_id) {
            memcpy(image.build_id, contents, note->n_descsz);
            image.build_id_size = note->n_descsz;
        }
        at = contents + ((note->n_descsz + 3) & ~3u);
    }
}

/* The program's, which is the first. */
static int find_segment(struct dl_phdr_info *info, size_t info_size, void *data)
{
    (void)info_size, (void)data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        unsigned long start = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_NOTE)
            find_build_id(info, p);
        if (p->p_type != PT_LOAD || (unsigned long)swapped < start ||
            (unsigned long)swapped >= start + p->p_memsz)
            continue;
        segment.start = start & ~4095ul;
        segment.file_offset = p->p_offset & ~4095ul;
        segment.end = segment.file_end = start + p->p_filesz;
    }
    return 1;
}

static const struct hpp_remap_backend *const *find_backend(const char *name)
{
    static const enum hpp_remap_how hows[] = {HPP_REMAP_ANON, HPP_REMAP_MEMFD, HPP_REMAP_HUGETLB,
                                              HPP_REMAP_CACHE};
    const char *text_cache = getenv("HPPROF_TEXT_CACHE");

    hpp_remap_cache_in(text_cache ? text_cache : "");
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++)
        if (!strcmp(hpp_remap_chains[hows[i]][0]->name, name))
            return hpp_remap_chains[hows[i]];
    return NULL;
}

static int differs(int fd, off_t offset)
{
    static char bytes[16 << 20];

    return pread(fd, bytes, size, offset) != (ssize_t)size || memcmp(bytes, swapped, size);
}

/* As the program was loaded, and used for a while. */
static int map_file(int fd, off_t offset)
{
    return mmap((void *)(uintptr_t)swapped, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd,
                offset) == MAP_FAILED ||
           madvise((void *)(uintptr_t)swapped, size, MADV_POPULATE_READ);
}

/* The file that the text is of: as /proc/PID/maps has it. */
static int find_file(const char *path)
{
    struct hpp_maps_line line;
    struct hpp_maps maps;

    if (hpp_maps_open(&maps))
        return -1;
    while (hpp_maps_next(&maps, &line) > 0 && line.end <= (unsigned long)swapped)
        ;
    hpp_maps_close(&maps);
    image.inode = line.inode;
    image.device = line.device;
    image.path = path;
    return open(path, O_RDONLY);
}

static int compare(const void *a, const void *b)
{
    return *(const unsigned long *)a < *(const unsigned long *)b
               ? -1
               : *(const unsigned long *)a > *(const unsigned long *)b;
}

int main(int argc, char **argv)
{
    static char path[PATH_MAX];
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000, moved = 0, huge = 0, different = 0,
                  compared = 0;
    off_t offset;
    const struct hpp_remap_backend *const *backend = find_backend(argc > 4 ? argv[4] : "anon");
    int fd;
    struct hpp_arena arena = {0};
    unsigned long thread_count = argc > 3 ? strtoul(argv[3], NULL, 10) : 2, *stalls;
    pthread_t threads[16];

    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0 || !dl_iterate_phdr(find_segment, NULL) ||
        !segment.end || !backend)
        return 2;
    fd = find_file(path);
    offset = (off_t)((unsigned long)swapped - segment.start + segment.file_offset);
    if (argc > 2)
        size = strtoul(argv[2], NULL, 10) << 20;
    stalls = calloc(count + 1, sizeof *stalls);
    if (!stalls || thread_count > 16 || fd < 0 || size > (unsigned long)(swapped_end - swapped))
        return 2;
    for (unsigned long i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, run, NULL))
            return 2;
    for (unsigned long i = 0; i < count; i++) {
        struct hpp_remap_list list = {.arena = &arena};
        if (map_file(fd, offset))
            return 2;
        atomic_store(&moving, 1);
        hpp_remap_range(backend, &segment, (uint64_t)swapped, (uint64_t)swapped + size, &list);
        usleep(50); /* who has waited says so */
        atomic_store(&moving, 0);
        stalls[i] = atomic_exchange(&longest, 0);
        if (list.count != 1 || list.records[0].reason)
            fprintf(stderr, "swaps: not moved: %s (errno %d)\n",
                    list.count ? list.records[0].reason : "no record",
                    list.count ? list.records[0].error : 0);
        else
            moved++;
        huge += list.count == 1 && list.records[0].huge == size;
        if (i % 100 == 99 || i + 1 == count) {
            compared++;
            different += differs(fd, offset);
        }
        hpp_arena_reset(&arena);
    }
    atomic_store(&stop, 1);
    for (unsigned long i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    qsort(stalls, count, sizeof *stalls, compare);
    printf("%lu swaps, %lu of them to huge pages, under %lu calls: %lu wrong results, %lu differences from "
           "the file in %lu comparisons; a thread stood still for %lu us (median), %lu us (99 of 100), %lu "
           "us (longest)\n",
           moved, huge, atomic_load(&calls), atomic_load(&wrong), different, compared,
           stalls[count / 2] / 1000, stalls[count * 99 / 100] / 1000, count ? stalls[count - 1] / 1000 : 0);
    return moved != count || atomic_load(&wrong) || different;
}
