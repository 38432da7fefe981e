/* Backend cache: a byte-identical copy of the file, made beforehand (common/text_cache.h), whose pages the
 * page cache holds as huge ones: mapped where the text is, shared by all processes. The bytes are shown to be
 * the text's by comparing them; or, in about a millisecond, because the file has not changed since it was
 * copied and no page of the text is the process's own. */
#include <errno.h>
#include <unistd.h>

#include "common/sys.h"
#include "common/text.h"
#include "common/text_cache.h"
#include "preload/remap/edges.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

static const char *the_setting;

void hpp_remap_cache_in(const char *setting)
{
    the_setting = setting;
}

int hpp_remap_cache_is_there(const char *setting)
{
    char directory[4096];

    return !hpp_text_cache_directory(directory, sizeof directory, setting) &&
           !HPP_SYSCALL(faccessat, AT_FDCWD, directory, F_OK, 0, 0, 0);
}

/* ---- which copy ---------------------------------------------------------------------------------------- */

struct search {
    struct hpp_remap_move *move;
    struct hpp_cache_folder cache;
    struct hpp_text_identity original; /* the file at the text's path */
    int fd;                            /* the best copy so far, or -1 */
    int is_original;                   /* it was made of that file as it is now */
    uint64_t size;                     /* of that copy */
    const char *reason;                /* why there is none */
};

static int is_for(const struct hpp_cache_entry *entry, const struct hpp_image *image)
{
    return !entry->partial &&
           hpp_build_id_equal(entry->build_id, entry->build_id_size, image->build_id, image->build_id_size);
}

/* Of the cache's REASON, which may be no more than the text of ERROR: FAILED is what that was of. */
static const char *refused(struct hpp_remap_move *move, int error, const char *reason, const char *failed)
{
    int is_call = hpp_text_equal(reason, hpp_text_error(error));

    return hpp_remap_failed(move, is_call ? error : 0, is_call ? failed : reason);
}

static int consider(void *context, const struct hpp_cache_entry *entry)
{
    struct search *search = context;
    struct hpp_text_record record;
    const char *reason;
    int fd, is_original;

    if (!is_for(entry, search->move->segment->image))
        return 0;
    fd = hpp_text_cache_load(&search->cache, entry->name, &record, &reason);
    if (fd < 0) {
        search->reason = refused(search->move, fd, reason, "its copy in the cache cannot be opened");
        return 0;
    }
    is_original = hpp_text_identity_equal(&record.original, &search->original);
    if (search->fd >= 0 && !is_original) {
        hpp_sys_close(fd);
        return 0;
    }
    if (search->fd >= 0)
        hpp_sys_close(search->fd);
    search->fd = fd;
    search->is_original = is_original;
    search->size = record.copy.size;
    return is_original;
}

/* Why no copy can be had; NULL: search->fd is one. */
static const char *find(struct search *search)
{
    struct stat status;
    char directory[4096];
    const char *reason;
    int error;

    if (hpp_text_cache_directory(directory, sizeof directory, the_setting))
        return "HPPROF_TEXT_CACHE is off";
    error = hpp_cache_folder_open(&search->cache, &hpp_text_cache_kind, directory,
                                  the_setting && *the_setting, &reason);
    if (error == -ENOENT)
        return "there is no cache of text (hpprof cache warm)";
    if (error)
        return refused(search->move, error, reason, "the cache of text cannot be opened");
    if (!hpp_sys_fstat(search->move->fd, &status))
        hpp_text_identify(&status, &search->original);
    error = hpp_cache_visit(&search->cache, consider, search);
    hpp_sys_close(search->cache.fd);
    if (search->fd < 0 && error < 0)
        return hpp_remap_failed(search->move, error, "the cache of text cannot be read");
    if (search->fd < 0)
        return search->reason;
    search->move->error = 0; /* another copy's */
    return NULL;
}

/* ---- the stage ----------------------------------------------------------------------------------------- */

static long populate(const struct hpp_remap_move *move, int fd)
{
    uint64_t size = move->end - move->start;
    long error = hpp_sys_madvise(move->stage, size, MADV_POPULATE_READ);

    if (error != -EINVAL)
        return error;
    /* before Linux 5.14 */
    return hpp_sys_failed(hpp_sys_mmap((void *)move->stage, size, PROT_READ | PROT_EXEC,
                                       MAP_PRIVATE | MAP_FIXED | MAP_POPULATE, fd,
                                       hpp_remap_offset(move, move->start)));
}

/* What is in memory; where the kernel does not tell that, 2 MiB may be read. */
static long populate_warm(const struct hpp_remap_move *move, int fd)
{
    long before = hpp_faults_with_reads(), error = 0;

    for (uint64_t at = move->start;
         at < move->end && !error && hpp_sys_cached_pages(fd, hpp_remap_offset(move, at), HPP_HUGE_PAGE) &&
         hpp_faults_with_reads() == before;
         at += HPP_HUGE_PAGE)
        error = hpp_sys_madvise(move->stage + (at - move->start), HPP_HUGE_PAGE, MADV_POPULATE_READ);
    return error;
}

static const char *map_copy(struct hpp_remap_move *move, int fd, int warm)
{
    uint64_t size = move->end - move->start, offset = hpp_remap_offset(move, move->start);
    long error =
        hpp_sys_mmap((void *)move->stage, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, offset);

    if (hpp_sys_failed(error))
        return hpp_remap_failed(move, error,
                                error == -EPERM || error == -EACCES
                                    ? "nothing on the cache's file system may be executed (noexec)"
                                    : "its copy in the cache cannot be mapped");
    hpp_sys_madvise(move->stage, size, MADV_HUGEPAGE);
    error = warm ? populate_warm(move, fd) : populate(move, fd);
    if (error)
        return hpp_remap_failed(move, error, "its copy in the cache cannot be read");
    if (!hpp_huge_pages_in(move->stage, move->stage + size))
        return "its copy in the cache lies on small pages";
    return hpp_remap_keep_apart(move);
}

/* WARM: only what costs next to nothing. */
static const char *make_by(struct hpp_remap_move *move, int warm)
{
    struct search search = {.move = move, .fd = -1, .reason = "the cache has no copy of it"};
    const char *reason = hpp_huge_pages_refused(&move->error);

    if (reason)
        return reason;
    if ((hpp_remap_offset(move, move->start) ^ move->start) & (HPP_HUGE_PAGE - 1))
        return "its addresses and its offsets in the file differ by no multiple of 2 MiB";
    if (move->edge && !hpp_edge_is_whole(move->edge))
        return "what is beside it lies elsewhere in the file";
    if (!move->segment->image->build_id_size)
        return "it has no build-id";
    reason = find(&search);
    if (reason)
        return reason;
    if (warm && (!search.is_original ||
                 hpp_pagemap_find(move->start, move->start + HPP_HUGE_PAGE, HPP_PAGE_PRIVATE, NULL) < 0))
        reason = "all of it would have to be compared with its copy";
    else if (hpp_remap_offset(move, move->end) > search.size)
        reason = "its copy in the cache is shorter than it";
    else if (!(reason = hpp_remap_reserve(move)))
        reason = map_copy(move, search.fd, warm);
    /* Of a file that has not changed since it was copied, only private pages can differ from the stage. Of
     * any other the copy takes the place: all is compared with it, and a failed swap put right from it. */
    if (search.is_original) {
        hpp_sys_close(search.fd);
    } else {
        hpp_sys_close(move->fd);
        move->fd = search.fd;
    }
    return reason;
}

static const char *make(struct hpp_remap_move *move)
{
    return make_by(move, 0);
}

static const char *make_warm(struct hpp_remap_move *move)
{
    return make_by(move, 1);
}

#define NO_EXECUTION "its copy in the cache may not be executed"
const struct hpp_remap_backend hpp_remap_cache = {"cache", make, NO_EXECUTION};
const struct hpp_remap_backend hpp_remap_cache_warm = {"cache", make_warm, NO_EXECUTION};
