/* The comments of a profile's first chunk (proto/FORMAT.md). Start-up code and fork children. */
#ifndef HPP_PRELOAD_HEAD_COMMENTS_H
#define HPP_PRELOAD_HEAD_COMMENTS_H

#include "preload/options.h"
#include "preload/remap.h"

/* Has the writer add them before its first chunk: version, process, and what became of the text. What is
 * given stays. INHERITED: in a fork child, whose text its parent moved. */
void hpp_head_comments(const struct hpp_agent_options *options, const struct hpp_remap_list *remap,
                       int inherited);

#endif
