/* Records of threads that are being started: pages of them, added when all are taken, never given back, as
 * only those between pthread_create and the thread's first step are taken. Runs on the target's threads. */
#include "preload/start_record.h"

#include "common/arena.h"

#define RECORDS ((4096 - sizeof(void *)) / sizeof(struct hpp_start_record))

struct page {
    struct page *next;
    struct hpp_start_record records[RECORDS];
};

static _Atomic(struct page *) the_pages;

static struct hpp_start_record *take_of(struct page *page)
{
    for (size_t i = 0; i < RECORDS; i++) {
        struct hpp_start_record *record = &page->records[i];
        if (!atomic_load_explicit(&record->taken, memory_order_relaxed) &&
            !atomic_exchange_explicit(&record->taken, 1, memory_order_acquire))
            return record;
    }
    return NULL;
}

struct hpp_start_record *hpp_start_record_take(void)
{
    struct hpp_start_record *record = NULL;
    struct page *page;

    for (page = atomic_load(&the_pages); page; page = page->next)
        if ((record = take_of(page)))
            return record;
    page = hpp_arena_map(sizeof *page);
    if (!page)
        return NULL;
    record = take_of(page);
    page->next = atomic_load(&the_pages);
    while (!atomic_compare_exchange_weak(&the_pages, &page->next, page))
        ;
    return record;
}

void hpp_start_record_give_back(struct hpp_start_record *record)
{
    atomic_store_explicit(&record->taken, 0, memory_order_release);
}
