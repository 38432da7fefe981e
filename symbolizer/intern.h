/* Gives each distinct run of bytes a small number: 0, 1, 2, … in order of arrival. Strings, stacks, label
 * sets and locations are all kept this way, so equal ones cost one entry. Offline only. */
#ifndef HPP_SYMBOLIZER_INTERN_H
#define HPP_SYMBOLIZER_INTERN_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty. */
struct hpp_intern {
    char *bytes;
    size_t used, room;
    struct hpp_intern_entry *entries;
    size_t count, entries_room;
    uint32_t *slots;
    size_t slot_count;
};

/* The number of the SIZE bytes at BYTES, which are copied when new; BYTES must not lie in this intern.
 * At most UINT32_MAX - 1 entries, each under 4 GiB. */
uint32_t hpp_intern_add(struct hpp_intern *intern, const void *bytes, size_t size);

/* The number of these bytes, or UINT32_MAX when they were never added. */
uint32_t hpp_intern_find(const struct hpp_intern *intern, const void *bytes, size_t size);

/* The bytes of entry NUMBER, 8-aligned and followed by a zero byte; valid until the next add. *SIZE, if not
 * NULL, gets their count. */
const void *hpp_intern_get(const struct hpp_intern *intern, uint32_t number, size_t *size);

void hpp_intern_free(struct hpp_intern *intern);

#endif
