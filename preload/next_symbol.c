/* Symbol look-up in the loaded objects' dynamic symbol tables (gABI chapter 5; DT_GNU_HASH as glibc's
 * elf/dl-lookup.c reads it). Start-up code. */
#include "preload/next_symbol.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"

#define VERSION_HIDDEN 0x8000

struct object {
    const Elf64_Sym *symbols;
    const char *strings;
    const uint32_t *hash;     /* DT_GNU_HASH, or NULL */
    const uint32_t *old_hash; /* DT_HASH, or NULL */
    const Elf64_Half *versions;
};

static void read_dynamic(const struct link_map *map, struct object *object)
{
    *object = (struct object){0};
    for (const Elf64_Dyn *d = map->l_ld; d && d->d_tag != DT_NULL; d++) {
        /* glibc has relocated these in place, but not for the vdso */
        uint64_t at = d->d_un.d_ptr < map->l_addr ? d->d_un.d_ptr + map->l_addr : d->d_un.d_ptr;
        if (d->d_tag == DT_SYMTAB)
            object->symbols = (const Elf64_Sym *)at;
        else if (d->d_tag == DT_STRTAB)
            object->strings = (const char *)at;
        else if (d->d_tag == DT_GNU_HASH)
            object->hash = (const uint32_t *)at;
        else if (d->d_tag == DT_HASH)
            object->old_hash = (const uint32_t *)at;
        else if (d->d_tag == DT_VERSYM)
            object->versions = (const Elf64_Half *)at;
    }
}

static int is_wanted(const struct object *object, uint32_t index, const char *name)
{
    const Elf64_Sym *symbol = &object->symbols[index];

    if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC ||
        (object->versions && object->versions[index] & VERSION_HIDDEN))
        return 0;
    return hpp_text_equal(object->strings + symbol->st_name, name);
}

static uint32_t gnu_hash(const char *name)
{
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* The index of NAME, or 0. */
static uint32_t find_gnu(const struct object *object, const char *name)
{
    const uint32_t *header = object->hash;
    uint32_t buckets = header[0], first = header[1], filter_words = header[2];
    const uint32_t *bucket = header + 4 + filter_words * 2;
    const uint32_t *chain = bucket + buckets;
    uint32_t hash = gnu_hash(name);
    uint32_t index = buckets ? bucket[hash % buckets] : 0;

    if (index < first)
        return 0;
    for (;; index++) {
        uint32_t entry = chain[index - first];
        if ((entry | 1) == (hash | 1) && is_wanted(object, index, name))
            return index;
        if (entry & 1)
            return 0;
    }
}

static uint32_t find_old(const struct object *object, const char *name)
{
    for (uint32_t index = 1; index < object->old_hash[1]; index++)
        if (is_wanted(object, index, name))
            return index;
    return 0;
}

static void *find_in(const struct link_map *map, const char *name)
{
    struct object object;
    uint32_t index;

    read_dynamic(map, &object);
    if (!object.symbols || !object.strings || !(object.hash || object.old_hash))
        return NULL;
    index = object.hash ? find_gnu(&object, name) : find_old(&object, name);
    return index ? (void *)(map->l_addr + object.symbols[index].st_value) : NULL;
}

void *hpp_next_symbol(const char *name)
{
    const struct link_map *own = _r_debug.r_map;
    void *found = NULL;

    while (own && (uint64_t)(uintptr_t)own->l_ld != (uint64_t)(uintptr_t)_DYNAMIC)
        own = own->l_next;
    for (const struct link_map *map = own ? own->l_next : NULL; map && !found; map = map->l_next)
        found = find_in(map, name);
    /* loaded by dlopen instead of LD_PRELOAD, we stand behind libc */
    for (const struct link_map *map = _r_debug.r_map; map && map != own && !found; map = map->l_next)
        found = find_in(map, name);
    return found;
}
