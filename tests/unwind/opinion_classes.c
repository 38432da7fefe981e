/* The classes of samples on which the agent's walk and libdw differ, each with the rule by which a sample
 * belongs to it and, where ours is held to be right, why. Test only. */
#include "tests/unwind/opinion_classes.h"

#include <stdio.h>
#include <string.h>

#include "common/arch.h"
#include "profiler/walk.h"

enum verdict {
    EQUAL,
    UNTOLD,
    CUT,
    NOWHERE,
    SHORTER,
    LONGER,
    OTHER,
    VERDICTS,
};

static const struct {
    const char *name;
    int ours_is_right;
    int uncounted; /* no opinion was possible */
} verdicts[VERDICTS] = {
    [EQUAL] = {"equal", 1, 0},
    [UNTOLD] = {"taken before the table was there", 0, 1},
    [CUT] = {"equal as far as the stack was kept", 1, 1},
    /* in the midst of a jump to another frame (an exception is being handled) no stack is right; theirs tells
     * whatever the words there are, ours stops */
    [NOWHERE] = {"theirs goes on in no code, where ours stops", 1, 0},
    [SHORTER] = {"ours ends before theirs", 0, 0},
    [LONGER] = {"ours goes on where theirs ends", 0, 0},
    [OTHER] = {"another caller", 0, 0},
};

static unsigned long counts[VERDICTS];

static int is_code(const struct opinion_case *found, uint64_t address)
{
    return dwfl_addrmodule(found->dwfl, address) != NULL;
}

static enum verdict classify(const struct opinion_case *found)
{
    if (found->same == found->ours_count && found->same == found->theirs_count)
        return EQUAL;
    /* where a coroutine began, theirs takes the start of the function put there for one more frame */
    if (found->end == HPP_WALK_ROOT && found->same == found->ours_count &&
        found->theirs[found->same] % HPP_ARCH_FUNCTION_ALIGNMENT == 0)
        return EQUAL;
    if (found->untold)
        return UNTOLD;
    if (found->same == found->theirs_count && found->memory_missing)
        return CUT;
    if (found->same == found->ours_count && !is_code(found, found->theirs[found->same]))
        return NOWHERE;
    if (found->same == found->ours_count)
        return SHORTER;
    if (found->same == found->theirs_count)
        return LONGER;
    return OTHER;
}

int opinion_count(const struct opinion_case *found)
{
    enum verdict verdict = classify(found);

    counts[verdict]++;
    return verdict != EQUAL;
}

const char *opinion_name(const struct opinion_case *found)
{
    return verdicts[classify(found)].name;
}

int opinion_summary(void)
{
    unsigned long compared = 0, right = 0, equal = counts[EQUAL];

    for (int i = 0; i < VERDICTS; i++) {
        if (counts[i] || i == EQUAL)
            printf("%8lu %s%s\n", counts[i], verdicts[i].name,
                   i != EQUAL && verdicts[i].ours_is_right ? " (held to be right)" : "");
        if (!verdicts[i].uncounted)
            compared += counts[i];
        if (i != EQUAL && !verdicts[i].uncounted && verdicts[i].ours_is_right)
            right += counts[i];
    }
    printf("%8lu compared: %.3f %% equal, %.3f %% in classes where ours is held to be right\n", compared,
           compared ? 100.0 * (double)equal / (double)compared : 0.0,
           compared ? 100.0 * (double)right / (double)compared : 0.0);
    return !(compared && (compared - right - equal) * 1000 <= compared - right && right * 200 <= compared);
}
