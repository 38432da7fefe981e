/* Runs the programs of call-frame information (DWARF 5, 6.4.2). Builder of unwind tables only. */
#include "common/cfi.h"

#include <errno.h>

#include "common/arch_dwarf.h"
#include "common/unwind_build.h"

/* Instructions (DWARF 5, 7.24; LSB Core, 10.6.1.2). */
enum {
    CFA_NOP = 0x00,
    CFA_SET_LOC = 0x01,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_ADVANCE_LOC8 = 0x1d,
    CFA_GNU_ARGS_SIZE = 0x2e,
    CFA_GNU_NEGATIVE_OFFSET = 0x2f,
    CFA_ADVANCE_LOC = 0x40,
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
};

enum { STATES = 32, NO_REGISTER = 255 };

struct machine {
    const struct hpp_cfi_section *section;
    const struct hpp_cfi_cie *cie;
    struct hpp_cursor cursor;
    uint64_t function, end; /* of the description's code */
    uint64_t location;
    uint64_t begun; /* from here on no rule has been given away */
    hpp_cfi_take take;
    void *context;
    struct hpp_unwind_rule rule; /* of `row`, unless it changed since */
    int has_changed;
    int is_unknown; /* some code had no rule */
    unsigned depth;
    struct hpp_cfi_row row;
    struct hpp_cfi_row states[STATES];
};

/* Reads a register's number. */
static uint8_t read_register(struct machine *machine)
{
    uint64_t number = hpp_cursor_uleb(&machine->cursor);

    return number < NO_REGISTER ? (uint8_t)number : NO_REGISTER;
}

static struct hpp_cfi_column *column_in(struct hpp_cfi_row *row, uint8_t number)
{
    switch (number) {
    case HPP_ARCH_DWARF_SP:
        return &row->sp;
    case HPP_ARCH_DWARF_FP:
        return &row->fp;
    case HPP_ARCH_DWARF_PC:
        return &row->pc;
    default:
        return NULL;
    }
}

static struct hpp_cfi_column make_column(enum hpp_cfi_how how, uint8_t base, int64_t offset)
{
    if (offset != (int32_t)offset)
        return (struct hpp_cfi_column){.how = HPP_CFI_UNKNOWN};
    return (struct hpp_cfi_column){.how = (uint8_t)how, .base = base, .offset = (int32_t)offset};
}

static void set(struct machine *machine, uint8_t number, struct hpp_cfi_column value)
{
    struct hpp_cfi_column *column = column_in(&machine->row, number);

    if (column) {
        *column = value;
        machine->has_changed = 1;
    }
}

/* Register NUMBER is at, or is, CFA + FACTOR times the CIE's data alignment. */
static void set_offset(struct machine *machine, enum hpp_cfi_how how, uint8_t number, int64_t factor)
{
    int64_t offset;

    if (__builtin_mul_overflow(factor, machine->cie->data_align, &offset))
        offset = INT64_MAX; /* which no column can hold */
    set(machine, number, make_column(how, 0, offset));
}

static void restore(struct machine *machine, uint8_t number)
{
    struct hpp_cfi_row initial = machine->cie->initial;
    struct hpp_cfi_column *column = column_in(&initial, number);

    if (column)
        set(machine, number, *column);
}

/* The bytes of an expression: a length, then as many. */
static struct hpp_cursor read_block(struct machine *machine)
{
    uint64_t size = hpp_cursor_uleb(&machine->cursor);
    const uint8_t *bytes = hpp_cursor_skip(&machine->cursor, size);

    return (struct hpp_cursor){bytes ? bytes : machine->cursor.end, machine->cursor.at, 0};
}

/* Gives away the rule of the code from `begun` up to TO. */
static void give(struct machine *machine, uint64_t to)
{
    if (to > machine->end)
        to = machine->end;
    if (machine->begun >= to)
        return;
    if (machine->has_changed)
        machine->is_unknown |= hpp_cfi_rule(&machine->row, machine->cie->is_signal, &machine->rule);
    machine->has_changed = 0;
    machine->take(machine->context, machine->begun, to, &machine->rule);
    machine->begun = to;
}

static void move_to(struct machine *machine, uint64_t location)
{
    if (location < machine->location || !machine->take) { /* back, or in a CIE */
        machine->cursor.bad = 1;
        return;
    }
    if (location > machine->location)
        give(machine, location + (hpp_unwind_bug == HPP_UNWIND_BUG_LOCATION));
    machine->location = location;
}

static void advance(struct machine *machine, uint64_t delta)
{
    uint64_t step, to;

    if (__builtin_mul_overflow(delta, machine->cie->code_align, &step) ||
        __builtin_add_overflow(machine->location, step, &to))
        to = UINT64_MAX;
    move_to(machine, to);
}

static void remember_state(struct machine *machine)
{
    if (machine->depth == STATES)
        machine->cursor.bad = 1;
    else
        machine->states[machine->depth++] = machine->row;
}

static void restore_state(struct machine *machine)
{
    if (!machine->depth) {
        machine->cursor.bad = 1;
        return;
    }
    machine->row = machine->states[--machine->depth];
    if (hpp_unwind_bug == HPP_UNWIND_BUG_RESTORE_STATE)
        machine->row = machine->cie->initial;
    machine->has_changed = 1;
}

/* The CFA's register, or its offset, alone: only where it has both. */
static void change_cfa(struct machine *machine, uint8_t base, int64_t offset)
{
    struct hpp_cfi_column *cfa = &machine->row.cfa;

    *cfa = make_column(cfa->how == HPP_CFI_REGISTER ? HPP_CFI_REGISTER : HPP_CFI_UNKNOWN, base, offset);
    machine->has_changed = 1;
}

static void set_cfa(struct machine *machine, struct hpp_cfi_column cfa)
{
    machine->row.cfa = cfa;
    machine->has_changed = 1;
}

/* Instructions that change the CFA. Returns 0 if OP is none of them. */
static int run_cfa(struct machine *machine, uint8_t op)
{
    struct hpp_cursor *cursor = &machine->cursor;
    int64_t factor;
    uint8_t number;

    switch (op) {
    case CFA_DEF_CFA:
        number = read_register(machine);
        set_cfa(machine, make_column(HPP_CFI_REGISTER, number, (int64_t)hpp_cursor_uleb(cursor)));
        return 1;
    case CFA_DEF_CFA_SF:
        number = read_register(machine);
        if (__builtin_mul_overflow(hpp_cursor_sleb(cursor), machine->cie->data_align, &factor))
            factor = INT64_MAX;
        set_cfa(machine, make_column(HPP_CFI_REGISTER, number, factor));
        return 1;
    case CFA_DEF_CFA_REGISTER:
        change_cfa(machine, read_register(machine), machine->row.cfa.offset);
        return 1;
    case CFA_DEF_CFA_OFFSET:
        change_cfa(machine, machine->row.cfa.base, (int64_t)hpp_cursor_uleb(cursor));
        return 1;
    case CFA_DEF_CFA_OFFSET_SF:
        if (__builtin_mul_overflow(hpp_cursor_sleb(cursor), machine->cie->data_align, &factor))
            factor = INT64_MAX;
        change_cfa(machine, machine->row.cfa.base, factor);
        return 1;
    case CFA_DEF_CFA_EXPRESSION:
        set_cfa(machine, hpp_cfi_column_of(read_block(machine), 1));
        return 1;
    default:
        return 0;
    }
}

/* Instructions that tell where a register is. Returns 0 if OP is none of them. */
static int run_register(struct machine *machine, uint8_t op)
{
    struct hpp_cursor *cursor = &machine->cursor;
    uint8_t number;

    if (op < CFA_OFFSET_EXTENDED || (op > CFA_REGISTER && op < CFA_EXPRESSION))
        return 0;
    if (op > CFA_VAL_EXPRESSION && op != CFA_GNU_NEGATIVE_OFFSET)
        return 0;
    number = read_register(machine);
    switch (op) {
    case CFA_OFFSET_EXTENDED:
        set_offset(machine, HPP_CFI_AT_CFA, number, (int64_t)hpp_cursor_uleb(cursor));
        return 1;
    case CFA_OFFSET_EXTENDED_SF:
        set_offset(machine, HPP_CFI_AT_CFA, number, hpp_cursor_sleb(cursor));
        return 1;
    case CFA_GNU_NEGATIVE_OFFSET:
        set_offset(machine, HPP_CFI_AT_CFA, number, (int64_t)-hpp_cursor_uleb(cursor));
        return 1;
    case CFA_VAL_OFFSET:
        set_offset(machine, HPP_CFI_CFA_PLUS, number, (int64_t)hpp_cursor_uleb(cursor));
        return 1;
    case CFA_VAL_OFFSET_SF:
        set_offset(machine, HPP_CFI_CFA_PLUS, number, hpp_cursor_sleb(cursor));
        return 1;
    case CFA_RESTORE_EXTENDED:
        restore(machine, number);
        return 1;
    case CFA_UNDEFINED:
        set(machine, number, make_column(HPP_CFI_UNDEFINED, 0, 0));
        return 1;
    case CFA_SAME_VALUE:
        set(machine, number, make_column(HPP_CFI_SAME, 0, 0));
        return 1;
    case CFA_REGISTER:
        set(machine, number, make_column(HPP_CFI_REGISTER, read_register(machine), 0));
        return 1;
    case CFA_EXPRESSION:
        set(machine, number, hpp_cfi_column_of(read_block(machine), 0));
        return 1;
    case CFA_VAL_EXPRESSION:
        read_block(machine);
        set(machine, number, make_column(HPP_CFI_UNKNOWN, 0, 0));
        return 1;
    default:
        return 0;
    }
}

/* The rest. Those that are not known make the program bad: what follows them cannot be told. */
static void run_other(struct machine *machine, uint8_t op)
{
    struct hpp_cursor *cursor = &machine->cursor;

    switch (op) {
    case CFA_NOP:
        return;
    case CFA_SET_LOC:
        move_to(machine,
                hpp_cfi_read_address(machine->section, cursor, machine->cie->encoding, machine->function));
        return;
    case CFA_ADVANCE_LOC1:
        advance(machine, hpp_cursor_u8(cursor));
        return;
    case CFA_ADVANCE_LOC2:
        advance(machine, hpp_cursor_u16(cursor));
        return;
    case CFA_ADVANCE_LOC4:
        advance(machine, hpp_cursor_u32(cursor));
        return;
    case CFA_ADVANCE_LOC8:
        advance(machine, hpp_cursor_u64(cursor));
        return;
    case CFA_REMEMBER_STATE:
        remember_state(machine);
        return;
    case CFA_RESTORE_STATE:
        restore_state(machine);
        return;
    case CFA_GNU_ARGS_SIZE:
        hpp_cursor_uleb(cursor);
        return;
    default:
        cursor->bad = 1;
    }
}

/* Runs to the program's end, the code's end, or the first thing that is wrong. */
static void run(struct machine *machine)
{
    struct hpp_cursor *cursor = &machine->cursor;

    while (cursor->at < cursor->end && !cursor->bad && machine->location < machine->end) {
        uint8_t op = *cursor->at++, low = op & 0x3f;
        switch (op & 0xc0) {
        case CFA_ADVANCE_LOC:
            advance(machine, low);
            break;
        case CFA_OFFSET:
            set_offset(machine, HPP_CFI_AT_CFA, low, (int64_t)hpp_cursor_uleb(cursor));
            break;
        case CFA_RESTORE:
            restore(machine, low);
            break;
        default:
            if (!run_cfa(machine, op) && !run_register(machine, op))
                run_other(machine, op);
        }
    }
}

int hpp_cfi_run_initial(const struct hpp_cfi_section *section, struct hpp_cfi_cie *cie,
                        struct hpp_cursor program)
{
    struct machine machine;

    machine.section = section;
    machine.cie = cie;
    machine.cursor = program;
    machine.location = 0;
    machine.end = UINT64_MAX;
    machine.take = NULL;
    machine.depth = 0;
    machine.row = (struct hpp_cfi_row){0};
    run(&machine);
    cie->initial = machine.row;
    return machine.cursor.bad ? -EINVAL : 0;
}

int hpp_cfi_run(const struct hpp_cfi_section *section, const struct hpp_cfi_cie *cie,
                const struct hpp_cfi_description *description, hpp_cfi_take take, void *context)
{
    struct machine machine; /* not zeroed: the stack of states is large */

    machine.section = section;
    machine.cie = cie;
    machine.cursor = description->program;
    machine.function = machine.location = machine.begun = description->start;
    machine.end = description->end;
    machine.take = take;
    machine.context = context;
    machine.has_changed = 1;
    machine.is_unknown = 0;
    machine.depth = 0;
    machine.row = cie->initial;
    run(&machine);
    if (machine.cursor.bad) { /* a row that is not finished: none, up to the end */
        machine.row.pc.how = HPP_CFI_UNKNOWN;
        machine.has_changed = 1;
    }
    give(&machine, machine.end);
    return machine.is_unknown;
}
