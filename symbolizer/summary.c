/* The run as the comments tell it. Offline only. */
#include "symbolizer/summary.h"
#include "symbolizer/memory.h"
#include "symbolizer/symbolize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
    char ms[32];

    hpp_comment_text(comment, "backend", image->backend, sizeof image->backend);
    hpp_comment_text(comment, "ms", ms, sizeof ms);
    image->asked_kib += hpp_comment_number(comment, "asked_kib");
    image->huge_kib += hpp_comment_number(comment, "huge_kib");
    image->ms += strtod(ms, NULL);
    image->ranges++;
}

static void add_left(struct hpp_summary *summary, const char *comment)
{
    struct hpp_summary_image *image = image_of(summary, comment);

    image->left_kib += hpp_comment_number(comment, "eligible_kib");
    hpp_comment_text(comment, "reason", image->reason, sizeof image->reason);
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
        else if (hpp_comment_is(comment, "hpprof.left"))
            add_left(summary, comment);
    }
    for (size_t i = 0; i < summary->image_count; i++) {
        summary->huge_kib += summary->images[i].huge_kib;
        summary->eligible_kib += summary->images[i].asked_kib + summary->images[i].left_kib;
    }
}

void hpp_summary_free(struct hpp_summary *summary)
{
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

void hpp_summary_print_remap(FILE *out, const struct hpp_summary *summary)
{
    if (!summary->eligible_kib)
        return;
    fprintf(out, "Text on huge pages: %.1f of %.1f MiB eligible.\n", (double)summary->huge_kib / 1024,
            (double)summary->eligible_kib / 1024);
    for (size_t i = 0; i < summary->image_count; i++) {
        const struct hpp_summary_image *image = &summary->images[i];
        const char *name = hpp_base_name(image->path);
        if (image->ranges)
            fprintf(out, "  %s: %.1f of %.1f MiB, %s, %.1f ms\n", name, (double)image->huge_kib / 1024,
                    (double)image->asked_kib / 1024, image->backend, image->ms);
        if (image->left_kib)
            fprintf(out, "  %s: %.1f MiB left: %s\n", name, (double)image->left_kib / 1024, image->reason);
    }
}
