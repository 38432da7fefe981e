/* What the kernel knows of the pages of this memory. Start-up code and writer. */
#ifndef HPP_PRELOAD_REMAP_PAGEMAP_H
#define HPP_PRELOAD_REMAP_PAGEMAP_H

#include <stdint.h>

#define HPP_HUGE_PAGE  (2ull << 20)
#define HPP_CHUNKS_MAX 512u

/* A bit for each 2 MiB of a range of at most HPP_CHUNKS_MAX of them. */
struct hpp_chunks {
    uint64_t bits[HPP_CHUNKS_MAX / 64];
};

static inline int hpp_chunk_is(const struct hpp_chunks *chunks, uint64_t i)
{
    return chunks->bits[i / 64] >> (i % 64) & 1;
}

static inline void hpp_chunk_set(struct hpp_chunks *chunks, uint64_t i)
{
    chunks->bits[i / 64] |= 1ull << (i % 64);
}

enum hpp_page_kind {
    HPP_PAGE_HUGE,    /* mapped by an entry of 2 MiB */
    HPP_PAGE_PRIVATE, /* its own: written to since it was mapped from the file, or never a file's */
};

/* Adds to CHUNKS (NULL: none) those of [START, END), whole 2 MiB, that hold a page of KIND. Returns the bytes
 * of such pages, or -errno where the kernel does not tell: what is huge, before Linux 6.7 (PAGEMAP_SCAN). */
int64_t hpp_pagemap_find(uint64_t start, uint64_t end, enum hpp_page_kind kind, struct hpp_chunks *chunks);

#endif
