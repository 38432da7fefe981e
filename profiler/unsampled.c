/* Counts threads that nobody samples. Writer. */
#include "profiler/unsampled.h"

#include "common/sys.h"
#include "common/text.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#define REMEMBERED 128u /* more at once are not counted */

/* Threads without a slot in one look: [0] the last one, [1] this one. */
static struct look {
    unsigned count;
    int tid[REMEMBERED];
    int counted[REMEMBERED];
} the_looks[2];

static uint32_t count_active(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used), active = 0;

    for (uint32_t i = 0; i < used; i++)
        active += atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE;
    return active;
}

static int has_slot(int tid)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++)
        if (atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE && hpp_sampler.slots[i].tid == tid)
            return 1;
    return 0;
}

/* Notes that TID has no slot; counts it if that was so in the last look too. */
static void note(int tid)
{
    const struct look *last = &the_looks[0];
    struct look *now = &the_looks[1];
    int seen = 0, counted = 0;

    if (now->count == REMEMBERED)
        return;
    for (unsigned i = 0; i < last->count; i++) {
        if (last->tid[i] == tid) {
            seen = 1;
            counted = last->counted[i];
        }
    }
    if (seen && !counted)
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
    now->tid[now->count] = tid;
    now->counted[now->count++] = seen;
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
            if (tid && !has_slot(tid))
                note(tid);
        }
    }
}

void hpp_unsampled_look(int pid)
{
    char path[64];
    struct hpp_text text = HPP_TEXT(path);
    struct stat status;
    long fd;

    hpp_text_put(&text, "/proc/");
    hpp_text_put_number(&text, (uint64_t)pid);
    hpp_text_put(&text, "/task");
    fd = hpp_sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return;
    the_looks[1].count = 0;
    /* the directory has a link for each thread, and two of its own */
    if (!hpp_sys_fstat((int)fd, &status) && status.st_nlink > count_active() + 2)
        look_through((int)fd);
    hpp_sys_close((int)fd);
    the_looks[0] = the_looks[1];
}
