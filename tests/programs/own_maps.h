/* What a program reads of its own memory map. */
#ifndef HPP_TESTS_OWN_MAPS_H
#define HPP_TESTS_OWN_MAPS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many mappings are writable and executable. */
static inline int writable_executable(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096 + 256], mode[5];
    int count = 0;
    while (maps && fgets(line, sizeof(line), maps))
        count += sscanf(line, "%*x-%*x %4s", mode) == 1 && mode[1] == 'w' && mode[2] == 'x';
    if (maps)
        fclose(maps);
    return count;
}

/* A number of /proc/self/status: VmLck, which the kernel counts against RLIMIT_MEMLOCK; HugetlbPages. */
static inline size_t status_kib(const char *name)
{
    FILE *status = fopen("/proc/self/status", "r");
    const size_t length = strlen(name);
    char line[256];
    size_t kib = 0;

    while (status && fgets(line, sizeof(line), status))
        if (!strncmp(line, name, length) && line[length] == ':')
            kib = strtoul(line + length + 1, NULL, 10);
    if (status)
        fclose(status);
    return kib;
}

/* KiB of huge pages that a line of smaps tells of. */
static inline size_t huge_of_line(const char *line)
{
    size_t kib = 0;

    return sscanf(line, "AnonHugePages: %zu", &kib) == 1 || sscanf(line, "FilePmdMapped: %zu", &kib) == 1 ||
                   sscanf(line, "ShmemPmdMapped: %zu", &kib) == 1 ||
                   sscanf(line, "Private_Hugetlb: %zu", &kib) == 1
               ? kib
               : 0;
}

#endif
