/* The comments of a profile's first chunk (proto/FORMAT.md). Start-up code and fork children. */
#ifndef HPP_PRELOAD_HEAD_COMMENTS_H
#define HPP_PRELOAD_HEAD_COMMENTS_H

#include "preload/options.h"
#include "preload/remap.h"

/* Adds them to hpp_writer's file: version, process, and what became of the text. INHERITED: in a fork
 * child, whose text its parent moved. */
void hpp_head_comments(const struct hpp_agent_options *options, const char *program,
                       const struct hpp_remap_list *remap, int inherited);

#endif
