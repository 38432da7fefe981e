/* Replaces a page of its text, by mmap or mremap, while the agent's writer moves that text: `held_move HOW
 * CALL`, HOW mmap or mremap, CALL the system call of the move (mremap, or pread64, with which it begins) at
 * which a tracer holds the writer for 0.2 s meanwhile. Prints `held: 1, kept: 1`: the writer was held, and
 * what the program has put there is there still. Ends after 4 s of CPU if nothing is moved. x86-64. flags:
 * -fno-omit-frame-pointer -pthread -no-pie -Wl,-z,max-page-size=0x200000 */
#include "burn.h"
#include "padding.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

BURN_FUNCTION(work, 3)

__asm__(".pushsection .text.hot.unused, \"ax\", @progbits\n"
        ".p2align 12\nunused: .fill 4096, 1, 0xcc\n.popsection\n");
extern char unused[] __attribute__((visibility("hidden")));

enum { PAGE = 4096, SHARE = 100000 };

static atomic_int ended, kept;
static int told[2]; /* by the tracer: the writer is held */
static const char *how;

/* The child of PARENT that is called so, or 0. */
static pid_t find_writer(pid_t parent)
{
    char path[64], name[32];
    FILE *children, *comm;
    int pid, found = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    children = fopen(path, "r");
    while (children && !found && fscanf(children, "%d", &pid) == 1) {
        snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        comm = fopen(path, "r");
        if (comm && fgets(name, sizeof(name), comm) && !strcmp(name, "hpprof-writer\n"))
            found = pid;
        if (comm)
            fclose(comm);
    }
    if (children)
        fclose(children);
    return found;
}

static int is_wanted(pid_t pid, unsigned long call)
{
    struct user_regs_struct registers;

    return !ptrace(PTRACE_GETREGS, pid, 0, &registers) && registers.orig_rax == call &&
           (call != SYS_pread64 || registers.rdx > PAGE * 100) && (long)registers.rax == -38;
}

static void hold(pid_t parent, unsigned long call)
{
    pid_t writer = 0;
    int status;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!(writer = find_writer(parent)))
        usleep(1000);
    if (ptrace(PTRACE_SEIZE, writer, 0, PTRACE_O_TRACESYSGOOD) || ptrace(PTRACE_INTERRUPT, writer, 0, 0))
        _exit(1);
    while (waitpid(writer, &status, __WALL) == writer && WIFSTOPPED(status)) {
        if (WSTOPSIG(status) == (SIGTRAP | 0x80) && is_wanted(writer, call)) {
            if (write(told[1], "", 1) == 1)
                usleep(2 * SHARE);
            ptrace(PTRACE_DETACH, writer, 0, 0);
            _exit(0);
        }
        ptrace(PTRACE_SYSCALL, writer, 0, 0);
    }
    _exit(1);
}

static void *replace(void *nothing)
{
    volatile char *page = unused;
    void *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *made;
    char byte;

    if (read(told[0], &byte, 1) == 1) {
        made = !strcmp(how, "mmap") ? mmap(unused, PAGE, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
                                    : mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, unused);
        if (made == unused) {
            *page = 'x';
            usleep(4 * SHARE); /* until the move is over, whatever it does */
            kept = *page == 'x';
            *page = 'y';
        }
        printf("held: 1, kept: %d\n", atomic_load(&kept));
    }
    atomic_store(&ended, 1);
    return nothing;
}

int main(int argc, char **argv)
{
    pid_t parent = getpid(), tracer;
    pthread_t thread;

    if (argc < 3 || pipe(told))
        return 2;
    how = argv[1];
    tracer = fork();
    if (!tracer)
        hold(parent, !strcmp(argv[2], "mremap") ? SYS_mremap : SYS_pread64);
    close(told[1]);
    if (pthread_create(&thread, NULL, replace, NULL))
        return 1;
    for (int i = 0; i < 40 && !atomic_load(&ended); i++)
        work(0.1);
    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
    pthread_join(thread, NULL);
    return !atomic_load(&kept);
}
