/* The files behind a process's memory, by address: their bytes, unwind tables and names. Text that was moved
 * to anonymous huge pages still counts as its file's. Offline only. */
#ifndef HPP_SYMBOLIZER_PROCESS_IMAGES_H
#define HPP_SYMBOLIZER_PROCESS_IMAGES_H

#include "symbolizer/process_image.h"

struct hpp_process_images {
    const struct hpp_process *process;
    void (*tell)(const char *line); /* of files that give no names; may be NULL */
    struct hpp_process_image *first;
    struct hpp_process_image *last_found;
    int root; /* the process's root directory where it is not ours, else -1 */
};

void hpp_process_images_open(struct hpp_process_images *images, const struct hpp_process *process,
                             void (*tell)(const char *line));
void hpp_process_images_close(struct hpp_process_images *images);

/* The image that holds ADDRESS, or NULL: memory without a file. It lives as long as IMAGES. */
struct hpp_process_image *hpp_process_image_find(struct hpp_process_images *images, uint64_t address);

#endif
