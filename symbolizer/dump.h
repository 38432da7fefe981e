/* Prints the stacks of a process. Offline only. */
#ifndef HPP_SYMBOLIZER_DUMP_H
#define HPP_SYMBOLIZER_DUMP_H

#include "symbolizer/process_stop.h"

#include <stdio.h>

/* Prints each thread's stack, leaf first, and a last line `stopped for N.N ms`. TELL gets a line for each
 * file whose functions stay without names. */
void hpp_dump_print(FILE *out, const struct hpp_process *process, void (*tell)(const char *line));

#endif
