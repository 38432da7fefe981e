/* The agent's options, from the environment (proto/options.def). Start-up code. */
#ifndef HPP_PRELOAD_OPTIONS_H
#define HPP_PRELOAD_OPTIONS_H

#include <stdint.h>

#include "preload/remap/remap.h"
#include "profiler/source.h"

enum hpp_unwind { HPP_UNWIND_AUTO, HPP_UNWIND_FP, HPP_UNWIND_LIBUNWIND };
enum hpp_validate { HPP_VALIDATE_AUTO, HPP_VALIDATE_PIPE };

struct hpp_agent_options {
    const char *out; /* "" for the default name */
    uint64_t frequency;
    unsigned max_cpu; /* per cent */
    enum hpp_timer timer;
    enum hpp_event event;
    struct hpp_remap_options remap;
    enum hpp_validate validate;
    enum hpp_unwind unwind;
    unsigned depth;
    uint64_t memory;
    const char *programs;
    unsigned flush; /* seconds */
    uint64_t file_max;
    int start;         /* not: everything but sampling is ready */
    int toggle_signal; /* stops and starts sampling; 0: none */
    const char *cache; /* absolute, or "off", or "" for the default: hpp_table_cache_directory */
    uint64_t cache_max;

    /* not ours: where users' files go */
    const char *cache_home; /* XDG_CACHE_HOME, or NULL */
    const char *home;       /* HOME, or NULL */

    /* not options: what one of our processes tells another */
    const char *session; /* HPPROF_SESSION: the folder of a running hpprof record, or NULL */
    const char *first;   /* HPPROF_FIRST: the folder for descendants of the first process, or NULL */
};

/* Fills OPTIONS from the environment ENVIRONMENT. Values that are not allowed get one line on standard
 * error (in the first process only) and the default. The texts point into the environment. */
void hpp_agent_options_read(char **environment, struct hpp_agent_options *options);

/* The file that switches everything off while it exists. */
const char *hpp_agent_off_file(char **environment);

#endif
