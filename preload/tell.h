/* The agent's few lines on standard error. Runs in the target, at start and at exit. */
#ifndef HPP_PRELOAD_TELL_H
#define HPP_PRELOAD_TELL_H

#include "common/text.h"

/* Remembers what standard error is now. */
void hpp_tell_init(void);

/* Writes the line there, if descriptor 2 is still what it was at start and takes the line at once: the
 * program may have closed it and have a file of its own there. A reader that has gone away raises no
 * SIGPIPE. */
void hpp_tell(const struct hpp_text *line);

#endif
