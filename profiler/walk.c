/* The frame-pointer walk. Signal handler only. */
#include "profiler/walk.h"

#include "profiler/checked_read.h"
#include "profiler/signal_safe.h"

/* On a stack whose bounds nobody told us (a coroutine's, an alternate one) callers are no further. */
#define UNKNOWN_STACK_SPAN (8u << 20)

/* What [fp] and [fp + 8] hold: the caller's frame pointer and the return address. */
struct frame {
    uint64_t fp;
    uint64_t ra;
};

/* The stack that the walk is on now. */
struct stack {
    uint64_t from; /* frames lie at or above this */
    uint64_t end;
    int live; /* reading [from, end) directly is sound */
};

static int on_own_stack(const struct hpp_walk *walk, uint64_t address)
{
    return address >= walk->stack_low && address < walk->stack_end;
}

static struct stack first_stack(const struct hpp_walk *walk)
{
    if (on_own_stack(walk, walk->sp))
        return (struct stack){walk->sp, walk->stack_end, 1};
    return (struct stack){walk->sp, walk->sp + UNKNOWN_STACK_SPAN, 0};
}

/* Reads the frame record at FP. Returns HPP_WALK_GOES_ON, or why it cannot be one. */
static enum hpp_walk_end read_frame(const struct hpp_walk *walk, const struct stack *stack, uint64_t fp,
                                    struct frame *frame)
{
    int inside = fp >= stack->from && fp < stack->end && stack->end - fp >= sizeof *frame;

    if (fp % 8)
        return HPP_WALK_UNALIGNED;
    if (stack->live && inside && !walk->check_all) {
        *frame = *(const volatile struct frame *)fp;
        return HPP_WALK_GOES_ON;
    }
    /* check_all asks the kernel before anything else is decided; otherwise only if it can matter */
    if ((inside || walk->check_all) && hpp_checked_read(fp, &frame->fp, &frame->ra))
        return HPP_WALK_UNREADABLE;
    return inside ? HPP_WALK_GOES_ON : HPP_WALK_OFF_STACK;
}

/* Whether ADDRESS is in an executable segment. Neighbouring frames often share one: *LAST remembers. */
static int is_code(const struct hpp_walk *walk, uint64_t address, const struct hpp_code_range **last)
{
    if (*last && address >= (*last)->start && address < (*last)->end)
        return 1;
    *last = hpp_image_find(walk->code, address);
    return *last != NULL;
}

static enum hpp_walk_end walk_on(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                                 unsigned *count, uint64_t *stop)
{
    const struct hpp_code_range *last = NULL;
    struct stack stack = first_stack(walk);
    struct frame frame;
    uint64_t fp = walk->fp;

    while (*count < limit) {
        enum hpp_walk_end error;

        *stop = fp;
        if (fp == walk->root_fp)
            return HPP_WALK_NO_FRAME;
        error = read_frame(walk, &stack, fp, &frame);
        if (error != HPP_WALK_GOES_ON)
            return error;
        if (!is_code(walk, frame.ra - 1, &last)) {
            *stop = frame.ra;
            return HPP_WALK_NOT_CODE;
        }
        if (frame.fp == walk->root_fp && last->segment == walk->agent)
            return HPP_WALK_ROOT;
        frames[(*count)++] = frame.ra;
        *stop = frame.fp;
        if (on_own_stack(walk, frame.fp) && !on_own_stack(walk, fp)) {
            /* from an alternate stack back to the thread's own: it starts anew, checked */
            stack = (struct stack){frame.fp, walk->stack_end, 0};
        } else if (frame.fp <= fp) {
            return frame.fp % 8 ? HPP_WALK_UNALIGNED : HPP_WALK_NOT_RISING;
        } else {
            stack.from = fp + sizeof frame;
        }
        fp = frame.fp;
    }
    return HPP_WALK_TRUNCATED;
}

unsigned hpp_walk_frames(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                         enum hpp_walk_end *end, uint64_t *stop)
{
    unsigned count = 1;

    frames[0] = walk->pc;
    *end = walk_on(walk, frames, limit, &count, stop);
    return count;
}
