/* Copies of ELF files for their text: names, and what makes one sound. Start-up code, writer and offline; raw
 * system calls only. */
#include "common/text_cache.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"

static const char *skip_hash(const char *at)
{
    return *at++ == '-' && hpp_cache_skip_digits(&at, 2 * HPP_TEXT_HASH_SHOWN) ? at : NULL;
}

/* When a copy was mapped. Every look at it reads the record. */
static int64_t last_use(const char *name, const struct stat *status)
{
    return hpp_text_equal(name, HPP_TEXT_CACHE_RECORD)
               ? 0
               : status->st_atim.tv_sec * 1000000000ll + status->st_atim.tv_nsec;
}

const struct hpp_cache_kind hpp_text_cache_kind = {
    .type = S_IFDIR,
    .skip = skip_hash,
    .used = last_use,
    .is_path_trusted = 1,
};

int hpp_text_cache_directory(char *directory, size_t size, const char *setting)
{
    struct hpp_text text = {directory, size, 0};

    directory[0] = 0;
    if (!setting || !*setting)
        setting = HPP_TEXT_CACHE_FOLDER;
    if (hpp_text_equal(setting, "off"))
        return -ENOENT;
    if (*setting != '/')
        return -EINVAL;
    hpp_text_put(&text, setting);
    while (text.used > 1 && directory[text.used - 1] == '/')
        directory[--text.used] = 0;
    if (text.used + 1 < text.size)
        return 0;
    directory[0] = 0;
    return -ENAMETOOLONG;
}

void hpp_text_identify(const struct stat *status, struct hpp_text_identity *identity)
{
    *identity = (struct hpp_text_identity){
        .device = status->st_dev,
        .inode = status->st_ino,
        .size = (uint64_t)status->st_size,
        .modified = status->st_mtim.tv_sec * 1000000000ll + status->st_mtim.tv_nsec,
        .changed = status->st_ctim.tv_sec * 1000000000ll + status->st_ctim.tv_nsec,
    };
}

int hpp_text_identity_equal(const struct hpp_text_identity *a, const struct hpp_text_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified == b->modified && a->changed == b->changed;
}

/* Opens a file of the open FOLDER that nobody may write to. */
static int open_file(int folder, const char *name, unsigned owner, struct stat *status, const char **reason)
{
    int fd = hpp_cache_open(folder, name, S_IFREG, owner, status, reason);

    if (fd < 0 || !(status->st_mode & S_IWUSR))
        return fd;
    *reason = "it may be written to";
    hpp_sys_close(fd);
    return -EPERM;
}

static int read_record(int folder, unsigned owner, struct hpp_text_record *record, const char **reason)
{
    struct stat status;
    int fd = open_file(folder, HPP_TEXT_CACHE_RECORD, owner, &status, reason);
    long count;

    if (fd < 0)
        return fd;
    count = hpp_sys_pread(fd, record, sizeof *record, 0);
    hpp_sys_close(fd);
    *reason = "its record is damaged, or of another version";
    if (count != (long)sizeof *record || record->magic != HPP_TEXT_CACHE_MAGIC)
        return -EINVAL;
    record->name[sizeof record->name - 1] = record->path[sizeof record->path - 1] = 0;
    if (!record->name[0] || hpp_text_base_name(record->name) != record->name)
        return -EINVAL;
    return 0;
}

static int open_copy(int folder, unsigned owner, struct hpp_text_record *record, const char **reason)
{
    struct hpp_text_identity identity;
    struct stat status;
    int fd = read_record(folder, owner, record, reason);

    if (!fd)
        fd = open_file(folder, record->name, owner, &status, reason);
    if (fd < 0)
        return fd;
    hpp_text_identify(&status, &identity);
    identity.device = 0;
    if (hpp_text_identity_equal(&identity, &record->copy))
        return fd;
    *reason = "it was changed after it was made";
    hpp_sys_close(fd);
    return -EINVAL;
}

int hpp_text_cache_load(const struct hpp_cache_folder *cache, const char *name,
                        struct hpp_text_record *record, const char **reason)
{
    struct stat status;
    int folder = hpp_cache_open(cache->fd, name, S_IFDIR, cache->owner, &status, reason), fd;

    if (folder < 0)
        return folder;
    fd = open_copy(folder, cache->owner, record, reason);
    hpp_sys_close(folder);
    return fd;
}

int hpp_text_cache_is_copy(const char *path, const uint8_t *build_id, unsigned build_id_size)
{
    struct hpp_cache_entry entry;
    char folder[HPP_CACHE_NAME_SIZE];
    const char *name = hpp_text_base_name(path), *from = name;

    if (name == path)
        return 0;
    for (from = name - 1; from > path && from[-1] != '/'; from--)
        ;
    if ((size_t)(name - 1 - from) >= sizeof folder)
        return 0;
    hpp_text_put_bytes(&(struct hpp_text){folder, sizeof folder, 0}, from, (size_t)(name - 1 - from));
    return hpp_cache_read_name(&hpp_text_cache_kind, folder, &entry) &&
           hpp_build_id_equal(entry.build_id, entry.build_id_size, build_id, build_id_size);
}
