/* The writer's side of the accounts: holds the process's CPU clock against samples, and books what is missing
 * as rows. Writer only (or, where there is none, the exiting program). */
#ifndef HPP_PROFILER_BOOKS_H
#define HPP_PROFILER_BOOKS_H

/* Reads the clock: while the target runs, and once as soon as its end is known. */
void hpp_books_look(void);

/* The last look was too late: another program was executed in the process. What the clock showed just before
 * that is taken, if exec was called where we see it, else the look before. */
void hpp_books_look_back(void);

/* Adds rows to hpp_writer.aggregate for what is beyond what chance explains; AT_END, for all that is missing,
 * so that the rows add up to the clock (or to what the samples stand for, where chance made that more). */
void hpp_books_settle(int at_end);

/* Whether so much is missing that there shall be a profile even without a sample. */
int hpp_books_are_needed(void);

/* Adds the comment hpprof.cpu when enough is new, or AT_END. */
void hpp_books_comment(int at_end);

#endif
