/* What filling huge pages costs at least: `remap FILE` reads as much of FILE as is whole 2 MiB into fresh
 * private huge pages that are populated before, and prints the ms of the reading, those of both together, and
 * the KiB. For bench/remap.sh. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static double ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
    const size_t huge = 2 << 20;
    double start, populated, end;
    struct stat status;
    size_t size, done = 0;
    uintptr_t at;
    char *memory;

    if (fd < 0 || fstat(fd, &status))
        return 1;
    size = (size_t)status.st_size & ~(huge - 1);
    memory =
        mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    at = ((uintptr_t)memory + huge - 1) & ~(huge - 1);
    start = ms();
    if (madvise((void *)at, size, MADV_HUGEPAGE) || madvise((void *)at, size, MADV_POPULATE_WRITE))
        return 1;
    populated = ms();
    while (done < size) {
        ssize_t count = pread(fd, (char *)at + done, size - done, (off_t)done);
        if (count <= 0)
            return 1;
        done += (size_t)count;
    }
    end = ms();
    printf("%.3f %.3f %zu\n", end - populated, end - start, size >> 10);
    return 0;
}
