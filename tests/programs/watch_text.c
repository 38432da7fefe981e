/* Runs a program under the agent and looks at its text whenever a thread of it, or the agent's writer, enters
 * or leaves a system call that changes its memory: `watch_text AGENT COMMAND…`, of which what is executed
 * last is watched. All of the text that was there at the agent's first such call must be mapped, executable
 * and not writable, and nothing may be writable and executable at once; behind each of the agent's calls on
 * that text its bytes must be what they were. The program's own writable data must be mapped and writable all
 * the while. The writer, made so that no tracer sees it, is traced by changing that one flag. Prints what was
 * seen on standard error. Exit status: the program's; 1 if something was wrong; 3 if none of the agent's
 * calls on text, or mremap on data, was seen. x86-64.
 *
 * In WATCH_LIST a file may be named: it gets `OFFSET CALL` for each call of the writer's, OFFSET of the
 * instruction in AGENT, CALL its number. With WATCH_FAIL=OFFSET:K:ERRNO the Kth that the writer makes there
 * does nothing and answers ERRNO; with `hole` for ERRNO an mremap unmaps its destination and then answers
 * ENOMEM, as the kernel's can: until the writer has mapped all text again that hole is no fault, and all
 * other threads stand still. */
#include "watch_map.h"
#include "watch_tasks.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long agent_start, agent_end, agent_offset;
static struct {
    unsigned long offset, number; /* of the call that is to fail; 0: none */
    int error, is_hole;
    pid_t tid;                   /* the thread that is in it */
    unsigned long first, second; /* arguments, which the caller may still want */
    pid_t holder;                /* who has made a hole, until it is mapped again; 0: nobody */
} failing;
static FILE *list;
static pid_t first;
static struct {
    unsigned long mremap, other, by_writer, on_data, failed, refilled;
} count;

/* ---- system calls ----------------------------------------------------------------------------------- */

/* Whether the call at IP is the agent's. */
static int is_agents(pid_t pid, const char *agent, unsigned long ip)
{
    char line[PATH_MAX + 256], mode[5];
    unsigned long start, end, offset;
    FILE *maps = agent_end ? NULL : open_map(pid, "maps");

    while (maps && fgets(line, sizeof line, maps)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx-%lx %4s %lx", &start, &end, mode, &offset) == 4 && mode[2] == 'x' &&
            strstr(line, agent))
            agent_start = start, agent_end = end, agent_offset = offset;
    }
    if (maps)
        fclose(maps);
    return ip >= agent_start && ip < agent_end;
}

static int changes_memory(unsigned long call)
{
    return call == SYS_mmap || call == SYS_munmap || call == SYS_mprotect || call == SYS_mremap ||
           call == SYS_madvise || call == SYS_pkey_mprotect || call == SYS_brk ||
           call == SYS_remap_file_pages;
}

static void set_register(pid_t tid, size_t at, unsigned long value)
{
    ptrace(PTRACE_POKEUSER, tid, at, value);
}
#define SET(tid, name, value) \
    set_register(tid, offsetof(struct user_regs_struct, name), (unsigned long)(value))

/* The writer enters a call: lists it, or sees to it that it fails. */
static void at_writers_entry(pid_t tid, const struct __ptrace_syscall_info *info)
{
    unsigned long offset = info->instruction_pointer - 1 - agent_start + agent_offset;

    if (list)
        fprintf(list, "%lx %llu\n", offset, (unsigned long long)info->entry.nr);
    if (offset != failing.offset || --failing.number)
        return;
    failing.tid = tid;
    failing.first = info->entry.args[0];
    failing.second = info->entry.args[1];
    if (failing.is_hole) {
        hold_others(tid);
        failing.holder = tid;
        SET(tid, orig_rax, SYS_munmap);
        SET(tid, rdi, info->entry.args[4]);
        SET(tid, rsi, info->entry.args[2]);
    } else {
        SET(tid, orig_rax, -1);
    }
}

/* TID enters the call INFO tells of. Returns whether its end is to be looked at: 2, and bytes too. */
static int at_entry(pid_t tid, const char *agent, const struct __ptrace_syscall_info *info)
{
    unsigned long call = info->entry.nr, at = info->entry.args[call == SYS_mremap ? 4 : 0];
    int agents = is_agents(tid, agent, info->instruction_pointer);

    if (call == SYS_clone && agents && info->entry.args[0] & CLONE_UNTRACED)
        SET(tid, rdi, info->entry.args[0] & ~(unsigned long)CLONE_UNTRACED);
    if (agents && tid != first)
        at_writers_entry(tid, info);
    if (!changes_memory(call))
        return 0;
    if (agents && !text_count)
        note_text(tid), note_data(tid);
    if (text_count)
        look(tid, "before", call, failing.holder != 0);
    count.on_data += agents && call == SYS_mremap && is_in(data, data_count, at);
    if (!agents || !is_in(texts, text_count, at) || (call == SYS_mmap && !(info->entry.args[3] & MAP_FIXED)))
        return 1;
    *(call == SYS_mremap ? &count.mremap : &count.other) += 1;
    count.by_writer += tid != first;
    return 2;
}

static void at_call(pid_t tid, const char *agent)
{
    struct task *task = task_of(tid);
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        task->call = info.entry.nr;
        task->wanted = at_entry(tid, agent, &info);
        return;
    }
    if (failing.tid == tid) {
        SET(tid, rax, -failing.error);
        SET(tid, rdi, failing.first);
        SET(tid, rsi, failing.second);
        failing.tid = 0;
        count.failed++;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->wanted) {
        if (text_count && look(tid, "behind", task->call, failing.holder != 0) && failing.holder) {
            failing.holder = 0;
            count.refilled++;
        }
        if (task->wanted == 2 && !failing.holder)
            compare(tid);
        task->wanted = 0;
    }
}

static void at_exec(void)
{
    for (int i = 0; i < text_count; i++)
        free(texts[i].bytes);
    text_count = data_count = 0;
    agent_start = agent_end = 0;
    memset(&count, 0, sizeof count);
    memset(&seen, 0, sizeof seen);
}

static pid_t start(char **command)
{
    const unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                                  PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
    int gate[2], status;
    char byte;
    pid_t pid;

    if (pipe2(gate, O_CLOEXEC))
        exit(2);
    pid = fork();
    if (pid == 0) {
        if (read(gate[0], &byte, 1) == 1)
            execvp(command[0], command);
        _exit(127);
    }
    if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, options) || ptrace(PTRACE_INTERRUPT, pid, 0, 0) ||
        waitpid(pid, &status, __WALL) != pid || write(gate[1], "", 1) != 1) {
        fprintf(stderr, "watch_text: cannot trace: %s\n", strerror(errno));
        exit(2);
    }
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    return pid;
}

static void read_failing(const char *text)
{
    char error[16] = "";

    if (!text || sscanf(text, "%lx:%lu:%15s", &failing.offset, &failing.number, error) != 3)
        return;
    failing.is_hole = !strcmp(error, "hole");
    failing.error = failing.is_hole ? ENOMEM : atoi(error);
}

int main(int argc, char **argv)
{
    int status, result = 0;
    pid_t tid;

    if (argc < 3)
        return 2;
    if (getenv("WATCH_LIST"))
        list = fopen(getenv("WATCH_LIST"), "we");
    read_failing(getenv("WATCH_FAIL"));
    first = start(argv + 2);
    while ((tid = next_stop(&status, failing.holder != 0)) > 0 || errno == EINTR) {
        int signal = WSTOPSIG(status), event = status >> 16;
        if (tid == first && !WIFSTOPPED(status))
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (tid < 0 || !WIFSTOPPED(status))
            continue;
        task_of(tid);
        if (signal == (SIGTRAP | 0x80))
            at_call(tid, argv[1]);
        if (event == PTRACE_EVENT_EXEC)
            at_exec();
        if (event == PTRACE_EVENT_EXIT && tid == first && text_count) {
            look(tid, "at the end, behind", 0, failing.holder != 0);
            compare(tid);
        }
        ptrace(PTRACE_SYSCALL, tid, 0, event || signal == (SIGTRAP | 0x80) ? 0 : signal);
    }
    fprintf(stderr,
            "watch_text: %lu looks at the memory map; the agent's calls on text: %lu mremap, %lu others, %lu "
            "of them "
            "by its writer; on data: %lu mremap; bytes compared %lu times; %lu calls made to fail; %lu holes "
            "mapped again; %lu wrong\n",
            seen.looks, count.mremap, count.other, count.by_writer, count.on_data, seen.compared,
            count.failed, count.refilled, seen.wrong);
    if (result)
        return result;
    return seen.wrong ? 1 : count.mremap + count.other + count.on_data ? 0 : 3;
}
