/* See adopt.h. */
#include "profiler/adopt.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/source.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define MS           1000000ull
#define REMEMBERED   128u /* strangers at once; more wait for a later look */
#define LOOK_SOON    (10 * MS)
#define LOOK_LATE    (40 * MS)
#define CARRIER_TIME (50 * MS)   /* for another thread's handler to come by */
#define HEAD_MAX     (100 * MS)  /* of what it used before it was found */
#define GIVE_UP      (2000 * MS) /* so long one that does not run is looked after */

atomic_int hpp_adopt_waiting;

/* Index + 1 of slots that wait for a timer; 0: none. */
static _Atomic uint32_t the_requests[REMEMBERED];
static atomic_int the_adopted; /* whether there ever was one */

/* A thread without a slot. */
struct stranger {
    int tid;
    int seen;   /* in this look */
    int before; /* and in one before */
    int tried;
};

static struct {
    unsigned count;
    struct stranger list[REMEMBERED];
    uint64_t last, interval;     /* of looks */
    uint64_t posted[REMEMBERED]; /* when the_requests came to be; 0: its thread has been called */
} the_writer;

/* ---- the target's side: handlers, and threads that begin ---------------------------------------------- */

/* What a thread has USED (ns) before it was found, its first sample stands for. Rounded by chance. */
static void add_head(struct hpp_slot *slot, uint64_t used)
{
    uint64_t period = hpp_sampler.period;

    if (slot->is_new && hpp_sampler.event == HPP_EVENT_CPU)
        slot->head = (uint32_t)(((used < HEAD_MAX ? used : HEAD_MAX) + hpp_arch_ticks() % period) / period);
}

static void arm(struct hpp_slot *slot)
{
    clockid_t clock = hpp_sys_thread_clock(slot->tid);
    int error;

    hpp_timer_cpu_disarm(slot); /* what a thread before it left in the slot */
    slot->untold_from = slot->cpu_begin = hpp_sys_now(clock);
    atomic_store(&slot->state, HPP_SLOT_ACTIVE);
    if (atomic_load(&hpp_sampler.paused))
        return;
    add_head(slot, slot->cpu_begin);
    error = atomic_load(&hpp_sampler.stopped) ? -ECANCELED : hpp_timer_cpu_arm(slot);
    if (!error && !atomic_load(&hpp_sampler.stopped))
        return;
    hpp_timer_cpu_disarm(slot);
    if (error == -EINVAL || error == -ESRCH) /* it has ended meanwhile */
        hpp_slot_end(slot);
    else if (error)
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
}

void hpp_adopt_serve(void)
{
    if (atomic_load(&hpp_sampler.sandboxed) || !atomic_exchange(&hpp_adopt_waiting, 0))
        return;
    for (unsigned i = 0; i < REMEMBERED; i++) {
        uint32_t request = atomic_load(&the_requests[i]) ? atomic_exchange(&the_requests[i], 0) : 0;
        if (request)
            arm(&hpp_sampler.slots[request - 1]);
    }
}

int hpp_adopt_is_call(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && hpp_slot_is_value((uint64_t)(uintptr_t)info->si_value.sival_ptr);
}

/* Takes the request for SLOT back, if nobody is at it. */
static int take_back(const struct hpp_slot *slot)
{
    uint32_t request = (uint32_t)(slot - hpp_sampler.slots) + 1;

    for (unsigned i = 0; i < REMEMBERED; i++)
        if (atomic_compare_exchange_strong(&the_requests[i], &(uint32_t){request}, 0))
            return 1;
    return 0;
}

static int is_of(const struct hpp_slot *slot, int tid)
{
    uint32_t state = atomic_load(&slot->state);

    return slot->tid == tid && (state == HPP_SLOT_CLAIMED || state == HPP_SLOT_ACTIVE);
}

void hpp_adopt_not(const struct hpp_slot *own)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used && atomic_load(&the_adopted); i++) {
        struct hpp_slot *slot = &hpp_sampler.slots[i];
        if (slot == own || !is_of(slot, own->tid))
            continue;
        /* a handler may be making its timer just now */
        for (int tries = 0; !take_back(slot) && atomic_load(&slot->state) == HPP_SLOT_CLAIMED && tries < 1000;
             tries++)
            HPP_SYSCALL(sched_yield, 0, 0, 0, 0, 0, 0);
        hpp_timer_disarm(slot);
        hpp_slot_end(slot);
    }
}

void hpp_adopt_after_fork(void)
{
    atomic_store(&hpp_adopt_waiting, 0);
    for (unsigned i = 0; i < REMEMBERED; i++)
        atomic_store(&the_requests[i], 0);
    the_writer.count = 0;
}

/* ---- the writer's side -------------------------------------------------------------------------------- */

static unsigned count_slots(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);
    unsigned count = 0;

    for (uint32_t i = 0; i < used; i++) {
        uint32_t state = atomic_load(&hpp_sampler.slots[i].state);
        count += state == HPP_SLOT_CLAIMED || state == HPP_SLOT_ACTIVE;
    }
    return count;
}

/* Whether thread TID has a slot besides OWN. */
static int has_slot(int tid, const struct hpp_slot *own)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++)
        if (&hpp_sampler.slots[i] != own && is_of(&hpp_sampler.slots[i], tid))
            return 1;
    return 0;
}

/* Whether thread TID had another slot: then it has been told of until it gave that up. */
static int had_slot(int tid, const struct hpp_slot *own)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++)
        if (&hpp_sampler.slots[i] != own && hpp_sampler.slots[i].tid == tid)
            return 1;
    return 0;
}

void hpp_adopt_post(struct hpp_slot *slot, uint64_t now)
{
    for (unsigned i = 0; i < REMEMBERED; i++) {
        if (atomic_load(&the_requests[i]))
            continue;
        the_writer.posted[i] = now;
        atomic_store(&the_requests[i], (uint32_t)(slot - hpp_sampler.slots) + 1);
        atomic_store(&hpp_adopt_waiting, 1);
        return;
    }
    hpp_slot_end(slot); /* so many wait: the next look finds it again */
}

static void put_task(struct hpp_text *path)
{
    hpp_text_put(path, "/proc/");
    hpp_text_put_number(path, (uint64_t)hpp_writer.target);
    hpp_text_put(path, "/task");
}

/* The beginning of FILE of thread TID, into TEXT, which it ends with a 0. Returns its length. */
static long read_task(int tid, const char *file, char *text, size_t size)
{
    char path[64];
    struct hpp_text name = HPP_TEXT(path);
    long fd, count;

    put_task(&name);
    hpp_text_put(&name, "/");
    hpp_text_put_number(&name, (uint64_t)tid);
    hpp_text_put(&name, file);
    fd = hpp_sys_open(path, O_RDONLY, 0);
    count = fd < 0 ? fd : hpp_sys_read((int)fd, text, size - 1);
    if (fd >= 0)
        hpp_sys_close((int)fd);
    count = count < 0 ? 0 : count;
    text[count] = 0;
    return count;
}

/* Whether the thread runs: field 3 of its stat (proc_pid_stat(5)), behind the last bracket of its name. */
static int is_running(int tid)
{
    char text[48];

    for (long i = read_task(tid, "/stat", text, sizeof text) - 3; i > 0; i--)
        if (text[i] == ')')
            return text[i + 2] == 'R';
    return 0;
}

/* What the thread has used, ns: the first number of its schedstat (kernel:
 * Documentation/scheduler/sched-stats.rst). */
static uint64_t used_by(int tid)
{
    char text[32];
    uint64_t ns = 0;

    read_task(tid, "/schedstat", text, sizeof text);
    for (const char *at = text; *at >= '0' && *at <= '9'; at++)
        ns = ns * 10 + (uint64_t)(*at - '0');
    return ns;
}

static void adopt(struct stranger *stranger, uint64_t now)
{
    struct hpp_slot *slot = hpp_slot_claim_for(stranger->tid);

    stranger->tried = 1;
    if (!slot)
        return;
    atomic_store(&the_adopted, 1);
    slot->is_new = !had_slot(stranger->tid, slot);
    if (has_slot(stranger->tid, slot)) { /* it began itself at this very moment */
        hpp_slot_end(slot);
    } else if (hpp_sampler.timer == HPP_TIMER_CPU) {
        hpp_adopt_post(slot, now);
    } else {
        add_head(slot, used_by(slot->tid));
        /* not if the thread has begun meanwhile, and ended it */
        if (atomic_compare_exchange_strong(&slot->state, &(uint32_t){HPP_SLOT_CLAIMED}, HPP_SLOT_ACTIVE))
            hpp_timer_perf_ask();
    }
}

/* No handler came by: a signal to the thread itself, if it runs, and so does not wait in a system call. */
static int call_strangers(uint64_t now)
{
    int soon = 0;

    for (unsigned i = 0; i < REMEMBERED; i++) {
        uint32_t request = atomic_load(&the_requests[i]);
        siginfo_t info = {.si_signo = SIGPROF, .si_code = SI_QUEUE};
        struct hpp_slot *slot;

        if (!request || !the_writer.posted[i])
            continue;
        slot = &hpp_sampler.slots[request - 1];
        soon |= now - the_writer.posted[i] < GIVE_UP;
        if (now - the_writer.posted[i] < CARRIER_TIME || !is_running(slot->tid))
            continue;
        info.si_value.sival_ptr = (void *)(uintptr_t)slot->value;
        the_writer.posted[i] = 0;
        atomic_store(&hpp_adopt_waiting, 1);
        HPP_SYSCALL(rt_tgsigqueueinfo, hpp_writer.target, slot->tid, SIGPROF, &info, 0, 0);
    }
    return soon;
}

static void note(int tid)
{
    unsigned i = 0;

    while (i < the_writer.count && the_writer.list[i].tid != tid)
        i++;
    if (i == REMEMBERED)
        return;
    if (i == the_writer.count)
        the_writer.list[the_writer.count++] = (struct stranger){.tid = tid};
    the_writer.list[i].seen = 1;
}

static void look_through(int fd)
{
    char entries[2048];
    long count;

    while ((count = HPP_SYSCALL(getdents64, fd, entries, sizeof entries, 0, 0, 0)) > 0) {
        for (long at = 0; at < count; at += *(const uint16_t *)(entries + at + 16)) {
            /* struct linux_dirent64: inode, offset (8 each), length (2), type (1), name */
            int tid = 0;
            for (const char *name = entries + at + 19; *name >= '0' && *name <= '9'; name++)
                tid = tid * 10 + (*name - '0');
            if (tid && !has_slot(tid, NULL))
                note(tid);
        }
    }
}

/* Adopts who was there in two looks: most are threads that are about to begin. Returns whether some are to be
 * looked at again. */
static int settle(uint64_t now)
{
    unsigned kept = 0;
    int soon = 0;

    for (unsigned i = 0; i < the_writer.count; i++) {
        struct stranger *stranger = &the_writer.list[i];
        if (!stranger->seen)
            continue;
        if (stranger->before && !stranger->tried)
            adopt(stranger, now);
        soon |= !stranger->tried;
        stranger->before = 1;
        stranger->seen = 0;
        the_writer.list[kept++] = *stranger;
    }
    the_writer.count = kept;
    return soon;
}

int hpp_adopt_look(uint64_t now)
{
    char path[64];
    struct hpp_text text = HPP_TEXT(path);
    struct stat status;
    int soon = 0;
    long fd;

    if (now - the_writer.last < the_writer.interval || atomic_load(&hpp_sampler.stopped) ||
        atomic_load(&hpp_sampler.sandboxed))
        return 0;
    the_writer.last = now;
    put_task(&text);
    fd = hpp_sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return 0;
    /* the directory has a link for each thread, and two of its own */
    if (!hpp_sys_fstat((int)fd, &status) && status.st_nlink != count_slots() + 2)
        look_through((int)fd);
    hpp_sys_close((int)fd);
    soon = settle(now);
    soon |= call_strangers(now);
    the_writer.interval = soon ? LOOK_SOON : LOOK_LATE;
    return soon;
}
