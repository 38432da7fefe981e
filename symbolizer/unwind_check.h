/* A second opinion of unwind tables: compares them with libdw's reading of the same file. And their rows as
 * text. Offline only. */
#ifndef HPP_SYMBOLIZER_UNWIND_CHECK_H
#define HPP_SYMBOLIZER_UNWIND_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "common/unwind_table.h"

enum { HPP_UNWIND_RULE_SIZE = 112 };

/* Takes a code address (link-time) where the table's rule is not libdw's; THEIRS is NULL where libdw knows
 * nothing. */
typedef void (*hpp_unwind_differ)(void *context, uint64_t address, const struct hpp_unwind_rule *ours,
                                  const struct hpp_unwind_rule *theirs);

/* Compares TABLE with what libdw says of the ELF file FD, over all its code: at the first and last byte of
 * each stretch where neither changes. DIFFER is called at each that differs.
 * Procedure linkage tables that libdw knows nothing of, and a compressed .debug_frame, are left out. Returns
 * how many addresses were compared; -1 if libdw cannot read the file or there is no memory. */
int64_t hpp_unwind_check(int fd, const struct hpp_unwind_table *table, hpp_unwind_differ differ,
                         void *context);

/* The link-time addresses of all rows, in order, to be freed; NULL without memory. */
uint64_t *hpp_unwind_addresses(const struct hpp_unwind_table *table);

/* RULE in words, such as `CFA=rsp+16 fp=[CFA-16] ra=[CFA-8]`. Returns TEXT. */
const char *hpp_unwind_rule_text(const struct hpp_unwind_rule *rule, char text[HPP_UNWIND_RULE_SIZE]);

#endif
