/* Runs a program in which one kind of system call fails: `deny WHAT ERRNO PROGRAM ARG…`, where WHAT
 * is a row of the table below, or something the kernel itself refuses on request (then ERRNO is not
 * looked at): `huge-pages`, or `exec-gain`, making memory executable that was not (MDWE). All of it
 * is inherited. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE /* Linux 6.3 */
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

#define ARGUMENT(i) offsetof(struct seccomp_data, args[i])

/* The call fails where its argument (low half), masked, is VALUE, or, with AT_LEAST, is VALUE or more. */
static const struct denial {
    const char *name;
    unsigned call, argument, mask, value;
    int at_least;
} denials[] = {
    {"mremap", SYS_mremap, ARGUMENT(0), 0, 0, 0},
    {"mprotect-exec", SYS_mprotect, ARGUMENT(2), PROT_EXEC, PROT_EXEC, 0},
    {"mmap-4M", SYS_mmap, ARGUMENT(1), ~0u, 4 << 20, 1},
    {"madvise", SYS_madvise, ARGUMENT(0), 0, 0, 0},
    {"timer_create", SYS_timer_create, ARGUMENT(0), 0, 0, 0},
    {"timer_settime", SYS_timer_settime, ARGUMENT(0), 0, 0, 0},
    {"clone-vm", SYS_clone, ARGUMENT(0), CLONE_VM | CLONE_THREAD | CLONE_VFORK, CLONE_VM, 0},
    {"pipe2", SYS_pipe2, ARGUMENT(0), 0, 0, 0},
    {"memfd_create", SYS_memfd_create, ARGUMENT(0), 0, 0, 0},
    {"pidfd_open", SYS_pidfd_open, ARGUMENT(0), 0, 0, 0},
    {"pagemap-scan", SYS_ioctl, ARGUMENT(1), ~0u, 0xc0606610u, 0}, /* PAGEMAP_SCAN, Linux 6.7 */
};

static int install(const struct denial *denial, unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denial->call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, denial->argument),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, denial->mask),
        BPF_JUMP(BPF_JMP | (denial->at_least ? BPF_JGE : BPF_JEQ) | BPF_K, denial->value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int run(char **arguments)
{
    execvp(arguments[0], arguments);
    fprintf(stderr, "deny: %s: %s\n", arguments[0], strerror(errno));
    return 126;
}

int main(int argc, char **argv)
{
    if (argc > 3 && !strcmp(argv[1], "huge-pages"))
        return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) ? 125 : run(argv + 3);
    if (argc > 3 && !strcmp(argv[1], "exec-gain"))
        return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) ? 125 : run(argv + 3);
    for (size_t i = 0; argc > 3 && i < sizeof(denials) / sizeof(denials[0]); i++) {
        if (strcmp(argv[1], denials[i].name))
            continue;
        if (install(&denials[i], (unsigned)atoi(argv[2]))) {
            fprintf(stderr, "deny: no filter: %s\n", strerror(errno));
            return 125;
        }
        return run(argv + 3);
    }
    fprintf(stderr, "usage: deny WHAT ERRNO PROGRAM ARG…\n");
    return 2;
}
