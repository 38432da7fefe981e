/* What the report says of where the samples came from. Offline only. */
#include "symbolizer/report_source.h"
#include "symbolizer/intern.h"

#include <inttypes.h>
#include <string.h>

enum { COLUMNS = 80 };

/* "Timer: TIMER, LIMITS." of a process's comment; if it has no limits to tell, without or, unless ALL, "". */
static void describe(const char *comment, bool all, char *out, size_t size)
{
    char timer[32], limits[160];

    *out = '\0';
    if (!hpp_comment_is(comment, "hpprof.process") ||
        !hpp_comment_text(comment, "timer", timer, sizeof timer))
        return;
    if (hpp_comment_text(comment, "limits", limits, sizeof limits))
        snprintf(out, size, "Timer: %s, %s.", timer, limits);
    else if (all)
        snprintf(out, size, "Timer: %s.", timer);
}

/* TEXT's words, in lines of at most 80 columns. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t column = 0;

    for (size_t length; *text; text += length + (text[length] == ' ')) {
        length = strcspn(text, " ");
        if (column && column + 1 + length > COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column ? " " : "", (int)length, text);
    }
    fputc('\n', out);
}

/* The rate may have been lowered (hpprof.rate). */
static void print_rate(FILE *out, const struct hpp_profile *profile)
{
    uint64_t most = 1;

    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        uint64_t multiplier =
            hpp_comment_is(comment, "hpprof.rate") ? hpp_comment_number(comment, "multiplier") : 0;
        if (multiplier > most)
            most = multiplier;
    }
    if (most > 1)
        fprintf(out,
                "Rate lowered to as little as 1/%" PRIu64 ", so that profiling costs no more than\n"
                "HPPROF_MAX_CPU allows; the weights make up for it.\n",
                most);
}

/* Of perf events it is known what they missed. */
static void print_missed(FILE *out, const struct hpp_profile *profile)
{
    uint64_t counted = hpp_profile_sum(profile, "hpprof.perf", "counted");
    uint64_t signalled = hpp_profile_sum(profile, "hpprof.perf", "signalled");

    if (counted > signalled)
        fprintf(out,
                "Counted, but not sampled: %.1f%% (in the kernel, with SIGPROF\nblocked, or too quickly one "
                "after the other).\n",
                100 * (double)(counted - signalled) / (double)counted);
}

void hpp_report_print_sources(FILE *out, const struct hpp_profile *profile, bool all)
{
    struct hpp_intern seen = {0};
    char text[256];

    for (size_t i = 0; i < profile->comment_count; i++) {
        size_t before = seen.count;
        describe(hpp_profile_comment(profile, i), all, text, sizeof text);
        if (*text && hpp_intern_add(&seen, text, strlen(text)) == before)
            print_wrapped(out, text);
    }
    hpp_intern_free(&seen);
    print_missed(out, profile);
    print_rate(out, profile);
}
