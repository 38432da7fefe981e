/* Which rule of an unwind table a row of call-frame information is. Builder of unwind tables only. */
#include "common/cfi.h"

#include "common/arch_dwarf.h"
#include "common/unwind_build.h"

/* Operations (DWARF 5, 7.7.1). */
enum {
    OP_DEREF = 0x06,
    OP_AND = 0x1a,
    OP_MUL = 0x1e,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_GE = 0x2a,
    OP_LIT0 = 0x30,
    OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f,
};

enum hpp_unwind_bug hpp_unwind_bug;

static const struct hpp_cfi_column unknown = {.how = HPP_CFI_UNKNOWN};

/* What linkers write for the procedure linkage table: sp + 8 + ((pc & 15) >= N) * 8, where the stub has
 * pushed the relocation's number. CURSOR is behind the first operation, breg of sp. */
static struct hpp_cfi_column plt_column(struct hpp_cursor *cursor, struct hpp_cfi_column column)
{
    static const uint8_t before[] = {OP_BREG0 + HPP_ARCH_DWARF_PC, 0, OP_LIT0 + 15, OP_AND};
    static const uint8_t after[] = {OP_GE, OP_LIT0 + 3, OP_SHL, OP_PLUS};
    uint8_t literal;

    for (unsigned i = 0; i < sizeof before; i++)
        if (hpp_cursor_u8(cursor) != before[i])
            return unknown;
    literal = hpp_cursor_u8(cursor);
    for (unsigned i = 0; i < sizeof after; i++)
        if (hpp_cursor_u8(cursor) != after[i])
            return unknown;
    if (hpp_cursor_left(cursor) || column.base != HPP_ARCH_DWARF_SP || literal < OP_LIT0 ||
        literal > OP_LIT0 + 15)
        return unknown;
    column.how = HPP_CFI_PLT;
    column.add = (int16_t)(literal - OP_LIT0);
    return column;
}

/* The end of an expression that has read memory at COLUMN's place: HOW, and maybe a constant to be added. */
static struct hpp_cfi_column read_column(struct hpp_cursor *cursor, struct hpp_cfi_column column, uint8_t how)
{
    uint64_t add;
    uint8_t op;

    column.how = how;
    if (!hpp_cursor_left(cursor))
        return column;
    op = hpp_cursor_u8(cursor);
    add = hpp_cursor_uleb(cursor);
    if (cursor->bad || hpp_cursor_left(cursor) || op != OP_PLUS_UCONST || add > INT16_MAX)
        return unknown;
    column.add = (int16_t)add;
    return column;
}

/* What OpenSSL's Montgomery multiplication says, which keeps the old stack pointer behind a number of as many
 * words as a register tells: *(sp + offset + register * 8) + add. CURSOR is behind the first operation, breg
 * of sp. */
static struct hpp_cfi_column indexed_column(struct hpp_cursor *cursor, struct hpp_cfi_column column)
{
    static const uint8_t after[] = {0, OP_LIT0 + 8, OP_MUL, OP_PLUS, OP_DEREF};
    uint8_t op = hpp_cursor_u8(cursor);

    for (unsigned i = 0; i < sizeof after; i++)
        if (hpp_cursor_u8(cursor) != after[i])
            return unknown;
    if (cursor->bad || column.base != HPP_ARCH_DWARF_SP || op < OP_BREG0 || op > OP_BREG31)
        return unknown;
    column.base = (uint8_t)(op - OP_BREG0);
    return read_column(cursor, column, HPP_CFI_INDEXED);
}

struct hpp_cfi_column hpp_cfi_column_of(struct hpp_cursor cursor, int is_cfa)
{
    struct hpp_cfi_column column = {.how = is_cfa ? HPP_CFI_REGISTER : HPP_CFI_AT_REGISTER};
    uint8_t op = hpp_cursor_u8(&cursor);
    int64_t offset = hpp_cursor_sleb(&cursor);

    if (cursor.bad || op < OP_BREG0 || op > OP_BREG31 || offset != (int32_t)offset)
        return unknown;
    column.base = (uint8_t)(op - OP_BREG0);
    column.offset = (int32_t)offset;
    if (!hpp_cursor_left(&cursor))
        return column;
    if (!is_cfa)
        return unknown;
    if (*cursor.at == OP_BREG0 + HPP_ARCH_DWARF_PC)
        return plt_column(&cursor, column);
    if (*cursor.at != OP_DEREF)
        return indexed_column(&cursor, column);
    cursor.at++;
    return read_column(&cursor, column, HPP_CFI_AT_REGISTER);
}

/* Returns 0, or 1 if the table has no such CFA. */
static int cfa_rule(const struct hpp_cfi_column *cfa, struct hpp_unwind_rule *rule)
{
    if (cfa->base >= HPP_ARCH_DWARF_REGISTERS)
        return 1;
    rule->cfa_offset = cfa->offset;
    switch (cfa->how) {
    case HPP_CFI_REGISTER:
        rule->cfa = cfa->base == HPP_ARCH_DWARF_SP   ? HPP_CFA_SP
                    : cfa->base == HPP_ARCH_DWARF_FP ? HPP_CFA_FP
                                                     : HPP_CFA_REGISTER;
        rule->base = rule->cfa == HPP_CFA_REGISTER ? cfa->base : 0;
        return 0;
    case HPP_CFI_AT_REGISTER:
        rule->cfa = HPP_CFA_DEREF;
        rule->base = cfa->base;
        rule->cfa_add = cfa->add;
        return 0;
    case HPP_CFI_INDEXED:
        rule->cfa = HPP_CFA_INDEXED;
        rule->base = cfa->base;
        rule->cfa_add = cfa->add;
        return 0;
    case HPP_CFI_PLT:
        rule->cfa = HPP_CFA_PLT;
        rule->cfa_add = cfa->add;
        return 0;
    default:
        return 1;
    }
}

/* Where COLUMN says that the caller's value is. */
static enum hpp_saved saved(const struct hpp_cfi_column *column, int32_t *offset)
{
    *offset = column->offset;
    switch (column->how) {
    case HPP_CFI_AT_CFA:
        return HPP_SAVED_AT_CFA;
    case HPP_CFI_AT_REGISTER:
        if (column->base == HPP_ARCH_DWARF_FP)
            return HPP_SAVED_AT_FP;
        if (column->base == HPP_ARCH_DWARF_SP)
            return HPP_SAVED_AT_SP;
        break;
    case HPP_CFI_REGISTER:
        *offset = column->base;
        return column->base < HPP_ARCH_DWARF_REGISTERS ? HPP_SAVED_REGISTER : HPP_SAVED_LOST;
    case HPP_CFI_UNSPECIFIED:
    case HPP_CFI_SAME:
        *offset = 0;
        return HPP_SAVED_SAME;
    }
    *offset = 0;
    return HPP_SAVED_LOST;
}

/* The kernel's frame below a handler: glibc and the kernel tell sp, fp and pc by where they are above the
 * stack pointer. The stack pointer itself is then the CFA. */
static int signal_rule(const struct hpp_cfi_row *row, struct hpp_unwind_rule *rule)
{
    const struct hpp_cfi_column *cfa = &row->cfa, *sp = &row->sp;
    int32_t pc_offset = row->pc.offset;

    if (cfa->how != HPP_CFI_AT_REGISTER || cfa->base != HPP_ARCH_DWARF_SP || cfa->add ||
        row->fp.how != HPP_CFI_AT_REGISTER || row->fp.base != HPP_ARCH_DWARF_SP ||
        row->pc.how != HPP_CFI_AT_REGISTER || row->pc.base != HPP_ARCH_DWARF_SP ||
        pc_offset != (int16_t)pc_offset)
        return 1;
    if (sp->how != HPP_CFI_UNSPECIFIED &&
        (sp->how != HPP_CFI_AT_REGISTER || sp->base != HPP_ARCH_DWARF_SP || sp->offset != cfa->offset))
        return 1;
    *rule = (struct hpp_unwind_rule){.cfa = HPP_CFA_SIGNAL,
                                     .fp = HPP_SAVED_AT_SP,
                                     .ra = HPP_SAVED_AT_SP,
                                     .cfa_offset = cfa->offset,
                                     .fp_offset = row->fp.offset,
                                     .ra_offset = (int16_t)pc_offset};
    return 0;
}

/* A frame that a call made. */
static int call_rule(const struct hpp_cfi_row *row, struct hpp_unwind_rule *rule)
{
    int32_t pc_offset;

    /* The caller's stack pointer is the CFA, or there is no way to say it. */
    if (row->sp.how != HPP_CFI_UNSPECIFIED && !(row->sp.how == HPP_CFI_CFA_PLUS && !row->sp.offset))
        return 1;
    if (cfa_rule(&row->cfa, rule))
        return 1;
    rule->fp = (uint8_t)saved(&row->fp, &rule->fp_offset);
    rule->ra = (uint8_t)saved(&row->pc, &pc_offset);
    rule->ra_offset = (int16_t)pc_offset;
    if (rule->ra == HPP_SAVED_SAME || rule->ra == HPP_SAVED_LOST || pc_offset != (int16_t)pc_offset)
        return 1;
    if (hpp_unwind_bug == HPP_UNWIND_BUG_OFFSET && rule->fp == HPP_SAVED_AT_CFA)
        rule->fp_offset += 8;
    return 0;
}

int hpp_cfi_rule(const struct hpp_cfi_row *row, int is_signal, struct hpp_unwind_rule *rule)
{
    *rule = (struct hpp_unwind_rule){0};
    if (row->pc.how == HPP_CFI_UNDEFINED) {
        rule->cfa = HPP_CFA_END;
        return 0;
    }
    if (is_signal ? !signal_rule(row, rule) : !call_rule(row, rule))
        return 0;
    *rule = (struct hpp_unwind_rule){0};
    return 1;
}
