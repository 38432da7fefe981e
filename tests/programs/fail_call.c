/* Makes one system call of the agent fail: `fail_call AGENT N ERRNO PROGRAM ARG…` runs PROGRAM, and the Nth
 * system call that its first thread makes from the text of the file AGENT answers ERRNO and does nothing.
 * With `hole` for ERRNO an mremap unmaps its destination and then answers ENOMEM, as the kernel's can; with
 * `!COMMAND` the call is made, but that command runs right before it. With 0 for N all are made, and listed
 * on standard error: `N OFFSET CALL`, OFFSET of the instruction in AGENT, CALL its number. Exit status:
 * PROGRAM's; 124 if it made fewer than N calls. x86-64. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long text_start, text_end, text_offset; /* of AGENT in the program */

static int find_agent(pid_t pid, const char *agent)
{
    char path[64], line[4096 + 256], mode[5];
    unsigned long start, end, offset;
    FILE *maps;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "r");
    while (maps && !text_end && fgets(line, sizeof(line), maps)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx-%lx %4s %lx", &start, &end, mode, &offset) == 4 && mode[2] == 'x' &&
            strlen(line) > strlen(agent) && !strcmp(line + strlen(line) - strlen(agent), agent))
            text_start = start, text_end = end, text_offset = offset;
    }
    if (maps)
        fclose(maps);
    return text_end != 0;
}

/* At the entry of the call that is to fail: another is made in its place, and its end answers ERROR. */
static void fail(pid_t pid, struct user_regs_struct *registers, const char *how)
{
    int hole = !strcmp(how, "hole") && registers->orig_rax == SYS_mremap, status;
    unsigned long first = registers->rdi, second = registers->rsi; /* which the caller may still want */

    registers->orig_rax = hole ? SYS_munmap : (unsigned long)-1;
    if (hole)
        registers->rdi = registers->r8, registers->rsi = registers->rdx;
    ptrace(PTRACE_SETREGS, pid, 0, registers);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    waitpid(pid, &status, 0);
    ptrace(PTRACE_GETREGS, pid, 0, registers);
    registers->rdi = first, registers->rsi = second;
    registers->rax = (unsigned long)-(hole ? ENOMEM : atoi(how));
    ptrace(PTRACE_SETREGS, pid, 0, registers);
}

static int trace(pid_t pid, const char *agent, long wanted, const char *how)
{
    int status, entering = 0;
    long calls = 0;

    waitpid(pid, &status, 0);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int signal = 0;; signal = 0) {
        struct user_regs_struct registers;
        ptrace(PTRACE_SYSCALL, pid, 0, signal);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status))
            return wanted > calls ? 124 : WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            return 128 + WTERMSIG(status);
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
            continue;
        }
        entering = !entering;
        ptrace(PTRACE_GETREGS, pid, 0, &registers);
        if (!entering || (!text_end && !find_agent(pid, agent)) || registers.rip < text_start ||
            registers.rip >= text_end)
            continue;
        if (++calls == wanted) {
            if (*how != '!')
                fail(pid, &registers, how);
            else if (system(how + 1))
                return 126;
            ptrace(PTRACE_DETACH, pid, 0, 0);
            waitpid(pid, &status, 0);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        } else if (!wanted) {
            fprintf(stderr, "%ld 0x%lx %llu\n", calls,
                    (unsigned long)(registers.rip - 1 - text_start + text_offset), registers.orig_rax);
        }
    }
}

int main(int argc, char **argv)
{
    pid_t pid;

    if (argc < 5)
        return 2;
    pid = fork();
    if (!pid) {
        personality(ADDR_NO_RANDOMIZE);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        setenv("LD_PRELOAD", argv[1], 1);
        execv(argv[4], argv + 4);
        _exit(127);
    }
    return trace(pid, argv[1], atol(argv[2]), argv[3]);
}
