/* A profile that has become too large, aggregated anew. Its chunks are read back: what is no sample is copied
 * as it stands (ids and strings stay), of the samples equal ones become one. Writer; memory only while it
 * works. */
#include "profiler/pprof_file.h"

#include <errno.h>
#include <sys/file.h>

#include "common/cursor.h"
#include "common/sys.h"
#include "common/text.h"
#include "profiler/pprof_row.h"
#include "profiler/signal_safe.h"

#define WINDOW      (64u << 10) /* no field is larger */
#define ROOM        (64u << 20) /* for the sums */
#define FIRST_SLOTS 4096u

/* Fields of profile.proto that matter here; all are varints (wire type 0) or bytes (2). */
enum { FIELD_SAMPLE = 2, FIELD_DURATION = 10 };

/* What is given up, more with each level. */
static const struct hpp_row_form levels[] = {
    {60, 0, 0, 0, ""},   {3600, 0, 0, 0, ""},         {0, 0, 0, 0, ""},
    {0, 1, 0, 0, "tid"}, {0, 1, 1, 0, "tid,callers"}, {0, 1, 1, 1, "tid,callers,labels"}};

/* And how large the result may be, in per cent of file->max: less that matters is given up for a smaller
 * file. */
static const unsigned goals[] = {50, 50, 75, 75, 85, 100};

/* Equal samples, known by a hash: of a million, two different ones have the same with a chance of 10^-7. */
struct sum {
    uint64_t hash; /* 0: free */
    int64_t values[2];
};

struct again {
    struct hpp_pprof_file *file;
    const struct hpp_row_form *level;
    struct hpp_row_keys keys;
    struct hpp_arena arena; /* the sums */
    struct sum *sums;
    uint32_t slots, count;
    uint64_t size; /* of the file to be */
    uint64_t duration;
    /* the file as it is: a window of it */
    uint8_t *window;
    uint64_t window_at;
    size_t window_size;
    /* the file to be */
    int fd;
    uint8_t *out;
    size_t out_used;
    uint64_t out_at;
};

/* ---- the sums --------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    return (hash ^ size) * 0x9e3779b97f4a7c15ull;
}

static uint64_t hash_of(const struct hpp_row *row)
{
    uint64_t hash = mix(mix(0, row->stack, row->stack_size), row->labels, row->labels_size);
    return hash ? hash : 1;
}

static struct sum *find(const struct again *again, uint64_t hash)
{
    uint32_t at = (uint32_t)(hash >> 32) & (again->slots - 1);

    while (again->sums[at].hash && again->sums[at].hash != hash)
        at = (at + 1) & (again->slots - 1);
    return &again->sums[at];
}

/* Twice as many slots; those before stay in the arena, at most as much again. */
static int grow(struct again *again)
{
    struct sum *before = again->sums;
    uint32_t slots = again->slots;

    again->slots = slots ? slots * 2 : FIRST_SLOTS;
    again->sums = hpp_arena_allocate(&again->arena, again->slots * sizeof *again->sums);
    if (!again->sums)
        return -ENOMEM;
    for (uint32_t i = 0; i < slots; i++)
        if (before[i].hash)
            *find(again, before[i].hash) = before[i];
    return 0;
}

/* ---- the two passes over the file ------------------------------------------------------------------- */

/* The bytes at OFFSET of the file, as many as a window holds. */
static int view(struct again *again, uint64_t offset, struct hpp_cursor *bytes)
{
    uint64_t end = again->window_at + again->window_size;

    if (offset < again->window_at || (offset + WINDOW > end && end < again->file->size)) {
        uint64_t left = again->file->size - offset;
        size_t want = left < 4 * WINDOW ? left : 4 * WINDOW;
        again->window_at = offset;
        for (again->window_size = 0; again->window_size < want;) {
            long count = hpp_sys_pread(again->file->fd, again->window + again->window_size,
                                       want - again->window_size, offset + again->window_size);
            if (count <= 0)
                return count ? (int)count : -EIO;
            again->window_size += (size_t)count;
        }
        if (again->file->between)
            again->file->between();
    }
    *bytes = (struct hpp_cursor){again->window + (offset - again->window_at),
                                 again->window + again->window_size, 0};
    return 0;
}

static int put(struct again *again, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        again->out[again->out_used++] = bytes[i];
        if (again->out_used == WINDOW) {
            int error = hpp_pprof_write_at(again->fd, again->out, WINDOW, again->out_at);
            if (error)
                return error;
            again->out_at += WINDOW;
            again->out_used = 0;
        }
    }
    return 0;
}

/* First pass: adds the sample up. */
static int add_row(struct again *again, struct hpp_cursor *from)
{
    size_t old_size = hpp_cursor_left(from);
    struct hpp_row row;
    struct sum *sum;
    uint64_t hash;

    if (hpp_row_read(from, again->level, &again->keys, &row))
        return -EBADMSG;
    if (again->count * 2 >= again->slots && grow(again))
        return -ENOMEM;
    hash = hash_of(&row);
    sum = find(again, hash);
    if (!sum->hash) {
        sum->hash = hash;
        again->count++;
        again->size += again->level->without_callers ? row.stack_size + row.labels_size + 20 : old_size + 6;
    }
    return __builtin_add_overflow(sum->values[0], row.values[0], &sum->values[0]) ||
                   __builtin_add_overflow(sum->values[1], row.values[1], &sum->values[1])
               ? -EBADMSG
               : 0;
}

/* Second pass: writes the sum where the first of the equal samples stands. */
static int put_row(struct again *again, struct hpp_cursor *from)
{
    struct hpp_row row;
    struct sum *sum;
    uint8_t values[24], head[32];
    size_t values_size, size, at = 0;
    int error;

    if (hpp_row_read(from, again->level, &again->keys, &row))
        return -EBADMSG;
    sum = find(again, hash_of(&row));
    if (!sum->values[0] && !sum->values[1])
        return 0;
    values_size = hpp_row_put_varint(values, (uint64_t)sum->values[0]);
    values_size += hpp_row_put_varint(values + values_size, (uint64_t)sum->values[1]);
    sum->values[0] = sum->values[1] = 0;
    size = hpp_row_put_varint(head, row.stack_size) + 1 + row.stack_size + 2 + values_size + row.labels_size;
    head[at++] = FIELD_SAMPLE << 3 | 2;
    at += hpp_row_put_varint(head + at, size);
    head[at++] = HPP_ROW_LOCATIONS << 3 | 2;
    at += hpp_row_put_varint(head + at, row.stack_size);
    error = put(again, head, at);
    if (!error)
        error = put(again, row.stack, row.stack_size);
    if (!error)
        error = put(again, (uint8_t[]){HPP_ROW_VALUES << 3 | 2, (uint8_t)values_size}, 2);
    if (!error)
        error = put(again, values, values_size);
    return error ? error : put(again, row.labels, row.labels_size);
}

static int pass(struct again *again, int writes)
{
    int error = 0;

    for (uint64_t offset = 0; !error && offset < again->file->size;) {
        struct hpp_cursor cursor, body;
        const uint8_t *start;
        uint64_t number;
        unsigned field;
        error = view(again, offset, &cursor);
        if (error)
            return error;
        start = cursor.at;
        field = hpp_row_next(&cursor, &body, &number);
        if (!field)
            return -EBADMSG;
        offset += (uint64_t)(cursor.at - start);
        if (field == FIELD_SAMPLE)
            error = writes ? put_row(again, &body) : add_row(again, &body);
        else if (field == FIELD_DURATION)
            again->duration = number;
        else if (writes)
            error = put(again, start, (size_t)(cursor.at - start));
        else
            again->size += (uint64_t)(cursor.at - start);
    }
    return error;
}

/* ---- all of it -------------------------------------------------------------------------------------- */

/* A new file in the file's folder, of a name that no reader takes for a profile. */
static int open_beside(struct again *again, char path[HPP_PATH_MAX])
{
    const char *name = hpp_text_base_name(again->file->path);
    long fd = -EEXIST;

    for (unsigned attempt = 0; fd == -EEXIST && attempt < 100; attempt++) {
        struct hpp_text text = {path, HPP_PATH_MAX, 0};
        hpp_text_put_bytes(&text, again->file->path, (size_t)(name - again->file->path));
        hpp_text_put(&text, ".hpprof.");
        hpp_text_put_number(&text, (uint64_t)hpp_sys_getpid());
        hpp_text_put(&text, ".");
        hpp_text_put_number(&text, attempt);
        fd = hpp_sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    }
    if (fd < 0)
        return (int)fd;
    if (again->file->locked)
        HPP_SYSCALL(flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0);
    again->fd = (int)fd;
    return 0;
}

/* Whether the file still has its name. */
static int is_in_place(const struct hpp_pprof_file *file)
{
    struct stat own, named;

    return !hpp_sys_fstat(file->fd, &own) &&
           !HPP_SYSCALL(newfstatat, AT_FDCWD, file->path, &named, AT_SYMLINK_NOFOLLOW, 0, 0) &&
           own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

/* Writes the new file and puts it in the place of the old one. */
static int replace(struct again *again)
{
    struct hpp_pprof_file *file = again->file;
    char path[HPP_PATH_MAX];
    uint8_t duration[16] = {FIELD_DURATION << 3};
    int error = open_beside(again, path);

    if (error)
        return error;
    again->window_size = 0;
    error = pass(again, 1);
    if (!error)
        error = put(again, duration, 1 + hpp_row_put_varint(duration + 1, again->duration));
    if (!error)
        error = hpp_pprof_write_at(again->fd, again->out, again->out_used, again->out_at);
    if (!error && !is_in_place(file))
        error = -ENOENT;
    if (!error)
        error = (int)HPP_SYSCALL(renameat, AT_FDCWD, path, AT_FDCWD, file->path, 0, 0);
    if (error) {
        HPP_SYSCALL(unlinkat, AT_FDCWD, path, 0, 0, 0, 0);
        hpp_sys_close(again->fd);
        return error;
    }
    hpp_sys_close(file->fd);
    file->fd = again->fd;
    file->size = again->out_at + again->out_used;
    return 0;
}

/* The first level that makes the file small enough, or the last. */
static int choose_level(struct again *again)
{
    int error = -ENOMEM;

    for (unsigned i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        hpp_arena_release(&again->arena);
        again->sums = NULL;
        again->slots = again->count = 0;
        again->size = again->window_size = 0;
        again->level = &levels[i];
        error = pass(again, 0);
        if (error ? error != -ENOMEM : again->size <= again->file->max / 100 * goals[i])
            return error;
    }
    return error;
}

static void comment(struct again *again, struct hpp_aggregate *aggregate, uint64_t before)
{
    char line[128];
    struct hpp_text text = HPP_TEXT(line);

    hpp_text_put(&text, "hpprof.aggregated seconds=");
    hpp_text_put_number(&text, again->level->seconds);
    hpp_text_put(&text, " before=");
    hpp_text_put_number(&text, before);
    hpp_text_put(&text, " after=");
    hpp_text_put_number(&text, again->file->size);
    if (*again->level->without) {
        hpp_text_put(&text, " without=");
        hpp_text_put(&text, again->level->without);
    }
    hpp_pprof_comment(again->file, aggregate, line);
}

void hpp_pprof_again(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate)
{
    struct again again = {.file = file,
                          .arena = {.limit = ROOM, .no_fork = 1},
                          .keys = {hpp_aggregate_string(aggregate, "thread"),
                                   hpp_aggregate_string(aggregate, "tid"),
                                   hpp_aggregate_string(aggregate, "time"), file->started / 1000000000u},
                          .window = hpp_arena_allocate(&file->scratch, 4 * WINDOW),
                          .out = hpp_arena_allocate(&file->scratch, WINDOW)};
    uint64_t before = file->size;
    int error = again.window && again.out ? 0 : -ENOMEM;

    if (file->size && file->size >= file->not_before) {
        if (!error)
            error = choose_level(&again);
        if (!error)
            error = replace(&again);
        if (!error)
            comment(&again, aggregate, before);
        hpp_arena_release(&again.arena);
        file->not_before = file->size + file->size / 4;
    }
    hpp_arena_reset(&file->scratch);
    if (file->limit < file->size + file->size / 4 + file->refused)
        file->limit = file->size + file->size / 4 + file->refused;
}
