/* The report for people: at most 80 columns wide on a terminal, numbers first, names last. Offline only. */
#include "symbolizer/escape.h"
#include "symbolizer/report_source.h"
#include "symbolizer/report_stacks.h"
#include "symbolizer/symbolize.h"

#include <inttypes.h>
#include <string.h>

#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define PLAIN "\033[0m"

enum {
    PROGRAMS_MAX = 56, /* characters of program names in the header */
    IMAGES_MAX = 5,    /* that unfinished stacks end in */
};

static const double least_share = 0.1; /* per cent of CPU time that an image is named for */

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* What the report is about. */
static const char *subject(const struct hpp_report *report)
{
    return report->event ? report->event : "CPU time";
}

/* An amount of that: seconds, or a number of events. */
static const char *amount(const struct hpp_report *report, int64_t number, char text[32])
{
    if (report->event)
        snprintf(text, 32, "%" PRId64, number);
    else
        snprintf(text, 32, "%.2f", seconds(number));
    return text;
}

/* NUMBER with a comma between each three digits. */
static const char *grouped(int64_t number, char text[32])
{
    char digits[32];
    int length =
        snprintf(digits, sizeof digits, "%" PRIu64, number < 0 ? -(uint64_t)number : (uint64_t)number);
    char *to = text;

    if (number < 0)
        *to++ = '-';
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

/* The programs of several processes, each name once, as many as a line holds. */
static void print_programs(FILE *out, const struct hpp_profile *profile)
{
    struct hpp_intern seen = {0};
    size_t used = 0;

    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        char path[4096];
        if (!hpp_comment_is(comment, "hpprof.process") ||
            !hpp_comment_text(comment, "image", path, sizeof path))
            continue;
        const char *name = hpp_base_name(path);
        size_t before = seen.count;
        if (hpp_intern_add(&seen, name, strlen(name)) < before)
            continue;
        used += strlen(name) + 2;
        if (used > PROGRAMS_MAX) {
            fputs(", …", out);
            break;
        }
        fputs(before ? ", " : " (", out);
        hpp_escape_plain(out, name, 0);
    }
    fputs(seen.count ? ")" : "", out);
    hpp_intern_free(&seen);
}

static void print_header(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                         const struct hpp_summary *summary, const char *path)
{
    char program[256], number[32];
    int64_t pid, sampled = hpp_report_sampled(report).samples;

    hpp_escape_plain(out, path, 0);
    if (hpp_profile_process(profile, &pid, program, sizeof program)) {
        fputs(": ", out);
        hpp_escape_plain(out, program, 0);
        fprintf(out, " (pid %" PRId64 ")", pid);
    } else if (summary->processes) {
        fprintf(out, "\n%zu processes", summary->processes);
        print_programs(out, profile);
    }
    fputc('\n', out);
    if (profile->duration_nanos > 0)
        fprintf(out, "%.2f s, ", seconds(profile->duration_nanos));
    if (summary->frequency && !report->event)
        fprintf(out, "%" PRIu64 " Hz, ", summary->frequency);
    fprintf(out, "%s sample%s, ", grouped(sampled, number), sampled == 1 ? "" : "s");
    fprintf(out, "%s %s\n\n", amount(report, report->total.ns, number),
            report->event ? report->event : "CPU-seconds");
}

static void print_row(FILE *out, const struct hpp_report *report, const struct hpp_report_row *row,
                      const struct hpp_report_style *style)
{
    char numbers[160], flat[32], cum[32];
    int64_t total = report->total.ns;
    int used =
        snprintf(numbers, sizeof numbers, "%9s %6.1f %9s %6.1f  ", amount(report, row->flat.ns, flat),
                 percent(row->flat.ns, total), amount(report, row->cum.ns, cum), percent(row->cum.ns, total));
    size_t room = style->columns > used ? (size_t)(style->columns - used) : 0, name;
    const char *image = hpp_base_name(row->image);

    fputs(numbers, out);
    name = hpp_escape_plain(out, style->base_names ? hpp_base_name(row->name) : row->name,
                            style->columns && !room ? 1 : room);
    if (style->show_image && *image && strcmp(row->name, HPP_NAME_ANON) &&
        strncmp(row->name, image, strlen(image)) && (!style->columns || name + strlen(image) + 2 <= room)) {
        fputs(style->color ? "  " DIM : "  ", out);
        hpp_escape_plain(out, image, 0);
        fputs(style->color ? PLAIN : "", out);
    }
    fputc('\n', out);
}

static void print_rows(FILE *out, const struct hpp_report *report, const struct hpp_report_style *style)
{
    size_t shown = style->rows && style->rows < report->row_count ? style->rows : report->row_count;

    fprintf(out, "%s%9s %6s %9s %6s  %s%s\n", style->color ? BOLD : "", report->event ? "flat" : "flat s",
            "flat%", report->event ? "cum" : "cum s", "cum%", style->what, style->color ? PLAIN : "");
    for (size_t i = 0; i < shown; i++)
        print_row(out, report, &report->rows[i], style);
    if (shown < report->row_count)
        fprintf(out, "%36s%zu more (-n 0 prints all)\n", "", report->row_count - shown);
}

static void print_share(FILE *out, const struct hpp_report *report, struct hpp_amount part, const char *text)
{
    char number[32];

    if (part.ns || part.samples)
        fprintf(out, "%.1f%% of %s (%s sample%s) %s\n", percent(part.ns, report->total.ns), subject(report),
                grouped(part.samples, number), part.samples == 1 ? "" : "s", text);
}

/* Where the unfinished stacks end, and why there. */
static void print_unfinished(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                             const struct hpp_summary *summary, int columns)
{
    char reason[256], line[4400];

    for (size_t i = 0; i < report->unfinished_image_count && i < IMAGES_MAX; i++) {
        const struct hpp_report_image *image = &report->unfinished_images[i];
        double share = percent(image->amount.ns, report->total.ns);
        int used;
        if (share < least_share)
            break;
        hpp_report_reason(image, profile, summary, reason, sizeof reason);
        snprintf(line, sizeof line, "%s: %s",
                 *image->image ? hpp_base_name(image->image) : "code without a file", reason);
        used = fprintf(out, "%6.1f%% end in ", share);
        hpp_escape_plain(out, line, columns > used ? (size_t)(columns - used) : 0);
        fputc('\n', out);
    }
}

static void print_stacks(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                         const struct hpp_summary *summary, int columns)
{
    struct hpp_amount sampled = hpp_report_sampled(report);
    char number[32];

    if (!sampled.ns && !sampled.samples)
        fprintf(out, "No samples: all of the %s is booked.\n", subject(report));
    else if (summary->processes && !report->unfinished.samples && !report->rootless.samples)
        fputs("All stacks reach their thread's root.\n", out);
    print_share(out, report, report->unfinished,
                "has stacks that do not reach their\n"
                "thread's root: their callers are missing from the cum columns.");
    print_unfinished(out, report, profile, summary, columns);
    if (summary->by_fp)
        fprintf(out,
                "%.1f%% of %s (%s sample%s) was walked by frame pointers while\n"
                "unwind tables were being built%s%s%s.\n",
                percent((int64_t)summary->by_fp, report->total.samples), subject(report),
                grouped((int64_t)summary->by_fp, number), summary->by_fp == 1 ? "" : "s",
                *summary->not_kept ? ", and will be again: HPPROF_CACHE\nkeeps none ("
                                   : "; they are kept for later runs",
                summary->not_kept, *summary->not_kept ? ")" : "");
    print_share(out, report, report->middle,
                "has stacks with their middle frames\n"
                "left out; a larger HPPROF_DEPTH keeps more of them.");
    print_share(out, report, report->rootless,
                "has stacks too deep to be walked to\n"
                "their root: their outermost callers are missing from the cum columns.");
    if (summary->not_libunwind)
        fprintf(out, "Walked without libunwind, where it would not be safe: %" PRIu64 " stack%s.\n",
                summary->not_libunwind, summary->not_libunwind == 1 ? "" : "s");
}

/* What was used, and which part of it has samples: %-columns are of what was used. */
static void print_cpu(FILE *out, const struct hpp_report *report, const struct hpp_summary *summary)
{
    static const char *const why[HPP_BOOKED_KINDS] = {
        [HPP_BOOKED_SHORT_LIVED] = "threads ended before a signal came",
        [HPP_BOOKED_BLOCKED] = "the program kept SIGPROF from coming",
        [HPP_BOOKED_UNSAMPLED] = "loading, exit, losses, the timer's limits"};
    int64_t used = summary->cpu_ns > INT64_MAX ? INT64_MAX : (int64_t)summary->cpu_ns;
    int64_t sampled = hpp_report_sampled(report).ns;

    if (summary->stopped_ns)
        fprintf(out, "Not in this profile: %.2f s of CPU time while sampling was stopped.\n",
                (double)summary->stopped_ns / 1e9);
    if (!used)
        return;
    fprintf(out, "CPU time used%s: %.2f s\n%9.2f s %5.1f%%  sampled\n",
            summary->stopped_ns ? "" : " (getrusage)", seconds(used), seconds(sampled),
            percent(sampled, used));
    for (int i = 0; i < HPP_BOOKED_KINDS; i++)
        if (percent(report->booked[i].ns, used) >= least_share)
            fprintf(out, "%9.2f s %5.1f%%  %s: %s\n", seconds(report->booked[i].ns),
                    percent(report->booked[i].ns, used), hpp_booked_names[i], why[i]);
    if (percent(used - report->total.ns, used) >= 1)
        fprintf(out, "%9.2f s %5.1f%%  not told: it still ran, or its writer was killed\n",
                seconds(used - report->total.ns), percent(used - report->total.ns, used));
}

static void print_footer(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                         const struct hpp_summary *summary, int columns)
{
    fputc('\n', out);
    if (report->row_count)
        print_stacks(out, report, profile, summary, columns);
    else
        fprintf(out, "No samples: the program used less %s than one period.\n", subject(report));
    print_cpu(out, report, summary);
    hpp_summary_print_lost(out, summary);
    if (profile->torn_bytes)
        fprintf(out, "Torn last chunk: %" PRIu64 " bytes left out.\n", profile->torn_bytes);
    if (summary->ends < summary->processes)
        fprintf(out, "Not finished: %zu of %zu processes still ran, or their writer was killed.\n",
                summary->processes - summary->ends, summary->processes);
    hpp_summary_print_remap(out, summary, hpp_report_sampled(report).samples);
    hpp_report_print_sources(out, profile, false);
    hpp_summary_print_notes(out, profile);
}

void hpp_report_print_text(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                           const struct hpp_report_style *style)
{
    struct hpp_summary summary;

    hpp_summary_make(&summary, profile);
    print_header(out, report, profile, &summary, style->path);
    if (report->row_count)
        print_rows(out, report, style);
    print_footer(out, report, profile, &summary, style->columns);
    hpp_summary_free(&summary);
}

void hpp_report_print_status(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                             const char *path)
{
    struct hpp_summary summary;

    hpp_summary_make(&summary, profile);
    print_header(out, report, profile, &summary, path);
    hpp_report_print_sources(out, profile, true);
    print_cpu(out, report, &summary);
    if (!hpp_summary_print_lost(out, &summary))
        fputs("Nothing lost.\n", out);
    hpp_summary_print_remap(out, &summary, hpp_report_sampled(report).samples);
    hpp_summary_print_notes(out, profile);
    hpp_summary_free(&summary);
}
