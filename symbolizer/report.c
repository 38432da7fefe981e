/* Adds a profile up by function, image, thread or process. Offline only.
 *
 * A unit is a (name, image) pair; a row is all units of one name, as in go tool pprof. The row's image is
 * that of its largest unit. */
#include "symbolizer/report.h"
#include "symbolizer/memory.h"
#include "symbolizer/report_stacks.h"
#include "symbolizer/symbolize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct figure {
    struct hpp_amount flat, cum;
    size_t seen; /* 1 + the last sample that counted in cum */
};

struct unit {
    uint32_t row, image; /* image: a string */
    struct figure figure;
};

struct tally {
    struct hpp_profile *profile;
    enum hpp_report_by by;
    struct hpp_intern names, pairs; /* names: a string; pairs: a string, a string */
    struct figure *rows;
    size_t row_room;
    struct unit *units;
    size_t unit_room;
    uint32_t *line_units; /* of each line: its unit */
};

static void count(struct figure *figure, size_t sample, bool leaf, struct hpp_amount amount)
{
    if (leaf)
        hpp_amount_add(&figure->flat, amount);
    if (figure->seen != sample + 1) {
        figure->seen = sample + 1;
        hpp_amount_add(&figure->cum, amount);
    }
}

static uint32_t unit_of(struct tally *tally, uint32_t name, uint32_t image)
{
    uint32_t pair[2] = {name, image};
    size_t rows = tally->names.count, units = tally->pairs.count;
    uint32_t unit = hpp_intern_add(&tally->pairs, pair, sizeof pair);

    if (unit < units)
        return unit;
    tally->units = hpp_memory_room(tally->units, &tally->unit_room, units + 1, sizeof *tally->units);
    tally->units[unit] = (struct unit){.image = image};
    tally->units[unit].row = hpp_intern_add(&tally->names, &name, sizeof name);
    if (tally->units[unit].row == rows) {
        tally->rows = hpp_memory_room(tally->rows, &tally->row_room, rows + 1, sizeof *tally->rows);
        tally->rows[rows] = (struct figure){0};
    }
    return unit;
}

/* Which unit each line of each location counts for. */
static void assign_lines(struct tally *tally)
{
    struct hpp_profile *profile = tally->profile;
    uint32_t unknown = hpp_profile_add_string(profile, HPP_NAME_UNKNOWN);
    uint8_t *kinds = hpp_location_kinds(profile);

    tally->line_units = hpp_memory_get(profile->line_count * sizeof *tally->line_units);
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct hpp_location *location = &profile->locations[i];
        uint32_t image = location->mapping == HPP_NONE ? 0 : profile->mappings[location->mapping].filename;
        for (uint32_t j = location->first_line; j < location->first_line + location->line_count; j++) {
            uint32_t name = profile->functions[profile->lines[j].function].name;
            if (tally->by == HPP_BY_IMAGE && kinds[i] == HPP_KIND_CODE)
                name = image ? image : unknown;
            tally->line_units[j] = unit_of(tally, name, image);
        }
    }
    free(kinds);
}

/* The name of the row that SAMPLE as a whole belongs to: its thread, or its process. */
static uint32_t sample_name(struct tally *tally, size_t sample)
{
    static const char *const keys[][2] = {
        [HPP_BY_THREAD] = {"thread", "tid"}, [HPP_BY_PROCESS] = {"process", "pid"}};
    struct hpp_profile *profile = tally->profile;
    const char *text = NULL;
    char name[512], program[256];
    int64_t number = 0;
    bool have_number = false;
    size_t label_count;
    const struct hpp_label *labels = hpp_profile_labels(profile, sample, &label_count);

    for (size_t i = 0; i < label_count; i++) {
        const char *key = hpp_profile_string(profile, labels[i].key);
        if (!strcmp(key, keys[tally->by][0]) && labels[i].str)
            text = hpp_profile_string(profile, labels[i].str);
        if (!strcmp(key, keys[tally->by][1]) && !labels[i].str) {
            number = labels[i].num;
            have_number = true;
        }
    }
    if (tally->by == HPP_BY_PROCESS && !text && !have_number &&
        hpp_profile_process(profile, &number, program, sizeof program)) {
        text = program;
        have_number = true;
    }
    if (tally->by == HPP_BY_THREAD && !text && !have_number && hpp_booked_kind(profile, sample) >= 0)
        text = hpp_booked_names[hpp_booked_kind(profile, sample)];
    if (have_number)
        snprintf(name, sizeof name, "%s (%lld)", text ? text : "?", (long long)number);
    else
        snprintf(name, sizeof name, "%s", text ? text : HPP_NAME_UNKNOWN);
    return hpp_profile_add_string(profile, name);
}

/* Counts SAMPLE for each of its frames. */
static void count_frames(struct tally *tally, size_t sample, struct hpp_amount amount)
{
    const struct hpp_profile *profile = tally->profile;
    size_t depth;
    const uint32_t *stack = hpp_profile_stack(profile, sample, &depth);
    bool leaf = true;

    for (size_t i = 0; i < depth; i++) {
        const struct hpp_location *location = &profile->locations[stack[i]];
        for (uint32_t j = location->first_line; j < location->first_line + location->line_count; j++) {
            struct unit *unit = &tally->units[tally->line_units[j]];
            count(&unit->figure, sample, leaf, amount);
            count(&tally->rows[unit->row], sample, leaf, amount);
            leaf = false;
        }
    }
}

static void count_samples(struct tally *tally, struct hpp_report *report, int samples_column, int ns_column)
{
    const struct hpp_profile *profile = tally->profile;
    uint32_t last_labels = HPP_NONE, unit = 0;

    for (size_t i = 0; i < profile->sample_count; i++) {
        struct hpp_amount amount = hpp_amount_of(profile, i, samples_column, ns_column);
        int booked = hpp_booked_kind(profile, i);
        if (booked >= 0 && !amount.ns && !amount.samples)
            continue; /* hpp_booked_settle left nothing of it */
        hpp_amount_add(&report->total, amount);
        if (booked >= 0)
            hpp_amount_add(&report->booked[booked], amount);
        if (tally->by <= HPP_BY_IMAGE) {
            count_frames(tally, i, amount);
            continue;
        }
        if (profile->samples[i].labels != last_labels || booked >= 0)
            unit = unit_of(tally, sample_name(tally, i), 0);
        last_labels = booked >= 0 ? HPP_NONE : profile->samples[i].labels;
        count(&tally->units[unit].figure, i, true, amount);
        count(&tally->rows[tally->units[unit].row], i, true, amount);
    }
}

static bool larger(const struct figure *a, const struct figure *b)
{
    return a->flat.ns != b->flat.ns ? a->flat.ns > b->flat.ns : a->cum.ns > b->cum.ns;
}

static void make_rows(struct tally *tally, struct hpp_report *report)
{
    const struct hpp_profile *profile = tally->profile;
    const struct unit **best = hpp_memory_get(tally->names.count * sizeof *best);

    for (size_t i = 0; i < tally->pairs.count; i++) {
        const struct unit *unit = &tally->units[i], **have = &best[unit->row];
        if (!*have || larger(&unit->figure, &(*have)->figure))
            *have = unit;
    }
    report->rows = hpp_memory_get(tally->names.count * sizeof *report->rows);
    for (size_t i = 0; i < tally->names.count; i++) {
        const struct figure *figure = &tally->rows[i];
        uint32_t name;
        memcpy(&name, hpp_intern_get(&tally->names, (uint32_t)i, NULL), sizeof name);
        if (!figure->seen)
            continue;
        report->rows[report->row_count++] =
            (struct hpp_report_row){.name = hpp_profile_string(profile, name),
                                    .image = hpp_profile_string(profile, best[i]->image),
                                    .flat = figure->flat,
                                    .cum = figure->cum};
    }
    free(best);
}

static int by_number(int64_t a, int64_t b)
{
    return a > b ? -1 : a < b;
}

static int compare_flat(const void *left, const void *right)
{
    const struct hpp_report_row *a = left, *b = right;
    int order = by_number(a->flat.ns, b->flat.ns);

    return order ? order : strcmp(a->name, b->name);
}

static int compare_cum(const void *left, const void *right)
{
    const struct hpp_report_row *a = left, *b = right;
    int order = by_number(a->cum.ns, b->cum.ns);

    return order ? order : strcmp(a->name, b->name);
}

static int compare_name(const void *left, const void *right)
{
    return strcmp(((const struct hpp_report_row *)left)->name, ((const struct hpp_report_row *)right)->name);
}

int hpp_report_make(struct hpp_report *report, struct hpp_profile *profile, enum hpp_report_by by,
                    enum hpp_report_sort sort)
{
    static int (*const orders[])(const void *, const void *) = {
        [HPP_SORT_FLAT] = compare_flat, [HPP_SORT_CUM] = compare_cum, [HPP_SORT_NAME] = compare_name};
    struct tally tally = {.profile = profile, .by = by};
    int samples_column = hpp_profile_value_index(profile, "samples", "count");
    const char *event;
    int ns_column = hpp_profile_sampled_index(profile, &event);

    *report = (struct hpp_report){.event = event};
    if (ns_column < 0)
        return -EINVAL;
    assign_lines(&tally);
    count_samples(&tally, report, samples_column, ns_column);
    hpp_report_count_stacks(report, profile, samples_column, ns_column);
    make_rows(&tally, report);
    if (report->row_count)
        qsort(report->rows, report->row_count, sizeof *report->rows, orders[sort]);
    free(tally.rows);
    free(tally.units);
    free(tally.line_units);
    hpp_intern_free(&tally.names);
    hpp_intern_free(&tally.pairs);
    return 0;
}

void hpp_report_free(struct hpp_report *report)
{
    free(report->rows);
    free(report->unfinished_images);
    *report = (struct hpp_report){0};
}
