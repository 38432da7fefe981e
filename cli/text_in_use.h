/* Which copies of text are in use: what the kernel tells of a file's last mapping (its access time, by
 * default to the day) does not say whether it is still mapped. Offline only. */
#ifndef HPP_CLI_TEXT_IN_USE_H
#define HPP_CLI_TEXT_IN_USE_H

#include "common/cache_room.h"

/* hpp_cache_list_read, with in_use set where a process that we can see has the copy mapped. */
int hpp_text_uses_read(const struct hpp_cache_folder *folder, struct hpp_cache_list *list);

#endif
