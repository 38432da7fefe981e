/* Which stacks are whole, and where the others end. Offline only. */
#include "symbolizer/report_stacks.h"
#include "symbolizer/memory.h"

#include <stdlib.h>
#include <string.h>

uint8_t *hpp_location_kinds(struct hpp_profile *profile)
{
    uint32_t unfinished = hpp_profile_add_string(profile, HPP_NAME_UNFINISHED);
    uint32_t truncated = hpp_profile_add_string(profile, HPP_NAME_TRUNCATED);
    uint8_t *kinds = hpp_memory_get(profile->location_count);

    for (size_t i = 0; i < profile->location_count; i++) {
        const struct hpp_location *location = &profile->locations[i];
        uint32_t name;
        if (location->mapping != HPP_NONE || !location->line_count)
            continue;
        name = profile->functions[profile->lines[location->first_line].function].name;
        if (hpp_booked_by_name(hpp_profile_string(profile, name)) >= 0)
            kinds[i] = HPP_KIND_BOOKED;
        else
            kinds[i] = name == unfinished  ? HPP_KIND_UNFINISHED
                       : name == truncated ? HPP_KIND_TRUNCATED
                                           : HPP_KIND_CODE;
    }
    return kinds;
}

struct hpp_amount hpp_amount_of(const struct hpp_profile *profile, size_t sample, int samples_column,
                                int ns_column)
{
    const int64_t *values = profile->values + sample * profile->value_count;

    return (struct hpp_amount){values[ns_column], samples_column < 0 ? 0 : values[samples_column]};
}

void hpp_amount_add(struct hpp_amount *to, struct hpp_amount amount)
{
    to->ns = hpp_clamped_sum(to->ns, amount.ns);
    to->samples = hpp_clamped_sum(to->samples, amount.samples);
}

struct hpp_amount hpp_report_sampled(const struct hpp_report *report)
{
    struct hpp_amount sampled = report->total;

    for (int i = 0; i < HPP_BOOKED_KINDS; i++)
        hpp_amount_add(&sampled, (struct hpp_amount){-report->booked[i].ns, -report->booked[i].samples});
    return sampled;
}

/* ---- where unfinished stacks end ---------------------------------------------------------------------- */

/* The file that holds the code of LOCATION: a string, 0 if there is none. */
static uint32_t file_of(const struct hpp_profile *profile, const struct hpp_location *location)
{
    uint32_t file = location->mapping == HPP_NONE ? 0 : profile->mappings[location->mapping].filename;

    return strncmp(hpp_profile_string(profile, file), "//anon", 6) ? file : 0;
}

/* Adds AMOUNT to what ends in FILE; FILES knows the images of REPORT. */
static void add_unfinished(struct hpp_report *report, struct hpp_intern *files, size_t *room,
                           const struct hpp_profile *profile, uint32_t file, struct hpp_amount amount)
{
    uint32_t index = hpp_intern_add(files, &file, sizeof file);

    if (index == report->unfinished_image_count) {
        report->unfinished_images =
            hpp_memory_room(report->unfinished_images, room, index + 1, sizeof *report->unfinished_images);
        report->unfinished_images[report->unfinished_image_count++] =
            (struct hpp_report_image){.image = hpp_profile_string(profile, file)};
    }
    hpp_amount_add(&report->unfinished_images[index].amount, amount);
}

static int compare_images(const void *left, const void *right)
{
    const struct hpp_report_image *a = left, *b = right;

    if (a->amount.ns != b->amount.ns)
        return a->amount.ns > b->amount.ns ? -1 : 1;
    return strcmp(a->image, b->image);
}

void hpp_report_count_stacks(struct hpp_report *report, struct hpp_profile *profile, int samples_column,
                             int ns_column)
{
    uint8_t *kinds = hpp_location_kinds(profile);
    struct hpp_intern files = {0};
    size_t room = 0;

    for (size_t i = 0; i < profile->sample_count; i++) {
        struct hpp_amount amount = hpp_amount_of(profile, i, samples_column, ns_column);
        size_t depth;
        const uint32_t *stack = hpp_profile_stack(profile, i, &depth);
        int root = depth ? kinds[stack[depth - 1]] : HPP_KIND_CODE;
        bool truncated = false;
        for (size_t j = 0; j < depth; j++)
            truncated |= kinds[stack[j]] == HPP_KIND_TRUNCATED;
        if (truncated) {
            hpp_amount_add(&report->truncated, amount);
            hpp_amount_add(root == HPP_KIND_TRUNCATED ? &report->rootless : &report->middle, amount);
        }
        if (root != HPP_KIND_UNFINISHED)
            continue;
        hpp_amount_add(&report->unfinished, amount);
        add_unfinished(report, &files, &room, profile,
                       depth > 1 ? file_of(profile, &profile->locations[stack[depth - 2]]) : 0, amount);
    }
    if (report->unfinished_image_count)
        qsort(report->unfinished_images, report->unfinished_image_count, sizeof *report->unfinished_images,
              compare_images);
    hpp_intern_free(&files);
    free(kinds);
}

/* ---- and why ------------------------------------------------------------------------------------------ */

/* What the agent said about PATH, if it could make no unwind table for it. */
static bool no_table_reason(const struct hpp_profile *profile, const char *path, char *reason, size_t size)
{
    char image[4096];

    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        if (hpp_comment_is(comment, "hpprof.no_table") &&
            hpp_comment_text(comment, "image", image, sizeof image) && !strcmp(image, path))
            return hpp_comment_text(comment, "reason", reason, size);
    }
    return false;
}

void hpp_report_reason(const struct hpp_report_image *image, const struct hpp_profile *profile,
                       const struct hpp_summary *summary, char *reason, size_t size)
{
    const char *text;

    if (summary->by_fp_processes && summary->by_fp_processes == summary->processes)
        text = "frame pointers only";
    else if (!*image->image)
        text = "it has no unwind information";
    else if (no_table_reason(profile, image->image, reason, size))
        return;
    else if (summary->by_fp_processes)
        text = "some processes had frame pointers only";
    else if (image->amount.samples > 0 && summary->by_fp >= (uint64_t)image->amount.samples)
        text = "its unwind table came late, or is of no use there";
    else
        text = "its unwind information is of no use there";
    snprintf(reason, size, "%s", text);
}
