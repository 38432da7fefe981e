/* Reads a former profile: an encoded pprof message (proto/profile.proto), as the agent leaves them. Nothing
 * in it is relied on: ids and sizes are bounded, and what it names is only a wish. Writer. */
#include "preload/remap/former.h"

#include <stdatomic.h>

#include "common/cursor.h"
#include "common/sys.h"
#include "common/text.h"
#include "profiler/pprof_row.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define SIZE_MAX_READ (64u << 20)
#define IMAGES_MAX    1024u
#define PLACES_MAX    (1u << 20)
#define MEMORY_MAX    (64u << 20)

/* Fields of Profile, Mapping and Location; those of Sample are in pprof_row.h. */
enum { SAMPLE = 2, MAPPING = 3, LOCATION = 4, STRING = 6 };
enum { MAPPING_ID = 1, MAPPING_START = 2, MAPPING_OFFSET = 4, MAPPING_BUILD_ID = 6 };
enum { LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3 };

struct reader {
    struct hpp_former *former;
    const uint8_t *bytes;
    size_t size;
    uint64_t strings; /* so far */
    uint64_t most;    /* the highest id of a location */
};

typedef void visitor(struct reader *reader, unsigned field, struct hpp_cursor body);

/* Calls VISIT for each field that is a message or a string, up to the end or what cannot be read; not when
 * the program ends meanwhile. */
static void each(struct reader *reader, visitor *visit)
{
    struct hpp_cursor cursor = {reader->bytes, reader->bytes + reader->size, 0}, body = {0};
    uint64_t number;
    unsigned field;

    reader->strings = 0;
    while (!atomic_load(&hpp_writer.stop) && hpp_cursor_left(&cursor) &&
           (field = hpp_row_next(&cursor, &body, &number))) {
        if (field == SAMPLE || field == MAPPING || field == LOCATION || field == STRING)
            visit(reader, field, body);
        body = (struct hpp_cursor){0};
    }
}

/* The numbers of a message by field id, below COUNT. */
static void read_numbers(struct hpp_cursor body, uint64_t *numbers, unsigned count)
{
    struct hpp_cursor inner;
    uint64_t number;
    unsigned field;

    for (unsigned i = 0; i < count; i++)
        numbers[i] = 0;
    while (hpp_cursor_left(&body)) {
        number = 0;
        field = hpp_row_next(&body, &inner, &number);
        if (!field)
            return;
        if (field < count)
            numbers[field] = number;
    }
}

/* ---- passes -------------------------------------------------------------------------------------------- */

static void see_images(struct reader *reader, unsigned field, struct hpp_cursor body)
{
    struct hpp_former *former = reader->former;
    uint64_t numbers[MAPPING_BUILD_ID + 1];

    if (field != MAPPING && field != LOCATION)
        return;
    read_numbers(body, numbers, MAPPING_BUILD_ID + 1);
    if (field == LOCATION && numbers[LOCATION_ID] < PLACES_MAX && numbers[LOCATION_ID] > reader->most)
        reader->most = numbers[LOCATION_ID];
    if (field == MAPPING && former->image_count < IMAGES_MAX && numbers[MAPPING_BUILD_ID])
        former->images[former->image_count++] =
            (struct hpp_former_image){.id = numbers[MAPPING_ID],
                                      .start = numbers[MAPPING_START],
                                      .file_offset = numbers[MAPPING_OFFSET],
                                      .build_string = numbers[MAPPING_BUILD_ID]};
}

static void read_build_id(struct hpp_former_image *image, struct hpp_cursor text)
{
    size_t size = hpp_cursor_left(&text) / 2;

    if (size > HPP_BUILD_ID_MAX || hpp_cursor_left(&text) % 2)
        return;
    for (size_t i = 0; i < size; i++) {
        int high = hpp_text_hex_digit((char)text.at[2 * i]);
        int low = hpp_text_hex_digit((char)text.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return;
        image->build_id[i] = (uint8_t)(high << 4 | low);
    }
    image->build_id_size = (unsigned)size;
}

/* Build-ids, which are strings, and where locations lie. */
static void see_places(struct reader *reader, unsigned field, struct hpp_cursor body)
{
    struct hpp_former *former = reader->former;
    uint64_t numbers[LOCATION_ADDRESS + 1];

    if (field == STRING) {
        for (uint32_t i = 0; i < former->image_count; i++)
            if (former->images[i].build_string == reader->strings)
                read_build_id(&former->images[i], body);
        reader->strings++;
        return;
    }
    if (field != LOCATION)
        return;
    read_numbers(body, numbers, LOCATION_ADDRESS + 1);
    for (uint32_t i = 0; numbers[LOCATION_ID] < former->place_count && i < former->image_count; i++) {
        const struct hpp_former_image *image = &former->images[i];
        if (image->id == numbers[LOCATION_MAPPING] && numbers[LOCATION_ADDRESS] >= image->start)
            former->places[numbers[LOCATION_ID]] = (struct hpp_former_place){
                .offset = numbers[LOCATION_ADDRESS] - image->start + image->file_offset, .image = i + 1};
    }
}

/* The weight of the sample to its innermost location. */
static void see_samples(struct reader *reader, unsigned field, struct hpp_cursor body)
{
    uint64_t number, leaf = 0, weight = 0;
    struct hpp_cursor inner = {0};
    unsigned inside;

    if (field != SAMPLE)
        return;
    while (hpp_cursor_left(&body) && (inside = hpp_row_next(&body, &inner, &number))) {
        if (inside != HPP_ROW_LOCATIONS && inside != HPP_ROW_VALUES)
            continue;
        if (hpp_cursor_left(&inner))
            number = hpp_cursor_uleb(&inner);
        if (inside == HPP_ROW_LOCATIONS && !leaf)
            leaf = number;
        if (inside == HPP_ROW_VALUES && !weight)
            weight = number;
        inner = (struct hpp_cursor){0};
    }
    if (weight >= UINT32_MAX)
        return;
    reader->former->weight += weight;
    if (leaf < reader->former->place_count && reader->former->places[leaf].image)
        reader->former->places[leaf].weight += weight;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static const char *read_all(int fd, uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        long count = hpp_sys_pread(fd, bytes + done, size - done, done);
        if (count <= 0)
            return "it could not be read";
        done += (size_t)count;
    }
    return NULL;
}

static const char *parse(struct reader *reader)
{
    struct hpp_former *former = reader->former;

    if (reader->bytes[0] == 0x1f && reader->bytes[1] == 0x8b)
        return "it is compressed";
    former->images = hpp_arena_allocate(&former->arena, IMAGES_MAX * sizeof *former->images);
    if (!former->images)
        return "there is too little memory";
    each(reader, see_images);
    former->place_count = (uint32_t)reader->most + 1;
    former->places = hpp_arena_allocate(&former->arena, former->place_count * sizeof *former->places);
    if (!former->places)
        return "there is too little memory";
    each(reader, see_places);
    each(reader, see_samples);
    for (uint32_t i = 0; i < former->place_count; i++)
        if (former->places[i].weight && former->images[former->places[i].image - 1].build_id_size)
            return NULL;
    return "it is no profile, or has no samples of files with a build-id";
}

const char *hpp_former_read(const char *path, struct hpp_former *former)
{
    struct reader reader = {.former = former};
    struct stat status;
    const char *reason = NULL;
    uint8_t *bytes;
    long fd = hpp_sys_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    *former = (struct hpp_former){.arena = {.limit = MEMORY_MAX, .no_fork = 1}};
    if (fd < 0)
        return "it cannot be opened";
    if (hpp_sys_fstat((int)fd, &status) || !S_ISREG(status.st_mode) || status.st_size < 2)
        reason = "it is no profile";
    else if (status.st_size > SIZE_MAX_READ)
        reason = "it is larger than 64 MiB";
    reader.size = (size_t)status.st_size;
    bytes = reason ? NULL : hpp_arena_map(reader.size);
    if (!reason && !bytes)
        reason = "there is too little memory";
    if (!reason)
        reason = read_all((int)fd, bytes, reader.size);
    reader.bytes = bytes;
    if (!reason)
        reason = parse(&reader);
    if (bytes)
        hpp_sys_munmap((uint64_t)(uintptr_t)bytes, reader.size);
    hpp_sys_close((int)fd);
    if (reason) {
        hpp_arena_release(&former->arena);
        former->image_count = former->place_count = 0;
    }
    return reason;
}
