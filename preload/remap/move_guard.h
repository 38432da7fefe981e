/* Text is not moved while it is unloaded, or made writable: what is moved in would come to lie where
 * something else is then, or take the place of what is written. */
#ifndef HPP_PRELOAD_REMAP_MOVE_GUARD_H
#define HPP_PRELOAD_REMAP_MOVE_GUARD_H

#include <stdint.h>

#define HPP_CHANGES_MAX 256u /* calls that are told apart */

/* Around what may unmap text in [START, END), or make it writable: waits for a move under way of some of it,
 * or calls it off; none begins meanwhile. The one takes what the other has returned. On the target's threads,
 * signal handlers included. */
unsigned hpp_guard_before_change(uint64_t start, uint64_t end);
void hpp_guard_after_change(unsigned place);

/* Around a move of [START, END): whether it may be made now, and whether it was not called off. Writer. */
int hpp_guard_begin_move(uint64_t start, uint64_t end);
int hpp_guard_end_move(void);

/* Around what takes the text's place, which may happen several times in a move. Where it may not begin, the
 * move was called off: something of it may not be what it was when it was looked at. Writer. */
int hpp_guard_begin_swap(void);
void hpp_guard_end_swap(void);
int hpp_guard_is_called_off(void); /* between swaps */

/* There is none. Before a writer starts. */
void hpp_guard_init(void);

#endif
