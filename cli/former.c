/* A former profile for the agents of a run. A wrong one would only be noted in their profiles, and they have
 * no zlib. Offline only. */
#include "cli/former.h"
#include "cli/commands.h"
#include "symbolizer/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_compressed(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned char start[2] = {0};
    bool found =
        fd >= 0 && read(fd, start, sizeof start) == sizeof start && start[0] == 0x1f && start[1] == 0x8b;

    if (fd >= 0)
        close(fd);
    return found;
}

int hpp_former_prepare(const char *path, const char *folder, char use[PATH_MAX])
{
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE];
    struct stat status;
    int failed = 0;

    if (!realpath(path, use) || stat(use, &status)) {
        hpp_complain("--remap-hot: %s: %m", path);
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        hpp_complain("--remap-hot: %s: it is not a regular file", path);
        return -1;
    }
    if (hpp_profile_read(use, &profile, error)) {
        hpp_complain("--remap-hot: %s", error);
        return -1;
    }
    if (!profile->sample_count) {
        hpp_complain("--remap-hot: %s: it has no samples", path);
        failed = -1;
    } else if (is_compressed(use)) {
        if (snprintf(use, PATH_MAX, "%s/former", folder) >= PATH_MAX) {
            hpp_complain("--remap-hot: %s: %s", path, strerror(ENAMETOOLONG));
            failed = -1;
        } else if (hpp_profile_write(profile, use, error)) {
            hpp_complain("--remap-hot: %s", error);
            failed = -1;
        }
    }
    hpp_profile_free(profile);
    return failed;
}
