/* A pprof file as it stands: its own ids and string indices, not yet checked against each other. Filled by
 * profile_raw.c field by field, turned into a model by profile_resolve.c. Only profile_read.c uses it. */
#ifndef HPP_SYMBOLIZER_PROFILE_RAW_H
#define HPP_SYMBOLIZER_PROFILE_RAW_H

#include "symbolizer/memory.h"
#include "symbolizer/profile.h"

struct hpp_raw_mapping {
    int64_t filename, build_id;
    struct hpp_mapping mapping; /* without its strings */
};

struct hpp_raw_function {
    int64_t name, system_name, filename, start_line;
};

struct hpp_raw_line {
    uint64_t function_id;
    int64_t line, column;
};

struct hpp_raw_location {
    uint64_t mapping_id, address;
    size_t first_line;
    uint32_t line_count;
    bool folded;
};

struct hpp_raw_label {
    int64_t key, str, num, num_unit;
};

struct hpp_raw_value_type {
    int64_t type, unit;
};

struct hpp_raw {
    uint32_t *strings; /* of each string of the file: its index in the model */
    size_t string_count, string_room;
    struct hpp_intern mapping_ids, function_ids, location_ids; /* 8-byte ids, in order */
    struct hpp_raw_mapping *mappings;
    size_t mapping_room;
    struct hpp_raw_function *functions;
    size_t function_room;
    struct hpp_raw_location *locations;
    size_t location_room;
    struct hpp_raw_line *lines;
    size_t line_count, line_room;
    struct hpp_intern stacks;      /* 8-byte location ids */
    struct hpp_intern labels;      /* struct hpp_raw_label's */
    struct hpp_intern sample_keys; /* two uint32_t: stack, labels */
    int64_t *values;
    size_t value_room, value_count; /* value_count: of a sample; 0 before the first */
    struct hpp_raw_value_type types[HPP_VALUE_MAX], period_type;
    size_t type_count;
    int64_t *comments;
    size_t comment_count, comment_room;
    int64_t period, time_nanos, duration_nanos;
    int64_t drop_frames, keep_frames, default_sample_type, doc_url;
    struct hpp_pool pool;
};

/* Decodes SIZE bytes, whole top-level fields of a Profile message, and adds what they hold to RAW; strings go
 * to PROFILE. Returns 0, or -EBADMSG with the reason in REASON, -EEXIST if that is an id used twice. */
int hpp_raw_add(struct hpp_raw *raw, struct hpp_profile *profile, const void *bytes, size_t size,
                const char **reason);

/* Checks every reference in RAW and builds PROFILE from it. Returns 0, or -EBADMSG with the reason in
 * REASON. */
int hpp_raw_resolve(struct hpp_raw *raw, struct hpp_profile *profile, const char **reason);

void hpp_raw_free(struct hpp_raw *raw);

#endif
