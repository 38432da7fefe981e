/* Hot remap: text moves to huge pages while it runs, where the process's own samples show that it is worth
 * it. The writer counts and moves; what is said where else. */
#ifndef HPP_PRELOAD_REMAP_HOT_H
#define HPP_PRELOAD_REMAP_HOT_H

#include "preload/remap/remap.h"

/* Before a writer starts, in the first process and in fork children: has it count which samples lie on huge
 * pages, and, if MOVES, move what is hot, as OPTIONS allow, with a record in LIST for each range. Both stay.
 * Start-up code. */
void hpp_hot_begin(const struct hpp_remap_options *options, struct hpp_remap_list *list, int moves);

/* Adds the comments on the weight of samples on huge pages, where it has grown by a tenth or AT_END; then
 * also what text was left, and why. Writer, at a flush. */
void hpp_hot_comment(int at_end);

/* Adds the comments on the weight of samples in each moved range, AT_END or where its text was unloaded.
 * After those on the moves. Writer, at a flush. */
void hpp_hot_comment_ranges(int at_end);

/* The text at ADDRESS has WEIGHT more. Writer. */
void hpp_hot_count(uint64_t address, uint64_t weight);

#endif
