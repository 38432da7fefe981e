/* What the parts of `hpprof cache` share. Offline only. */
#ifndef HPP_CLI_CACHE_H
#define HPP_CLI_CACHE_H

#include <stdint.h>

enum { HPP_CACHE_SIZE_TEXT = 32 };

struct hpp_cache {
    char directory[4096]; /* of the tables */
    uint64_t limit;       /* bytes that they may take */
};

/* Opens the folder if the agent would use it. Returns the descriptor; -ENOENT if there is none; other -errno
 * after complaining. */
int hpp_cache_open(const struct hpp_cache *cache);

/* BYTES with a K, M or G, in at most 6 columns. */
void hpp_cache_print_size(char text[HPP_CACHE_SIZE_TEXT], uint64_t bytes);

/* The sub-commands that read ELF files, on those (and folders of them) in the NULL-terminated FILES. They
 * return the exit status. */
int hpp_cache_warm(const struct hpp_cache *cache, char **files);
int hpp_cache_verify(const struct hpp_cache *cache, char **files);

#endif
