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

/* Whether the rows of each page are in order, and all name a rule that is there. Tables have hundreds of
 * thousands of rows: these are gone through without branches, and where offsets do not rise is counted. That
 * may only be at the start of a page. */
static int are_rows_valid(const struct hpp_unwind_table *table)
{
    const uint32_t *rows = hpp_unwind_rows(table);
    uint32_t count = table->rows, out_of_page = (uint32_t)(~0ull << (table->shift + 16));
    uint32_t bad = 0, most = 0, falls = 0, before = 0;

    if (hpp_unwind_first(table, 0) || hpp_unwind_first(table, table->pages) != count)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i];
        bad |= row & out_of_page;
        most = (row & 0xffff) > most ? row & 0xffff : most;
        falls += row >> 16 <= before && i;
        before = row >> 16;
    }
    for (uint32_t page = 0; page < table->pages; page++) {
        uint32_t first = hpp_unwind_first(table, page), next = hpp_unwind_first(table, page + 1);
        if (next < first || next > count)
            return 0;
        if (first && first < next)
            falls -= rows[first] >> 16 <= rows[first - 1] >> 16;
    }
    return !bad && !falls && most < table->rules;
}

int hpp_unwind_is_valid(const struct hpp_unwind_table *table, uint64_t size)
{
    const struct hpp_unwind_rule *none = table->rule;

    if (!is_header_valid(table, size) || table->checksum != hpp_unwind_checksum(table))
        return 0;
    if (none->cfa != HPP_CFA_NONE || none->fp || none->ra)
        return 0;
    for (uint32_t i = 0; i < table->rules; i++)
        if (!is_rule_valid(&table->rule[i]))
            return 0;
    return are_rows_valid(table);
}
