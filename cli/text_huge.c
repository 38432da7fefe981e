/* Whether a copy of text really lies on huge pages once it is mapped: the kernel's word, from smaps. Offline
 * only. */
#include "cli/text_copy.h"
#include "common/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGE_PAGE (2ull << 20)

/* The part of a segment, in the file, that whole huge pages hold; nothing where addresses and offsets do not
 * agree. */
static void whole_pages(const struct hpp_elf_segment *segment, uint64_t *start, uint64_t *end)
{
    *start = (segment->offset + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    *end = (segment->offset + segment->file_size) & ~(HUGE_PAGE - 1);
    if ((segment->offset ^ segment->address) & (HUGE_PAGE - 1) || *end < *start)
        *end = *start;
}

uint64_t hpp_text_copy_eligible(const struct hpp_elf_header *header)
{
    uint64_t sum = 0, start, end;

    for (unsigned i = 0; i < header->count; i++) {
        whole_pages(&header->executable[i], &start, &end);
        sum += end - start;
    }
    return sum;
}

/* Bytes on huge pages in the mapping that begins at START. */
static uint64_t huge_at(const void *start)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char *line = NULL;
    size_t size = 0;
    unsigned long from, to, kib, sum = 0;
    int inside = 0;

    while (smaps && getline(&line, &size, smaps) > 0) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from == (unsigned long)start;
        else if (inside && (sscanf(line, "FilePmdMapped: %lu", &kib) == 1 ||
                            sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1))
            sum += kib;
    }
    free(line);
    if (smaps)
        fclose(smaps);
    return (uint64_t)sum << 10;
}

static uint64_t huge_in(int fd, uint64_t offset, uint64_t size)
{
    char *room = mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *at = (char *)(((uintptr_t)room + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
    uint64_t huge = 0;

    if (room == MAP_FAILED)
        return 0;
    if (mmap(at, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, (off_t)offset) != MAP_FAILED) {
        madvise(at, size, MADV_HUGEPAGE);
        madvise(at, size, MADV_POPULATE_READ);
        huge = huge_at(at);
    }
    munmap(room, size + HUGE_PAGE);
    return huge;
}

uint64_t hpp_text_copy_huge(int fd, const struct hpp_elf_header *header)
{
    uint64_t sum = 0, start, end;

    for (unsigned i = 0; i < header->count; i++) {
        whole_pages(&header->executable[i], &start, &end);
        if (start < end)
            sum += huge_in(fd, start, end - start);
    }
    return sum;
}

int hpp_text_copy_huge_possible(const struct hpp_cache_folder *cache)
{
    static const char some[1 << 16] = {1};
    const uint64_t size = 2 * HUGE_PAGE;
    int fd = openat(cache->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), possible = 1;
    uint64_t done = 0;

    if (fd < 0)
        return 1; /* no such files here: the copy itself will tell */
    while (done < size && write(fd, some, sizeof some) == sizeof some)
        done += sizeof some;
    if (done == size && !fsync(fd)) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        possible = huge_in(fd, 0, size) > 0;
    }
    close(fd);
    return possible;
}
