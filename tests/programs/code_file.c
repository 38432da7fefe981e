/* Works in code that lies in a file of its own, as code that is made at run time may; x86-64 code.
 *     code_file write FILE N            makes it: 8 MiB, whose functions return N
 *     code_file shared FILE             writes to it by another mapping, all the time
 *     code_file private FILE COMMAND    runs COMMAND in between
 *     code_file patched FILE            writes to a page of it, and back, all the time
 *     code_file locked FILE             has it locked in memory, and at the end prints `KIB KiB locked`; or
 *                                       `not locked`, if that is not allowed
 * Prints `0 wrong` if what it called was always what it is to be; exit status 1 otherwise. */
#include "burn.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE = 2 << 20, SIZE = 4 * HUGE, PAGE = 4096, RESULT = 10 };

/* mov $100000, %ecx; 1: dec %ecx; jnz 1b; mov $0, %eax; ret */
static const unsigned char code[] = {0xb9, 0xa0, 0x86, 1, 0, 0xff, 0xc9, 0x75, 0xfc, 0xb8, 0, 0, 0, 0, 0xc3};

static int write_code(int fd, int value)
{
    static unsigned char page[PAGE];

    memcpy(page, code, sizeof code);
    page[RESULT] = (unsigned char)value;
    for (int i = 0; i < SIZE / PAGE; i++)
        if (write(fd, page, sizeof page) != sizeof page)
            return 1;
    return 0;
}

/* Calls what is at TEXT for so long, first having it return another value if WRITABLE. */
static int work(double seconds, const char *text, volatile unsigned char *writable)
{
    static int value;
    int wrong = 0;

    value = value ? value : text[RESULT];
    for (struct burn burn = burn_for(seconds); burn_on(&burn);) {
        for (int i = 0; i < SIZE; i += HUGE / 4) {
            if (writable)
                value = writable[i + RESULT] = (unsigned char)(value % 100 + 1);
            __sync_synchronize();
            wrong += ((int (*)(void))(uintptr_t)(text + i))() != value;
        }
    }
    return wrong;
}

/* Patches what nobody runs, right behind what is run, as who patches programs does: made writable for as
 * long. Returns how often what was written was not there then. */
static void *patch(void *text)
{
    static long wrong;

    for (double end = burn_clock() + 1; burn_clock() < end;)
        for (int i = 0; i < SIZE; i += HUGE / 4) {
            volatile char *page = (char *)text + i + PAGE;
            for (int value = 1; value >= 0; value--) {
                mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
                page[PAGE / 2] = (char)value;
                mprotect((void *)page, PAGE, PROT_READ | PROT_EXEC);
                wrong += page[PAGE / 2] != value;
            }
        }
    return (void *)wrong;
}

/* KiB of TEXT in mappings that are locked. */
static size_t locked_kib(const char *text)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[4096 + 256];
    size_t kib = 0, all = 0;

    while (smaps && fgets(line, sizeof line, smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            kib = start >= (uintptr_t)text && end <= (uintptr_t)text + SIZE ? (end - start) >> 10 : 0;
        else if (!strncmp(line, "VmFlags:", 8) && strstr(line, " lo "))
            all += kib;
    }
    if (smaps)
        fclose(smaps);
    return all;
}

int main(int argc, char **argv)
{
    int reads = argc > 1 && (!strcmp(argv[1], "private") || !strcmp(argv[1], "locked"));
    int fd = argc > 2 ? open(argv[2], reads ? O_RDONLY : O_RDWR | O_CREAT, 0600) : -1;
    int shared = argc > 1 && !strcmp(argv[1], "shared"), patched = argc > 1 && !strcmp(argv[1], "patched"),
        wrong;
    void *wrong_patches = NULL;
    pthread_t thread;
    void *writable = NULL;
    char *text = mmap(NULL, SIZE + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (fd < 0 || text == MAP_FAILED)
        return 2;
    if (argc > 3 && !strcmp(argv[1], "write"))
        return write_code(fd, atoi(argv[3]));
    text = (char *)(((uintptr_t)text + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
    if (shared)
        writable = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    text = mmap(text, SIZE, PROT_READ | PROT_EXEC, MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE), fd, 0);
    close(fd);
    if (text == MAP_FAILED || writable == MAP_FAILED)
        return 2;
    if (!strcmp(argv[1], "locked") && mlock(text, SIZE))
        return puts("not locked") == EOF;
    wrong = work(0.5, text, writable);
    unsetenv("LD_PRELOAD");
    if (argc > 3 && system(argv[3]))
        return 2;
    if (patched && pthread_create(&thread, NULL, patch, text))
        return 2;
    wrong += work(1.6, text, writable);
    if (patched)
        pthread_join(thread, &wrong_patches);
    wrong += wrong_patches != NULL;
    if (!strcmp(argv[1], "locked"))
        printf("%zu KiB locked\n", locked_kib(text));
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
