/* CPU time that no signal stands for: adding it up, booking it. */
#include "profiler/accounts.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/sys.h"
#include "profiler/books.h"
#include "profiler/writer.h"

#define PERIOD  1000000
#define ROUTINE 0x401000u
#define A_TIMER INT_MAX /* which the kernel does not know */

static struct hpp_code_map the_map;

static int setup(void **state)
{
    (void)state;
    hpp_sampler.period = PERIOD;
    hpp_sampler.multiplier = 1;
    hpp_sampler.slots = NULL;
    atomic_store(&hpp_sampler.slots_used, 0);
    atomic_store(&hpp_sampler.code, &the_map);
    hpp_accounts_begin(0);
    hpp_writer = (struct hpp_writer){.target = getpid(), .file.fd = -1};
    hpp_aggregate_init(&hpp_writer.aggregate);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hpp_arena_release(&hpp_writer.aggregate.arena);
    hpp_arena_release(&hpp_writer.aggregate.stack_arena);
    hpp_arena_release(&hpp_writer.aggregate.before_arena);
    return 0;
}

/* The account of KIND and ROUTINE; ns 0 if there is none. */
static struct hpp_account_due due_of(enum hpp_account kind, uint64_t routine)
{
    struct hpp_account_due due;

    for (unsigned i = 0; hpp_accounts_get(i, &due); i++)
        if (due.kind == kind && due.start_routine == routine && due.ns)
            return due;
    return (struct hpp_account_due){0};
}

/* Booked ns of the row with that LEAF, and the address of the start routine. */
static uint64_t row(uint32_t leaf, uint64_t *routine)
{
    const struct hpp_aggregate *aggregate = &hpp_writer.aggregate;

    for (const struct hpp_stack *stack = aggregate->first; stack; stack = stack->next)
        if (stack->locations[0] == leaf) {
            *routine = stack->count > 1 ? aggregate->locations[stack->locations[1] - 1].address : 0;
            return stack->booked_ns;
        }
    return 0;
}

static void test_sums(void **state)
{
    (void)state;
    hpp_account_add(HPP_SHORT_LIVED, ROUTINE, 500);
    hpp_account_add(HPP_SHORT_LIVED, ROUTINE, -200);
    hpp_account_add(HPP_BLOCKED, ROUTINE, 7);
    hpp_account_add(HPP_SHORT_LIVED, ROUTINE + 16, 1);
    hpp_account_add(HPP_SHORT_LIVED, 0, 2);
    assert_int_equal(due_of(HPP_SHORT_LIVED, ROUTINE).ns, 300);
    assert_int_equal(due_of(HPP_BLOCKED, ROUTINE).ns, 7);
    assert_int_equal(due_of(HPP_SHORT_LIVED, ROUTINE + 16).ns, 1);
    assert_int_equal(due_of(HPP_SHORT_LIVED, 0).ns, 2);
    hpp_accounts_begin(0);
    assert_int_equal(due_of(HPP_SHORT_LIVED, ROUTINE).ns, 0);
}

/* More routines than there is room for: nothing is lost but names. */
static void test_full(void **state)
{
    struct hpp_account_due due;
    int64_t sum = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        hpp_account_add(HPP_SHORT_LIVED, ROUTINE + i * 64, 10);
    for (unsigned i = 0; hpp_accounts_get(i, &due); i++)
        sum += due.ns;
    assert_int_equal(sum, 10000);
    assert_int_equal(due_of(HPP_SHORT_LIVED, ROUTINE).ns, 10);
    assert_int_equal(due_of(HPP_SHORT_LIVED, 0).ns, 10 * (1000 - 256));
}

static void *add_many(void *unused)
{
    for (uint64_t i = 0; i < 100000; i++)
        hpp_account_add(i % 2 ? HPP_BLOCKED : HPP_SHORT_LIVED, ROUTINE + i % 50 * 8, 1);
    return unused;
}

static void test_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(due_of(i % 2 ? HPP_BLOCKED : HPP_SHORT_LIVED, ROUTINE + i * 8).ns, 4 * 2000);
}

/* What chance explains waits for the end. */
static void test_chance(void **state)
{
    uint64_t routine;

    (void)state;
    hpp_writer.books.total = 1000 * PERIOD;
    hpp_writer.books.is_fresh = 1;
    for (int i = 0; i < 100; i++)
        hpp_account_add(HPP_SHORT_LIVED, ROUTINE, PERIOD / 4);
    hpp_books_settle(0);
    assert_null(hpp_writer.aggregate.first);
    for (int i = 0; i < 100; i++)
        hpp_account_add(HPP_SHORT_LIVED, ROUTINE, PERIOD / 2);
    hpp_books_settle(0);
    assert_int_equal(row(HPP_LOCATION_SHORT_LIVED, &routine), 75 * PERIOD);
    assert_int_equal(routine, ROUTINE);
    hpp_aggregate_clear(&hpp_writer.aggregate);
    hpp_account_add(HPP_SHORT_LIVED, ROUTINE, -20 * PERIOD);
    hpp_account_add(HPP_SHORT_LIVED, ROUTINE, 21 * PERIOD);
    hpp_books_settle(0);
    assert_null(hpp_writer.aggregate.first);
    hpp_writer.aggregate.samples = 900;
    hpp_books_settle(1);
    assert_int_equal(row(HPP_LOCATION_SHORT_LIVED, &routine), PERIOD);
    assert_int_equal(row(HPP_LOCATION_UNSAMPLED, &routine), 24 * PERIOD);
    assert_int_equal(routine, 0);
}

/* The rows never stand for more than was used; unless the clock could not be read. */
static void test_limit(void **state)
{
    uint64_t routine;

    (void)state;
    hpp_writer.books.total = 100 * PERIOD;
    hpp_writer.books.is_fresh = 1;
    hpp_writer.aggregate.samples = 95;
    hpp_account_add(HPP_BLOCKED, ROUTINE, 20 * PERIOD);
    hpp_books_settle(1);
    assert_int_equal(row(HPP_LOCATION_BLOCKED, &routine), 5 * PERIOD);
    assert_int_equal(row(HPP_LOCATION_UNSAMPLED, &routine), 0);
    hpp_writer.books.is_fresh = 0;
    hpp_books_settle(1);
    assert_int_equal(row(HPP_LOCATION_BLOCKED, &routine), 20 * PERIOD);
    hpp_writer.books.total = 0;
    hpp_writer.target = 0x3ffffff; /* above any pid_max */
    hpp_books_look();
    assert_false(hpp_writer.books.is_fresh);
    hpp_books_comment(1);
    assert_string_equal(hpp_writer.aggregate.strings[hpp_writer.file.comment[0]],
                        "hpprof.cpu total_ns=115000000 sampled_ns=95000000 short_lived_ns=0 "
                        "blocked_ns=20000000 unsampled_ns=0");
}

/* The process's own clock, less what was told before; the comment tells what is new, not each time. */
static void test_clock(void **state)
{
    uint64_t before = hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID);

    (void)state;
    hpp_books_look();
    assert_in_range(hpp_writer.books.total, before, hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID));
    hpp_books_comment(0);
    hpp_books_comment(0);
    assert_int_equal(hpp_writer.file.comment_count, 1);
    hpp_books_comment(1);
    assert_int_equal(hpp_writer.file.comment_count, 2);
    hpp_accounts_begin(before);
    hpp_books_look();
    assert_true(hpp_writer.books.total < before);
}

/* What a late signal is to weigh, by where it came. */
static void test_late(void **state)
{
    struct hpp_slot slot = {.start_routine = ROUTINE, .multiplier = 1};
    ucontext_t context;
    greg_t *gregs = context.uc_mcontext.gregs;
    struct timespec tick;
    uint32_t bound, huge = 100000;

    (void)state;
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    bound = (uint32_t)(2 * tick.tv_nsec / PERIOD + 2);
    memset(&context, 0, sizeof context);
    gregs[REG_RIP] = ROUTINE;
    /* anywhere: a crowded processor */
    assert_int_equal(hpp_account_late(&slot, &context, 102), 102);
    assert_int_equal(due_of(HPP_BLOCKED, ROUTINE).ns, 0);
    assert_int_equal(hpp_account_late(&slot, &context, huge), 102);
    assert_int_equal(due_of(HPP_BLOCKED, ROUTINE).ns, (int64_t)(huge - 102) * PERIOD);
    /* where the rate is lower, a signal stands for more */
    slot.multiplier = 64;
    assert_int_equal(hpp_account_late(&slot, &context, huge), 100 + 128);
    slot.multiplier = 1;
    /* at the end of a system call that took so long: it is where the time went */
    gregs[REG_RCX] = ROUTINE;
    gregs[REG_RAX] = 1;
    assert_int_equal(hpp_account_late(&slot, &context, huge), huge);
    /* rt_sigprocmask(SIG_SETMASK, ..., 8) */
    gregs[REG_RAX] = 0;
    gregs[REG_RDI] = SIG_SETMASK;
    gregs[REG_R10] = 8;
    assert_int_equal(hpp_account_late(&slot, &context, bound), bound);
    assert_int_equal(hpp_account_late(&slot, &context, huge), bound);
    /* sigsuspend */
    gregs[REG_R10] = 0;
    gregs[REG_RAX] = -EINTR;
    assert_int_equal(hpp_account_late(&slot, &context, huge), bound);
}

/* A thread's end: what its signals stand for against its clock, by whether it had the signal blocked. */
static void test_thread(void **state)
{
    struct hpp_slot slot = {.start_routine = ROUTINE, .timer = A_TIMER};
    sigset_t profile;

    (void)state;
    hpp_account_thread(&slot, 0);
    assert_int_equal(slot.timer, -1);
    assert_in_range(due_of(HPP_SHORT_LIVED, ROUTINE).ns, 1, hpp_sys_now(CLOCK_THREAD_CPUTIME_ID));
    slot.weight = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID) / PERIOD + 1000;
    sigemptyset(&profile);
    sigaddset(&profile, SIGPROF);
    sigprocmask(SIG_BLOCK, &profile, NULL);
    hpp_account_thread(&slot, 0);
    assert_int_equal(due_of(HPP_BLOCKED, ROUTINE).ns, 0); /* it had no timer */
    slot.timer = A_TIMER;
    hpp_account_thread(&slot, 0);
    sigprocmask(SIG_UNBLOCK, &profile, NULL);
    assert_true(due_of(HPP_BLOCKED, ROUTINE).ns < 0);
}

/* An active slot whose thread, the calling one, has had a sample, and is owed some since. */
static struct hpp_slot *owed_some(void)
{
    struct hpp_slot *slot;

    hpp_sampler.period = 1000;
    assert_int_equal(hpp_sampler_init(HPP_MEMORY_DEFAULT), 0);
    slot = hpp_slot_claim();
    slot->start_routine = ROUTINE;
    slot->timer = A_TIMER;
    slot->weight = slot->first_weight = 3;
    slot->first_at = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID) - 9500;
    atomic_store(&slot->state, HPP_SLOT_ACTIVE);
    return slot;
}

/* For what was used after a thread's last sample, that sample is to stand. */
static void test_rest(void **state)
{
    struct hpp_slot *slot = owed_some();
    uint64_t begin = slot->first_at - 3 * hpp_sampler.period, *record;

    (void)state;
    hpp_account_thread(slot, begin);
    record = hpp_ring_peek(hpp_sampler.rings[slot->home]);
    assert_non_null(record);
    assert_true(HPP_RECORD_IS_REST(record[0]));
    assert_int_equal(HPP_RECORD_SLOT(record[2]), slot - hpp_sampler.slots);
    assert_in_range(HPP_RECORD_WEIGHT(record[0]), 10, 100002);
    assert_int_equal(slot->weight, 3 + HPP_RECORD_WEIGHT(record[0]));
    assert_int_equal(slot->put, 1);
    hpp_ring_consume(hpp_sampler.rings[slot->home], record);
    hpp_slot_taken(slot, 1);
    hpp_slot_end(slot);
}

static void test_no_rest(void **state)
{
    struct hpp_slot *slot = owed_some();
    struct hpp_ring *ring = hpp_sampler.rings[slot->home];
    sigset_t profile;

    (void)state;
    /* no sample that could stand for it */
    slot->weight = slot->first_weight = 0;
    hpp_account_thread(slot, slot->first_at);
    assert_null(hpp_ring_peek(ring));
    assert_true(due_of(HPP_SHORT_LIVED, ROUTINE).ns > 0);
    /* it has the signal blocked */
    slot->weight = slot->first_weight = 3;
    slot->timer = A_TIMER;
    sigemptyset(&profile);
    sigaddset(&profile, SIGPROF);
    sigprocmask(SIG_BLOCK, &profile, NULL);
    hpp_account_thread(slot, slot->first_at - 3 * hpp_sampler.period);
    sigprocmask(SIG_UNBLOCK, &profile, NULL);
    assert_null(hpp_ring_peek(ring));
    assert_true(due_of(HPP_BLOCKED, ROUTINE).ns > 0);
    hpp_slot_end(slot);
}

/* The end of a process that could not say it itself. */
static void test_only_thread(void **state)
{
    struct hpp_slot *slot = owed_some();

    (void)state;
    /* a ms more: the two clocks are not read at once, and an interrupt in between counts */
    assert_in_range(hpp_account_only_thread(hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID) + 1000000), 500, 100002);
    assert_int_equal(hpp_account_only_thread(0x100000000000), 0); /* more than chance explains */
    slot->timer = -1;
    assert_int_equal(hpp_account_only_thread(hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID)), 0);
    slot->timer = A_TIMER;
    atomic_store(&hpp_sampler.slots_used, 2);
    assert_int_equal(hpp_account_only_thread(hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID)), 0);
    hpp_slot_end(slot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_sums),    TEST(test_full),       TEST(test_threads),
                                       TEST(test_chance),  TEST(test_limit),      TEST(test_clock),
                                       TEST(test_late),    TEST(test_thread),     TEST(test_rest),
                                       TEST(test_no_rest), TEST(test_only_thread)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
