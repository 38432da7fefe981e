/* Labels that the program gives its samples: pairs of key and value, each known by a number from 1 on. The
 * table only grows, is never locked, and fork children have it. Any thread; hpp_labels_get is for the
 * writer. */
#ifndef HPP_PROFILER_LABELS_H
#define HPP_PROFILER_LABELS_H

#include <stdint.h>

#define HPP_LABELS       65536u /* numbers; 0 is no label */
#define HPP_LABEL_LENGTH 255u   /* bytes of a key, and of a value, at most: longer ones are cut */

/* The number of this pair. 0 if one of them is empty, or the key one that hpprof gives itself (thread, tid,
 * time, process, pid), or where there is no room. Makes no call but, the first time, for memory: signal
 * handlers may call it. */
uint32_t hpp_labels_intern(const char *key, const char *value);

/* The pair of NUMBER. Returns whether there is one. */
int hpp_labels_get(uint32_t number, const char **key, const char **value);

/* How many calls found no room. */
uint64_t hpp_labels_refused(void);

#endif
