/* Compares every byte of its own executable segments, and of those of all it has loaded, with the
 * files they come from, and reads back what is on huge pages. Prints, one line an image with at
 * least one whole aligned 2 MiB of text:
 *     NAME inward_kib=N huge_kib=N differ=N
 * (differ: bytes), then `all images=N differ=N` and `writable_executable=N` (mappings). Exit status
 * 1 if anything differs.
 * flags: -fno-omit-frame-pointer */
#include "own_maps.h"
#include "padding.h"
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE 0x200000ul

static int images;
static size_t all_differ;

static size_t differing_bytes(int fd, const unsigned char *text, size_t size, off_t offset)
{
    size_t differ = 0;
    unsigned char file[65536];
    for (size_t done = 0; done < size;) {
        size_t want = size - done < sizeof(file) ? size - done : sizeof(file);
        ssize_t got = pread(fd, file, want, offset + (off_t)done);
        if (got <= 0)
            return differ + (size - done);
        if (memcmp(file, text + done, (size_t)got))
            for (ssize_t i = 0; i < got; i++)
                differ += file[i] != text[done + (size_t)i];
        done += (size_t)got;
    }
    return differ;
}

/* KiB on huge pages in the mappings within START..END. */
static size_t huge_kib(unsigned long start, unsigned long end)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[4096 + 256];
    size_t sum = 0;
    int inside = 0;
    while (smaps && fgets(line, sizeof(line), smaps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from >= start && to <= end;
        else if (inside)
            sum += huge_of_line(line);
    }
    if (smaps)
        fclose(smaps);
    return sum;
}

static int check_image(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    const char *path = info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe";
    const char *name = info->dlpi_name[0] ? strrchr(path, '/') : "/main";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) /* the vdso */
        return 0;
    images++;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
            continue;
        unsigned long start = info->dlpi_addr + segment->p_vaddr, end = start + segment->p_filesz;
        size_t differ =
            differing_bytes(fd, (const unsigned char *)start, segment->p_filesz, (off_t)segment->p_offset);
        unsigned long first = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1), last = end & ~(HUGE_PAGE - 1);
        all_differ += differ;
        if (first < last)
            printf("%s inward_kib=%lu huge_kib=%zu differ=%zu\n", name ? name + 1 : path,
                   (last - first) / 1024, huge_kib(first, last), differ);
    }
    close(fd);
    return 0;
}

int main(void)
{
    dl_iterate_phdr(check_image, NULL);
    printf("all images=%d differ=%zu\n", images, all_differ);
    printf("writable_executable=%d\n", writable_executable());
    return all_differ != 0;
}
