/* The classes of samples on which the agent's walk and libdw differ, each with the rule by which a sample
 * belongs to it and, where ours is held to be right, why. Test only. */
#include "tests/unwind/opinion_classes.h"

#include <stdio.h>
#include <string.h>

#include "profiler/walk.h"

enum class {
    EQUAL,
    UNTOLD,
    CUT,
    SHORTER,
    LONGER,
    OTHER,
    CLASSES,
};

static const struct {
    const char *name;
    int ours_is_right;
    int uncounted; /* no opinion was possible */
} classes[CLASSES] = {
    [EQUAL] = {"equal", 1, 0},
    [UNTOLD] = {"taken before the table was there", 0, 1},
    [CUT] = {"equal as far as the stack was kept", 1, 1},
    [SHORTER] = {"ours ends before theirs", 0, 0},
    [LONGER] = {"ours goes on where theirs ends", 0, 0},
    [OTHER] = {"another caller", 0, 0},
};

static unsigned long counts[CLASSES];

static enum class classify(const struct opinion_case *found) {
    if (found->same == found->ours_count && found->same == found->theirs_count) return EQUAL;
    if (found->untold) return UNTOLD;
    if (found->same == found->theirs_count && found->memory_missing) return CUT;
    if (found->same == found->ours_count) return SHORTER;
    if (found->same == found->theirs_count) return LONGER;
    return OTHER;
}

int opinion_count(const struct opinion_case *found)
{
    enum class class = classify(found);

    counts[class]++;
    return class != EQUAL;
}

const char *opinion_name(const struct opinion_case *found)
{
    return classes[classify(found)].name;
}

int opinion_summary(void)
{
    unsigned long compared = 0, right = 0, equal = counts[EQUAL];

    for (int i = 0; i < CLASSES; i++) {
        if (counts[i] || i == EQUAL)
            printf("%8lu %s%s\n", counts[i], classes[i].name,
                   i != EQUAL && classes[i].ours_is_right ? " (held to be right)" : "");
        if (!classes[i].uncounted)
            compared += counts[i];
        if (i != EQUAL && !classes[i].uncounted && classes[i].ours_is_right)
            right += counts[i];
    }
    printf("%8lu compared: %.3f %% equal, %.3f %% in classes where ours is held to be right\n", compared,
           compared ? 100.0 * (double)equal / (double)compared : 0.0,
           compared ? 100.0 * (double)right / (double)compared : 0.0);
    return !(compared && (compared - right - equal) * 1000 <= compared - right && right * 200 <= compared);
}
