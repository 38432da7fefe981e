/* Checks of unwind tables, which may come from a file. Writer and offline. */
#include "common/unwind_table.h"

#include "common/arch_dwarf.h"

#define LANES 4

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
    return sum ^ sum >> 29;
}

uint64_t hpp_unwind_checksum(const struct hpp_unwind_table *table)
{
    const uint8_t *at = (const uint8_t *)&table->base, *end = (const uint8_t *)table + table->size;
    uint64_t lane[LANES] = {1, 2, 3, 4}, sum = table->size;

    /* Lanes that do not wait for each other. */
    for (; end - at >= (long)sizeof lane; at += sizeof lane) {
        uint64_t words[LANES];
        __builtin_memcpy(words, at, sizeof words);
        for (int i = 0; i < LANES; i++)
            lane[i] = mix(lane[i], words[i]);
    }
    for (int i = 0; i < LANES; i++)
        sum = mix(sum, lane[i]);
    for (; end - at >= 4; at += 4) {
        uint32_t word;
        __builtin_memcpy(&word, at, sizeof word);
        sum = mix(sum, word);
    }
    return sum;
}

static int is_rule_valid(const struct hpp_unwind_rule *rule)
{
    if (rule->cfa > HPP_CFA_SIGNAL || rule->fp > HPP_SAVED_LOST || rule->ra > HPP_SAVED_LOST ||
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
    return size == sizeof *table + (uint64_t)table->rules * sizeof *table->rule +
                       4 * ((uint64_t)table->pages + 1 + table->rows);
}

/* Whether the rows of each page are in order, and all name a rule that is there. */
static int are_rows_valid(const struct hpp_unwind_table *table)
{
    const uint32_t *index = hpp_unwind_index(table), *rows = hpp_unwind_rows(table);
    uint32_t number = 0;

    if (index[0] || index[table->pages] != table->rows)
        return 0;
    for (uint32_t page = 0; page < table->pages; page++) {
        uint32_t next = 0; /* the least that the row's offset may be */
        if (index[page + 1] < index[page] || index[page + 1] > table->rows)
            return 0;
        for (; number < index[page + 1]; number++) {
            uint32_t offset = rows[number] >> 16;
            if (offset < next || offset >> table->shift || (rows[number] & 0xffff) >= table->rules)
                return 0;
            next = offset + 1;
        }
    }
    return 1;
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
