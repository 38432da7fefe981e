/* Files that appear whole or not at all. Offline only. */
#include "symbolizer/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(int result, const char *path, char error[HPP_ERROR_SIZE])
{
    snprintf(error, HPP_ERROR_SIZE, "cannot write %s: %s", path, strerror(-result));
    return result;
}

static void apply_mode(int descriptor, mode_t mode)
{
    mode_t mask = umask(077);

    umask(mask);
    fchmod(descriptor, mode & ~mask);
}

/* Whether PATH is there and is no regular file: a device, a pipe, a link. */
static bool is_special(const char *path)
{
    struct stat status;

    return !lstat(path, &status) && !S_ISREG(status.st_mode);
}

int hpp_output_open(struct hpp_output *output, const char *path, mode_t mode, bool in_place,
                    char error[HPP_ERROR_SIZE])
{
    int descriptor, length = snprintf(output->path, sizeof output->path, "%s", path);

    *output->temporary = '\0';
    if (!*path || length >= (int)sizeof output->path)
        return fail(*path ? -ENAMETOOLONG : -ENOENT, path, error);
    if (in_place && !strcmp(path, "-")) {
        descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    } else if (in_place && is_special(path)) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, mode);
    } else {
        snprintf(output->temporary, sizeof output->temporary, "%s.XXXXXX", path);
        descriptor = mkostemp(output->temporary, O_CLOEXEC); /* new, mode 0600, no link followed */
        if (descriptor >= 0 && mode != 0600)
            apply_mode(descriptor, mode);
    }
    if (descriptor < 0)
        return fail(-errno, path, error);
    output->file = fdopen(descriptor, "w");
    if (!output->file) {
        close(descriptor);
        return fail(-ENOMEM, path, error);
    }
    return 0;
}

int hpp_output_close(struct hpp_output *output, int result, char error[HPP_ERROR_SIZE])
{
    if (fflush(output->file) && !result)
        result = -errno;
    if (ferror(output->file) &&
        !result) /* an earlier write, of which stdio has not kept the reason: ask again */
        result = write(fileno(output->file), "\n", 1) == 1 ? -EIO : -errno;
    if (fclose(output->file) && !result)
        result = -errno;
    if (!result && *output->temporary && rename(output->temporary, output->path))
        result = -errno;
    if (!result)
        return 0;
    if (*output->temporary)
        unlink(output->temporary);
    return fail(result, output->path, error);
}
