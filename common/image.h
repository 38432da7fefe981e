/* The image record: which executable file bytes lie at which addresses. Taken before any text moves
 * and kept through the remap: a segment keeps its original file, offset and build-id whatever pages
 * hold it now. Segments and images are immutable once made, but for a segment's unwind table, which comes
 * later; a changed set is a new code map.
 * Making maps: start-up code and writer. Looking up: any context, the handler included. */
#ifndef HPP_COMMON_IMAGE_H
#define HPP_COMMON_IMAGE_H

#include <stdint.h>

#include "common/arena.h"
#include "common/elf_header.h"
#include "common/unwind_table.h"

enum hpp_image_kind {
    HPP_IMAGE_FILE,
    HPP_IMAGE_VDSO,
    HPP_IMAGE_ANONYMOUS, /* executable memory without a file: code made at run time */
};

struct hpp_image {
    enum hpp_image_kind kind;
    const char *path; /* absolute, as in /proc/PID/maps; "[vdso]" or "//anon" */
    uint64_t device;  /* with inode: tells two files of one path apart */
    uint64_t inode;
    uint64_t header;        /* where the byte at file offset 0 was mapped; 0 if it was not, or is not ELF */
    unsigned build_id_size; /* bytes; 0 if none */
    uint8_t build_id[HPP_BUILD_ID_MAX];
};

/* One executable ELF segment at its run-time place, rounded outward to pages. */
struct hpp_segment {
    const struct hpp_image *image;
    uint64_t start;
    uint64_t end;
    uint64_t file_offset; /* of the byte at start */
    uint64_t file_end;    /* address behind the last byte that comes from the file */
    uint64_t link;        /* link-time address of the byte at start */
    uint32_t serial;      /* 0, 1, 2, … in order of discovery; the main program's is 0 */
    int altered;          /* at the start, some of it was writable or not mapped from its file */
    int moved;            /* some of it lies on huge pages that are not its file's: set before that is so */
    int absorbed;         /* so does what lies before it, to a multiple of 2 MiB: preload/remap/edges.h */
    /* how to unwind from here; NULL until the writer has a table. The one part that changes, once. */
    _Atomic(const struct hpp_unwind_table *) table;
    /* the writer's own */
    uint64_t wanted;       /* weight of samples that lacked the table */
    const char *no_table;  /* why there will be none, a constant text that the profile has not got yet */
    uint64_t on_huge;      /* weight of samples that lay on huge pages here, */
    uint64_t told_on_huge; /* and what the profile tells of it */
};

struct hpp_code_range {
    uint64_t start;
    uint64_t end;
    const struct hpp_segment *segment;
};

/* All executable ranges of the process, sorted, without overlap. */
struct hpp_code_map {
    uint32_t count;
    uint64_t generation; /* 1, 2, 3, … */
    uint32_t serials;    /* segments discovered so far, those that are gone again included */
    struct hpp_code_range ranges[];
};

/* A table without rows: of code that none will ever come for. */
extern const struct hpp_unwind_table hpp_unwind_no_table;

/* Reads /proc/self/maps and makes the present code map. Images and segments come from ARENA and stay;
 * the map and what the scan needs come from MAP_ARENA, which the caller may reset when nobody uses the
 * map any more. Segments that BEFORE (NULL at the start) already knows are taken over from it, so that
 * text which has been moved keeps its file. MAIN_ADDRESS is an address in the main program (its entry;
 * only used with BEFORE == NULL). *MAP gets the new map, or BEFORE itself if nothing changed. Returns 0
 * or -errno. */
int hpp_image_scan(struct hpp_arena *arena, struct hpp_arena *map_arena, const struct hpp_code_map *before,
                   uint64_t main_address, const struct hpp_code_map **map);

/* The range that holds ADDRESS, or NULL. */
static inline const struct hpp_code_range *hpp_image_find(const struct hpp_code_map *map, uint64_t address)
{
    uint32_t low = 0, high = map ? map->count : 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (address < map->ranges[middle].start)
            high = middle;
        else if (address >= map->ranges[middle].end)
            low = middle + 1;
        else
            return &map->ranges[middle];
    }
    return NULL;
}

#endif
