/* Files to begin fuzzing from: small ones made by hand that hold all there is, and a real one. */
#ifndef HPP_TESTS_UNWIND_SEEDS_H
#define HPP_TESTS_UNWIND_SEEDS_H

#include <stddef.h>
#include <stdint.h>

enum { UNWIND_SEEDS = 4 };

/* The bytes of seed NUMBER, to be freed; *SIZE gets how many. *FRAME and *FRAME_SIZE: where its call-frame
 * information is. */
uint8_t *unwind_seed(unsigned number, size_t *size, size_t *frame, size_t *frame_size);

#endif
