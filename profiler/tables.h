/* Unwind tables for the handlers: from the cache as soon as an image is known, otherwise built from the file
 * when samples show that it is worth it. Writer only (hpp_tables_init: before it starts). */
#ifndef HPP_PROFILER_TABLES_H
#define HPP_PROFILER_TABLES_H

#include <stdint.h>

#include "common/image.h"

/* Before the writer of a process starts. Tables are kept in the folder DIRECTORY ("": not at all), which may
 * take up to LIMIT bytes. The text must stay. */
void hpp_tables_init(const char *directory, uint64_t limit);

/* Gives the segments of MAP that have no table the one that is known or in the cache. */
void hpp_tables_load(const struct hpp_code_map *map);

/* RECORD, walked with MAP, lacked a table (HPP_RECORD_UNTOLD): remembers for whom. */
void hpp_tables_note(const struct hpp_code_map *map, const uint64_t *record);

/* Builds the table that samples lacked most, if by now they stand for about as much CPU time as that takes,
 * or for much more where it cannot be kept;
 * PAUSE is called about once a millisecond meanwhile, nonzero gives up. Returns whether it did anything. */
int hpp_tables_build(const struct hpp_code_map *map, int (*pause)(void *));

/* When the profile is complete: builds, for later processes, the tables that samples of this one lacked for
 * about a tenth of the CPU time that building takes, and what hpp_tables_build had to give up. */
void hpp_tables_build_late(void);

/* Whether there are any. */
int hpp_tables_wanted_late(void);

/* Appends comments about what was walked without a table, and why there is none, to the profile. */
void hpp_tables_comment(const struct hpp_code_map *map);

#endif
