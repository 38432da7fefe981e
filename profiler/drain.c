/* The writer's work: from rings to chunks. Runs in the writer process; where there is none, once, in
 * the exiting program. */
#include "profiler/writer.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/accounts.h"
#include "profiler/adopt.h"
#include "profiler/budget.h"
#include "profiler/books.h"
#include "profiler/images.h"
#include "profiler/labels.h"
#include "profiler/sampler.h"
#include "profiler/sandbox.h"
#include "profiler/source.h"
#include "profiler/tables.h"
#include "profiler/walk.h"
#include "profiler/walk_libunwind.h"
#include "profiler/signal_safe.h"

#define SCAN_AGE 1000000000ull /* ns: a flush looks for images if nothing else has for so long */

void hpp_writer_begin(void)
{
    hpp_writer.has_begun = 1;
    if (atomic_load(&hpp_writer.stop))
        return;
    if (atomic_load(&hpp_sampler.code))
        hpp_tables_load(atomic_load(&hpp_sampler.code));
    else
        hpp_images_scan(hpp_sys_now(CLOCK_MONOTONIC));
}

/* The map that was true when the record was taken: a library may have gone since, and another come in its
 * place. */
static const struct hpp_code_map *map_of(const struct hpp_slot *slot, const uint64_t *record, uint64_t now)
{
    int8_t age = (int8_t)(HPP_RECORD_EPOCH(record[0]) - (uint8_t)hpp_writer.epoch);

    if (age > 0)
        hpp_images_scan(now);
    if (age < 0 && hpp_writer.map_before)
        return hpp_writer.map_before;
    hpp_images_look(slot, record, now);
    return atomic_load(&hpp_sampler.code);
}

/* Asks the kernel for the present name of the target's thread TID. Returns whether it told. */
static int read_name(int tid, char name[HPP_THREAD_NAME + 1])
{
    char path[64];
    struct hpp_text text = HPP_TEXT(path);
    long fd, count;

    hpp_text_put(&text, "/proc/");
    hpp_text_put_number(&text, (uint64_t)hpp_writer.target);
    hpp_text_put(&text, "/task/");
    hpp_text_put_number(&text, (uint64_t)tid);
    hpp_text_put(&text, "/comm");
    fd = hpp_sys_open(path, O_RDONLY, 0);
    count = fd < 0 ? 0 : hpp_sys_read((int)fd, name, HPP_THREAD_NAME);
    if (fd >= 0)
        hpp_sys_close((int)fd);
    if (count <= 0)
        return 0;
    name[name[count - 1] == '\n' ? count - 1 : count] = 0;
    return 1;
}

/* The thread's name as a string of the profile; asked for once a flush. */
static uint32_t thread_name(struct hpp_slot *slot)
{
    char name[HPP_THREAD_NAME + 1] = {0};
    int told;

    if (slot->named_at == hpp_writer.flushes + 1)
        return slot->name_index;
    told =
        hpp_writer.proc_is_ours && atomic_load(&slot->state) != HPP_SLOT_ENDED && read_name(slot->tid, name);
    if (told && !slot->stack_end) /* an adopted thread does not tell at its end */
        for (unsigned i = 0; i + 1 < HPP_THREAD_NAME; i++)
            slot->name[i] = name[i];
    slot->name_index = hpp_aggregate_string(&hpp_writer.aggregate, told ? name : slot->name);
    slot->named_at = hpp_writer.flushes + 1;
    return slot->name_index;
}

/* The handler walked with the map before MAP: where that had another library, what it took for callers of
 * the code that is there now is not to be relied on. Returns the record's first word without them. */
static uint64_t without_invented(const uint64_t *record, const struct hpp_code_map *map)
{
    unsigned count = HPP_RECORD_FRAMES(record[0]);

    for (unsigned i = 0; i + 1 < count && hpp_writer.map_before && hpp_writer.map_before != map; i++) {
        uint64_t address = record[HPP_RECORD_WORDS + i] - (i > 0);
        const struct hpp_code_range *then = hpp_image_find(hpp_writer.map_before, address);
        const struct hpp_code_range *now = hpp_image_find(map, address);
        if (then && now && then->segment != now->segment)
            return HPP_RECORD(i + 1, HPP_WALK_NOT_CODE, HPP_RECORD_WEIGHT(record[0])) |
                   HPP_RECORD_AT(HPP_RECORD_EPOCH(record[0]));
    }
    return record[0];
}

/* Tells of WEIGHT at the innermost address of STACK. */
static void tell_sampled(const struct hpp_stack *stack, uint32_t weight)
{
    if (stack && hpp_writer.sampled)
        hpp_writer.sampled(hpp_writer.aggregate.locations[stack->locations[0] - 1].address, weight);
}

/* The last sample of the slot's thread is to stand for WEIGHT periods more. Where that was long ago, they are
 * booked instead. */
static void extend_last(struct hpp_slot *slot, uint32_t weight)
{
    if (slot->named_at >= hpp_writer.flushes && slot->last) {
        hpp_aggregate_extend(&hpp_writer.aggregate, slot->last, weight);
        tell_sampled(slot->last, weight);
    } else {
        hpp_account_add(HPP_SHORT_LIVED, slot->start_routine, (int64_t)(weight * hpp_sampler.period));
    }
}

static void take_record(struct hpp_slot *slot, uint64_t *record, uint64_t now)
{
    struct hpp_writer *writer = &hpp_writer;
    const struct hpp_code_map *map;
    int stale = HPP_RECORD_EPOCH(record[0]) != (uint8_t)writer->epoch;
    uint64_t head = record[0];

    map = map_of(slot, record, now);
    if (stale)
        record[0] = without_invented(record, map);
    if (record[0] & HPP_RECORD_UNTOLD)
        hpp_tables_note(map, record);
    slot->last = hpp_aggregate_add(&writer->aggregate, map, record, slot->tid, thread_name(slot));
    tell_sampled(slot->last, HPP_RECORD_WEIGHT(record[0]));
    record[0] = head;
}

/* Takes what the ring holds. */
static void drain_ring(struct hpp_ring *ring, uint64_t now)
{
    uint64_t *record;

    while ((record = hpp_ring_peek(ring))) {
        struct hpp_slot *slot = &hpp_sampler.slots[HPP_RECORD_SLOT(record[2])];

        if (HPP_RECORD_IS_REST(record[0]))
            extend_last(slot, HPP_RECORD_WEIGHT(record[0]));
        else
            take_record(slot, record, now);
        hpp_ring_consume(ring, record);
        hpp_slot_taken(slot, 1);
        hpp_writer.last_sample = now;
    }
}

int hpp_writer_drain(void)
{
    int soon = 0;
    uint64_t now = hpp_sys_now(CLOCK_MONOTONIC);
    uint32_t used = atomic_load(&hpp_sampler.rings_used);

    if (hpp_writer.proc_is_ours && hpp_writer.has_begun)
        soon = hpp_adopt_look(now);
    hpp_timer_perf_serve();
    for (uint32_t i = 0; i < used; i++) {
        struct hpp_ring *ring = atomic_load(&hpp_sampler.rings[i]);
        if (!ring)
            continue;
        if (hpp_ring_used(ring) > HPP_RING_WORDS / 4) {
            soon = 1;
            hpp_ring_map((i + 1) % hpp_sampler.ring_count);
        }
        drain_ring(ring, now);
    }
    hpp_budget_look(now);
    return soon;
}

/* ---- what was lost ---------------------------------------------------------------------------------- */

/* Puts " NAME=COUNT" if the count has grown since it was told. Returns whether it has. */
static int put_count(struct hpp_text *text, const char *name, uint64_t count, uint64_t *told)
{
    if (count == *told)
        return 0;
    hpp_text_put(text, " ");
    hpp_text_put(text, name);
    hpp_text_put(text, "=");
    hpp_text_put_number(text, count - *told);
    *told = count;
    return 1;
}

static void comment_losses(void)
{
    struct hpp_writer *writer = &hpp_writer;
    char line[256];
    struct hpp_text text = HPP_TEXT(line);
    int any = 0;

    hpp_text_put(&text, "hpprof.lost");
    any |= put_count(&text, "dropped", atomic_load(&hpp_sampler.dropped), &writer->told_dropped);
    any |= put_count(&text, "stale", atomic_load(&hpp_sampler.stale), &writer->told_stale);
    any |= put_count(&text, "threads", atomic_load(&hpp_sampler.unsampled), &writer->told_unsampled);
    any |= put_count(&text, "not_libunwind", hpp_walk_libunwind_refused(), &writer->told_refused);
    any |= put_count(&text, "labels", hpp_labels_refused(), &writer->told_labels);
    any |= put_count(&text, "write_errors", writer->file.write_errors, &writer->told_write_errors);
    any |= put_count(&text, "lost_weight", writer->aggregate.lost_weight, &writer->told_lost_weight);
    if (any)
        hpp_pprof_comment(&writer->file, &writer->aggregate, line);
}

static void comment_note(void)
{
    const char *note = atomic_load(&hpp_writer.note);
    char line[256];
    struct hpp_text text = HPP_TEXT(line);

    if (note == hpp_writer.told_note)
        return;
    hpp_writer.told_note = note;
    hpp_text_put(&text, "hpprof.note text='");
    hpp_text_put(&text, note);
    hpp_text_put(&text, "'");
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}

/* Threads that ended without a word (a raw exit call) give their slots back, and those do that ended while
 * their last sample was being read. */
static void end_dead_threads(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++) {
        struct hpp_slot *slot = &hpp_sampler.slots[i];
        if (atomic_load(&slot->state) == HPP_SLOT_ACTIVE &&
            HPP_SYSCALL(tgkill, hpp_writer.target, slot->tid, 0, 0, 0, 0) == -ESRCH)
            hpp_slot_end(slot);
        hpp_slot_taken(slot, 0);
    }
}

/* The process did not get to say what its only thread used since its last sample. */
static void extend_only_thread(void)
{
    uint32_t weight = hpp_account_only_thread(hpp_writer.books.total + hpp_accounts_cpu_begin());

    if (weight)
        extend_last(&hpp_sampler.slots[0], weight);
}

int hpp_writer_flush(const char *cause)
{
    struct hpp_writer *writer = &hpp_writer;
    char line[64];
    struct hpp_text text = HPP_TEXT(line);
    int error;

    writer->last_flush = hpp_sys_now(CLOCK_MONOTONIC);
    if (cause && !hpp_text_equal(cause, "exit"))
        extend_only_thread();
    hpp_books_settle(0);
    if (!writer->file.size && !writer->always_write && !writer->aggregate.samples &&
        !writer->aggregate.first && !(cause && hpp_books_are_needed()))
        return 0;
    if (!atomic_load(&hpp_sampler.code) || (!cause && writer->last_flush - writer->last_scan >= SCAN_AGE))
        hpp_images_scan(writer->last_flush);
    if (writer->describe)
        writer->describe(cause != NULL);
    hpp_books_settle(cause != NULL);
    hpp_books_comment(cause != NULL);
    if (!cause) {
        end_dead_threads();
        hpp_timer_perf_tidy();
        if (writer->proc_is_ours)
            hpp_sandbox_look(writer->target);
    }
    comment_losses();
    comment_note();
    hpp_tables_comment(atomic_load(&hpp_sampler.code));
    if (cause) {
        hpp_timer_perf_comment();
        hpp_text_put(&text, "hpprof.end cause=");
        hpp_text_put(&text, cause);
        hpp_pprof_comment(&writer->file, &writer->aggregate, line);
    }
    error = hpp_pprof_append(&writer->file, &writer->aggregate);
    writer->flushes++;
    return error;
}
