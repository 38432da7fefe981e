/* Patches its own text, once in 5 ms, while it works in the same 2 MiB, and puts it right again; then it
 * gives the last of its pages back. Prints `0 lost, 0 failed`: patches that were not there when they were
 * called, and calls that failed; then how much memory it has on reserved huge pages: `reserved_kib=N`. The
 * argument gives seconds of CPU (default 2). flags: -fno-omit-frame-pointer -pthread -no-pie
 * -Wl,-z,max-page-size=0x200000 */
#include "burn.h"
#include "own_maps.h"
#include "padding.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

BURN_FUNCTION(work, 3)

/* mov $0, %eax; ret: on pages of its own, in front of the code, and one behind it that nobody needs */
__asm__(".pushsection .text.hot.patched, \"ax\", @progbits\n"
        ".p2align 12\npatched: .byte 0xb8, 0, 0, 0, 0, 0xc3\n.p2align 12\nunused: .fill 4096, 1, 0xcc\n"
        ".popsection\n");
extern int patched(void) __attribute__((visibility("hidden")));
extern char unused[] __attribute__((visibility("hidden")));

enum { PAGE = 4096 };

static atomic_int ended;
static int lost, failed;

static void patch(int value)
{
    char *text = (char *)patched;

    failed += mprotect(text, PAGE, PROT_READ | PROT_WRITE) != 0;
    memcpy(text + 1, &value, sizeof(value));
    failed += mprotect(text, PAGE, PROT_READ | PROT_EXEC) != 0;
    lost += patched() != value;
}

static void *patch_all_the_time(void *nothing)
{
    for (int value = 1; !atomic_load(&ended); value++) {
        patch(value);
        usleep(2500);
        lost += patched() != value;
        patch(0);
        usleep(2500);
        lost += patched() != 0;
    }
    failed += munmap(unused, PAGE) != 0;
    return nothing;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, patch_all_the_time, NULL))
        return 1;
    work(argc > 1 ? atof(argv[1]) : 2);
    atomic_store(&ended, 1);
    pthread_join(thread, NULL);
    printf("%d lost, %d failed\n", lost, failed);
    printf("reserved_kib=%zu\n", status_kib("HugetlbPages"));
    return 0;
}
