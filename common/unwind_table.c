/* Checks of unwind tables, which may come from a file. Writer and offline. */
#include "common/unwind_table.h"

#include <stddef.h>

#include "common/arch_dwarf.h"

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
    return sum ^ sum >> 29;
}

uint64_t hpp_unwind_checksum(const struct hpp_unwind_table *table)
{
    const uint8_t *at = (const uint8_t *)&table->base, *end = (const uint8_t *)table + table->size;
    uint64_t a = 1, b = 2, c = 3, d = 4, words[4], sum;

    /* Four that do not wait for each other. */
    for (; (size_t)(end - at) >= sizeof words; at += sizeof words) {
        __builtin_memcpy(words, at, sizeof words);
        a = mix(a, words[0]);
        b = mix(b, words[1]);
        c = mix(c, words[2]);
        d = mix(d, words[3]);
    }
    sum = mix(mix(mix(mix(table->size, a), b), c), d);
    for (; end - at >= 4; at += 4) {
        uint32_t word;
        __builtin_memcpy(&word, at, sizeof word);
        sum = mix(sum, word);
    }
    return sum;
}

uint64_t hpp_unwind_size(const struct hpp_unwind_table *head)
{
    uint64_t size = sizeof *head + (uint64_t)head->rules * sizeof *head->rule + 4 * (uint64_t)head->rows +
                    4 * ((uint64_t)(head->pages >> hpp_unwind_group(head)) + 1) +
                    2 * ((uint64_t)head->pages + 1);

    return (size + 3) & ~3ull;
}

void hpp_unwind_set_first(struct hpp_unwind_table *table, uint32_t page, uint32_t row)
{
    uint32_t *base = (uint32_t *)hpp_unwind_bases(table) + (page >> hpp_unwind_group(table));

    if (!(page & ((1u << hpp_unwind_group(table)) - 1)))
        *base = row;
    ((uint16_t *)hpp_unwind_starts(table))[page] = (uint16_t)(row - *base);
}

static int is_rule_valid(const struct hpp_unwind_rule *rule)
{
    if (rule->cfa > HPP_CFA_INDEXED || rule->fp > HPP_SAVED_LOST || rule->ra > HPP_SAVED_LOST ||
        rule->base >= HPP_ARCH_DWARF_REGISTERS)
        return 0;
    if (rule->fp == HPP_SAVED_REGISTER && (uint32_t)rule->fp_offset >= HPP_ARCH_DWARF_REGISTERS)
        return 0;
    return rule->ra != HPP_SAVED_REGISTER || (uint16_t)rule->ra_offset < HPP_ARCH_DWARF_REGISTERS;
}

static int is_header_valid(const struct hpp_unwind_table *table, uint64_t size)
{
    if (size < sizeof *table || table->magic != HPP_UNWIND_MAGIC || table->size != size)
        return 0;
    if (!table->rules || table->rules > HPP_UNWIND_RULES_MAX || table->shift > HPP_UNWIND_SHIFT_MAX ||
        table->build_id_size > HPP_BUILD_ID_MAX || table->reserved[0] || table->reserved[1])
        return 0;
    if (!table->pages || table->base & ((1ull << table->shift) - 1) ||
        table->base + ((uint64_t)table->pages << table->shift) < table->base)
        return 0;
    return size == hpp_unwind_size(table);
}

/* Four rows, wherever they lie. */
typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_signed __attribute__((vector_size(16)));

/* How many of the COUNT rows, but for the first, are no higher in their page than the one before; sets *WRONG
 * if one has a bit of OUT_OF_PAGE, or a rule that is not below RULES. */
static uint32_t count_falls(const uint32_t *rows, uint32_t count, uint32_t out_of_page, uint32_t rules,
                            uint32_t *wrong)
{
    four_signed falls = {0}, bad = {0};
    uint32_t sum = 0, i = 1;

    for (; i + 4 <= count; i += 4) {
        four row = *(const four *)(rows + i), before = *(const four *)(rows + i - 1);
        falls -= (four_signed)(row >> 16) <= (four_signed)(before >> 16);
        bad |= (four_signed)(row & out_of_page);
        bad |= (four_signed)(row & 0xffff) >= (int32_t)rules;
    }
    for (; i < count; i++) {
        sum += rows[i] >> 16 <= rows[i - 1] >> 16;
        *wrong |= (rows[i] & out_of_page) || (rows[i] & 0xffff) >= rules;
    }
    for (int lane = 0; lane < 4; lane++) {
        sum += (uint32_t)falls[lane];
        *wrong |= bad[lane] != 0;
    }
    return sum;
}

/* hpp_unwind_first as it is said, within bounds or not. */
static uint32_t first_row(const struct hpp_unwind_table *table, uint32_t page)
{
    return hpp_unwind_bases(table)[page >> hpp_unwind_group(table)] + hpp_unwind_starts(table)[page];
}

/* Whether the rows of each page are in order, and all name a rule that is there. Tables have hundreds of
 * thousands of rows: these are gone through without branches, and where offsets do not rise is counted. That
 * may only be at the start of a page. */
static int are_rows_valid(const struct hpp_unwind_table *table)
{
    const uint32_t *rows = hpp_unwind_rows(table);
    uint32_t count = table->rows, out_of_page = (uint32_t)(~0ull << (table->shift + 16));
    uint32_t wrong = 0, falls = 0;

    if (first_row(table, 0) || first_row(table, table->pages) != count)
        return 0;
    if (count) {
        wrong = (rows[0] & out_of_page) || (rows[0] & 0xffff) >= table->rules;
        falls = count_falls(rows, count, out_of_page, table->rules, &wrong);
    }
    for (uint32_t page = 0; page < table->pages; page++) {
        uint32_t first = first_row(table, page), next = first_row(table, page + 1);
        if (next < first || next > count)
            return 0;
        if (first && first < next)
            falls -= rows[first] >> 16 <= rows[first - 1] >> 16;
    }
    return !wrong && !falls;
}

int hpp_unwind_is_bounded(const struct hpp_unwind_table *table, uint64_t size)
{
    const struct hpp_unwind_rule *none = table->rule;

    if (!is_header_valid(table, size))
        return 0;
    if (none->cfa != HPP_CFA_NONE || none->fp || none->ra)
        return 0;
    for (uint32_t i = 0; i < table->rules; i++)
        if (!is_rule_valid(&table->rule[i]))
            return 0;
    return 1;
}

int hpp_unwind_is_intact(const struct hpp_unwind_table *table, uint64_t size)
{
    return hpp_unwind_is_bounded(table, size) && table->checksum == hpp_unwind_checksum(table);
}

int hpp_unwind_is_valid(const struct hpp_unwind_table *table, uint64_t size)
{
    return hpp_unwind_is_intact(table, size) && are_rows_valid(table);
}
