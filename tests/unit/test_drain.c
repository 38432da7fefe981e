/* The writer's work without its process: from rings to the file, and what it says of losses. */
#include "profiler/writer.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/walk.h"
#include "proto/profile.pb-c.h"

static char folder[] = "/tmp/hpprof-drain-XXXXXX";

static int setup(void **state)
{
    const struct hpp_code_map *map;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(hpp_sampler_init(HPP_MEMORY_DEFAULT), 0);
    hpp_aggregate_init(&hpp_writer.aggregate);
    assert_int_equal(
        hpp_image_scan(&hpp_writer.image_arena, &hpp_writer.map_arena[0], NULL, getauxval(AT_ENTRY), &map),
        0);
    atomic_store(&hpp_sampler.code, map);
    assert_int_equal(hpp_aggregate_segments(&hpp_writer.aggregate, map), 0);
    hpp_writer.file.fd = -1;
    hpp_writer.file.period = 1000;
    hpp_writer.target = getpid();
    hpp_writer.proc_is_ours = 1;
    snprintf(hpp_writer.file.path, sizeof hpp_writer.file.path, "%s/app.pb", folder);
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct hpp_slot *active_slot(void)
{
    struct hpp_slot *slot = hpp_slot_claim();

    slot->state = HPP_SLOT_ACTIVE;
    return slot;
}

static struct hpp_ring *home(const struct hpp_slot *slot)
{
    return hpp_sampler.rings[slot->home];
}

static uint64_t *reserve(const struct hpp_slot *slot)
{
    uint64_t *record = hpp_ring_reserve(home(slot), HPP_DEPTH_MAX);

    assert_non_null(record);
    record[1] = 0;
    record[2] = HPP_RECORD_OF(slot - hpp_sampler.slots, 0);
    return record;
}

static void commit(struct hpp_slot *slot, unsigned frames)
{
    slot->put++;
    hpp_ring_commit(home(slot), HPP_RECORD_WORDS + frames);
}

static void put(struct hpp_slot *slot, uint32_t weight, const void *leaf)
{
    uint64_t *record = reserve(slot);

    record[HPP_RECORD_WORDS] = (uint64_t)(uintptr_t)leaf;
    record[0] = HPP_RECORD(1, HPP_WALK_ROOT, weight);
    commit(slot, 1);
}

static Hpp__Pprof__Profile *decode(void)
{
    uint8_t *bytes = malloc(hpp_writer.file.size + 1);
    int fd = open(hpp_writer.file.path, O_RDONLY);
    Hpp__Pprof__Profile *profile;

    assert_int_equal(read(fd, bytes, hpp_writer.file.size + 1), hpp_writer.file.size);
    profile = hpp__pprof__profile__unpack(NULL, hpp_writer.file.size, bytes);
    assert_non_null(profile);
    close(fd);
    free(bytes);
    return profile;
}

/* Flushes, and expects the file to have COUNT comments, the last of which is LAST. */
static void flush(const char *cause, size_t count, const char *last)
{
    Hpp__Pprof__Profile *profile;

    assert_int_equal(hpp_writer_flush(cause), 0);
    profile = decode();
    assert_int_equal(profile->n_comment, count);
    if (count)
        assert_string_equal(profile->string_table[profile->comment[count - 1]], last);
    hpp__pprof__profile__free_unpacked(profile, NULL);
}

/* Without a sample there is no file. */
static void test_nothing(void **state)
{
    (void)state;
    active_slot();
    hpp_writer_drain();
    assert_int_equal(hpp_writer_flush(NULL), 0);
    assert_int_equal(hpp_writer_flush("exit"), 0);
    assert_int_equal(hpp_writer.file.fd, -1);
    assert_int_equal(access(hpp_writer.file.path, F_OK), -1);
}

/* Samples of two slots, with the thread's name; an ended slot is free once it is read. */
static void test_samples(void **state)
{
    struct hpp_slot *live = active_slot(), *ended = active_slot();
    Hpp__Pprof__Profile *profile;

    (void)state;
    prctl(PR_SET_NAME, "tester");
    strcpy(ended->name, "gone");
    for (int i = 0; i < 10; i++) {
        put(live, 2, (void *)&test_samples);
        put(ended, 3, (void *)&test_samples);
    }
    hpp_slot_end(ended);
    assert_int_equal(ended->state, HPP_SLOT_ENDED);
    hpp_writer_drain();
    assert_int_equal(ended->state, HPP_SLOT_FREE);
    assert_int_equal(live->state, HPP_SLOT_ACTIVE);
    assert_null(hpp_ring_peek(home(live)));
    flush(NULL, 0, "");
    profile = decode();
    assert_int_equal(profile->n_sample, 2);
    assert_int_equal(profile->sample[0]->value[0], 20);
    assert_int_equal(profile->sample[0]->value[1], 20000);
    assert_string_equal(profile->string_table[profile->sample[0]->label[0]->str], "tester");
    assert_int_equal(profile->sample[0]->label[1]->num, gettid());
    assert_int_equal(profile->sample[1]->value[0], 30);
    assert_string_equal(profile->string_table[profile->sample[1]->label[0]->str], "gone");
    assert_int_equal(profile->location[HPP_LOCATIONS_SPECIAL]->mapping_id, 1);
    hpp__pprof__profile__free_unpacked(profile, NULL);
}

/* A ring that gets full is given a second one to go on in. */
static void test_growth(void **state)
{
    struct hpp_slot *slot = active_slot();
    uint32_t next = (slot->home + 1) % hpp_sampler.ring_count;

    (void)state;
    assert_null(hpp_sampler.rings[next]);
    put(slot, 1, (void *)&test_samples);
    assert_int_equal(hpp_writer_drain(), 0);
    assert_null(hpp_sampler.rings[next]);
    for (unsigned i = 0; i < HPP_RING_WORDS / 4 / (HPP_RECORD_WORDS + 1) + 1; i++)
        put(slot, 1, (void *)&test_samples);
    assert_int_equal(hpp_writer_drain(), 1);
    assert_non_null(hpp_sampler.rings[next]);
    assert_int_equal(hpp_writer_drain(), 0);
    hpp_aggregate_clear(&hpp_writer.aggregate);
    hpp_slot_end(slot);
}

/* Each loss is told once, with the chunk after it. */
static void test_losses(void **state)
{
    (void)state;
    hpp_sampler.dropped += 5;
    flush(NULL, 1, "hpprof.lost dropped=5");
    flush(NULL, 1, "hpprof.lost dropped=5");
    hpp_sampler.dropped += 2;
    hpp_sampler.stale = 3;
    hpp_sampler.unsampled = 1;
    hpp_writer.aggregate.lost_weight = 9;
    flush(NULL, 2, "hpprof.lost dropped=2 stale=3 threads=1 lost_weight=9");
    hpp_sampler.stale = 4;
    flush(NULL, 3, "hpprof.lost stale=1");
    atomic_store(&hpp_writer.note, "why");
    flush(NULL, 4, "hpprof.note text='why'");
    flush(NULL, 4, "hpprof.note text='why'");
}

/* An address in a library loaded since: looked up anew, and its mapping is in the file. */
static void test_new_library(void **state)
{
    struct hpp_slot *slot = active_slot();
    void *library = dlopen("libresolv.so.2", RTLD_NOW), *symbol = dlsym(library, "inet_net_ntop");
    Hpp__Pprof__Profile *profile;
    const Hpp__Pprof__Location *location;

    (void)state;
    assert_non_null(symbol);
    put(slot, 1, symbol);
    hpp_writer_drain();
    assert_int_equal(hpp_writer_flush(NULL), 0);
    profile = decode();
    location = profile->location[profile->n_location - 1];
    assert_int_equal(location->address, (uint64_t)(uintptr_t)symbol);
    assert_in_range(location->mapping_id, 1, profile->n_mapping);
    assert_non_null(
        strstr(profile->string_table[profile->mapping[location->mapping_id - 1]->filename], "libresolv"));
    hpp__pprof__profile__free_unpacked(profile, NULL);
    dlclose(library);
}

/* The mapping of the last location of what was drained, or NULL. */
static const struct hpp_segment *last_segment(void)
{
    const struct hpp_aggregate *aggregate = &hpp_writer.aggregate;
    uint32_t mapping = aggregate->locations[aggregate->location_count - 1].mapping;

    return mapping ? aggregate->segments[mapping - 1] : NULL;
}

/* Code at places where there can be none is not looked for all the time, wherever that is; but code that has
 * come since is found at once, however many looks for what samples stopped at were in vain. */
static void test_looks(void **state)
{
    struct hpp_slot *slot = active_slot();
    const uint64_t second = 1000000000u, none = 0x10000000u;
    uint64_t paid, begin = hpp_sys_now(CLOCK_MONOTONIC), before = hpp_writer.scans_paid;
    int fd = open("/proc/self/exe", O_RDONLY);
    char *code[3];

    (void)state;
    hpp_writer.last_scan = begin; /* none is due */
    hpp_writer.scan_interval = 1000 * second;
    put(slot, 1, (void *)none);
    hpp_writer_drain();
    assert_null(last_segment());
    paid = hpp_writer.scans_paid;
    assert_in_range(paid, before + 1, UINT64_MAX);
    put(slot, 1, (void *)(none + 8));
    hpp_writer_drain();
    assert_int_equal(hpp_writer.scans_paid, paid);
    for (unsigned i = 0; i < 3; i++) {
        code[i] = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        hpp_writer.last_scan = hpp_sys_now(CLOCK_MONOTONIC);
        hpp_writer.scan_interval = 1000 * second;
        put(slot, 1, code[i]);
        hpp_writer_drain();
        assert_non_null(last_segment());
        assert_int_equal(last_segment()->start, (uint64_t)(uintptr_t)code[i]);
    }
    for (unsigned i = 1; i < 1000; i++)
        put(slot, 1, (void *)(none + i * 4096));
    hpp_writer_drain();
    assert_in_range(hpp_writer.scans_paid, paid, hpp_sys_now(CLOCK_MONOTONIC) + 3 * second);
    for (unsigned i = 0; i < 3; i++)
        munmap(code[i], 8192);
    close(fd);
    hpp_aggregate_clear(&hpp_writer.aggregate);
    hpp_slot_end(slot);
}

/* A library has gone and another lies in its place: what the handler, which did not know, took for callers of
 * the new code is not told. */
static void test_library_replaced(void **state)
{
    struct hpp_slot *slot = active_slot();
    int fd = open("/proc/self/exe", O_RDONLY), other = open("/lib64/ld-linux-x86-64.so.2", O_RDONLY);
    char *place = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    const struct hpp_stack *stack;
    uint64_t *record;

    (void)state;
    put(slot, 1, place);
    hpp_writer.last_scan = 0;
    hpp_writer_drain();
    hpp_aggregate_clear(&hpp_writer.aggregate);
    assert_ptr_equal(mmap(place, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, other, 0), place);
    atomic_fetch_add(&hpp_sampler.epoch, 2);
    record = reserve(slot);
    for (unsigned i = 0; i < 4; i++)
        record[HPP_RECORD_WORDS + i] = (uint64_t)(uintptr_t)(i == 1 ? place + 64 : (char *)&put + 2 * i);
    record[0] = HPP_RECORD(4, HPP_WALK_ROOT, 9) | HPP_RECORD_AT(atomic_load(&hpp_sampler.epoch));
    commit(slot, 4);
    hpp_writer_drain();
    stack = hpp_writer.aggregate.first;
    assert_non_null(stack);
    assert_int_equal(stack->weight, 9);
    assert_int_equal(stack->count, 3); /* two frames are known, then [unfinished] */
    assert_int_equal(stack->locations[2], HPP_LOCATION_UNFINISHED);
    assert_null(hpp_ring_peek(home(slot)));
    munmap(place, 8192);
    close(fd);
    close(other);
    hpp_slot_end(slot);
}

/* A thread that is gone without a word loses its slot, not its samples. */
static void test_dead_thread(void **state)
{
    struct hpp_slot *slot = active_slot();
    uint64_t before = hpp_writer.aggregate.samples;

    (void)state;
    slot->tid = 0x3ffffff; /* above any pid_max */
    assert_int_equal(hpp_writer_flush(NULL), 0);
    assert_null(hpp_slot_of(slot->value));
    slot = active_slot();
    slot->tid = 0x3ffffff;
    put(slot, 4, (void *)&test_samples);
    assert_int_equal(hpp_writer_flush(NULL), 0);
    assert_null(hpp_slot_of(slot->value));
    hpp_writer_drain();
    assert_int_equal(slot->state, HPP_SLOT_FREE);
    assert_int_equal(hpp_writer.aggregate.samples, before + 4);
}

static void put_rest(struct hpp_slot *slot, uint32_t weight)
{
    reserve(slot)[0] = HPP_RECORD(0, HPP_WALK_ROOT, weight);
    commit(slot, 0);
}

/* What a thread used after its last sample: that stands for it, also when it has been written meanwhile; not
 * when that was long ago. */
static void test_rest(void **state)
{
    struct hpp_slot *slot = active_slot();
    uint64_t before = hpp_writer.aggregate.samples;

    (void)state;
    assert_int_equal(hpp_writer_flush(NULL), 0);
    put(slot, 3, (void *)&test_samples);
    hpp_writer_drain();
    put_rest(slot, 4);
    hpp_writer_drain();
    assert_int_equal(hpp_writer.aggregate.first->weight, 7);
    assert_int_equal(hpp_writer_flush(NULL), 0);
    assert_null(hpp_writer.aggregate.first);
    put_rest(slot, 5);
    hpp_writer_drain();
    assert_int_equal(hpp_writer.aggregate.first->weight, 5);
    assert_int_equal(hpp_writer.aggregate.first->tid, slot->tid);
    assert_int_equal(hpp_writer.aggregate.first->count, 1);
    assert_int_equal(hpp_writer_flush(NULL), 0);
    put_rest(slot, 6);
    hpp_writer_drain();
    assert_null(hpp_writer.aggregate.first);
    assert_int_equal(hpp_writer.aggregate.samples, before + 12);
    hpp_slot_end(slot);
    assert_int_equal(slot->state, HPP_SLOT_FREE);
}

static void test_end(void **state)
{
    (void)state;
    flush("exit", 5, "hpprof.end cause=exit");
    assert_int_equal(hpp_writer.file.samples, hpp_writer.aggregate.samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_new_library),
        cmocka_unit_test(test_looks),
        cmocka_unit_test(test_library_replaced),
        cmocka_unit_test(test_dead_thread),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_end),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
