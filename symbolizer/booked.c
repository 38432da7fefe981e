/* Rows that stand for CPU time without samples. Offline only. */
#include "symbolizer/booked.h"

#include <string.h>

const char *const hpp_booked_names[HPP_BOOKED_KINDS] = {[HPP_BOOKED_SHORT_LIVED] = "[short-lived]",
                                                        [HPP_BOOKED_BLOCKED] = "[signals blocked]",
                                                        [HPP_BOOKED_UNSAMPLED] = "[unsampled]"};

int hpp_booked_by_name(const char *name)
{
    for (int i = 0; *name == '[' && i < HPP_BOOKED_KINDS; i++)
        if (!strcmp(name, hpp_booked_names[i]))
            return i;
    return -1;
}

int hpp_booked_kind(const struct hpp_profile *profile, size_t sample)
{
    size_t depth;
    const uint32_t *stack = hpp_profile_stack(profile, sample, &depth);
    const struct hpp_location *leaf = depth ? &profile->locations[stack[0]] : NULL;

    if (!leaf || leaf->mapping != HPP_NONE || leaf->line_count != 1)
        return -1;
    return hpp_booked_by_name(
        hpp_profile_string(profile, profile->functions[profile->lines[leaf->first_line].function].name));
}

int64_t hpp_booked_others(const struct hpp_profile *profile)
{
    int column = hpp_profile_value_index(profile, "samples", "count");
    int64_t sum = 0;

    for (size_t i = 0; column >= 0 && i < profile->sample_count; i++)
        if (hpp_booked_kind(profile, i) < 0)
            sum = hpp_clamped_sum(sum, profile->values[i * profile->value_count + (size_t)column]);
    return sum;
}

/* Leaves SHARE of the ns of each booked row. */
static void scale(struct hpp_profile *profile, int samples_column, int ns_column, double share)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        int64_t *values = profile->values + i * profile->value_count;
        if (hpp_booked_kind(profile, i) < 0)
            continue;
        values[ns_column] = (int64_t)((double)values[ns_column] * share);
        if (samples_column >= 0 && profile->period > 0)
            values[samples_column] = (int64_t)((double)values[ns_column] / (double)profile->period + 0.5);
    }
}

void hpp_booked_settle(struct hpp_profile *profile)
{
    int samples_column = hpp_profile_value_index(profile, "samples", "count");
    int ns_column = hpp_profile_value_index(profile, "cpu", "nanoseconds");
    double used = (double)hpp_profile_sum(profile, "hpprof.cpu", "total_ns"), all = 0, booked = 0;

    if (ns_column < 0 || used <= 0 ||
        hpp_profile_count(profile, "hpprof.end") < hpp_profile_count(profile, "hpprof.process"))
        return;
    for (size_t i = 0; i < profile->sample_count; i++) {
        double ns = (double)profile->values[i * profile->value_count + (size_t)ns_column];
        all += ns;
        booked += hpp_booked_kind(profile, i) >= 0 ? ns : 0;
    }
    if (all > used && booked > 0)
        scale(profile, samples_column, ns_column, all - used < booked ? 1 - (all - used) / booked : 0);
}
