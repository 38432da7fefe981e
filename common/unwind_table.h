/* Unwind tables: how to find the caller's frame from any instruction of an ELF file, in a form that a
 * signal handler can look up in a few nanoseconds. Made from .eh_frame by common/unwind_build.c, kept on
 * disk by common/table_cache.c. A table is immutable, position-independent and one piece of memory; a cache
 * file holds the very same bytes.
 *
 *     header | rules | bases | rows | starts
 *
 * Link-time addresses from BASE on are cut into pages of 1 << SHIFT bytes, pages are taken together in groups
 * of 64 KiB. The number of the first row of page p, or of a later one, is bases[p's group] + starts[p]: 32
 * bits a group, 16 a page; for p == pages it is the number of rows. A row is 32 bits: the offset in its page
 * (high half) from which its rule (low half) holds, up to the next row. Rule 0 is always "none". Most
 * look-ups so touch two lines of memory that they cannot know to be near: starts is small, rows is not.
 *
 * Looking up: any context, the handler included. */
#ifndef HPP_COMMON_UNWIND_TABLE_H
#define HPP_COMMON_UNWIND_TABLE_H

#include <stdint.h>

#include "common/elf_header.h"

#define HPP_UNWIND_MAGIC     0x32776e7570706800ull /* changes with the format */
#define HPP_UNWIND_SHIFT_MAX 16u
#define HPP_UNWIND_RULES_MAX 65536u

/* How the canonical frame address (DWARF 5, 6.4: the stack pointer before the call) is found. */
enum hpp_cfa {
    HPP_CFA_NONE,     /* no rule: follow the frame pointer if that is sound */
    HPP_CFA_END,      /* the outermost frame: no caller */
    HPP_CFA_SP,       /* sp + cfa_offset */
    HPP_CFA_FP,       /* fp + cfa_offset */
    HPP_CFA_REGISTER, /* register BASE + cfa_offset; known in frame 0 only */
    HPP_CFA_DEREF,    /* *(register BASE + cfa_offset) + cfa_add; BASE other than sp and fp: frame 0 only */
    HPP_CFA_PLT,      /* sp + cfa_offset, + 8 where (pc & 15) >= cfa_add */
    HPP_CFA_SIGNAL,   /* a signal frame: sp = *(sp + cfa_offset), fp = *(sp + fp_offset), pc = *(sp +
                         ra_offset),   and that pc was interrupted, it is no return address */
    HPP_CFA_INDEXED,  /* *(sp + cfa_offset + register BASE * 8) + cfa_add; BASE as for DEREF */
};

/* Where the caller's value of a register is. */
enum hpp_saved {
    HPP_SAVED_SAME,     /* not changed yet (frame pointer only) */
    HPP_SAVED_AT_CFA,   /* at CFA + offset */
    HPP_SAVED_AT_FP,    /* at the present frame pointer + offset */
    HPP_SAVED_AT_SP,    /* at the present stack pointer + offset */
    HPP_SAVED_REGISTER, /* in the register whose DWARF number is the offset; known in frame 0 only */
    HPP_SAVED_LOST,     /* not known */
};

struct hpp_unwind_rule {
    uint8_t cfa;  /* enum hpp_cfa */
    uint8_t base; /* DWARF register number */
    uint8_t fp;   /* enum hpp_saved */
    uint8_t ra;   /* enum hpp_saved; AT_CFA with ra_offset -8 nearly always */
    int32_t cfa_offset;
    int32_t fp_offset;
    int16_t cfa_add;
    int16_t ra_offset;
};

struct hpp_unwind_table {
    uint64_t magic;
    uint64_t size;     /* bytes of the whole table */
    uint64_t checksum; /* of all bytes behind this field */
    uint64_t base;     /* link-time address; a multiple of the page size */
    uint32_t pages;
    uint32_t rows;
    uint32_t rules; /* rule 0 included */
    uint8_t shift;
    uint8_t build_id_size; /* of the file it is for; 0: it has none */
    uint8_t reserved[2];
    uint8_t build_id[HPP_BUILD_ID_MAX];
    struct hpp_unwind_rule rule[];
};

/* Pages of a group, as a power of two. */
static inline unsigned hpp_unwind_group(const struct hpp_unwind_table *table)
{
    return HPP_UNWIND_SHIFT_MAX - table->shift;
}

static inline const uint32_t *hpp_unwind_bases(const struct hpp_unwind_table *table)
{
    return (const uint32_t *)(table->rule + table->rules);
}

static inline const uint32_t *hpp_unwind_rows(const struct hpp_unwind_table *table)
{
    return hpp_unwind_bases(table) + (table->pages >> hpp_unwind_group(table)) + 1;
}

static inline const uint16_t *hpp_unwind_starts(const struct hpp_unwind_table *table)
{
    return (const uint16_t *)(hpp_unwind_rows(table) + table->rows);
}

/* The number of the first row of PAGE, which is at most table->pages; never more than there are. */
static inline uint32_t hpp_unwind_first(const struct hpp_unwind_table *table, uint64_t page)
{
    uint32_t row = hpp_unwind_bases(table)[page >> hpp_unwind_group(table)] + hpp_unwind_starts(table)[page];

    return row < table->rows ? row : table->rows;
}

/* The rule that holds at the link-time ADDRESS; rule 0 where there is none. */
static inline const struct hpp_unwind_rule *hpp_unwind_find(const struct hpp_unwind_table *table,
                                                            uint64_t address)
{
    uint64_t offset = address - table->base, page = offset >> table->shift;
    const uint32_t *rows = hpp_unwind_rows(table);
    uint32_t low, high, key, rule;

    if (page >= table->pages)
        return table->rule;
    low = hpp_unwind_first(table, page);
    high = hpp_unwind_first(table, page + 1);
    key = (uint32_t)(offset & ((1u << table->shift) - 1)) << 16 | 0xffff;
    /* the first row of the page that begins behind the address, without branches that depend on it */
    for (uint32_t left = high > low ? high - low : 0; left;) {
        uint32_t half = (left + 1) / 2;
        low += half & (0u - (rows[low + half - 1] <= key));
        left -= half;
    }
    rule = low ? rows[low - 1] & 0xffff : 0;
    return &table->rule[rule < table->rules ? rule : 0];
}

/* Whether the SIZE bytes at TABLE have the magic and size of a table, and rules within their bounds: looking
 * up reads nothing outside, whatever the rows are. */
int hpp_unwind_is_bounded(const struct hpp_unwind_table *table, uint64_t size);

/* Whether it is that, and is as it was made: has its checksum. */
int hpp_unwind_is_intact(const struct hpp_unwind_table *table, uint64_t size);

/* Whether it is intact, and its rows are as they should be, which whoever makes a table may ask. */
int hpp_unwind_is_valid(const struct hpp_unwind_table *table, uint64_t size);

/* The checksum that belongs in the header. */
uint64_t hpp_unwind_checksum(const struct hpp_unwind_table *table);

/* For making a table: the size that belongs in a header with these numbers, and noting the first row of each
 * page from 0 to pages, in order. */
uint64_t hpp_unwind_size(const struct hpp_unwind_table *head);
void hpp_unwind_set_first(struct hpp_unwind_table *table, uint32_t page, uint32_t row);

#endif
