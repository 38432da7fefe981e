/* The shadow call stack of tests/unwind/step. Reads the tracee's stacks, which are shared memory, and its
 * code, which is the tracer's own by fork. */
#include "tests/unwind/shadow.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum kind { OTHER, CALL, RETURN, JUMP_FAR, ADJUST };

/* What the instruction at CODE does, as far as the shadow stack wants to know, and the length of a call
 * (Intel SDM, volume 2: prefixes, opcode, ModRM, SIB, displacement). */
static enum kind decode(const uint8_t *code, unsigned *length)
{
    const uint8_t *at = code;
    unsigned mod, rm, reg;

    while (*at == 0xf2 || *at == 0xf3 || *at == 0x2e || *at == 0x3e || *at == 0x66 || (*at & 0xf0) == 0x40)
        at++;
    mod = at[1] >> 6;
    reg = at[1] >> 3 & 7;
    rm = at[1] & 7;
    *length = 0;
    switch (*at) {
    case 0xe8:
        *length = (unsigned)(at - code) + 5;
        return CALL;
    case 0xc2:
    case 0xc3:
        return RETURN;
    case 0xff:
        if (reg == 4)
            return JUMP_FAR;
        if (reg != 2)
            return OTHER;
        *length = (unsigned)(at - code) + 2;
        if (mod != 3 && rm == 4)
            *length += mod == 0 && (at[2] & 7) == 5 ? 5 : 1;
        else if (mod == 0 && rm == 5)
            *length += 4;
        *length += mod == 1 ? 1 : mod == 2 ? 4 : 0;
        return CALL;
    case 0x81:
    case 0x83:
        return ADJUST;
    default:
        return *at >= 0x58 && *at <= 0x5f ? ADJUST : OTHER;
    }
}

static uint64_t word(uint64_t address)
{
    return *(const volatile uint64_t *)address;
}

static struct shadow_stack *stack_of(struct shadow *shadow, uint64_t sp)
{
    for (int i = 0; i < STEP_STACKS; i++)
        if (sp >= shadow->stack[i].low && sp <= shadow->stack[i].high)
            return &shadow->stack[i];
    return NULL;
}

void shadow_init(struct shadow *shadow)
{
    for (int i = 0; i < STEP_STACKS; i++) {
        shadow->stack[i].low = (uint64_t)step_shared->stack[i];
        shadow->stack[i].high = shadow->stack[i].low + STEP_STACK_SIZE - 64;
    }
}

static void push(struct shadow_stack *stack, uint64_t slot, uint64_t told)
{
    if (stack->count == SHADOW_DEPTH) {
        fprintf(stderr, "step: the shadow stack is full\n");
        exit(2);
    }
    stack->entry[stack->count++] = (struct shadow_entry){slot, word(slot), told};
}

/* Return addresses below the stack pointer are gone. Returns how many were. */
static unsigned drop(struct shadow_stack *stack, uint64_t sp)
{
    unsigned count = stack->count;

    while (stack->count && stack->entry[stack->count - 1].slot < sp)
        stack->count--;
    return count - stack->count;
}

/* The stack pointer went to another stack, not by a signal. */
static void change_stack(struct shadow *shadow, struct shadow_stack *to)
{
    struct shadow_stack *from = shadow->current;
    uint64_t base;

    if (from && from->below) { /* back from an alternate stack */
        from->count = 0;
        from->below = NULL;
    } else if (from && to) {
        shadow->between = 1;
    }
    shadow->current = to;
    if (!to || to->count)
        return;
    base = step_shared->base[to - shadow->stack];
    if (base)
        push(to, base, word(base));
}

void shadow_step(struct shadow *shadow, const struct user_regs_struct *before,
                 const struct user_regs_struct *after)
{
    struct shadow_stack *to = stack_of(shadow, after->rsp);
    unsigned length, dropped;
    enum kind kind = decode((const uint8_t *)before->rip, &length);

    if ((kind == RETURN || kind == JUMP_FAR) && after->rip != before->rip)
        shadow->between = 0;
    if (to != shadow->current)
        change_stack(shadow, to);
    if (!to)
        return;
    if (kind == CALL && after->rsp == before->rsp - 8 && word(after->rsp) == before->rip + length) {
        if (after->rip != before->rip + length) /* else only to learn where it is */
            push(to, after->rsp, word(after->rsp));
        return;
    }
    dropped = drop(to, after->rsp);
    if (dropped && kind != RETURN && !(kind == ADJUST && dropped == 1) &&
        *(const uint16_t *)before->rip != 0x050f)
        shadow->between = 1;
}

int shadow_signal(struct shadow *shadow, const struct user_regs_struct *interrupted,
                  const struct user_regs_struct *after)
{
    struct shadow_stack *to = stack_of(shadow, after->rsp);
    /* arch/x86/kernel/signal_64.c, struct rt_sigframe: the return address, then the ucontext */
    uint64_t rip = after->rsp + 8 + offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]);

    if (!to || !shadow->current || rip > to->high || word(rip) != interrupted->rip)
        return 0;
    if (to != shadow->current) {
        to->count = 0;
        to->below = shadow->current;
        shadow->current = to;
    }
    push(to, rip, word(rip) + 1);
    push(to, after->rsp, word(after->rsp));
    return 1;
}

int shadow_callers(const struct shadow *shadow, uint64_t *callers, unsigned limit)
{
    unsigned count = 0;

    if (shadow->between || !shadow->current)
        return -1;
    for (const struct shadow_stack *stack = shadow->current; stack; stack = stack->below)
        for (unsigned i = stack->count; i--;) {
            if (word(stack->entry[i].slot) != stack->entry[i].stored || count == limit)
                return -1;
            callers[count++] = stack->entry[i].told;
        }
    return (int)count;
}
