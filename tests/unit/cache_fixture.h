/* A cache of unwind tables in a folder of its own, and small tables made by hand. */
#ifndef HPP_TESTS_UNIT_CACHE_FIXTURE_H
#define HPP_TESTS_UNIT_CACHE_FIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/unwind_table.h"

#define NO_LIMIT (1ull << 40)

extern char cache_base[];     /* a fresh folder for each test, which may be read by all */
extern char cache_folder[64]; /* the cache's, in it; not made. A test may point it elsewhere */

int cache_set_up(void **state);
int cache_tear_down(void **state);

/* A table of PAGES pages with a row each, for the build-id of 20 bytes NUMBER; free() it. */
struct hpp_unwind_table *cache_table(uint8_t number, uint32_t pages);

/* The path of its file. */
char *cache_path(uint8_t number);

/* Makes and stores it. */
int cache_store(uint8_t number, uint32_t pages, uint64_t limit);

/* Loads table NUMBER and forgets it. Returns 0 or the error; *REASON is set then, and only then. */
int cache_load(uint8_t number, const char **reason);

/* Asserts what it answers. */
void cache_refuses(uint8_t number, int error, const char *because);
void cache_loads(uint8_t number);

/* The number of entries in the cache's folder, of whatever kind. */
int cache_files(void);

void cache_write(const char *path, const void *bytes, size_t size);
mode_t cache_mode(const char *path);
/* Makes PATH look as last used so many SECONDS ago. */
void cache_set_age(const char *path, int64_t seconds);

/* Runs BODY in a child, as nobody if the tests run as root and AS_NOBODY is set; CHILD_CHECK says what must
 * hold there. */
void cache_in_child(int as_nobody, void (*body)(void));
#define CHILD_CHECK(condition)                                                        \
    do {                                                                              \
        if (!(condition)) {                                                           \
            dprintf(2, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                                 \
        }                                                                             \
    } while (0)

#endif
