/* Collects the rules of an image's code, address by address, and makes an unwind table of them. Builder of
 * unwind tables only. */
#ifndef HPP_COMMON_UNWIND_ROWS_H
#define HPP_COMMON_UNWIND_ROWS_H

#include <stdint.h>

#include "common/arena.h"
#include "common/unwind_build.h"
#include "common/unwind_table.h"

/* Code without information that is shorter than this is padding between functions. */
#define HPP_UNWIND_PADDING 16u

struct hpp_unwind_block;

struct hpp_unwind_rows {
    struct hpp_arena *arena; /* working memory */
    uint64_t base;           /* link-time; a multiple of 64 KiB; offsets are from here */
    uint32_t pages;          /* of 64 KiB, all code */
    uint32_t *first;         /* [pages + 1] the first row of each page */
    uint32_t page;           /* of the last row */
    uint32_t rows;
    struct hpp_unwind_block *oldest, *newest;
    uint32_t last;    /* rule of the last row; HPP_UNWIND_RULES_MAX before the first */
    uint64_t last_at; /* its address */
    uint64_t covered; /* all code below has its rule */
    uint32_t rules;
    uint32_t rules_room; /* a power of two */
    struct hpp_unwind_rule *rule;
    uint32_t *slots;   /* [2 * rules_room] numbers of rules by their hash; 0: empty */
    uint32_t too_many; /* rules that found no room */
    int error;         /* -ENOMEM: some row is missing */
};

/* Begins with none. FIRST and END: link-time bounds of all code that may come, at most 4 GiB apart. Returns 0
 * or -ENOMEM. */
int hpp_unwind_rows_start(struct hpp_unwind_rows *rows, struct hpp_arena *arena, uint64_t first,
                          uint64_t end);

/* The code from FROM up to TO has RULE, but for what is covered already. A hole before it that is no padding
 * has rule 0. */
void hpp_unwind_rows_add(struct hpp_unwind_rows *rows, uint64_t from, uint64_t to,
                         const struct hpp_unwind_rule *rule);

/* Makes the table, in a mapping of its own of at most LIMIT bytes. FIRST: the lowest address of code; the
 * build-id is copied. BUILD is asked to pause. Returns 0; -ENODATA where no code has a rule; -ENOMEM;
 * -ECANCELED. */
int hpp_unwind_rows_finish(struct hpp_unwind_rows *rows, struct hpp_unwind_build *build, uint64_t first,
                           const struct hpp_elf_header *header, uint64_t limit,
                           const struct hpp_unwind_table **table);

#endif
