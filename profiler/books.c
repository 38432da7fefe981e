/* What no sample stands for becomes rows of the profile. Writer. */
#include "profiler/books.h"

#include "common/sys.h"
#include "common/text.h"
#include "profiler/accounts.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define NO_FILE_NS 100000000u /* what a process uses to be loaded and to end */

void hpp_books_look(void)
{
    struct hpp_books *books = &hpp_writer.books;
    /* one that has gone has none */
    uint64_t used = hpp_sys_now(hpp_sys_process_clock(hpp_writer.target));
    uint64_t now = hpp_accounts_clock(used);
    uint64_t begin = hpp_accounts_cpu_begin();

    if (hpp_sampler.event) /* samples stand for other things than CPU time: nothing is to be booked */
        return;
    if (used)
        books->stopped = hpp_accounts_stopped(used);
    books->total_before = books->total;
    books->is_fresh = now > begin;
    if (books->is_fresh)
        books->total = now - begin;
}

void hpp_books_look_back(void)
{
    uint64_t then = hpp_accounts_clock(hpp_accounts_exec_cpu()), begin = hpp_accounts_cpu_begin();

    if (hpp_sampler.event)
        return;
    hpp_writer.books.is_fresh = then > begin;
    hpp_writer.books.total = then > begin ? then - begin : hpp_writer.books.total_before;
}

/* What rows there are stand for, ns. */
static uint64_t told(void)
{
    uint64_t sum = hpp_writer.aggregate.samples * hpp_sampler.period;

    for (unsigned i = 0; i < 3; i++)
        sum += hpp_writer.books.booked[i];
    return sum;
}

/* Returns whether there was memory for the row. */
static int book(uint32_t leaf, uint64_t start_routine, int64_t ns)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);

    if (hpp_aggregate_book(&hpp_writer.aggregate, map, leaf, start_routine, (uint64_t)ns))
        return 0;
    hpp_writer.books.booked[leaf - HPP_LOCATION_SHORT_LIVED] += (uint64_t)ns;
    return 1;
}

void hpp_books_settle(int at_end)
{
    static const uint32_t leaves[HPP_ACCOUNTS] = {
        [HPP_SHORT_LIVED] = HPP_LOCATION_SHORT_LIVED, [HPP_BLOCKED] = HPP_LOCATION_BLOCKED};
    const struct hpp_books *books = &hpp_writer.books;
    struct hpp_account_due due;

    for (unsigned i = 0; hpp_accounts_get(i, &due); i++) {
        int64_t room = (int64_t)(books->total - told());
        if (due.ns <= (at_end ? 0 : due.chance))
            continue;
        /* never more than was used: where samples stand for more than that, here they stand for less */
        if (books->is_fresh && due.ns > room)
            due.ns = room;
        if (due.ns > 0 && book(leaves[due.kind], due.start_routine, due.ns))
            *due.booked += due.ns;
    }
    if (at_end && books->total > told())
        book(HPP_LOCATION_UNSAMPLED, 0, (int64_t)(books->total - told()));
}

int hpp_books_are_needed(void)
{
    const struct hpp_books *books = &hpp_writer.books;

    return books->total > told() + 3 * hpp_sampler.period + NO_FILE_NS;
}

static void put(struct hpp_text *text, const char *key, uint64_t now, uint64_t *told_before)
{
    hpp_text_put(text, key);
    hpp_text_put_number(text, now - *told_before);
    *told_before = now;
}

void hpp_books_comment(int at_end)
{
    struct hpp_books *books = &hpp_writer.books;
    char line[256];
    struct hpp_text text = HPP_TEXT(line);

    if (hpp_accounts_cpu_begin() == UINT64_MAX || hpp_sampler.event)
        return;
    if (at_end && !books->is_fresh && books->total < told())
        books->total = told();
    /* a file that grows for days shall not be full of them */
    if (!at_end && books->total < books->told_total + books->told_total / 10 + 1)
        return;
    hpp_text_put(&text, "hpprof.cpu");
    put(&text, " total_ns=", books->total, &books->told_total);
    put(&text, " sampled_ns=", hpp_writer.aggregate.samples * hpp_sampler.period, &books->told_samples);
    put(&text, " short_lived_ns=", books->booked[0], &books->told_booked[0]);
    put(&text, " blocked_ns=", books->booked[1], &books->told_booked[1]);
    put(&text, " unsampled_ns=", books->booked[2], &books->told_booked[2]);
    if (books->stopped != books->told_stopped)
        put(&text, " stopped_ns=", books->stopped, &books->told_stopped);
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}
