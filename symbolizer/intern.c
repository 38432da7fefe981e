/* Interning by open addressing over one growing buffer. Offline only. */
#include "symbolizer/intern.h"
#include "symbolizer/memory.h"

#include <stdlib.h>
#include <string.h>

struct hpp_intern_entry {
    size_t at;
    uint32_t size;
    uint32_t hash;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply-and-fold over 8 bytes at a time (the scheme of wyhash). */
static uint32_t hash_bytes(const char *bytes, size_t size)
{
    uint64_t hash = 0x9E3779B97F4A7C15u ^ size, word;

    for (; size >= 8; size -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        hash = mix(hash ^ word, 0xA0761D6478BD642Fu);
    }
    word = 0;
    memcpy(&word, bytes, size);
    hash = mix(hash ^ word, 0xE7037ED1A0B428DBu);
    return (uint32_t)(hash ^ hash >> 32);
}

static void rehash(struct hpp_intern *intern)
{
    size_t slot_count = intern->slot_count ? intern->slot_count * 2 : 64;
    uint32_t *slots = hpp_memory_get(slot_count * sizeof *slots);

    for (size_t i = 0; i < intern->count; i++) {
        size_t slot = intern->entries[i].hash & (slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    free(intern->slots);
    intern->slots = slots;
    intern->slot_count = slot_count;
}

/* The slot that holds these bytes, or the empty one where they belong. There is at least one empty slot. */
static size_t find_slot(const struct hpp_intern *intern, const char *bytes, size_t size, uint32_t hash)
{
    size_t slot = hash & (intern->slot_count - 1);

    for (; intern->slots[slot]; slot = (slot + 1) & (intern->slot_count - 1)) {
        const struct hpp_intern_entry *entry = &intern->entries[intern->slots[slot] - 1];
        if (entry->hash == hash && entry->size == size && !memcmp(intern->bytes + entry->at, bytes, size))
            break;
    }
    return slot;
}

uint32_t hpp_intern_find(const struct hpp_intern *intern, const void *bytes, size_t size)
{
    if (!intern->slot_count)
        return UINT32_MAX;
    return intern->slots[find_slot(intern, bytes, size, hash_bytes(bytes, size))] - 1;
}

uint32_t hpp_intern_add(struct hpp_intern *intern, const void *bytes, size_t size)
{
    static const char nothing[1];
    const char *from = bytes ? bytes : nothing;
    uint32_t hash = hash_bytes(from, size);
    size_t slot;

    if (intern->count * 2 >= intern->slot_count)
        rehash(intern);
    slot = find_slot(intern, from, size, hash);
    if (intern->slots[slot])
        return intern->slots[slot] - 1;
    size_t taken = (size + 8) & ~(size_t)7; /* at least one byte more, zero */
    intern->entries =
        hpp_memory_room(intern->entries, &intern->entries_room, intern->count + 1, sizeof *intern->entries);
    intern->bytes = hpp_memory_room(intern->bytes, &intern->room, intern->used + taken, 1);
    intern->entries[intern->count] = (struct hpp_intern_entry){intern->used, (uint32_t)size, hash};
    memcpy(intern->bytes + intern->used, from, size);
    memset(intern->bytes + intern->used + size, 0, taken - size);
    intern->used += taken;
    intern->slots[slot] = (uint32_t)++intern->count;
    return (uint32_t)intern->count - 1;
}

const void *hpp_intern_get(const struct hpp_intern *intern, uint32_t number, size_t *size)
{
    const struct hpp_intern_entry *entry = &intern->entries[number];

    if (size)
        *size = entry->size;
    return intern->bytes + entry->at;
}

void hpp_intern_free(struct hpp_intern *intern)
{
    free(intern->bytes);
    free(intern->entries);
    free(intern->slots);
    *intern = (struct hpp_intern){0};
}
