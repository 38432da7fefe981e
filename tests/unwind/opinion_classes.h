/* What to think of a sample on which the agent's walk and libdw differ. Test only. */
#ifndef HPP_TESTS_OPINION_CLASSES_H
#define HPP_TESTS_OPINION_CLASSES_H

#include <elfutils/libdwfl.h>
#include <stdint.h>

struct opinion_case {
    const uint64_t *ours;
    const uint64_t *theirs;
    unsigned ours_count, theirs_count;
    unsigned same;      /* so many frames are equal */
    unsigned end;       /* of ours, enum hpp_walk_end */
    unsigned untold;    /* frames of ours by frame pointer because a table was not there yet */
    int memory_missing; /* theirs needed memory that was not kept */
    Dwfl *dwfl;
};

/* Counts the case. Returns whether it differs. */
int opinion_count(const struct opinion_case *found);

/* The name of its class. */
const char *opinion_name(const struct opinion_case *found);

/* Prints what was counted; the exit status. */
int opinion_summary(void);

#endif
