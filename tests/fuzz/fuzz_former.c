/* Fuzz target: any bytes as a former profile (HPPROF_REMAP_HOT) make places that lie in its images, or a
 * reason. `make fuzz` runs it by libFuzzer; a unit test by mutations of its own. */
#include "preload/remap/former.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_former: %s\n", what);
    abort();
}

static void fuzz_places(const struct hpp_former *former)
{
    uint32_t weighty = 0;

    for (uint32_t i = 0; i < former->image_count; i++)
        fuzz_require(former->images[i].build_id_size <= HPP_BUILD_ID_MAX, "a build-id is too long");
    for (uint32_t i = 0; i < former->place_count; i++) {
        fuzz_require(former->places[i].image <= former->image_count, "a place in no image");
        fuzz_require(!former->places[i].weight || former->places[i].image, "weight without an image");
        weighty += former->places[i].weight != 0;
    }
    fuzz_require(weighty > 0, "it is of use, and has no weight");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;
    struct hpp_former former;
    const char *reason;

    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    fuzz_require(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size, "cannot write");
    reason = hpp_former_read(path, &former);
    if (reason)
        fuzz_require(*reason && !former.image_count && !former.place_count, "a reason, and yet places");
    else
        fuzz_places(&former);
    hpp_arena_release(&former.arena);
    return 0;
}
