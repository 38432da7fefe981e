/* Much data of each kind, for HPPROF_REMAP_DATA: KIB of .data and as much of .bss (which a constructor
 * touches in part), 4 MiB of RELRO, and a heap. Says whether all of it is what it should be, in main, after
 * the heap has grown, and in a fork child; what the kernel says of its permissions; and how much of .data and
 * .bss lies on huge pages once all of it is touched: main ok heap ok child ok again ok relro r--p data_kib=N
 * huge_kib=N no_dump=N no_fork=N With `thread` a thread runs before all constructors. -DKIB is a power of
 * two. */
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef KIB
#define KIB 16384
#endif
#define WORDS       (KIB * 128ul)
#define RELRO_WORDS (512ul << 10)
#define STRING(x)   STRING_(x)
#define STRING_(x)  #x

__asm__(".pushsection .data.large, \"aw\", @progbits\n"
        ".globl data\n.hidden data\n.balign 4096\ndata:\n"
        ".set data_i, 0\n"
        ".rept " STRING(
            KIB) "\n .quad data_i * 0x9e3779b9\n .fill 1016, 1, 0x5a\n .set data_i, data_i + 1\n .endr\n"
                 ".popsection\n"
                 ".pushsection .data.rel.ro.large, \"aw\", @progbits\n"
                 ".globl fixed\n.hidden fixed\n.balign 8\nfixed:\n"
                 ".rept 524288\n .quad fixed\n .endr\n"
                 ".popsection\n");
extern uint64_t data[];
extern uint64_t *const fixed[];
static uint64_t zero[WORDS];

static const uint64_t mark = 0x0123456789abcdef;

/* Every 8th 2 MiB of both has been written to before the agent begins: by the loader, or by this. */
static void before_all(void)
{
    for (size_t i = 77; i < WORDS; i += 8 << 18) {
        data[i] = mark;
        zero[i] = mark;
    }
}

static void *wait_long(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

static void preinit(int argc, char **argv)
{
    pthread_t thread;
    before_all();
    if (argc > 1 && !strcmp(argv[1], "thread"))
        pthread_create(&thread, NULL, wait_long, NULL);
}
__attribute__((section(".preinit_array"), used)) static void (*const the_preinit)(int, char **) = preinit;

static int is_right(void)
{
    uint64_t filler;

    memset(&filler, 0x5a, sizeof(filler));
    for (size_t i = 0; i < WORDS; i++) {
        int marked = i % (8 << 18) == 77;
        uint64_t expected = marked ? mark : i % 128 ? filler : i / 128 * 0x9e3779b9;
        if (data[i] != expected || zero[i] != (marked ? mark : 0))
            return 0;
    }
    for (size_t i = 0; i < RELRO_WORDS; i++)
        if (fixed[i] != (const uint64_t *)fixed)
            return 0;
    return 1;
}

static int grow_heap(void)
{
    char *before = sbrk(16 << 20), *more = malloc(100000);

    if (before == (void *)-1 || sbrk(0) < (void *)(before + (16 << 20)) || !more)
        return 0;
    memset(before, 1, 16 << 20);
    memset(more, 2, 100000);
    __asm__ volatile("" ::"r"(more) : "memory"); /* else compilers see that nobody reads it */
    free(more);
    return 1;
}

static int child(void)
{
    int status = 0;

    fflush(stdout);
    if (!fork()) {
        int was = is_right();
        for (size_t i = 0; i < WORDS; i += 512)
            data[i] = zero[i] = 1;
        _exit(was ? 0 : 1);
    }
    wait(&status);
    return !status;
}

/* Of each mapping that holds some of .data, .bss or RELRO. */
static void print_memory(void)
{
    uintptr_t from = (uintptr_t)data, to = (uintptr_t)(zero + WORDS), start, end;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[4096 + 256], mode[5] = "", flags[4096];
    size_t huge = 0, kib;
    int no_dump = 0, no_fork = 0, inside = 0;

    if ((uintptr_t)zero < from) {
        from = (uintptr_t)zero;
        to = (uintptr_t)(data + WORDS);
    }
    while (smaps && fgets(line, sizeof(line), smaps)) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3) {
            inside = start < to && end > from;
            if (start <= (uintptr_t)fixed && end > (uintptr_t)fixed)
                printf("relro %s\n", mode);
        } else if (inside && sscanf(line, "AnonHugePages: %zu", &kib) == 1) {
            huge += kib;
        } else if (inside && sscanf(line, "VmFlags: %4095[^\n]", flags) == 1) {
            no_dump += !!strstr(flags, "dd");
            no_fork += !!strstr(flags, "dc");
        }
    }
    if (smaps)
        fclose(smaps);
    printf("data_kib=%zu huge_kib=%zu no_dump=%d no_fork=%d\n", (size_t)(to - from) / 1024, huge, no_dump,
           no_fork);
}

int main(void)
{
    printf("main %s\n", is_right() ? "ok" : "wrong");
    printf("heap %s\n", grow_heap() ? "ok" : "wrong");
    printf("child %s\n", child() ? "ok" : "wrong");
    printf("again %s\n", is_right() ? "ok" : "wrong");
    for (size_t i = 0; i < WORDS; i += 512)
        ((volatile uint64_t *)zero)[i] = zero[i];
    print_memory();
    return 0;
}
