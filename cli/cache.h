/* What the parts of `hpprof cache` share. Offline only. */
#ifndef HPP_CLI_CACHE_H
#define HPP_CLI_CACHE_H

#include "common/cache_room.h"

#include <stdbool.h>
#include <stdint.h>

enum { HPP_CACHE_SIZE_TEXT = 32 };

struct hpp_cache;

/* What is done with an ELF file; FD is it, open. */
typedef void hpp_cache_on_file(struct hpp_cache *cache, const char *path, int fd,
                               const struct hpp_elf_header *header);

/* What the sub-commands need to know of one cache, of tables (cache_tables.c) or copies of text
 * (cache_text.c). */
struct hpp_cache_contents {
    const struct hpp_cache_kind *kind;
    const char *entry[2], *removed[2]; /* one, several */
    const char *columns;               /* what head print_row's */
    const char *no_build_id;           /* the complaint where a file has none */
    /* Reads the entries, and which are in use. Returns 0 or -errno; hpp_cache_list_free in either case. */
    int (*read)(const struct hpp_cache_folder *folder, struct hpp_cache_list *list);
    uint64_t (*limit)(const struct hpp_cache *cache); /* bytes that they can take, as things are */
    /* Prints the rest of a row, with the DAY of its last use. */
    void (*print_row)(const struct hpp_cache *cache, const struct hpp_cache_entry *entry, const char *day);
    /* NULL if it is sound, else why not. */
    const char *(*verify)(const struct hpp_cache *cache, const struct hpp_cache_entry *entry);
    hpp_cache_on_file *warm;    /* puts what is made of the file there */
    hpp_cache_on_file *compare; /* holds what is there against the file */
};

/* One of them, and what a sub-command comes to. */
struct hpp_cache {
    const struct hpp_cache_contents *contents;
    struct hpp_cache_folder folder; /* fd < 0: not open */
    char directory[4096];
    uint64_t limit;    /* bytes that they may take */
    bool is_named;     /* the user named the directory, or it is his own anyway */
    bool is_asked_for; /* by --text: it is an error if it cannot be had */
    uint64_t done, there, failed;
};

extern const struct hpp_cache_contents hpp_cache_tables, hpp_cache_text;

/* BYTES with a K, M or G, in at most 6 columns. */
void hpp_cache_print_size(char text[HPP_CACHE_SIZE_TEXT], uint64_t bytes);

/* Runs RUN on the FILES, NULL-terminated, and on all ELF files below those that are folders. */
void hpp_cache_walk(struct hpp_cache *cache, char **files, hpp_cache_on_file *run);

/* Complains of PATH and counts it as failed. */
void hpp_cache_fail(struct hpp_cache *cache, const char *path, const char *why);

/* Opens the folder; one that is to be CHANGED is locked, and what was left unfinished in it removed, where
 * its kind has that. Returns 0, or -errno and *REASON. */
int hpp_cache_open_folder(struct hpp_cache *cache, bool to_change, const char **reason);

/* The sub-commands. FILES, ELF files and folders of them, ends with NULL. They return the exit status. */
int hpp_cmd_cache_list(struct hpp_cache *cache, char **files);
int hpp_cmd_cache_warm(struct hpp_cache *cache, char **files);
int hpp_cmd_cache_verify(struct hpp_cache *cache, char **files);
int hpp_cmd_cache_clear(struct hpp_cache *cache, char **files);
int hpp_cmd_cache_mount(struct hpp_cache *cache, char **files);

#endif
