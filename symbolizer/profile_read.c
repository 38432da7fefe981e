/* Reads a pprof file: the bytes (raw or gzip'd), their division into top-level fields and chunks, and what to
 * do when the last chunk is torn. Offline only. */
#include "symbolizer/profile_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    SLICE = 64 << 10, /* decoded at a time */
    TRIES = 8,        /* chunk boundaries looked at, from the last one back */
    FIELD_MAX = 15,
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_32 = 5,
};

#define BYTES_MAX ((size_t)UINT32_MAX)

/* What a walk over the top-level fields found. */
struct layout {
    size_t whole;             /* bytes of whole, plausible fields from the start */
    bool cut;                 /* what follows is the beginning of a field that would be plausible */
    size_t boundaries[TRIES]; /* the last places where a chunk may have begun, in a ring */
    size_t boundary_count;
};

static bool read_varint(const uint8_t *bytes, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < size; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* Whether field FIELD of a Profile may have wire type WIRE. Unknown fields may have any. */
static bool plausible(uint64_t field, unsigned wire)
{
    if (field == 0 || field > (1u << 29) - 1)
        return false;
    if (field > FIELD_MAX)
        return wire == WIRE_VARINT || wire == WIRE_64 || wire == WIRE_BYTES || wire == WIRE_32;
    if (field == 13)
        return wire == WIRE_BYTES || wire == WIRE_VARINT;
    return wire == (field <= 6 || field == 11 ? WIRE_BYTES : WIRE_VARINT);
}

/* Passes over the field at *AT. Returns its number, or 0 with *CUT when it runs over the end. */
static uint64_t next_field(const uint8_t *bytes, size_t size, size_t *at, bool *cut)
{
    uint64_t tag, length = 0;
    size_t end = *at;
    bool ok = read_varint(bytes, size, &end, &tag);

    *cut = !ok && end == size;
    if (!ok || !plausible(tag >> 3, tag & 7))
        return 0;
    switch (tag & 7) {
    case WIRE_VARINT:
        ok = read_varint(bytes, size, &end, &length);
        *cut = !ok && end == size;
        length = 0;
        break;
    case WIRE_BYTES:
        ok = read_varint(bytes, size, &end, &length);
        *cut = !ok && end == size;
        break;
    case WIRE_64:
        length = 8;
        break;
    default:
        length = 4;
    }
    if (!ok)
        return 0;
    if (length > size - end) {
        *cut = true;
        return 0;
    }
    *at = end + (size_t)length;
    return tag >> 3;
}

/* A chunk is an encoded message, its fields in rising order: where the order falls, a chunk may begin. */
static struct layout find_layout(const uint8_t *bytes, size_t size)
{
    struct layout layout = {0};
    uint64_t before = 0;

    while (layout.whole < size) {
        size_t at = layout.whole;
        uint64_t field = next_field(bytes, size, &at, &layout.cut);
        if (!field)
            break;
        if (field < before)
            layout.boundaries[layout.boundary_count++ % TRIES] = layout.whole;
        before = field;
        layout.whole = at;
    }
    return layout;
}

/* Decodes the first SIZE bytes, which are whole fields. Returns as hpp_raw_add; *LOADED is set on success. */
static int load(const uint8_t *bytes, size_t size, struct hpp_profile **loaded, const char **reason)
{
    struct hpp_profile *profile = hpp_profile_new();
    struct hpp_raw raw = {0};
    int result = 0;

    for (size_t from = 0, at = 0; from < size && !result; from = at) {
        bool cut;
        do
            next_field(bytes, size, &at, &cut);
        while (at < size && at - from < SLICE);
        result = hpp_raw_add(&raw, profile, bytes + from, at - from, reason);
    }
    if (!result)
        result = hpp_raw_resolve(&raw, profile, reason);
    hpp_raw_free(&raw);
    if (!result)
        *loaded = profile;
    else
        hpp_profile_free(profile);
    return result;
}

int hpp_profile_parse(const void *bytes, size_t size, const char *name, struct hpp_profile **profile,
                      char error[HPP_ERROR_SIZE])
{
    struct layout layout = find_layout(bytes, size);
    size_t tries = layout.boundary_count < TRIES ? layout.boundary_count : TRIES, end = layout.whole;
    const char *reason = "", *first = NULL;

    if (!size) {
        snprintf(error, HPP_ERROR_SIZE, "%s is empty: nothing was profiled, or not yet", name);
        return -ENODATA;
    }
    for (size_t i = 0; i <= tries; i++) {
        int result = load(bytes, end, profile, &reason);
        if (!result) {
            (*profile)->torn_bytes = size - end;
            return 0;
        }
        first = first ? first : reason;
        if (result == -EEXIST)
            break;
        if (i < tries)
            end = layout.boundaries[(layout.boundary_count - 1 - i) % TRIES];
    }
    if (layout.cut && *(const char *)bytes == 0x0a) {
        snprintf(error, HPP_ERROR_SIZE, "%s is torn in its first chunk: it holds no whole profile", name);
        return -EILSEQ;
    }
    snprintf(error, HPP_ERROR_SIZE, "%s is not a profile that hpprof or pprof wrote: %s", name, first);
    return -EBADMSG;
}

/* All of FILE, unpacked if it is gzip'd. A gzip file that ends too early gives what could be unpacked. */
static int read_all(gzFile file, uint8_t **bytes, size_t *size, bool *early)
{
    size_t room = 0;
    int got, status;

    do {
        *bytes = hpp_memory_room(*bytes, &room, *size + (1 << 20), 1);
        got = gzread(file, *bytes + *size, 1 << 20);
        *size += got > 0 ? (size_t)got : 0;
        if (*size > BYTES_MAX)
            return -EFBIG;
    } while (got > 0);
    if (got < 0) {
        gzerror(file, &status);
        if (status == Z_ERRNO || !*size)
            return status == Z_ERRNO ? -errno : -EBADMSG;
    }
    *early = got < 0;
    return 0;
}

static int open_file(const char *path, gzFile *file)
{
    struct stat status;
    int descriptor = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : dup(0);

    if (descriptor < 0)
        return -errno;
    if (!fstat(descriptor, &status) && S_ISDIR(status.st_mode)) {
        close(descriptor);
        return -EISDIR;
    }
    *file = gzdopen(descriptor, "rb");
    if (!*file) {
        close(descriptor);
        return -ENOMEM;
    }
    gzbuffer(*file, 1 << 17);
    return 0;
}

int hpp_profile_read(const char *path, struct hpp_profile **profile, char error[HPP_ERROR_SIZE])
{
    const char *name = strcmp(path, "-") ? path : "standard input";
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool early = false;
    gzFile file = NULL;
    int result = open_file(path, &file);

    if (!result) {
        result = read_all(file, &bytes, &size, &early);
        gzclose(file);
    }
    if (result)
        snprintf(error, HPP_ERROR_SIZE, "cannot read %s: %s", name,
                 result == -EFBIG ? "it holds more than 4 GiB" : strerror(-result));
    else
        result = hpp_profile_parse(bytes, size, name, profile, error);
    if (!result && early && !(*profile)->torn_bytes)
        (*profile)->torn_bytes = 1; /* at least: what was packed is not known */
    free(bytes);
    return result;
}
