/* Rows of unwind tables, on their way. Builder of unwind tables only. */
#include "common/unwind_rows.h"

#include <errno.h>

#include "common/unwind_sections.h"

#define PAGE_SHIFT  16u /* the largest that the row's half word allows */
#define PAGE        (1u << PAGE_SHIFT)
#define BLOCK_ROWS  16384u
#define PAUSE_ROWS  (8 * BLOCK_ROWS)
#define RULES_FIRST 1024u

struct hpp_unwind_block {
    struct hpp_unwind_block *next;
    uint32_t count;
    uint32_t row[BLOCK_ROWS]; /* as in the table, with pages of 64 KiB */
};

/* A rule as two words. */
struct words {
    uint64_t a, b;
};

static struct words words_of(const struct hpp_unwind_rule *rule)
{
    struct words words;

    _Static_assert(sizeof words == sizeof *rule, "a rule is two words, without padding");
    __builtin_memcpy(&words, rule, sizeof words);
    return words;
}

static uint32_t *find_slot(const struct hpp_unwind_rows *rows, struct words words)
{
    uint64_t hash = (words.a ^ words.b * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
    uint32_t mask = 2 * rows->rules_room - 1, at = (uint32_t)(hash >> 32) & mask;

    for (;; at = (at + 1) & mask) {
        struct words other;
        if (!rows->slots[at])
            return &rows->slots[at];
        other = words_of(&rows->rule[rows->slots[at]]);
        if (other.a == words.a && other.b == words.b)
            return &rows->slots[at];
    }
}

static int grow_rules(struct hpp_unwind_rows *rows, uint32_t room)
{
    struct hpp_unwind_rule *rule = hpp_arena_allocate(rows->arena, room * sizeof *rule);
    uint32_t *slots = hpp_arena_allocate(rows->arena, 2ull * room * sizeof *slots);

    if (!rule || !slots)
        return -ENOMEM;
    for (uint32_t i = 1; i < rows->rules; i++) /* rule 0 is zeros */
        rule[i] = rows->rule[i];
    rows->rule = rule;
    rows->slots = slots;
    rows->rules_room = room;
    for (uint32_t i = 1; i < rows->rules; i++)
        *find_slot(rows, words_of(&rule[i])) = i;
    return 0;
}

/* The number of RULE; 0 where there is no room for one more. */
static uint32_t number_of(struct hpp_unwind_rows *rows, const struct hpp_unwind_rule *rule)
{
    uint32_t *slot;

    if (rule->cfa == HPP_CFA_NONE)
        return 0;
    slot = find_slot(rows, words_of(rule));
    if (*slot)
        return *slot;
    if (rows->rules == HPP_UNWIND_RULES_MAX) {
        rows->too_many++;
        return 0;
    }
    if (rows->rules == rows->rules_room) {
        if (grow_rules(rows, 2 * rows->rules_room)) {
            rows->error = -ENOMEM;
            return 0;
        }
        slot = find_slot(rows, words_of(rule));
    }
    rows->rule[rows->rules] = *rule;
    *slot = rows->rules;
    return rows->rules++;
}

int hpp_unwind_rows_start(struct hpp_unwind_rows *rows, struct hpp_arena *arena, uint64_t first, uint64_t end)
{
    uint64_t base = first & ~(uint64_t)(PAGE - 1);

    *rows = (struct hpp_unwind_rows){.arena = arena, .base = base, .last = HPP_UNWIND_RULES_MAX, .rules = 1};
    rows->pages = (uint32_t)((end - 1 - base) / PAGE) + 1;
    rows->first = hpp_arena_allocate(arena, (rows->pages + 1ull) * sizeof *rows->first);
    return rows->first ? grow_rules(rows, RULES_FIRST) : -ENOMEM;
}

/* From address AT on, rule NUMBER holds. */
static void add_row(struct hpp_unwind_rows *rows, uint64_t at, uint32_t number)
{
    uint64_t offset = at - rows->base;
    struct hpp_unwind_block *block = rows->newest;

    if (number == rows->last || rows->error)
        return;
    if (!block || block->count == BLOCK_ROWS) {
        block = hpp_arena_allocate(rows->arena, sizeof *block);
        if (!block) {
            rows->error = -ENOMEM;
            return;
        }
        *(rows->newest ? &rows->newest->next : &rows->oldest) = block;
        rows->newest = block;
    }
    while (rows->page < offset >> PAGE_SHIFT)
        rows->first[++rows->page] = rows->rows;
    block->row[block->count++] = (uint32_t)(offset & (PAGE - 1)) << 16 | number;
    rows->rows++;
    rows->last = number;
    rows->last_at = at;
}

void hpp_unwind_rows_add(struct hpp_unwind_rows *rows, uint64_t from, uint64_t to,
                         const struct hpp_unwind_rule *rule)
{
    if (from < rows->covered)
        from = rows->covered;
    if (from >= to)
        return;
    if (rows->rows && from - rows->covered >= HPP_UNWIND_PADDING)
        add_row(rows, rows->covered, 0);
    rows->covered = to;
    /* Before the first row there is rule 0 anyway. */
    if (rows->rows || rule->cfa != HPP_CFA_NONE)
        add_row(rows, from, number_of(rows, rule));
}

/* Chooses the size of pages: small ones, for few steps in a look-up, but an index much smaller than the
 * rows. */
static void choose_pages(const struct hpp_unwind_rows *rows, uint64_t first, struct hpp_unwind_table *head)
{
    for (head->shift = 0;; head->shift++) {
        head->base = first >> head->shift << head->shift;
        if (head->shift == HPP_UNWIND_SHIFT_MAX ||
            (rows->last_at - head->base) >> head->shift < rows->rows / 8)
            break;
    }
    head->pages = (uint32_t)((rows->last_at - head->base) >> head->shift) + 1;
}

/* Writes index and rows. Returns 0 or -ECANCELED. */
static int write_rows(const struct hpp_unwind_rows *rows, struct hpp_unwind_build *build,
                      struct hpp_unwind_table *table)
{
    uint32_t *row = (uint32_t *)hpp_unwind_rows(table);
    uint32_t mask = (1u << table->shift) - 1, page = 0, wide_page = 0, number = 0;

    hpp_unwind_set_first(table, 0, 0);
    for (const struct hpp_unwind_block *block = rows->oldest; block; block = block->next) {
        for (uint32_t i = 0; i < block->count; i++, number++) {
            uint64_t offset;
            while (wide_page < rows->page && rows->first[wide_page + 1] <= number)
                wide_page++;
            offset = rows->base - table->base + ((uint64_t)wide_page << PAGE_SHIFT) + (block->row[i] >> 16);
            while (page < offset >> table->shift)
                hpp_unwind_set_first(table, ++page, number);
            row[number] = ((uint32_t)offset & mask) << 16 | (block->row[i] & 0xffff);
        }
        if (number % PAUSE_ROWS == 0 && hpp_unwind_pause(build))
            return -ECANCELED;
    }
    while (page < table->pages)
        hpp_unwind_set_first(table, ++page, number);
    return 0;
}

int hpp_unwind_rows_finish(struct hpp_unwind_rows *rows, struct hpp_unwind_build *build, uint64_t first,
                           const struct hpp_elf_header *header, uint64_t limit,
                           const struct hpp_unwind_table **table)
{
    struct hpp_unwind_table head = {.magic = HPP_UNWIND_MAGIC}, *made;

    if (rows->rows)
        add_row(rows, rows->covered, 0);
    if (rows->error)
        return rows->error;
    if (!rows->rows)
        return -ENODATA;
    choose_pages(rows, first, &head);
    head.rows = rows->rows;
    head.rules = rows->rules;
    head.size = hpp_unwind_size(&head);
    head.build_id_size = (uint8_t)header->build_id_size;
    for (unsigned i = 0; i < header->build_id_size; i++)
        head.build_id[i] = header->build_id[i];
    made = head.size > limit ? NULL : hpp_arena_map(head.size);
    if (!made)
        return -ENOMEM;
    *made = head;
    for (uint32_t i = 0; i < rows->rules; i++)
        made->rule[i] = rows->rule[i];
    if (write_rows(rows, build, made)) {
        hpp_unwind_free(made);
        return -ECANCELED;
    }
    made->checksum = hpp_unwind_checksum(made);
    *table = made;
    return 0;
}
