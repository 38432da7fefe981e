/* Copies of text (common/text_cache.h): making and checking them. Offline only. */
#ifndef HPP_CLI_TEXT_COPY_H
#define HPP_CLI_TEXT_COPY_H

#include "common/elf_header.h"
#include "common/text_cache.h"

/* Bytes of the file's text that whole aligned 2 MiB pages of it hold. */
uint64_t hpp_text_copy_eligible(const struct hpp_elf_header *header);

/* How much of that lies on huge pages when the open file is mapped: reads it into memory. */
uint64_t hpp_text_copy_huge(int fd, const struct hpp_elf_header *header);

/* Whether a file in CACHE comes back on huge pages: tries it with 4 MiB. */
int hpp_text_copy_huge_possible(const struct hpp_cache_folder *cache);

/* The bytes that the copies in CACHE can take at most: LIMIT, or all of a file system that is smaller. */
uint64_t hpp_text_copy_limit(const struct hpp_cache_folder *cache, uint64_t limit);

/* Copies the open file PATH into CACHE, and removes others, the least recently used first, where they would
 * take more than LIMIT bytes together, or fill the file system. *NAME gets the entry, *IS_NEW whether the
 * contents were not there before. Returns 0 or -errno, then *REASON may be why, in a constant text. */
int hpp_text_copy_make(const struct hpp_cache_folder *cache, const char *path, int fd,
                       const struct hpp_elf_header *header, uint64_t limit, char name[HPP_CACHE_NAME_SIZE],
                       int *is_new, const char **reason);

/* The hash of the open file's contents. Returns 0 or -errno. */
int hpp_text_copy_hash(int fd, uint8_t hash[HPP_TEXT_HASH_SIZE]);

#endif
