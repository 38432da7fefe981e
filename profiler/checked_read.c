/* The pipe-write check by value. Signal handler; opening also at start and after fork. */
#include "profiler/checked_read.h"

#include <errno.h>
#include <stdatomic.h>

#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#ifndef F_DUPFD_CLOEXEC
#define F_DUPFD_CLOEXEC 1030
#endif

/* Programs take the lowest free numbers and close from 3 upward; ours go as high as a table that is
 * not made larger for them. */
#define HIGH_DESCRIPTOR 200

static struct {
    int ends[2]; /* read, write */
    uint64_t device;
    uint64_t inode;
    atomic_int open;
    atomic_int threaded; /* no more descriptors may be made */
    atomic_flag busy;
} the_pipe = {.busy = ATOMIC_FLAG_INIT};

/* Moves descriptor FD to a high number. Returns that, or -1 where none is to be had; FD is closed. */
static int move_high(int fd)
{
    long high = HPP_SYSCALL(fcntl, fd, F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR, 0, 0, 0);

    hpp_sys_close(fd);
    return high < 0 ? -1 : (int)high;
}

int hpp_checked_read_open(void)
{
    struct stat status;
    int ends[2];
    long error = HPP_SYSCALL(pipe2, ends, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0);

    if (error)
        return (int)error;
    the_pipe.ends[0] = move_high(ends[0]);
    the_pipe.ends[1] = move_high(ends[1]);
    error = the_pipe.ends[0] < 0 || the_pipe.ends[1] < 0 ? -EMFILE : hpp_sys_fstat(the_pipe.ends[1], &status);
    if (error) {
        /* a low number is the program's: rather none */
        for (int i = 0; i < 2; i++)
            if (the_pipe.ends[i] >= 0)
                hpp_sys_close(the_pipe.ends[i]);
        return (int)error;
    }
    the_pipe.device = status.st_dev;
    the_pipe.inode = status.st_ino;
    atomic_store(&the_pipe.open, 1);
    return 0;
}

void hpp_checked_read_set_threaded(void)
{
    atomic_store(&the_pipe.threaded, 1);
}

/* Whether both descriptors are still the two ends of our pipe: the program may have closed them, and
 * their numbers may be its own files now. */
static int is_ours(void)
{
    struct stat status;

    for (int i = 0; i < 2; i++)
        if (hpp_sys_fstat(the_pipe.ends[i], &status) || status.st_dev != the_pipe.device ||
            status.st_ino != the_pipe.inode)
            return 0;
    return 1;
}

void hpp_checked_read_after_fork(void)
{
    int was_open = atomic_load(&the_pipe.open);

    atomic_store(&the_pipe.threaded, 0);
    atomic_flag_clear(&the_pipe.busy);
    if (!was_open)
        return;
    atomic_store(&the_pipe.open, 0);
    if (!is_ours())
        return;
    hpp_sys_close(the_pipe.ends[0]);
    hpp_sys_close(the_pipe.ends[1]);
    hpp_checked_read_open();
}

/* Returns 0, -EFAULT if the address is not readable, -EAGAIN if the pipe cannot be used. */
static int read_through_pipe(uint64_t address, uint64_t words[2])
{
    long written, taken;

    if (!is_ours()) {
        atomic_store(&the_pipe.open, 0);
        return -EAGAIN;
    }
    written = hpp_sys_write(the_pipe.ends[1], (const void *)address, 16);
    if (written == -EFAULT)
        return -EFAULT;
    if (written <= 0)
        return -EAGAIN;
    taken = hpp_sys_read(the_pipe.ends[0], words, (size_t)written);
    if (taken != written) {
        /* someone else took from it: never trust it again */
        atomic_store(&the_pipe.open, 0);
        return -EAGAIN;
    }
    return taken == 16 ? 0 : -EFAULT;
}

int hpp_checked_read(uint64_t address, uint64_t *first, uint64_t *second)
{
    uint64_t words[2] = {0, 0};
    int result = -EAGAIN;

    if (atomic_load(&hpp_sampler.sandboxed))
        return -EFAULT;
    if (!atomic_flag_test_and_set(&the_pipe.busy)) {
        static atomic_int tried;
        if (!atomic_load(&the_pipe.open) && !atomic_load(&the_pipe.threaded) && !atomic_exchange(&tried, 1))
            hpp_checked_read_open();
        if (atomic_load(&the_pipe.open))
            result = read_through_pipe(address, words);
        atomic_flag_clear(&the_pipe.busy);
    }
    if (result == -EAGAIN)
        result = hpp_sys_copy_own_memory(words, address, sizeof words) == sizeof words ? 0 : -EFAULT;
    *first = words[0];
    *second = words[1];
    return result;
}
