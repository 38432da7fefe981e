/* Builds profiles as the agent writes them: a chunk at a time, ids and strings counting through. */
#ifndef HPP_TESTS_UNIT_FIXTURE_H
#define HPP_TESTS_UNIT_FIXTURE_H

#include "proto/profile.pb-c.h"
#include "symbolizer/profile.h"

enum { FIXTURE_ROOM = 64, FIXTURE_PERIOD = 10101010 };

struct fixture {
    uint8_t *bytes;
    size_t size;               /* of the chunks that were ended */
    size_t ends[FIXTURE_ROOM]; /* where each chunk ends */
    size_t chunk_count;
    char *strings[FIXTURE_ROOM * 4];
    size_t string_count;
    uint64_t mappings, locations, functions; /* ids given out */
    Hpp__Pprof__Profile chunk;               /* the one under way */
};

void fixture_begin(struct fixture *fixture); /* an empty file, its first chunk under way */
void fixture_end_chunk(struct fixture *fixture);
void fixture_free(struct fixture *fixture);

int64_t fixture_string(struct fixture *fixture, const char *text);
uint64_t fixture_mapping(struct fixture *fixture, uint64_t start, uint64_t size, uint64_t offset,
                         const char *path, const char *build_id);
uint64_t fixture_location(struct fixture *fixture, uint64_t mapping, uint64_t address);
uint64_t fixture_named(struct fixture *fixture, uint64_t mapping, uint64_t address, const char *name);
/* A sample of WEIGHT periods with DEPTH locations, leaf first, of thread NAME. */
void fixture_sample(struct fixture *fixture, int64_t weight, const char *thread, int64_t tid, size_t depth,
                    const uint64_t *locations);
void fixture_comment(struct fixture *fixture, const char *text);

/* A whole small file of two chunks: process PID, image PATH loaded at BASE, five samples; the second chunk
 * brings a new location, a new thread and a loss. */
void fixture_program(struct fixture *fixture, int64_t pid, const char *path, const char *build_id,
                     uint64_t base);

/* The profile in FIXTURE, which must be valid. */
struct hpp_profile *fixture_profile(const struct fixture *fixture);

/* The sum of value COLUMN over all samples. */
int64_t fixture_total(const struct hpp_profile *profile, size_t column);

#endif
