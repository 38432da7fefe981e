/* The report for programs; report.h says what the keys are. Offline only. */
#include "symbolizer/escape.h"
#include "symbolizer/report_stacks.h"

#include <inttypes.h>

static void put_text(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\":", key);
    hpp_escape_json(out, text);
    fputc(',', out);
}

static void print_head(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                       const struct hpp_summary *summary)
{
    char program[256] = "";
    int64_t pid;

    if (!hpp_profile_process(profile, &pid, program, sizeof program))
        *program = '\0';
    put_text(out, "program", program);
    fprintf(out,
            "\"processes\":%zu,\"ended_processes\":%zu,\"frequency_hz\":%" PRIu64 ",\"duration_ns\":%" PRId64
            ","
            "\"event\":%s%s%s,"
            "\"total_samples\":%" PRId64 ",\"total_ns\":%" PRId64 ","
            "\"unfinished_samples\":%" PRId64 ",\"unfinished_ns\":%" PRId64 ","
            "\"truncated_samples\":%" PRId64 ",\"truncated_ns\":%" PRId64 ","
            "\"rootless_samples\":%" PRId64 ",\"rootless_ns\":%" PRId64 ","
            "\"by_fp_samples\":%" PRIu64 ",\"torn_bytes\":%" PRIu64 ",",
            summary->processes, summary->ends, summary->frequency, profile->duration_nanos,
            report->event ? "\"" : "", report->event ? report->event : "null", report->event ? "\"" : "",
            report->total.samples, report->total.ns, report->unfinished.samples, report->unfinished.ns,
            report->truncated.samples, report->truncated.ns, report->rootless.samples, report->rootless.ns,
            summary->by_fp, profile->torn_bytes);
}

static void print_lost(FILE *out, const struct hpp_summary *summary)
{
    fprintf(out,
            "\"lost\":{\"dropped\":%" PRIu64 ",\"stale\":%" PRIu64 ",\"threads\":%" PRIu64
            ",\"not_libunwind\":%" PRIu64 ",\"labels\":%" PRIu64 ",\"write_errors\":%" PRIu64
            ",\"lost_weight\":%" PRIu64 "},",
            summary->dropped, summary->stale, summary->threads, summary->not_libunwind, summary->labels,
            summary->write_errors, summary->lost_weight);
}

static void print_cpu(FILE *out, const struct hpp_report *report, const struct hpp_summary *summary)
{
    fprintf(out,
            "\"cpu\":{\"total_ns\":%" PRIu64 ",\"sampled_ns\":%" PRId64 ",\"short_lived_ns\":%" PRId64
            ",\"blocked_ns\":%" PRId64 ",\"unsampled_ns\":%" PRId64 ",\"stopped_ns\":%" PRIu64 "},",
            summary->cpu_ns, hpp_report_sampled(report).ns, report->booked[HPP_BOOKED_SHORT_LIVED].ns,
            report->booked[HPP_BOOKED_BLOCKED].ns, report->booked[HPP_BOOKED_UNSAMPLED].ns,
            summary->stopped_ns);
}

static void print_unfinished(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                             const struct hpp_summary *summary)
{
    char reason[256];

    fputs("\"unfinished_by_image\":[", out);
    for (size_t i = 0; i < report->unfinished_image_count; i++) {
        const struct hpp_report_image *image = &report->unfinished_images[i];
        fputs(i ? ",\n{" : "\n{", out);
        put_text(out, "image", image->image);
        hpp_report_reason(image, profile, summary, reason, sizeof reason);
        put_text(out, "reason", reason);
        fprintf(out, "\"ns\":%" PRId64 ",\"samples\":%" PRId64 "}", image->amount.ns, image->amount.samples);
    }
    fputs("],", out);
}

static void print_ranges(FILE *out, const struct hpp_summary_image *image)
{
    fputs(",\"moved\":[", out);
    for (size_t i = 0; i < image->ranges; i++) {
        const struct hpp_summary_range *range = &image->range[i];
        fprintf(out, "%s{\"start\":\"0x%" PRIx64 "\",\"end\":\"0x%" PRIx64 "\",", i ? "," : "", range->start,
                range->end);
        put_text(out, "backend", range->backend);
        put_text(out, "when", range->hot ? "hot" : "start");
        fprintf(out,
                "\"asked_kib\":%" PRIu64 ",\"huge_kib\":%" PRIu64 ",\"ms\":%.3f,\"samples\":%" PRIu64
                ",\"unloaded\":%s}",
                range->asked_kib, range->huge_kib, range->ms, range->samples,
                range->unloaded ? "true" : "false");
    }
    fputs("]", out);
}

static void print_remap(FILE *out, const struct hpp_summary *summary)
{
    fputs("\"remap\":[", out);
    for (size_t i = 0; i < summary->image_count; i++) {
        const struct hpp_summary_image *image = &summary->images[i];
        fputs(i ? ",\n{" : "\n{", out);
        put_text(out, "image", image->path);
        put_text(out, "backend", image->backend);
        put_text(out, "reason", image->reason);
        put_text(out, "error", image->error);
        put_text(out, "put_back_reason", image->put_back_reason);
        fprintf(out,
                "\"ranges\":%zu,\"asked_kib\":%" PRIu64 ",\"huge_kib\":%" PRIu64 ",\"left_kib\":%" PRIu64
                ",\"absorbed_kib\":%" PRIu64 ",\"executable_data_kib\":%" PRIu64 ",\"locked_kib\":%" PRIu64
                ",\"put_back_kib\":%" PRIu64 ",\"ms\":%.3f,\"huge_samples\":%" PRIu64,
                image->ranges, image->asked_kib, image->huge_kib, image->left_kib, image->absorbed_kib,
                image->data_kib, image->locked_kib, image->put_back_kib, image->ms, image->on_huge);
        print_ranges(out, image);
        fputs("}", out);
    }
    fprintf(out,
            "],\"data\":{\"eligible_kib\":%" PRIu64 ",\"huge_kib\":%" PRIu64 ",\"when_touched_kib\":%" PRIu64
            "},",
            summary->data_kib, summary->huge_data_kib, summary->later_data_kib);
}

static void print_rows(FILE *out, const struct hpp_report *report, size_t rows)
{
    size_t shown = rows && rows < report->row_count ? rows : report->row_count;

    fprintf(out, "\"row_count\":%zu,\"rows\":[", report->row_count);
    for (size_t i = 0; i < shown; i++) {
        const struct hpp_report_row *row = &report->rows[i];
        fputs(i ? ",\n{" : "\n{", out);
        put_text(out, "name", row->name);
        put_text(out, "image", row->image);
        fprintf(out,
                "\"flat_ns\":%" PRId64 ",\"cum_ns\":%" PRId64 ",\"flat_samples\":%" PRId64
                ",\"cum_samples\":%" PRId64 "}",
                row->flat.ns, row->cum.ns, row->flat.samples, row->cum.samples);
    }
    fputs("]}\n", out);
}

void hpp_report_print_json(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                           const char *path, const char *by, const char *sort, size_t rows)
{
    struct hpp_summary summary;

    hpp_summary_make(&summary, profile);
    fputc('{', out);
    put_text(out, "profile", path);
    put_text(out, "by", by);
    put_text(out, "sort", sort);
    print_head(out, report, profile, &summary);
    print_lost(out, &summary);
    print_cpu(out, report, &summary);
    print_unfinished(out, report, profile, &summary);
    print_remap(out, &summary);
    print_rows(out, report, rows);
    hpp_summary_free(&summary);
}
