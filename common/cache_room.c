/* What comes into the folder of a cache and what goes. The writer, and offline; raw system calls only. */
#include "common/cache_room.h"

#include <errno.h>

#include "common/arena.h"
#include "common/sys.h"
#include "common/text.h"

#define TRIES       16
#define FIRST_ROOM  64
#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- what is there ------------------------------------------------------------------------------------- */

struct looking {
    const struct hpp_cache_kind *kind;
    int folder;
    struct hpp_cache_entry *entry;
};

/* Adds a file of the entry to it. */
static int add_file(void *context, const char *name)
{
    const struct looking *looking = context;
    struct hpp_cache_entry *entry = looking->entry;
    struct stat status;
    int64_t used;

    if (HPP_SYSCALL(newfstatat, looking->folder, name, &status, AT_SYMLINK_NOFOLLOW, 0, 0))
        return 0;
    used = looking->kind->used(name, &status);
    entry->size += (uint64_t)status.st_size;
    entry->used = used > entry->used ? used : entry->used;
    return 0;
}

/* Fills what ENTRY has of more than its name. Returns 0 if there is no such entry any more. */
static int look(const struct hpp_cache_folder *folder, struct hpp_cache_entry *entry)
{
    struct looking looking = {folder->kind, folder->fd, entry};
    struct stat status;

    if (HPP_SYSCALL(newfstatat, folder->fd, entry->name, &status, AT_SYMLINK_NOFOLLOW, 0, 0))
        return 0;
    entry->other = (status.st_mode & S_IFMT) != folder->kind->type;
    if (entry->other)
        return 1;
    if (folder->kind->type == S_IFREG) {
        add_file(&looking, entry->name);
        return 1;
    }
    looking.folder = (int)HPP_SYSCALL(openat, folder->fd, entry->name, OPEN_FOLDER, 0, 0, 0);
    if (looking.folder >= 0) {
        hpp_cache_visit_names(looking.folder, add_file, &looking);
        hpp_sys_close(looking.folder);
    }
    return 1;
}

static int make_room(struct hpp_cache_list *list)
{
    struct hpp_cache_list larger = *list;

    if (list->count < list->room)
        return 0;
    larger.room = list->room ? 2 * list->room : FIRST_ROOM;
    larger.entries = hpp_arena_map(larger.room * sizeof *larger.entries);
    if (!larger.entries)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++)
        larger.entries[i] = list->entries[i];
    hpp_cache_list_free(list);
    *list = larger;
    return 0;
}

struct reading {
    const struct hpp_cache_folder *folder;
    struct hpp_cache_list *list;
};

static int read_one(void *context, const struct hpp_cache_entry *entry)
{
    const struct reading *reading = context;
    struct hpp_cache_list *list = reading->list;
    int error = entry->partial ? 0 : make_room(list);

    if (error || entry->partial)
        return error;
    list->entries[list->count] = *entry;
    if (look(reading->folder, &list->entries[list->count]))
        list->total += list->entries[list->count++].size;
    return 0;
}

int hpp_cache_list_read(const struct hpp_cache_folder *folder, struct hpp_cache_list *list)
{
    *list = (struct hpp_cache_list){0};
    return hpp_cache_visit(folder, read_one, &(struct reading){folder, list});
}

void hpp_cache_list_free(struct hpp_cache_list *list)
{
    if (list->room)
        hpp_sys_munmap((uint64_t)(uintptr_t)list->entries, list->room * sizeof *list->entries);
    *list = (struct hpp_cache_list){0};
}

/* ---- what goes ----------------------------------------------------------------------------------------- */

struct hpp_cache_entry *hpp_cache_list_oldest(const struct hpp_cache_list *list)
{
    struct hpp_cache_entry *oldest = NULL;

    for (size_t i = 0; i < list->count; i++) {
        struct hpp_cache_entry *entry = &list->entries[i];
        if (!entry->other && !entry->in_use && (!oldest || entry->used < oldest->used))
            oldest = entry;
    }
    return oldest;
}

int hpp_cache_evict(const struct hpp_cache_folder *folder, struct hpp_cache_list *list, uint64_t need,
                    uint64_t limit)
{
    struct hpp_cache_entry *oldest;

    while (list->total + need > limit && (oldest = hpp_cache_list_oldest(list))) {
        int error = hpp_cache_remove(folder, oldest->name);
        if (error && error != -ENOENT) /* another process was faster */
            return error;
        list->total -= oldest->size;
        *oldest = list->entries[--list->count];
    }
    return list->total + need > limit ? -ENOSPC : 0;
}

struct clearing {
    const struct hpp_cache_folder *folder;
    int all, error;
    uint64_t *count, *bytes;
};

static int clear_one(void *context, const struct hpp_cache_entry *entry)
{
    struct clearing *clearing = context;
    struct hpp_cache_entry known = *entry;
    int64_t age = clearing->folder->kind->stale_after;
    int error;

    if (!(entry->partial || clearing->all) || !look(clearing->folder, &known) || known.other ||
        (known.partial && age && known.used + age >= (int64_t)hpp_sys_now(CLOCK_REALTIME)))
        return 0;
    error = hpp_cache_remove(clearing->folder, known.name);
    if (!error) {
        ++*clearing->count;
        *clearing->bytes += known.size;
    } else if (error != -ENOENT) {
        clearing->error = error;
    }
    return 0;
}

int hpp_cache_clear(const struct hpp_cache_folder *folder, int all, uint64_t *count, uint64_t *bytes)
{
    struct clearing clearing = {folder, all, 0, count, bytes};
    int error = hpp_cache_visit(folder, clear_one, &clearing);

    return error ? error : clearing.error;
}

/* ---- one ----------------------------------------------------------------------------------------------- */

/* PARTIAL gets the name of what is being made, or removed, and is to have, or had, such a NAME. */
static void name_partial(char partial[HPP_CACHE_NAME_SIZE], const char *name)
{
    struct hpp_text text = {partial, HPP_CACHE_NAME_SIZE, 0};
    uint64_t random = hpp_arch_ticks() ^ (uint64_t)hpp_sys_gettid() << 40;

    hpp_text_put(&text, name);
    hpp_text_put(&text, ".");
    for (int shift = 60; shift >= 0; shift -= 4)
        hpp_text_put_hex(&text, random >> shift & 15);
}

static int remove_file(void *context, const char *name)
{
    return (int)HPP_SYSCALL(unlinkat, *(int *)context, name, 0, 0, 0, 0);
}

int hpp_cache_remove(const struct hpp_cache_folder *folder, const char *name)
{
    char hidden[HPP_CACHE_NAME_SIZE];
    struct hpp_cache_entry entry;
    int fd, error;

    if (folder->kind->type == S_IFREG)
        return (int)HPP_SYSCALL(unlinkat, folder->fd, name, 0, 0, 0, 0);
    /* out of sight first: nobody meets half of one */
    if (hpp_cache_read_name(folder->kind, name, &entry) && !entry.partial) {
        name_partial(hidden, name);
        error = (int)HPP_SYSCALL(renameat, folder->fd, name, folder->fd, hidden, 0, 0);
        if (error)
            return error;
        name = hidden;
    }
    fd = (int)HPP_SYSCALL(openat, folder->fd, name, OPEN_FOLDER, 0, 0, 0);
    if (fd < 0)
        return fd;
    error = hpp_cache_visit_names(fd, remove_file, &fd);
    hpp_sys_close(fd);
    return error ? error : (int)HPP_SYSCALL(unlinkat, folder->fd, name, AT_REMOVEDIR, 0, 0, 0);
}

int hpp_cache_begin(const struct hpp_cache_folder *folder, const char *name,
                    char partial[HPP_CACHE_NAME_SIZE])
{
    long fd = -EEXIST, error;

    for (int try = 0; try < TRIES && fd == -EEXIST; try++) {
        name_partial(partial, name);
        if (folder->kind->type == S_IFREG) {
            fd = HPP_SYSCALL(openat, folder->fd, partial,
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600, 0, 0);
        } else {
            error = HPP_SYSCALL(mkdirat, folder->fd, partial, 0700, 0, 0, 0);
            fd = error ? error : HPP_SYSCALL(openat, folder->fd, partial, OPEN_FOLDER, 0, 0, 0);
        }
    }
    return (int)fd;
}

int hpp_cache_write(int fd, const void *bytes, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        long count = hpp_sys_write(fd, (const char *)bytes + done, size - done);
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return count ? (int)count : -EIO;
        done += (uint64_t)count;
    }
    return 0;
}
