/* Rules for procedure linkage tables, from their code: lld and Go's linker write no call-frame information
 * for them. Builder of unwind tables only. */
#ifndef HPP_COMMON_UNWIND_PLT_H
#define HPP_COMMON_UNWIND_PLT_H

#include <stdint.h>

#include "common/cfi.h"

/* Gives TAKE the rules of those stubs of the section PLT that begin below END (link-time) and whose code is
 * as linkers are known to write it (System V ABI, AMD64 supplement, 5.2); of others nothing. In rising order,
 * maybe with gaps. */
void hpp_unwind_plt_run(const struct hpp_cfi_section *plt, uint64_t end, hpp_cfi_take take, void *context);

#endif
