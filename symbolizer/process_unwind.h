/* Stacks of a process that runs again, from the copies that were taken of it, through libunwind's remote
 * address space. Offline only. */
#ifndef HPP_SYMBOLIZER_PROCESS_UNWIND_H
#define HPP_SYMBOLIZER_PROCESS_UNWIND_H

#include "symbolizer/process_images.h"

enum { HPP_FRAMES_MAX = 1 << 16, HPP_UNWIND_WHY = 256 };

struct hpp_process_frame {
    uint64_t pc;                     /* the leaf's; then return addresses */
    uint64_t place;                  /* what to look up: pc, or for a return address the byte before it */
    struct hpp_process_image *image; /* NULL: code without a file */
    bool signal;                     /* the kernel's call of a signal's function */
};

typedef void hpp_process_visit(void *context, const struct hpp_process_frame *frame);

/* Calls VISIT for each frame of THREAD (whose stack was taken), leaf first. Returns true when the last one is
 * the thread's root; else WHY says why there is no more. */
bool hpp_process_unwind(struct hpp_process_images *images, const struct hpp_process_thread *thread,
                        hpp_process_visit *visit, void *context, char why[HPP_UNWIND_WHY]);

#endif
