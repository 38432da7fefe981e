/* Which copies of text a process has mapped, as /proc tells. Offline only. */
#include "cli/text_in_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of a process's map. Compared by the entry's name, which no other folder has: devices and inodes of
 * maps are not those of stat on every file system, and a container may see the folder elsewhere. */
static void note_line(struct hpp_cache_list *list, char *line)
{
    char *path = strchr(line, '/'), *name = path ? strrchr(path, '/') : NULL, *folder;

    if (!name || name == path)
        return;
    *name = 0;
    folder = strrchr(path, '/') + 1;
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->entries[i].name, folder))
            list->entries[i].in_use = 1;
}

static void note_process(struct hpp_cache_list *list, const char *pid)
{
    char path[64], *line = NULL;
    size_t size = 0;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    maps = fopen(path, "re");
    if (!maps)
        return; /* gone, or another user's, who then counts as nobody */
    while (getline(&line, &size, maps) > 0)
        note_line(list, line);
    free(line);
    fclose(maps);
}

int hpp_text_uses_read(const struct hpp_cache_folder *folder, struct hpp_cache_list *list)
{
    const struct dirent *entry;
    DIR *processes;
    int error = hpp_cache_list_read(folder, list);

    if (error)
        return error;
    processes = opendir("/proc");
    if (!processes)
        return -errno;
    while ((entry = readdir(processes)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            note_process(list, entry->d_name);
    closedir(processes);
    return 0;
}
