/* The comments of preload/ in a profile (proto/FORMAT.md). Start-up code and fork children. */
#ifndef HPP_PRELOAD_HEAD_COMMENTS_H
#define HPP_PRELOAD_HEAD_COMMENTS_H

#include "preload/options.h"
#include "preload/remap/remap.h"

/* Has the writer add them: to its first chunk version and process, to each what became of the text since.
 * What is given stays. INHERITED: in a fork child, whose parent moved what REMAP has by now. */
void hpp_head_comments(const struct hpp_agent_options *options, const struct hpp_remap_list *remap,
                       int inherited);

#endif
