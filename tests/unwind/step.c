/* Single-steps a child through code of every kind and, at each instruction, compares what hpp_walk_frames
 * says of the callers with a shadow stack: `step [BUG]`, BUG 1..3 being a deliberate mistake of the table
 * builder. The child's stacks are shared memory, so that the walker, which runs here, reads them in place.
 * Exit status 0: all right; 1: a caller was lost or invented; 2: it could not run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/arch.h"
#include "common/image.h"
#include "common/sys.h"
#include "common/unwind_build.h"
#include "profiler/walk.h"
#include "tests/unwind/shadow.h"

enum { LIMIT = 1024, COMPLAINTS = 40, ENOUGH = 500, SIGNAL_EVERY = 13, LEAST = 2000 };

struct step_shared *step_shared;

static struct hpp_arena arena, map_arena;
static const struct hpp_code_map *code;
static struct hpp_walk_cache cache;
static struct shadow shadow;

static struct {
    unsigned long steps, whole, unknown, lazy, leaving, registers, wrong, signals;
} count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "step: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static const struct hpp_unwind_table *build_table(const struct hpp_image *image)
{
    struct hpp_unwind_build build = {.source = {.memory = image->header, .fd = -1}};
    const struct hpp_unwind_table *table = NULL;

    if (image->kind == HPP_IMAGE_FILE) {
        build.source.memory = 0;
        build.source.fd = (int)hpp_sys_open(image->path, O_RDONLY, 0);
    }
    if (hpp_unwind_build(&build, &table))
        fprintf(stderr, "step: %s has no table: %s\n", image->path, build.reason);
    else
        printf("%s: %u rows, %u rules, %u entries, %u skipped\n", image->path, table->rows, table->rules,
               build.entries, build.skipped);
    if (!build.source.memory)
        close(build.source.fd);
    return table;
}

static void build_tables(void)
{
    if (hpp_image_scan(&arena, &map_arena, NULL, (uint64_t)step_base, &code))
        die("code map");
    for (uint32_t i = 0; i < code->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)code->ranges[i].segment;
        const struct hpp_unwind_table *table = NULL;
        for (uint32_t before = 0; before < i; before++)
            if (code->ranges[before].segment->image == segment->image)
                table = code->ranges[before].segment->table;
        if (!segment->table)
            segment->table = table ? table : build_table(segment->image);
    }
}

/* ---- comparing ------------------------------------------------------------------------------------- */

static unsigned walk(const struct user_regs_struct *regs, struct hpp_walk_cache *with, uint64_t *frames,
                     struct hpp_walk_result *result)
{
    static ucontext_t context;
    greg_t *g = context.uc_mcontext.gregs;
    struct hpp_walk walk = {
        .pc = regs->rip, .sp = regs->rsp, .fp = regs->rbp, .context = &context, .code = code, .cache = with};

    g[REG_R8] = (greg_t)regs->r8, g[REG_R9] = (greg_t)regs->r9, g[REG_R10] = (greg_t)regs->r10;
    g[REG_R11] = (greg_t)regs->r11, g[REG_R12] = (greg_t)regs->r12, g[REG_R13] = (greg_t)regs->r13;
    g[REG_R14] = (greg_t)regs->r14, g[REG_R15] = (greg_t)regs->r15, g[REG_RDI] = (greg_t)regs->rdi;
    g[REG_RSI] = (greg_t)regs->rsi, g[REG_RBP] = (greg_t)regs->rbp, g[REG_RBX] = (greg_t)regs->rbx;
    g[REG_RDX] = (greg_t)regs->rdx, g[REG_RAX] = (greg_t)regs->rax, g[REG_RCX] = (greg_t)regs->rcx;
    g[REG_RSP] = (greg_t)regs->rsp, g[REG_RIP] = (greg_t)regs->rip;
    walk.stack_low = (uint64_t)step_shared->stack[STEP_MAIN];
    walk.stack_end = walk.stack_low + STEP_STACK_SIZE;
    hpp_walk_frames(&walk, frames, LIMIT, result);
    return result->count;
}

static const struct hpp_unwind_rule *rule_of(uint64_t pc)
{
    const struct hpp_code_range *range = hpp_image_find(code, pc);
    const struct hpp_segment *segment = range ? range->segment : NULL;

    return segment && segment->table ? hpp_unwind_find(segment->table, pc - segment->start + segment->link)
                                     : NULL;
}

static void print_address(const char *what, uint64_t address)
{
    const struct hpp_code_range *range = hpp_image_find(code, address);

    if (range)
        fprintf(stderr, "%s %s+0x%lx", what, strrchr(range->segment->image->path, '/') ?: "[vdso]",
                address - range->segment->start + range->segment->link);
    else
        fprintf(stderr, "%s 0x%lx", what, address);
}

static void complain(const uint64_t *frames, const struct hpp_walk_result *result, const uint64_t *callers,
                     unsigned depth)
{
    const struct hpp_unwind_rule *rule = rule_of(frames[0]);

    if (count.wrong++ >= COMPLAINTS)
        return;
    fprintf(stderr, "%s%s, step %lu: ", step_shared->scenario, step_shared->how, count.steps);
    print_address("at", frames[0]);
    if (rule)
        fprintf(stderr, " (cfa %d base %d %+d %+d, fp %d %+d, ra %d %+d)", rule->cfa, rule->base,
                rule->cfa_offset, rule->cfa_add, rule->fp, rule->fp_offset, rule->ra, rule->ra_offset);
    fprintf(stderr, ", walk ended %d after %u frames, %u expected:\n", result->end, result->count, depth + 1);
    for (unsigned i = 0; i < depth + 1 || i + 1 < result->count; i++) {
        if (i < depth && i + 1 < result->count && frames[i + 1] == callers[i])
            continue;
        if (i < depth)
            print_address("    is", callers[i]);
        if (i + 1 < result->count)
            print_address("    walked", frames[i + 1]);
        fprintf(stderr, "    (caller %u)\n", i + 1);
        break;
    }
}

/* Whether the walk stopped where it may: in the frame of the dynamic linker's resolver, whose rule needs
 * rbx. */
static int stopped_in_resolver(const uint64_t *frames, const struct hpp_walk_result *result)
{
    const struct hpp_code_range *range = hpp_image_find(code, frames[result->count - 1] - 1);

    return result->end == HPP_WALK_NO_RULE && result->count > 1 && range &&
           strstr(range->segment->image->path, "/ld-linux");
}

/* Whether the walk stopped in code that a signal interrupted where its rule needs other registers. */
static int stopped_in_interrupted(const uint64_t *frames, const struct hpp_walk_result *result)
{
    const struct hpp_unwind_rule *rule = rule_of(frames[result->count - 1] - 1);

    return result->end == HPP_WALK_NO_RULE && result->count > 1 && rule && rule->cfa == HPP_CFA_REGISTER &&
           rule_of(frames[result->count - 2])->cfa == HPP_CFA_SIGNAL;
}

/* Whether the last code was about to jump to another context (longjmp, setcontext), now or when a signal
 * interrupted it: there libc's call-frame information has the frame in the registers that hold that context,
 * and the walk must stop. */
static int stopped_in_leaving(const uint64_t *frames, const struct hpp_walk_result *result)
{
    unsigned last = result->count - 1;
    const struct hpp_unwind_rule *rule = rule_of(frames[last] - (last != 0));
    const struct hpp_unwind_rule *before = last ? rule_of(frames[last - 1]) : NULL;

    return result->end != HPP_WALK_ROOT && rule && rule->ra != HPP_SAVED_AT_CFA &&
           (!last || (before && before->cfa == HPP_CFA_SIGNAL));
}

/* Whether the stack is a coroutine's, be it below a signal's. */
static int is_coroutine(void)
{
    const struct shadow_stack *bottom = shadow.current;

    while (bottom && bottom->below)
        bottom = bottom->below;
    return bottom && bottom - shadow.stack >= STEP_COROUTINE_A;
}

static void compare(const struct user_regs_struct *regs)
{
    uint64_t frames[LIMIT], again[LIMIT], callers[LIMIT];
    struct hpp_walk_result result, other;
    int known = shadow_callers(&shadow, callers, LIMIT);
    unsigned depth = (unsigned)known, same = 0;
    int may_be_unfinished = 0;

    count.steps++;
    if (known < 0) {
        count.unknown++;
        return;
    }
    /* a coroutine's first function returns to the start of another, which is no caller */
    if (depth && is_coroutine() && callers[depth - 1] % HPP_ARCH_FUNCTION_ALIGNMENT == 0)
        depth--;
    else
        may_be_unfinished = is_coroutine(); /* behind that: libc's information says nothing of its end */
    walk(regs, NULL, frames, &result);
    walk(regs, &cache, again, &other);
    if (result.count != other.count || result.end != other.end ||
        memcmp(frames, again, result.count * sizeof frames[0])) {
        fprintf(stderr, "step: the cache makes a difference\n");
        complain(again, &other, callers, depth);
        return;
    }
    while (same < depth && same + 1 < result.count && frames[same + 1] == callers[same])
        same++;
    if (same == depth && result.count == depth + 1 && (may_be_unfinished || result.end == HPP_WALK_ROOT))
        count.whole++;
    else if (same + 1 == result.count && stopped_in_resolver(frames, &result))
        count.lazy++;
    else if (same + 1 == result.count && stopped_in_interrupted(frames, &result))
        count.registers++;
    else if (same + 1 == result.count && stopped_in_leaving(frames, &result))
        count.leaving++;
    else
        complain(frames, &result, callers, depth);
}

/* ---- stepping -------------------------------------------------------------------------------------- */

/* Steps once, handing SIGNAL on; returns the signal that the child stopped with, 0 when it has ended well. */
static int step(pid_t pid, int signal, struct user_regs_struct *regs)
{
    int status;

    if (ptrace(PTRACE_SINGLESTEP, pid, 0, signal) || waitpid(pid, &status, 0) != pid)
        die("ptrace");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (!WIFSTOPPED(status)) {
        fprintf(stderr, "step: the child ended with status 0x%x in %s\n", status, step_shared->scenario);
        exit(2);
    }
    if (ptrace(PTRACE_GETREGS, pid, 0, regs))
        die("registers");
    return WSTOPSIG(status);
}

static void run(pid_t pid)
{
    struct user_regs_struct before, regs;
    unsigned long next_signal = SIGNAL_EVERY;
    const char *scenario = NULL;
    int signal = 0, stop;

    if (waitpid(pid, &stop, 0) != pid || !WIFSTOPPED(stop))
        die("the child does not stop");
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL);
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    for (;;) {
        before = regs;
        stop = step(pid, signal, &regs);
        if (stop == 0)
            return;
        if (signal && shadow_signal(&shadow, &before, &regs))
            count.signals++;
        else
            shadow_step(&shadow, &before, &regs);
        signal = stop == SIGTRAP ? 0 : stop;
        if (!shadow.current)
            continue;
        if (regs.rip >= (uint64_t)step_enter && regs.rip < (uint64_t)step_base_end)
            shadow.current->count = 0; /* the base's caller lies on another stack */
        if (regs.rip >= (uint64_t)step_enter && regs.rip < (uint64_t)step_base)
            continue;
        compare(&regs);
        if (count.wrong >= ENOUGH)
            return;
        if (scenario != step_shared->scenario) {
            scenario = step_shared->scenario;
            printf("%9lu steps before: %s%s\n", count.steps, scenario, step_shared->how);
        }
        if (!signal && step_shared->want_signals && !shadow.between && count.steps >= next_signal &&
            shadow.current != &shadow.stack[STEP_ALTERNATE]) {
            next_signal = count.steps + SIGNAL_EVERY + 40; /* a handler's worth of steps, and some more */
            signal = SIGUSR2;
        }
    }
}

int main(int argc, char **argv)
{
    pid_t pid;
    char *memory = mmap(NULL, (STEP_STACKS + 1) * STEP_STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        die("memory");
    setvbuf(stdout, NULL, _IOLBF, 0);
    step_shared = (struct step_shared *)memory;
    for (int i = 0; i < STEP_STACKS; i++)
        step_shared->stack[i] = memory + (i + 1) * STEP_STACK_SIZE;
    step_shared->scenario = "start";
    step_shared->how = "";
    hpp_unwind_bug = argc > 1 ? (enum hpp_unwind_bug)atoi(argv[1]) : HPP_UNWIND_BUG_NONE;
    build_tables();
    shadow_init(&shadow);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            _exit(77);
        raise(SIGSTOP);
        step_enter(step_all, step_shared->stack[STEP_MAIN] + STEP_STACK_SIZE - 256);
        _exit(0);
    }
    run(pid);
    printf("%lu steps, %lu signals: %lu whole, %lu wrong, %lu between two frames\n", count.steps,
           count.signals, count.whole, count.wrong, count.unknown);
    printf("known to end early: %lu below the lazy resolver, %lu leaving by a jump, %lu interrupted with the "
           "frame "
           "in a register\n",
           count.lazy, count.leaving, count.registers);
    return count.wrong || count.whole < LEAST ||
           (count.unknown + count.leaving + count.registers) * 50 > count.steps;
}
