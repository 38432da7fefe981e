/* Reads the agent's options from the environment. Start-up code. */
#include "preload/options.h"

#include <signal.h>
#include <stddef.h>

#include "common/options.h"
#include "common/sys.h"
#include "common/text.h"
#include "preload/sanitizer.h"
#include "preload/tell.h"

static const char *find(char **environment, const char *name)
{
    for (; environment && *environment; environment++) {
        const char *value = hpp_text_after(*environment, name);
        if (value && *value == '=')
            return value + 1;
    }
    return NULL;
}

/* One line: the option, the value, what is allowed, what is used instead. */
static void complain(const struct hpp_option *option, const char *value)
{
    char line[512];
    struct hpp_text text = HPP_TEXT(line);

    hpp_text_put(&text, "hpprof: ");
    hpp_text_put(&text, option->variable);
    hpp_text_put(&text, "=");
    hpp_text_put_bytes(&text, value, hpp_text_length(value) < 200 ? hpp_text_length(value) : 200);
    hpp_text_put(&text, " is not allowed: use ");
    hpp_text_put(&text, hpp_option_kind(option));
    hpp_text_put(&text, option->allowed);
    hpp_text_put(&text, hpp_option_unit(option));
    hpp_text_put(&text, "; continuing with ");
    hpp_text_put(&text, *option->initial ? option->initial : "the default");
    hpp_text_put(&text, "\n");
    hpp_tell(&text);
}

static uint64_t number_of(char **environment, enum hpp_option_id id, int quiet)
{
    const struct hpp_option *option = &hpp_options[id];
    const char *text = find(environment, option->variable);
    uint64_t number = 0;

    if (text && *text && !hpp_option_parse(option, text, &number))
        return number;
    if (text && *text && !quiet)
        complain(option, text);
    hpp_option_parse(option, option->initial, &number);
    return number;
}

static const char *text_of(char **environment, enum hpp_option_id id)
{
    const char *text = find(environment, hpp_options[id].variable);
    return text && *text ? text : hpp_options[id].initial;
}

/* As text_of, where not every text is allowed. */
static const char *checked_text_of(char **environment, enum hpp_option_id id, int quiet)
{
    const struct hpp_option *option = &hpp_options[id];
    const char *text = text_of(environment, id);
    uint64_t number;

    if (text == option->initial || !hpp_option_parse(option, text, &number))
        return text;
    if (!quiet)
        complain(option, text);
    return option->initial;
}

/* PATH from here: the writer's folder is another. */
static const char *absolute(const char *path)
{
    static char line[4096];
    struct hpp_text text = HPP_TEXT(line);

    if (!*path || *path == '/' || HPP_SYSCALL(getcwd, line, sizeof line, 0, 0, 0, 0) <= 0)
        return path;
    text.used = hpp_text_length(line);
    hpp_text_put(&text, "/");
    hpp_text_put(&text, path);
    return line;
}

/* In the order of options.def. */
static const int toggle_signals[] = {0, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGPWR};

const char *hpp_agent_off_file(char **environment)
{
    return text_of(environment, HPP_OPT_OFF_FILE);
}

void hpp_agent_options_read(char **environment, struct hpp_agent_options *options)
{
    int quiet;

    options->session = find(environment, "HPPROF_SESSION");
    options->first = find(environment, "HPPROF_FIRST");
    quiet = options->session || options->first;
    options->out = text_of(environment, HPP_OPT_OUT);
    options->frequency = number_of(environment, HPP_OPT_FREQ, quiet);
    options->max_cpu = (unsigned)number_of(environment, HPP_OPT_MAX_CPU, quiet);
    options->timer = (enum hpp_timer)number_of(environment, HPP_OPT_TIMER, quiet);
    options->event = (enum hpp_event)number_of(environment, HPP_OPT_EVENT, quiet);
    options->remap.how = (enum hpp_remap_how)number_of(environment, HPP_OPT_REMAP, quiet);
    options->remap.min = number_of(environment, HPP_OPT_REMAP_MIN, quiet);
    options->remap.max = number_of(environment, HPP_OPT_REMAP_MAX, quiet);
    options->remap.match = checked_text_of(environment, HPP_OPT_REMAP_MATCH, quiet);
    options->remap.when = (enum hpp_remap_when)number_of(environment, HPP_OPT_REMAP_WHEN, quiet);
    options->remap.profile = absolute(text_of(environment, HPP_OPT_REMAP_HOT));
    options->remap.edges = (enum hpp_remap_edges)number_of(environment, HPP_OPT_REMAP_EDGES, quiet);
    options->remap.lock = (enum hpp_remap_lock)number_of(environment, HPP_OPT_MLOCK, quiet);
    options->remap.refused = hpp_sanitizer_is_here() ? "the program is built with a sanitizer" : NULL;
    options->remap.data = (int)number_of(environment, HPP_OPT_REMAP_DATA, quiet);
    options->validate = (enum hpp_validate)number_of(environment, HPP_OPT_VALIDATE, quiet);
    options->unwind = (enum hpp_unwind)number_of(environment, HPP_OPT_UNWIND, quiet);
    options->depth = (unsigned)number_of(environment, HPP_OPT_DEPTH, quiet);
    options->memory = number_of(environment, HPP_OPT_MEMORY, quiet);
    options->programs = checked_text_of(environment, HPP_OPT_PROGRAMS, quiet);
    options->flush = (unsigned)number_of(environment, HPP_OPT_FLUSH, quiet);
    options->file_max = number_of(environment, HPP_OPT_FILE_MAX, quiet);
    options->start = number_of(environment, HPP_OPT_START, quiet) == 0;
    options->toggle_signal = toggle_signals[number_of(environment, HPP_OPT_TOGGLE_SIGNAL, quiet)];
    options->cache = checked_text_of(environment, HPP_OPT_CACHE, quiet);
    options->cache_max = number_of(environment, HPP_OPT_CACHE_MAX, quiet);
    options->remap.text_cache = checked_text_of(environment, HPP_OPT_TEXT_CACHE, quiet);
    options->cache_home = find(environment, "XDG_CACHE_HOME");
    options->home = find(environment, "HOME");
}
