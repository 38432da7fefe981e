/* Text with something to absorb at each end, for HPPROF_REMAP_EDGES. With a number of seconds it first works
 * so long, in functions at both ends of its text, while a thread reads its read-only data. Then says what
 * became of its executable segments (KiB in whole pages; of these on huge pages) and of all that is not
 * writable (bytes that differ from the file), how much memory is locked (own: half of RLIMIT_MEMLOCK can be
 * locked besides), and whether the heap still grows: segment_kib=N huge_kib=N locked_kib=N own=ok differ=N
 * writable_executable=N heap=ok. -DRODATA=KIB is how much read-only data follows the text.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"

/* A section in front of the padding, and so in the first 2 MiB. */
__asm__(".pushsection .text.unlikely.a_low, \"ax\", @progbits\n.popsection\n");
#include "own_maps.h"
#include "padding.h"
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef RODATA
#define RODATA 4096
#endif
#define STRING(x)  STRING_(x)
#define STRING_(x) #x

__asm__(".pushsection .rodata.edge, \"a\", @progbits\n"
        ".globl edge_data\n.hidden edge_data\n.balign 8\nedge_data:\n"
        ".set edge_i, 0\n"
        ".rept " STRING(RODATA) " * 128\n .quad edge_i * 0x9e3779b9\n .set edge_i, edge_i + 1\n .endr\n"
                                ".popsection\n");
extern const uint64_t edge_data[];

static BURN_OPAQUE void low_work(double) __attribute__((section(".text.unlikely.a_low")));
static BURN_OPAQUE void high_work(double) __attribute__((section(".text.zz_high")));
BURN_FUNCTION(low_work, 3)
BURN_FUNCTION(high_work, 5)

static atomic_int ended;
static unsigned long wrong;

static void *read_data(void *nothing)
{
    while (!atomic_load(&ended))
        for (uint64_t i = 0; i < RODATA * 128; i += 509)
            wrong += ((volatile const uint64_t *)edge_data)[i] != i * 0x9e3779b9;
    return nothing;
}

static void work(double seconds)
{
    pthread_t reader;

    if (pthread_create(&reader, NULL, read_data, NULL))
        exit(1);
    puts("at work");
    fflush(stdout);
    for (int i = 0; i < 10; i++) {
        low_work(seconds / 20);
        high_work(seconds / 20);
    }
    atomic_store(&ended, 1);
    pthread_join(reader, NULL);
}

/* KiB of huge pages that are mapped from within START..END, and executable. */
static size_t huge_kib(unsigned long start, unsigned long end)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[4096 + 256], mode[5];
    size_t sum = 0;
    unsigned long from, to;
    int inside = 0;

    while (smaps && fgets(line, sizeof(line), smaps))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3)
            inside = from < end && to > start && mode[2] == 'x';
        else if (inside)
            sum += huge_of_line(line);
    if (smaps)
        fclose(smaps);
    return sum;
}

static size_t differing(int fd, const unsigned char *memory, size_t size, off_t offset)
{
    static unsigned char file[65536];
    size_t differ = 0;

    for (size_t done = 0; done < size; done += sizeof(file)) {
        size_t want = size - done < sizeof(file) ? size - done : sizeof(file);
        memset(file, 0, sizeof(file)); /* behind its end */
        if (pread(fd, file, want, offset + (off_t)done) < 0)
            return size;
        for (size_t i = 0; i < want; i++)
            differ += file[i] != memory[done + i];
    }
    return differ;
}

static int check(struct dl_phdr_info *info, size_t info_size, void *differ)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    (void)info_size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        unsigned long start = (info->dlpi_addr + p->p_vaddr) & -4096ul;
        unsigned long end = (info->dlpi_addr + p->p_vaddr + p->p_filesz + 4095) & -4096ul;
        if (p->p_type != PT_LOAD || p->p_flags & PF_W)
            continue;
        *(size_t *)differ += differing(fd, (const void *)start, end - start, (off_t)(p->p_offset & -4096ul));
        if (p->p_flags & PF_X)
            printf("segment_kib=%lu huge_kib=%zu\n", (end - start) / 1024, huge_kib(start, end));
    }
    close(fd);
    return 1; /* the program alone */
}

/* How much is locked; and whether half of RLIMIT_MEMLOCK can be locked besides. */
static void print_locked(void)
{
    struct rlimit limit = {0, 0};
    size_t kib = status_kib("VmLck"), size;
    void *own;

    getrlimit(RLIMIT_MEMLOCK, &limit);
    size = limit.rlim_cur < 64 << 20 ? limit.rlim_cur / 2 : 32 << 20;
    own = size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;
    printf("locked_kib=%zu own=%s\n", kib, mlock(own, size) ? "failed" : "ok");
}

static const char *heap(void)
{
    char *before = sbrk(8 << 20), *more;

    if (before == (void *)-1 || sbrk(0) != before + (8 << 20))
        return "stuck";
    memset(before, 1, 8 << 20);
    more = malloc(64 << 20);
    if (!more)
        return "empty";
    memset(more, 1, 64 << 20);
    __asm__ volatile("" ::"r"(more) : "memory"); /* else compilers see that nobody reads it */
    free(more);
    return "ok";
}

int main(int argc, char **argv)
{
    size_t differ = 0;

    if (argc > 1)
        work(atof(argv[1]));
    dl_iterate_phdr(check, &differ);
    print_locked();
    printf("differ=%zu writable_executable=%d heap=%s\n", differ + wrong, writable_executable(), heap());
    return differ + wrong != 0;
}
