/* Which stacks are whole, and where the others end. For the report. Offline only. */
#ifndef HPP_SYMBOLIZER_REPORT_STACKS_H
#define HPP_SYMBOLIZER_REPORT_STACKS_H

#include "symbolizer/report.h"
#include "symbolizer/summary.h"

enum hpp_location_kind { HPP_KIND_CODE, HPP_KIND_UNFINISHED, HPP_KIND_TRUNCATED, HPP_KIND_BOOKED };

/* What each location of PROFILE is (enum hpp_location_kind); free() it. Adds strings to PROFILE. */
uint8_t *hpp_location_kinds(struct hpp_profile *profile);

/* The weight of SAMPLE. SAMPLES_COLUMN may be -1: there is none. */
struct hpp_amount hpp_amount_of(const struct hpp_profile *profile, size_t sample, int samples_column,
                                int ns_column);
void hpp_amount_add(struct hpp_amount *to, struct hpp_amount amount);

/* What of the total are samples. */
struct hpp_amount hpp_report_sampled(const struct hpp_report *report);

/* Fills in what REPORT says about stacks: all of it but the rows and the total. */
void hpp_report_count_stacks(struct hpp_report *report, struct hpp_profile *profile, int samples_column,
                             int ns_column);

/* Why stacks end in IMAGE, for people: "it has no unwind information (.eh_frame)". */
void hpp_report_reason(const struct hpp_report_image *image, const struct hpp_profile *profile,
                       const struct hpp_summary *summary, char *reason, size_t size);

#endif
