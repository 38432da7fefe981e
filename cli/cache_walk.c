/* The walk of hpprof cache over ELF files. Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What nftw(3) has no way to hand on. */
static struct hpp_cache *walked;
static hpp_cache_on_file *run_on;

void hpp_cache_fail(struct hpp_cache *cache, const char *path, const char *why)
{
    hpp_complain("%s: %s", path, why);
    cache->failed++;
}

/* Runs it on the ELF file PATH. IS_FOUND: it was met in a folder, where what cannot be loaded is passed
 * over. */
static void run_on_file(const char *path, bool is_found)
{
    struct hpp_elf_source source = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    struct hpp_elf_header header;
    struct stat status;
    int error;

    if (source.fd < 0 || fstat(source.fd, &status)) {
        hpp_cache_fail(walked, path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        hpp_cache_fail(walked, path, "it is not a regular file");
    } else if ((error = hpp_elf_header_read(&source, &header))) {
        if (!is_found || error != -ENOEXEC)
            hpp_cache_fail(walked, path,
                           error == -ENOEXEC ? "it is no 64-bit ELF program or library" : strerror(-error));
    } else if (!header.build_id_size) {
        hpp_cache_fail(walked, path, walked->contents->no_build_id);
    } else {
        run_on(walked, path, source.fd, &header);
    }
    if (source.fd >= 0)
        close(source.fd);
}

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    if (kind == FTW_DNR)
        hpp_cache_fail(walked, path, "cannot read the folder");
    else if (kind == FTW_NS)
        hpp_cache_fail(walked, path, "cannot be looked at");
    else if (kind == FTW_F && S_ISREG(status->st_mode))
        run_on_file(path, true);
    return 0;
}

void hpp_cache_walk(struct hpp_cache *cache, char **files, hpp_cache_on_file *run)
{
    walked = cache;
    run_on = run;
    for (; *files; files++) {
        struct stat status;

        if (stat(*files, &status) || !S_ISDIR(status.st_mode))
            run_on_file(*files, false);
        else if (nftw(*files, visit, 16, FTW_PHYS))
            hpp_cache_fail(walked, *files, strerror(errno));
    }
}
