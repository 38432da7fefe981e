/* __libc_start_main, pthread_create and thrd_create: a frame of ours lies under main and under every start
 * routine, and where a walk arrives there the stack is whole. Runs on the target's threads, in place of
 * the real functions, which it always calls. */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <threads.h>

#include "common/sys.h"
#include "preload/agent.h"
#include "preload/interpose.h"
#include "preload/start_record.h"
#include "preload/threads.h"
#include "profiler/checked_read.h"

#define FRAME              __attribute__((noinline)) /* and never a tail call in it: the frame must stay */
#define PAGES_AROUND_STACK 8192u                     /* guard page below, thread descriptor above */

/* ---- main -------------------------------------------------------------------------------------------- */

typedef int main_function(int, char **, char **);
int __libc_start_main(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

static main_function *the_main;

static FRAME int run_main(int argc, char **argv, char **environment)
{
    int status;

    hpp_thread_set_root((uint64_t)(uintptr_t)__builtin_frame_address(0));
    status = the_main(argc, argv, environment);
    __asm__ volatile("" ::: "memory"); /* not a tail call */
    return status;
}

EXPORT int __libc_start_main(main_function *program_main, int argc, char **argv, void (*init)(void),
                             void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    the_main = program_main;
    hpp_thread_set_start((uint64_t)(uintptr_t)program_main);
    return REAL(__libc_start_main)(run_main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* ---- threads ----------------------------------------------------------------------------------------- */

static pthread_key_t the_key;
static int the_key_state; /* 1: usable */

/* Runs when a thread ends, however it does. Comes back until the last round of destructors, so that the
 * program's own are sampled too. */
static void thread_ends(void *round)
{
    uintptr_t rounds = (uintptr_t)round;

    if (rounds < PTHREAD_DESTRUCTOR_ITERATIONS && !REAL(pthread_setspecific)(the_key, (void *)(rounds + 1)))
        return;
    hpp_thread_end();
}

static void make_key(void)
{
    if (!the_key_state)
        the_key_state = REAL(pthread_key_create) && !REAL(pthread_key_create)(&the_key, thread_ends) ? 1 : -1;
}

static FRAME void *run_thread(void *argument)
{
    struct hpp_start_record *record = argument, start = *record;
    uint64_t frame = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    uint64_t descriptor = (uint64_t)(uintptr_t)__builtin_thread_pointer();
    int ends = the_key_state == 1 && !REAL(pthread_setspecific)(the_key, (void *)1);
    void *result;

    hpp_start_record_give_back(record);
    /* the descriptor lies at the top of the stack's memory (glibc, nptl/allocatestack.c); libc's frames,
     * under which destructors run at the end, are between */
    hpp_thread_begin(&(struct hpp_thread_stack){
        .low = start.stack_size > 2 * PAGES_AROUND_STACK ? descriptor - start.stack_size + PAGES_AROUND_STACK
                                                         : frame - PAGES_AROUND_STACK / 2,
        .end = descriptor,
        .root_fp = frame,
        .start_routine =
            (uint64_t)(uintptr_t)(start.c11_routine ? (void *)start.c11_routine : (void *)start.routine)});
    hpp_thread_unblock(start.blocked);
    result = start.c11_routine ? (void *)(intptr_t)start.c11_routine(start.argument)
                               : start.routine(start.argument);
    __asm__ volatile("" ::: "memory"); /* not a tail call */
    if (!ends)
        hpp_thread_end();
    return result;
}

static size_t stack_size(const pthread_attr_t *attributes)
{
    pthread_attr_t defaults;
    size_t size = 0;

    if (!REAL(pthread_attr_getstacksize) || !REAL(pthread_attr_init))
        return 0;
    if (!attributes && REAL(pthread_attr_init)(&defaults))
        return 0;
    if (REAL(pthread_attr_getstacksize)(attributes ? attributes : &defaults, &size))
        return 0;
    return size;
}

/* What run_thread needs, or NULL where the thread cannot be sampled. */
static struct hpp_start_record *prepare(void *(*routine)(void *), thrd_start_t c11_routine, void *argument,
                                        const pthread_attr_t *attributes)
{
    struct hpp_start_record *record;

    if (!hpp_agent_is_active())
        return NULL;
    hpp_checked_read_set_threaded();
    make_key();
    record = hpp_start_record_take();
    if (!record)
        return NULL;
    record->routine = routine;
    record->c11_routine = c11_routine;
    record->argument = argument;
    record->blocked = hpp_thread_is_unblocked();
    record->stack_size = stack_size(attributes);
    return record;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                          void *argument)
{
    struct hpp_start_record *record = prepare(routine, NULL, argument, attributes);
    int error;

    if (!record)
        return REAL(pthread_create)(thread, attributes, routine, argument);
    error = REAL(pthread_create)(thread, attributes, run_thread, record);
    if (error)
        hpp_start_record_give_back(record);
    return error;
}

static int run_c11_thread(void *record)
{
    return (int)(intptr_t)run_thread(record);
}

/* libc's own goes around pthread_create's symbol. */
EXPORT int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
    struct hpp_start_record *record = prepare(NULL, routine, argument, NULL);
    int error;

    if (!record)
        return REAL(thrd_create)(thread, routine, argument);
    error = REAL(thrd_create)(thread, run_c11_thread, record);
    if (error != thrd_success)
        hpp_start_record_give_back(record);
    return error;
}
