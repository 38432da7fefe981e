/* The run as the comments tell it. Offline only. */
#include "symbolizer/summary.h"
#include "symbolizer/escape.h"
#include "symbolizer/memory.h"
#include "symbolizer/symbolize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES_MAX = 10 };

static struct hpp_summary_image *image_of(struct hpp_summary *summary, const char *comment)
{
    char path[4096];
    struct hpp_summary_image *image;

    hpp_comment_text(comment, "image", path, sizeof path);
    for (size_t i = 0; i < summary->image_count; i++)
        if (!strcmp(summary->images[i].path, path))
            return &summary->images[i];
    summary->images = hpp_memory_room(summary->images, &summary->image_room, summary->image_count + 1,
                                      sizeof *summary->images);
    image = &summary->images[summary->image_count++];
    *image = (struct hpp_summary_image){0};
    memcpy(image->path, path, sizeof path);
    return image;
}

static void add_process(struct hpp_summary *summary, const char *comment)
{
    char unwind[32];

    if (!summary->frequency)
        summary->frequency = hpp_comment_number(comment, "freq");
    summary->by_fp_processes +=
        hpp_comment_text(comment, "unwind", unwind, sizeof unwind) && !strcmp(unwind, "fp");
}

static void add_remap(struct hpp_summary *summary, const char *comment)
{
    struct hpp_summary_image *image = image_of(summary, comment);
    struct hpp_summary_range range = {.start = hpp_comment_number(comment, "start"),
                                      .end = hpp_comment_number(comment, "end"),
                                      .asked_kib = hpp_comment_number(comment, "asked_kib"),
                                      .huge_kib = hpp_comment_number(comment, "huge_kib")};
    char text[32], why[sizeof image->not_locked];

    hpp_comment_text(comment, "backend", range.backend, sizeof range.backend);
    memcpy(image->backend, range.backend, sizeof image->backend);
    range.hot = hpp_comment_text(comment, "when", text, sizeof text) && !strcmp(text, "hot");
    hpp_comment_text(comment, "ms", text, sizeof text);
    range.ms = strtod(text, NULL);
    image->asked_kib += range.asked_kib;
    image->huge_kib += range.huge_kib;
    image->absorbed_kib += hpp_comment_number(comment, "absorbed_kib");
    image->data_kib += hpp_comment_number(comment, "executable_data_kib");
    image->locked_kib += hpp_comment_number(comment, "locked_kib");
    if (hpp_comment_text(comment, "not_locked", why, sizeof why))
        memcpy(image->not_locked, why, sizeof why);
    image->ms += range.ms;
    image->range = hpp_memory_room(image->range, &image->range_room, image->ranges + 1, sizeof *image->range);
    image->range[image->ranges++] = range;
}

static void add_put_back(struct hpp_summary_image *image, struct hpp_summary_range *range,
                         const char *comment)
{
    uint64_t kib = hpp_comment_number(comment, "put_back_kib");

    if (kib > range->huge_kib)
        kib = range->huge_kib;
    range->huge_kib -= kib;
    image->huge_kib -= kib;
    image->put_back_kib += kib;
    if (kib)
        hpp_comment_text(comment, "reason", image->put_back_reason, sizeof image->put_back_reason);
}

/* What is told of a range is of the last move there. */
static void add_range(struct hpp_summary *summary, const char *comment)
{
    struct hpp_summary_image *image = image_of(summary, comment);
    uint64_t start = hpp_comment_number(comment, "start");

    for (size_t i = image->ranges; i > 0; i--) {
        struct hpp_summary_range *range = &image->range[i - 1];
        if (range->start != start)
            continue;
        range->samples += hpp_comment_number(comment, "samples");
        add_put_back(image, range, comment);
        range->unloaded |= hpp_comment_number(comment, "unloaded") != 0;
        return;
    }
}

static void add_left(struct hpp_summary *summary, const char *comment)
{
    struct hpp_summary_image *image = image_of(summary, comment);

    image->left_kib += hpp_comment_number(comment, "eligible_kib");
    hpp_comment_text(comment, "reason", image->reason, sizeof image->reason);
    if (!hpp_comment_text(comment, "error", image->error, sizeof image->error))
        *image->error = 0;
}

static void add_data(struct hpp_summary *summary, const char *comment)
{
    char reason[sizeof summary->data_reason];

    if (!hpp_comment_number(comment, "eligible_kib"))
        return;
    summary->data_kib += hpp_comment_number(comment, "eligible_kib");
    summary->huge_data_kib += hpp_comment_number(comment, "huge_kib");
    summary->later_data_kib += hpp_comment_number(comment, "when_touched_kib");
    if (hpp_comment_text(comment, "reason", reason, sizeof reason))
        memcpy(summary->data_reason, reason, sizeof reason);
    if (!hpp_comment_text(comment, "error", summary->data_error, sizeof summary->data_error))
        *summary->data_error = 0;
}

void hpp_summary_make(struct hpp_summary *summary, const struct hpp_profile *profile)
{
    *summary = (struct hpp_summary){0};
    summary->processes = hpp_profile_count(profile, "hpprof.process");
    summary->ends = hpp_profile_count(profile, "hpprof.end");
    summary->dropped = hpp_profile_sum(profile, "hpprof.lost", "dropped");
    summary->stale = hpp_profile_sum(profile, "hpprof.lost", "stale");
    summary->threads = hpp_profile_sum(profile, "hpprof.lost", "threads");
    summary->labels = hpp_profile_sum(profile, "hpprof.lost", "labels");
    summary->write_errors = hpp_profile_sum(profile, "hpprof.lost", "write_errors");
    summary->lost_weight = hpp_profile_sum(profile, "hpprof.lost", "lost_weight");
    summary->not_libunwind = hpp_profile_sum(profile, "hpprof.lost", "not_libunwind");
    summary->stopped_ns = hpp_profile_sum(profile, "hpprof.cpu", "stopped_ns");
    summary->cpu_ns = hpp_profile_sum(profile, "hpprof.cpu", "total_ns");
    summary->by_fp = hpp_profile_sum(profile, "hpprof.unwind", "by_fp");
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        if (hpp_comment_is(comment, "hpprof.unwind"))
            hpp_comment_text(comment, "not_kept", summary->not_kept, sizeof summary->not_kept);
        if (hpp_comment_is(comment, "hpprof.process"))
            add_process(summary, comment);
        else if (hpp_comment_is(comment, "hpprof.remap"))
            add_remap(summary, comment);
        else if (hpp_comment_is(comment, "hpprof.range"))
            add_range(summary, comment);
        else if (hpp_comment_is(comment, "hpprof.data"))
            add_data(summary, comment);
        else if (hpp_comment_is(comment, "hpprof.left"))
            add_left(summary, comment);
        else if (hpp_comment_is(comment, "hpprof.huge"))
            image_of(summary, comment)->on_huge += hpp_comment_number(comment, "samples");
    }
    for (size_t i = 0; i < summary->image_count; i++) {
        summary->on_huge += summary->images[i].on_huge;
        summary->huge_kib += summary->images[i].huge_kib;
        summary->eligible_kib += summary->images[i].asked_kib + summary->images[i].left_kib;
    }
}

void hpp_summary_free(struct hpp_summary *summary)
{
    for (size_t i = 0; i < summary->image_count; i++)
        free(summary->images[i].range);
    free(summary->images);
    *summary = (struct hpp_summary){0};
}

bool hpp_summary_print_lost(FILE *out, const struct hpp_summary *summary)
{
    const struct {
        uint64_t count;
        const char *one, *many;
    } losses[] = {
        {summary->dropped, "sample dropped (ring full)", "samples dropped (ring full)"},
        {summary->stale, "late signal of an ended thread", "late signals of ended threads"},
        {summary->threads, "thread not sampled", "threads not sampled"},
        {summary->labels, "label for which there was no room", "labels for which there was no room"},
        {summary->lost_weight, "sample that could not be written", "samples that could not be written"},
        {summary->write_errors, "failed write", "failed writes"}};
    const char *before = "Lost: ";

    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++)
        if (losses[i].count) {
            fprintf(out, "%s%" PRIu64 " %s", before, losses[i].count,
                    losses[i].count == 1 ? losses[i].one : losses[i].many);
            before = ", ";
        }
    if (*before == ',')
        fputs(".\n", out);
    return *before == ',';
}

void hpp_summary_print_by_fp(FILE *out, const struct hpp_summary *summary, int64_t samples)
{
    double share = samples > 0 ? 100.0 * (double)summary->by_fp / (double)samples : 0;

    if (share > 1)
        fprintf(out, "Walked by frame pointers, as unwind tables were not built yet: %.1f%% of samples.\n",
                share);
}

/* "REASON", or "REASON (ERROR)". */
static void print_reason(FILE *out, const char *reason, const char *error)
{
    fputs(reason, out);
    if (*error)
        fprintf(out, " (%s)", error);
}

static void print_data(FILE *out, const struct hpp_summary *summary)
{
    if (!summary->data_kib)
        return;
    fprintf(out, "Data on huge pages: %.1f of %.1f MiB eligible, and %.1f MiB when touched%s",
            (double)summary->huge_data_kib / 1024, (double)summary->data_kib / 1024,
            (double)summary->later_data_kib / 1024, *summary->data_reason ? "; the rest not: " : "");
    print_reason(out, summary->data_reason, summary->data_error);
    fputs(".\n", out);
}

void hpp_summary_print_remap(FILE *out, const struct hpp_summary *summary, int64_t samples)
{
    double each = samples > 0 ? 100.0 / (double)samples : 0;

    print_data(out, summary);
    if (!summary->eligible_kib)
        return;
    fprintf(out, "Text on huge pages: %.1f of %.1f MiB eligible, with %.1f%% of samples.\n",
            (double)summary->huge_kib / 1024, (double)summary->eligible_kib / 1024,
            each * (double)summary->on_huge);
    for (size_t i = 0; i < summary->image_count; i++) {
        const struct hpp_summary_image *image = &summary->images[i];
        const char *name = hpp_base_name(image->path);
        if (image->ranges)
            fprintf(out, "  %s: %.1f of %.1f MiB, %s, %.1f ms, %.1f%% of samples\n", name,
                    (double)image->huge_kib / 1024, (double)image->asked_kib / 1024, image->backend,
                    image->ms, each * (double)image->on_huge);
        if (image->absorbed_kib)
            fprintf(out, "  %s: with %.1f MiB beside its text, of which %.1f MiB are data, executable now\n",
                    name, (double)image->absorbed_kib / 1024, (double)image->data_kib / 1024);
        if (image->locked_kib || *image->not_locked)
            fprintf(out, "  %s: %.1f MiB of it pinned in memory%s%s\n", name,
                    (double)image->locked_kib / 1024, *image->not_locked ? "; not all: " : "",
                    image->not_locked);
        if (image->put_back_kib)
            fprintf(out, "  %s: %.1f MiB of it on small pages again: %s\n", name,
                    (double)image->put_back_kib / 1024, image->put_back_reason);
        if (image->left_kib) {
            fprintf(out, "  %s: %.1f MiB left: ", name, (double)image->left_kib / 1024);
            print_reason(out, image->reason, image->error);
            fputs("\n", out);
        }
    }
}

void hpp_summary_print_notes(FILE *out, const struct hpp_profile *profile)
{
    size_t count = 0;
    char text[512];

    for (size_t i = 0; i < profile->comment_count; i++)
        if (hpp_comment_is(hpp_profile_comment(profile, i), "hpprof.note") &&
            hpp_comment_text(hpp_profile_comment(profile, i), "text", text, sizeof text) &&
            ++count <= NOTES_MAX) {
            fputs("Note: ", out);
            hpp_escape_plain(out, text, 0);
            fputc('\n', out);
        }
    if (count > NOTES_MAX)
        fprintf(out, "%zu more notes (go tool pprof -comments shows all)\n", count - NOTES_MAX);
}
