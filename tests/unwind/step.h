/* Shared by the single-stepping test's tracer (step.c), its shadow stack (shadow.c) and the code that is
 * stepped through (step_code.c, step_throw.cc, step_asm.S). Test only. */
#ifndef HPP_TESTS_STEP_H
#define HPP_TESTS_STEP_H

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { STEP_STACKS = 4, STEP_STACK_SIZE = 1 << 20 };
enum { STEP_MAIN, STEP_ALTERNATE, STEP_COROUTINE_A, STEP_COROUTINE_B };

/* In memory that tracer and tracee share, at one address in both. */
struct step_shared {
    const char *scenario; /* what is stepped through now, and how: the same addresses in both */
    const char *how;
    int want_signals;           /* the tracer may send SIGUSR2 at any instruction */
    uint64_t base[STEP_STACKS]; /* where a coroutine's stack holds the address that its first function returns
                                   to */
    char *stack[STEP_STACKS];   /* STEP_STACK_SIZE bytes each, page-aligned */
};
extern struct step_shared *step_shared;

/* Runs all scenarios; the tracee calls it on STEP_MAIN through step_enter. */
void step_all(void);
void step_throw_all(void);

/* step_asm.S */
void step_enter(void (*function)(void), void *stack_end);
extern const char step_base[], step_base_end[]; /* the function behind step_enter that calls FUNCTION */
void step_switch(uint64_t *save_sp, uint64_t to_sp);
long step_asm_pushes(long);
long step_asm_states(long);
long step_asm_cfa_register(long);
long step_asm_frame_pointer_late(long);
long step_asm_get_pc(long);
long step_asm_tail(long);
long step_asm_enter_leave(long);
long step_asm_fp_as_data(long);
long step_asm_far_call(long);
long step_target(long);

/* The library that is bound lazily. */
int step_library_add(int, int);
int step_library_call(int (*)(int), int);
double step_library_many(int, int, int, int, int, int, int, int, double, double);

#ifdef __cplusplus
}
#endif
#endif
#endif
