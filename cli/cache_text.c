/* hpprof cache: the copies of text (common/text_cache.h). Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/text_copy.h"
#include "cli/text_in_use.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_HUGE_PAGES \
    "this file system gives its copy no huge pages: `hpprof cache mount` makes one that does"

static uint64_t limit(const struct hpp_cache *cache)
{
    return hpp_text_copy_limit(&cache->folder, cache->limit);
}

static void print_row(const struct hpp_cache *cache, const struct hpp_cache_entry *entry, const char *day)
{
    struct hpp_text_record record;
    const char *reason;
    int fd = hpp_text_cache_load(&cache->folder, entry->name, &record, &reason);

    if (fd < 0) {
        printf("%s\n", reason);
        return;
    }
    close(fd);
    printf("%s %c %s\n", day, entry->in_use ? '*' : ' ', record.name);
}

/* ---- warm ---------------------------------------------------------------------------------------------- */

/* Makes the folder for the first copy. Returns 0 or -errno, which is complained of once. */
static int make_folder(struct hpp_cache *cache)
{
    static int error;
    const char *reason;

    if (error || cache->folder.fd >= 0)
        return error;
    error = hpp_cache_folder_make(cache->directory, &reason);
    if (!error)
        error = hpp_cache_open_folder(cache, true, &reason);
    if (error)
        hpp_complain("%s: %s%s", cache->directory, reason,
                     cache->is_named ? ""
                                     : ": only root fills it: name a folder of your own with --text-cache");
    return error;
}

/* A sound copy of the build-id. */
struct match {
    const struct hpp_cache_folder *folder;
    const struct hpp_elf_header *header;
    struct hpp_text_identity original;
    bool any_original; /* of whatever file */
    int fd;            /* it, or -1 */
    struct hpp_text_record record;
    const char *reason; /* why one that is there is not sound */
};

static int match_one(void *context, const struct hpp_cache_entry *entry)
{
    struct match *match = context;
    const struct hpp_elf_header *header = match->header;

    if (entry->partial ||
        !hpp_build_id_equal(entry->build_id, entry->build_id_size, header->build_id, header->build_id_size))
        return 0;
    match->fd = hpp_text_cache_load(match->folder, entry->name, &match->record, &match->reason);
    if (match->fd < 0 || match->any_original ||
        hpp_text_identity_equal(&match->original, &match->record.original))
        return match->fd >= 0;
    close(match->fd);
    match->fd = -1;
    return 0;
}

static void find_copy(struct match *match, int fd)
{
    struct stat status;

    match->fd = -1;
    if (!fstat(fd, &status))
        hpp_text_identify(&status, &match->original);
    hpp_cache_visit(match->folder, match_one, match);
}

/* How much of the copy is on huge pages: reads it into memory, for those to come. */
static void tell_huge(struct hpp_cache *cache, const char *path, const char *what, int fd,
                      const struct hpp_elf_header *header)
{
    uint64_t huge = hpp_text_copy_huge(fd, header), all = hpp_text_copy_eligible(header);

    printf("%s: %s, %" PRIu64 " of %" PRIu64 " KiB of text on huge pages\n", path, what, huge >> 10,
           all >> 10);
    if (!huge)
        hpp_cache_fail(cache, path, NO_HUGE_PAGES);
}

/* Asked once: no copy is made to find out. */
static bool gives_huge_pages(const struct hpp_cache *cache)
{
    static int known = -1;

    if (known < 0)
        known = hpp_text_copy_huge_possible(&cache->folder);
    return known;
}

static void copy(struct hpp_cache *cache, const char *path, int fd, const struct hpp_elf_header *header)
{
    char name[HPP_CACHE_NAME_SIZE], *whole = realpath(path, NULL);
    struct hpp_text_record record;
    const char *reason = NULL;
    int is_new = 0, error, made;

    error = hpp_text_copy_make(&cache->folder, whole ? whole : path, fd, header, cache->limit, name, &is_new,
                               &reason);
    free(whole);
    if (error) {
        hpp_cache_fail(cache, path, reason ? reason : strerror(-error));
        return;
    }
    made = hpp_text_cache_load(&cache->folder, name, &record, &reason);
    if (made < 0) {
        hpp_cache_fail(cache, path, reason);
        return;
    }
    tell_huge(cache, path, is_new ? "copied" : "the same is already there", made, header);
    *(is_new ? &cache->done : &cache->there) += 1;
    close(made);
}

static void warm(struct hpp_cache *cache, const char *path, int fd, const struct hpp_elf_header *header)
{
    struct match match = {.folder = &cache->folder, .header = header};

    if (!hpp_text_copy_eligible(header)) {
        if (cache->is_asked_for)
            printf("%s: passed over: no whole aligned 2 MiB of text\n", path);
        return;
    }
    if (make_folder(cache)) {
        cache->failed++;
        return;
    }
    find_copy(&match, fd);
    if (match.fd >= 0) {
        tell_huge(cache, path, "already there", match.fd, header);
        cache->there++;
        close(match.fd);
    } else if (gives_huge_pages(cache)) {
        copy(cache, path, fd, header);
    } else if (cache->is_asked_for) {
        hpp_cache_fail(cache, path, NO_HUGE_PAGES);
    } else {
        printf("%s: its text is not copied: %s\n", path, NO_HUGE_PAGES);
    }
}

/* ---- verify -------------------------------------------------------------------------------------------- */

/* Whether what is at the original's path today is what was copied: NULL, or what it is instead. */
static const char *compare_original(const struct hpp_text_record *record)
{
    int fd = open(record->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    uint8_t hash[HPP_TEXT_HASH_SIZE];
    struct hpp_text_identity identity;
    struct stat status;
    const char *result = NULL;

    if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode) || hpp_text_copy_hash(fd, hash)) {
        result = "its original is gone, or cannot be read";
    } else if (memcmp(hash, record->hash, sizeof hash)) {
        hpp_text_identify(&status, &identity);
        result =
            hpp_text_identity_equal(&identity, &record->original) ? "" : "its original is another file now";
    }
    if (fd >= 0)
        close(fd);
    return result;
}

static const char *verify_open(int fd, const struct hpp_text_record *record)
{
    uint8_t hash[HPP_TEXT_HASH_SIZE];
    const char *original;

    fcntl(fd, F_SETFL, O_NOATIME); /* to be looked at is no use */
    if (hpp_text_copy_hash(fd, hash))
        return "it cannot be read";
    if (memcmp(hash, record->hash, sizeof hash))
        return "its contents are not what was copied";
    original = compare_original(record);
    if (original && !*original)
        return "its original has other contents at the same times: clear the cache";
    printf("%s: %s\n", record->path, original ? original : "the same as its copy");
    return NULL;
}

static const char *verify(const struct hpp_cache *cache, const struct hpp_cache_entry *entry)
{
    struct hpp_text_record record;
    const char *reason;
    int fd = hpp_text_cache_load(&cache->folder, entry->name, &record, &reason);

    if (fd < 0)
        return reason;
    reason = verify_open(fd, &record);
    close(fd);
    return reason;
}

/* The copy of the file's build-id must hold the file's bytes. */
static void compare(struct hpp_cache *cache, const char *path, int fd, const struct hpp_elf_header *header)
{
    struct match match = {.folder = &cache->folder, .header = header, .any_original = true};
    uint8_t hash[HPP_TEXT_HASH_SIZE];

    if (!hpp_text_copy_eligible(header))
        return;
    find_copy(&match, fd);
    if (match.fd < 0 && !match.reason && !cache->is_asked_for)
        return;
    if (match.fd < 0) {
        hpp_complain("%s: its copy: %s: `hpprof cache warm` makes it", path,
                     match.reason ? match.reason : "there is none");
        cache->failed++;
        return;
    }
    if (hpp_text_copy_hash(fd, hash) || memcmp(hash, match.record.hash, sizeof hash))
        hpp_cache_fail(cache, path, "its copy has other contents: `hpprof cache warm` makes one");
    else
        tell_huge(cache, path, "the same as its copy", match.fd, header);
    close(match.fd);
}

const struct hpp_cache_contents hpp_cache_text = {
    .kind = &hpp_text_cache_kind,
    .entry = {"copy", "copies"},
    .removed = {"copy", "copies"},
    .columns = "last use   * file (* in use)",
    .no_build_id = "it has no build-id, so no copy of it can be found",
    .read = hpp_text_uses_read,
    .limit = limit,
    .print_row = print_row,
    .verify = verify,
    .warm = warm,
    .compare = compare,
};
