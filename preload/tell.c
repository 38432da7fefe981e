/* Lines on standard error. Start-up and exit of the target. */
#include "preload/tell.h"

#include <errno.h>
#include <poll.h>

#include "common/sys.h"

static struct stat the_error_output;

void hpp_tell_init(void)
{
    if (hpp_sys_fstat(2, &the_error_output))
        the_error_output = (struct stat){0};
}

/* write(2) without its signal: blocked, and taken back if it came from us. */
static void write_quietly(const struct hpp_text *line)
{
    const uint64_t pipe_signal = 1ull << (SIGPIPE - 1);
    const struct timespec now = {0, 0};
    uint64_t mask, pending = 0;

    hpp_sys_sigmask(SIG_BLOCK, &pipe_signal, &mask);
    HPP_SYSCALL(rt_sigpending, &pending, sizeof pending, 0, 0, 0, 0);
    if (hpp_sys_write(2, line->data, line->used) == -EPIPE && !(pending & pipe_signal))
        HPP_SYSCALL(rt_sigtimedwait, &pipe_signal, NULL, &now, sizeof pipe_signal, 0, 0);
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
}

void hpp_tell(const struct hpp_text *line)
{
    struct pollfd poll = {.fd = 2, .events = POLLOUT};
    struct timespec now = {0, 0};
    struct stat status;

    if (!the_error_output.st_ino || hpp_sys_fstat(2, &status) || status.st_dev != the_error_output.st_dev ||
        status.st_ino != the_error_output.st_ino)
        return;
    if (HPP_SYSCALL(ppoll, &poll, 1, &now, NULL, 0, 0) == 1)
        write_quietly(line);
}
