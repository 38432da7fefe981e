/* Copies of ELF files whose text is to lie on huge pages of the page cache, shared by all processes. One
 * folder a copy, BUILDID-HASH, which holds the copy under the name of its original, and a record of both. It
 * appears whole, by a rename, and nothing in it changes but the record. Who may write such a file changes the
 * text of who has it mapped, so all of it must be root's, or the user's who named the folder.
 * Start-up code, writer and offline; raw system calls only. */
#ifndef HPP_COMMON_TEXT_CACHE_H
#define HPP_COMMON_TEXT_CACHE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/cache_folder.h"

#define HPP_TEXT_CACHE_FOLDER "/var/cache/hpprof/text"
#define HPP_TEXT_CACHE_RECORD ".record"
#define HPP_TEXT_CACHE_MAGIC  0x3174786574707068u /* "hpptext1" */
#define HPP_TEXT_HASH_SIZE    32                  /* SHA-256 */
#define HPP_TEXT_HASH_SHOWN   8                   /* bytes of it in a name */

/* What tells that a file is the same and was not written to: the kernel sets the time of the last change. */
struct hpp_text_identity {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t modified; /* ns since 1970 */
    int64_t changed;
};

struct hpp_text_record {
    uint64_t magic;
    struct hpp_text_identity original; /* all 0 if it had been changed too recently for its times to tell */
    struct hpp_text_identity copy;     /* without the device */
    uint8_t hash[HPP_TEXT_HASH_SIZE];  /* of the contents, made while they were copied */
    char name[256];                    /* of the copy in its folder */
    char path[4096];                   /* of the original */
};

/* Whose folder is relied on: root's, and, if the user named it, his own. */
extern const struct hpp_cache_kind hpp_text_cache_kind;

/* The folder, into DIRECTORY (SIZE bytes): SETTING (HPPROF_TEXT_CACHE), or root's where that is NULL or "".
 * Returns 0, -ENOENT for "off", -EINVAL where SETTING is not absolute, -ENAMETOOLONG. */
int hpp_text_cache_directory(char *directory, size_t size, const char *setting);

/* Opens the copy of the entry NAME for reading, if it can be relied on and is as it was made. Returns its
 * descriptor, *RECORD filled; or -errno and *REASON. */
int hpp_text_cache_load(const struct hpp_cache_folder *cache, const char *name,
                        struct hpp_text_record *record, const char **reason);

void hpp_text_identify(const struct stat *status, struct hpp_text_identity *identity);
int hpp_text_identity_equal(const struct hpp_text_identity *a, const struct hpp_text_identity *b);

/* Whether PATH is that of a copy of the file with this build-id. */
int hpp_text_cache_is_copy(const char *path, const uint8_t *build_id, unsigned build_id_size);

#endif
