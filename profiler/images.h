/* The writer learns of images that come and go: when it looks at the memory map again. Writer only (or, where
 * there is none, the exiting program). */
#ifndef HPP_PROFILER_IMAGES_H
#define HPP_PROFILER_IMAGES_H

#include <stdint.h>

#include "profiler/sampler.h"

/* Looks at /proc/self/maps for images that came or went, and publishes the new map. */
void hpp_images_scan(uint64_t now);

/* Does so if RECORD, of SLOT's thread and not older than the present map, holds an address that may be code
 * of an image not known yet, and that is not asked too often. */
void hpp_images_look(const struct hpp_slot *slot, const uint64_t *record, uint64_t now);

#endif
