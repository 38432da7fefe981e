/* The names of one image by offset in its file: from .symtab, .dynsym and the separate debug file, with the
 * sizes that the symbols state. Offline only. */
#ifndef HPP_SYMBOLIZER_SYMBOLS_H
#define HPP_SYMBOLIZER_SYMBOLS_H

#include "symbolizer/intern.h"

#include <stdbool.h>

/* A stretch of the file that one function owns. Stretches rise and do not overlap: where symbols nest, the
 * inner one has the bytes; of several names of the same bytes the best is kept (global before weak before
 * local, fewer leading underscores, then alphabetical). A symbol without size owns one byte, if no other
 * symbol has it. */
struct hpp_symbol {
    uint64_t start, end; /* file offsets */
    uint32_t name;       /* in names, as in the ELF file, without @VERSION */
};

struct hpp_symbols {
    struct hpp_symbol *symbols;
    size_t count;
    struct hpp_intern names;
};

enum { HPP_WHY_SIZE = 512 };

/* Reads the symbols of the image PATH ("[vdso]": our own), which has, if it is to be used, the build-id
 * BUILD_ID (hex; "": any) and is mapped from file offset SEGMENT_OFFSET. When it is missing or differs, a
 * debug file of that build-id may still serve. Returns 0, or -errno and the reason in WHY, which follows
 * "PATH: ". SYMBOLS is to be freed in any case. */
int hpp_symbols_read(struct hpp_symbols *symbols, const char *path, const char *build_id,
                     uint64_t segment_offset, char why[HPP_WHY_SIZE]);
void hpp_symbols_free(struct hpp_symbols *symbols);

/* The first symbol that ends after OFFSET; symbols->count if there is none. It need not begin before
 * OFFSET. */
size_t hpp_symbols_find(const struct hpp_symbols *symbols, uint64_t offset);

const char *hpp_symbols_name(const struct hpp_symbols *symbols, size_t index);

/* NAME as people write it (C++, Rust), or NULL when it is not mangled. Free it. */
char *hpp_demangle(const char *name);

#endif
