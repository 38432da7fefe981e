/* The memory map of another process. Offline only. */
#include "symbolizer/process_stop.h"
#include "common/maps.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void hpp_process_mappings_read(struct hpp_process *process)
{
    char path[64];
    struct hpp_maps maps = {.fd = -1};
    struct hpp_maps_line line;
    size_t room = process->mapping_count;

    process->mapping_count = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/maps", process->pid, process->reach);
    maps.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (maps.fd < 0)
        return;
    while (hpp_maps_next(&maps, &line) > 0) {
        size_t size = strlen(line.path) + 1;
        char *copy = *line.path ? hpp_pool_get(&process->pool, size) : "";
        if (*line.path)
            memcpy(copy, line.path, size);
        process->mappings =
            hpp_memory_room(process->mappings, &room, process->mapping_count + 1, sizeof *process->mappings);
        process->mappings[process->mapping_count++] = (struct hpp_process_mapping){
            line.start, line.end, line.offset, line.device, line.inode, line.executable, copy};
    }
    close(maps.fd);
}

const struct hpp_process_mapping *hpp_process_mapping_find(const struct hpp_process *process,
                                                           uint64_t address)
{
    size_t low = 0, high = process->mapping_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (address < process->mappings[middle].start)
            high = middle;
        else if (address >= process->mappings[middle].end)
            low = middle + 1;
        else
            return &process->mappings[middle];
    }
    return NULL;
}
