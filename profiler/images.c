/* When the writer looks at the memory map for new images. See images.h.
 *
 * Where a thread was interrupted there was code: an address there that no image holds shows that one has come
 * since the last look. So that is looked for at once, and few of its samples have no name. Such looks are
 * paid for, as code made at run time may come and go all the time; one that finds nothing costs ten times as
 * much, and its page is remembered. What a walk has stopped at may be anything, and mostly is no code: for
 * that there is a look now and then, less often the more of them were in vain, and none at all where the
 * kernel counts as much code as before. */
#include "profiler/images.h"

#include "common/proc_file.h"
#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/tables.h"
#include "profiler/walk.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define MS                1000000ull
#define SCAN_INTERVAL_MIN (100 * MS)
#define SCAN_INTERVAL_MAX (1000 * MS)
#define SCANS_AT_ONCE     (2000 * MS) /* twenty that find something, two in vain */
#define QUIET_TRIES       100
#define PAGE_BITS         12

/* Whether no handler, and no fork that is copying it, can still have the map before the present one. */
static int old_map_is_free(void)
{
    uint32_t used = atomic_load(&hpp_sampler.rings_used);

    if (atomic_load(&hpp_sampler.forking))
        return 0;
    for (uint32_t i = 0; i < used; i++) {
        struct hpp_ring *ring = atomic_load(&hpp_sampler.rings[i]);
        for (int tries = 0; ring && atomic_load(&ring->busy); tries++) {
            if (tries == QUIET_TRIES)
                return 0;
            HPP_SYSCALL(sched_yield, 0, 0, 0, 0, 0, 0);
        }
    }
    return 1;
}

/* KiB that can be executed and not written (VmLib of proc_pid_status(5)): what is loaded adds to them. */
static uint64_t code_size(void)
{
    char text[4096];
    const char *size = hpp_proc_file_read("/proc/self/status", text, sizeof text) > 0
                           ? hpp_proc_file_line(text, "VmLib:")
                           : NULL;

    return size ? hpp_proc_file_number(size) : UINT64_MAX;
}

/* Nothing is new: what is unknown stays so, it is not looked for all the time. */
static void look_less(void)
{
    uint64_t interval = hpp_writer.scan_interval ? hpp_writer.scan_interval * 2 : SCAN_INTERVAL_MIN;

    hpp_writer.scan_interval = interval < SCAN_INTERVAL_MAX ? interval : SCAN_INTERVAL_MAX;
}

void hpp_images_scan(uint64_t now)
{
    struct hpp_writer *writer = &hpp_writer;
    int other = !writer->map_current;
    const struct hpp_code_map *before = atomic_load(&hpp_sampler.code);
    const struct hpp_code_map *map;
    int error;

    writer->last_scan = now;
    if (!old_map_is_free()) {
        writer->code_size = UINT64_MAX; /* it is still to be looked at, however much there is then */
        return;
    }
    writer->epoch = atomic_load(&hpp_sampler.epoch);
    writer->map_before = NULL;
    hpp_arena_reset(&writer->map_arena[other]);
    error = hpp_image_scan(&writer->image_arena, &writer->map_arena[other], before,
                           before ? 0 : writer->entry, &map);
    if (!error)
        error = hpp_aggregate_segments(&writer->aggregate, map);
    if (error)
        atomic_store(&writer->note,
                     "the memory map could not be read, or is too large: code loaded later has no names");
    if (error || map == before) {
        look_less();
        return;
    }
    writer->scan_interval = SCAN_INTERVAL_MIN;
    writer->map_current = other;
    writer->map_before = before;
    hpp_tables_load(map);
    atomic_store(&hpp_sampler.code, map);
}

static int is_unknown(uint64_t address)
{
    return !hpp_image_find(atomic_load(&hpp_sampler.code), address);
}

/* Looks for the code at PC, where a thread was interrupted. */
static void look_at_once(uint64_t pc, uint64_t now)
{
    struct hpp_writer *writer = &hpp_writer;
    uint32_t epoch = atomic_load(&hpp_sampler.epoch);
    /* what is loaded there after an unloading is another matter */
    uint64_t *place = &writer->in_vain[(pc >> PAGE_BITS) % HPP_IN_VAIN],
             page = pc >> PAGE_BITS << 8 | (uint8_t)epoch;

    if (*place == page || writer->scans_paid >= now + SCANS_AT_ONCE)
        return;
    if (writer->scans_paid < now)
        writer->scans_paid = now;
    writer->scans_paid += SCAN_INTERVAL_MIN;
    hpp_images_scan(now);
    if (is_unknown(pc)) {
        writer->scans_paid += SCAN_INTERVAL_MAX - SCAN_INTERVAL_MIN;
        *place = page;
    }
}

/* Whether the record holds another address that could be code of an image not known yet. */
static int has_unknown(const struct hpp_slot *slot, const uint64_t *record)
{
    uint64_t stop = record[1];

    for (unsigned i = 0; i < HPP_RECORD_FRAMES(record[0]); i++)
        if (record[HPP_RECORD_WORDS + i] != HPP_WALK_GAP && is_unknown(record[HPP_RECORD_WORDS + i]))
            return 1;
    return HPP_RECORD_END(record[0]) == HPP_WALK_NOT_CODE && stop > 65536 && stop < 1ull << 47 &&
           !(stop >= slot->stack_low && stop < slot->stack_end) && is_unknown(stop - 1);
}

void hpp_images_look(const struct hpp_slot *slot, const uint64_t *record, uint64_t now)
{
    uint64_t size;

    if (is_unknown(record[HPP_RECORD_WORDS]))
        look_at_once(record[HPP_RECORD_WORDS], now);
    if (now - hpp_writer.last_scan < hpp_writer.scan_interval || !has_unknown(slot, record))
        return;
    size = code_size();
    if (size != UINT64_MAX && size == hpp_writer.code_size) {
        hpp_writer.last_scan = now;
        look_less();
    } else {
        hpp_writer.code_size = size;
        hpp_images_scan(now);
    }
}
