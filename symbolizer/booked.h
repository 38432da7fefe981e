/* Rows that stand for CPU time without samples (FORMAT.md, "CPU time without samples"). Offline only. */
#ifndef HPP_SYMBOLIZER_BOOKED_H
#define HPP_SYMBOLIZER_BOOKED_H

#include "symbolizer/profile.h"

/* What such rows say, in the order in which people want to read it. */
enum hpp_booked { HPP_BOOKED_SHORT_LIVED, HPP_BOOKED_BLOCKED, HPP_BOOKED_UNSAMPLED, HPP_BOOKED_KINDS };

/* The names of their leaves. */
extern const char *const hpp_booked_names[HPP_BOOKED_KINDS];

/* Which of them NAME is, or -1. */
int hpp_booked_by_name(const char *name);

/* What SAMPLE is, or -1: a sample. */
int hpp_booked_kind(const struct hpp_profile *profile, size_t sample);

/* How many samples PROFILE has besides such rows. */
int64_t hpp_booked_others(const struct hpp_profile *profile);

/* Several processes as one: where chance gave some of them samples for more than they used, what is booked in
 * the others is cut by as much, so that the rows add up to what all have used. Not while any still runs. */
void hpp_booked_settle(struct hpp_profile *profile);

#endif
