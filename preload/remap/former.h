/* What was hot by a former profile (HPPROF_REMAP_HOT). Writer. */
#ifndef HPP_PRELOAD_REMAP_FORMER_H
#define HPP_PRELOAD_REMAP_FORMER_H

#include <stdint.h>

#include "common/arena.h"
#include "common/elf_header.h"

struct hpp_former_image {
    uint64_t id, start, file_offset, build_string; /* as the profile has them */
    unsigned build_id_size;
    uint8_t build_id[HPP_BUILD_ID_MAX];
};

struct hpp_former_place {
    uint64_t offset; /* in the image's file */
    uint64_t weight; /* of the samples whose innermost address it is */
    uint32_t image;  /* index + 1; 0: of no file with a build-id, and without weight */
};

struct hpp_former {
    struct hpp_arena arena;
    struct hpp_former_image *images;
    struct hpp_former_place *places;
    uint32_t image_count, place_count;
    uint64_t weight; /* of all samples */
};

/* Reads the profile at PATH, which may hold anything. Returns NULL, or why it is of no use: then FORMER is
 * empty. */
const char *hpp_former_read(const char *path, struct hpp_former *former);

#endif
