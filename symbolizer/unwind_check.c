/* Unwind tables against libdw. Offline only. */
#include "symbolizer/unwind_check.h"

#include "common/arch_dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PADDING = 16, STEP = 4, PLTS = 8 };

struct check {
    const struct hpp_unwind_table *table;
    uint64_t *rows; /* their addresses */
    hpp_unwind_differ differ;
    void *context;
    Dwarf_CFI *eh, *debug;
    GElf_Shdr plt[PLTS];
    unsigned plts;
    bool is_debug_compressed; /* libdw would read it; tables are not made from such */
    int64_t compared;
};

/* What libdw says of an address. */
struct answer {
    bool is_known;
    uint64_t end; /* of the code for which it holds */
    struct hpp_unwind_rule rule;
};

/* `register + offset`, as libdw writes it in either of two forms. */
static bool is_register(const Dwarf_Op *op, unsigned *number, int64_t *offset)
{
    if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
        *number = op->atom - DW_OP_breg0;
        *offset = (int64_t)op->number;
        return true;
    }
    *number = (unsigned)op->number;
    *offset = (int64_t)op->number2;
    return op->atom == DW_OP_bregx;
}

static bool is_plt(const Dwarf_Op *ops, size_t count)
{
    static const uint8_t atoms[] = {DW_OP_breg0 + HPP_ARCH_DWARF_SP,
                                    DW_OP_breg0 + HPP_ARCH_DWARF_PC,
                                    DW_OP_lit15,
                                    DW_OP_and,
                                    0,
                                    DW_OP_ge,
                                    DW_OP_lit3,
                                    DW_OP_shl,
                                    DW_OP_plus};

    if (count != sizeof atoms || ops[1].number || ops[4].atom < DW_OP_lit0 || ops[4].atom > DW_OP_lit15)
        return false;
    for (size_t i = 0; i < count; i++)
        if (i != 4 && ops[i].atom != atoms[i])
            return false;
    return true;
}

/* At `sp + offset + register * 8`, to be followed by what a dereference is. */
static bool is_indexed(const Dwarf_Op *ops, size_t count, unsigned *number)
{
    int64_t offset;

    return count >= 6 && ops[0].atom == DW_OP_breg0 + HPP_ARCH_DWARF_SP &&
           is_register(&ops[1], number, &offset) && !offset && *number < HPP_ARCH_DWARF_REGISTERS &&
           ops[2].atom == DW_OP_lit8 && ops[3].atom == DW_OP_mul && ops[4].atom == DW_OP_plus;
}

/* What follows the place of the CFA: that it is read, and maybe a constant to be added. */
static bool read_dereference(const Dwarf_Op *ops, size_t count, struct hpp_unwind_rule *rule)
{
    if (!count || count > 2 || ops[0].atom != DW_OP_deref)
        return false;
    if (count == 2 && (ops[1].atom != DW_OP_plus_uconst || ops[1].number > INT16_MAX))
        return false;
    rule->cfa_add = count == 2 ? (int16_t)ops[1].number : 0;
    return true;
}

static bool read_cfa(Dwarf_Frame *frame, struct hpp_unwind_rule *rule)
{
    unsigned number, index;
    int64_t offset;
    Dwarf_Op *ops;
    size_t count;

    if (dwarf_frame_cfa(frame, &ops, &count) || !count || !is_register(&ops[0], &number, &offset) ||
        offset != (int32_t)offset || number >= HPP_ARCH_DWARF_REGISTERS)
        return false;
    rule->cfa_offset = (int32_t)offset;
    if (count == 1 && number == HPP_ARCH_DWARF_SP) {
        rule->cfa = HPP_CFA_SP;
    } else if (count == 1 && number == HPP_ARCH_DWARF_FP) {
        rule->cfa = HPP_CFA_FP;
    } else if (is_plt(ops, count)) {
        rule->cfa = HPP_CFA_PLT;
        rule->cfa_add = (int16_t)(ops[4].atom - DW_OP_lit0);
    } else if (is_indexed(ops, count, &index)) {
        rule->cfa = HPP_CFA_INDEXED;
        rule->base = (uint8_t)index;
        return read_dereference(ops + 5, count - 5, rule);
    } else {
        rule->cfa = count == 1 ? HPP_CFA_REGISTER : HPP_CFA_DEREF;
        rule->base = (uint8_t)number;
        return count == 1 || read_dereference(ops + 1, count - 1, rule);
    }
    return true;
}

/* Where the caller's register NUMBER is. *IS_CFA: it is the CFA itself. */
static enum hpp_saved read_register(Dwarf_Frame *frame, int number, int64_t *offset, bool *is_cfa)
{
    Dwarf_Op memory[3], *ops;
    unsigned base;
    size_t count;

    *offset = 0;
    *is_cfa = false;
    if (dwarf_frame_register(frame, number, memory, &ops, &count))
        return HPP_SAVED_LOST;
    if (!count)
        return ops ? HPP_SAVED_LOST : HPP_SAVED_SAME;
    if (ops[0].atom == DW_OP_regx || (ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31)) {
        *offset = ops[0].atom == DW_OP_regx ? (int64_t)ops[0].number : ops[0].atom - DW_OP_reg0;
        return *offset < HPP_ARCH_DWARF_REGISTERS ? HPP_SAVED_REGISTER : HPP_SAVED_LOST;
    }
    if (ops[0].atom != DW_OP_call_frame_cfa)
        return HPP_SAVED_LOST;
    *is_cfa = count == 2 && ops[1].atom == DW_OP_stack_value;
    if (count == 1)
        return HPP_SAVED_AT_CFA;
    if (count == 2 && ops[1].atom == DW_OP_plus_uconst) {
        *offset = (int64_t)ops[1].number;
        return HPP_SAVED_AT_CFA;
    }
    if (count == 2 && is_register(&ops[1], &base, offset) && base == HPP_ARCH_DWARF_FP)
        return HPP_SAVED_AT_FP;
    if (count == 2 && is_register(&ops[1], &base, offset) && base == HPP_ARCH_DWARF_SP)
        return HPP_SAVED_AT_SP;
    *offset = 0;
    return HPP_SAVED_LOST;
}

static bool is_undefined(Dwarf_Frame *frame, int number)
{
    Dwarf_Op memory[3], *ops;
    size_t count;

    return !dwarf_frame_register(frame, number, memory, &ops, &count) && !count && ops;
}

/* FRAME as a rule; false where tables have none for it. */
static bool read_rule(Dwarf_Frame *frame, bool is_signal, struct hpp_unwind_rule *rule)
{
    int64_t sp_offset, fp_offset, ra_offset;
    enum hpp_saved sp, fp, ra;
    bool is_cfa, ignored;

    if (is_undefined(frame, HPP_ARCH_DWARF_PC)) {
        rule->cfa = HPP_CFA_END;
        return true;
    }
    if (!read_cfa(frame, rule))
        return false;
    sp = read_register(frame, HPP_ARCH_DWARF_SP, &sp_offset, &is_cfa);
    fp = read_register(frame, HPP_ARCH_DWARF_FP, &fp_offset, &ignored);
    ra = read_register(frame, HPP_ARCH_DWARF_PC, &ra_offset, &ignored);
    if (fp_offset != (int32_t)fp_offset) {
        fp = HPP_SAVED_LOST;
        fp_offset = 0;
    }
    if (ra == HPP_SAVED_SAME || ra == HPP_SAVED_LOST || ra_offset != (int16_t)ra_offset)
        return false;
    rule->fp = (uint8_t)fp;
    rule->fp_offset = (int32_t)fp_offset;
    rule->ra = (uint8_t)ra;
    rule->ra_offset = (int16_t)ra_offset;
    if (!is_signal)
        return is_cfa;
    if (rule->cfa != HPP_CFA_DEREF || rule->base != HPP_ARCH_DWARF_SP || rule->cfa_add ||
        fp != HPP_SAVED_AT_SP || ra != HPP_SAVED_AT_SP)
        return false;
    rule->cfa = HPP_CFA_SIGNAL;
    rule->base = 0;
    return is_cfa || (sp == HPP_SAVED_AT_SP && sp_offset == rule->cfa_offset);
}

static struct answer ask(struct check *check, uint64_t address)
{
    struct answer answer = {0};
    Dwarf_Frame *frame = NULL;
    Dwarf_Addr start;
    bool is_signal;

    if (dwarf_cfi_addrframe(check->eh, address, &frame) &&
        (!check->debug || dwarf_cfi_addrframe(check->debug, address, &frame)))
        return answer;
    answer.is_known = dwarf_frame_info(frame, &start, &answer.end, &is_signal) >= 0;
    if (answer.is_known && !read_rule(frame, is_signal, &answer.rule))
        answer.rule = (struct hpp_unwind_rule){0};
    free(frame);
    return answer;
}

static void compare(struct check *check, uint64_t address, const struct hpp_unwind_rule *theirs)
{
    const struct hpp_unwind_rule *ours = hpp_unwind_find(check->table, address);

    check->compared++;
    if (theirs ? memcmp(ours, theirs, sizeof *ours) : ours->cfa != HPP_CFA_NONE)
        check->differ(check->context, address, ours, theirs);
}

/* Procedure linkage tables without call-frame information have rules that libdw knows nothing of. */
static bool is_in_plt(const struct check *check, uint64_t address)
{
    for (unsigned i = 0; i < check->plts; i++)
        if (address - check->plt[i].sh_addr < check->plt[i].sh_size)
            return true;
    return false;
}

/* Compares the code from START up to END. */
static void check_code(struct check *check, uint64_t start, uint64_t end)
{
    uint64_t known_end = 0; /* of the last code that libdw knows */
    struct hpp_unwind_rule last = {0};
    uint32_t row = 0;

    for (uint64_t at = start, next; at < end; at = next) {
        struct answer answer = ask(check, at);
        while (row < check->table->rows && check->rows[row] <= at)
            row++;
        next = row < check->table->rows && check->rows[row] < end ? check->rows[row] : end;
        if (!answer.is_known && is_in_plt(check, at)) {
            next = next < at + STEP ? next : at + STEP;
            known_end = next;
            last = *hpp_unwind_find(check->table, at);
            continue;
        }
        if (!answer.is_known) {
            /* Padding has the rule of the code before it. */
            bool is_padding = known_end && at - known_end < PADDING;
            compare(check, at, is_padding && hpp_unwind_find(check->table, at)->cfa ? &last : NULL);
            next = next < at + STEP ? next : is_padding ? at + 1 : at + STEP;
            continue;
        }
        next = answer.end > at && answer.end < next ? answer.end : next;
        compare(check, at, &answer.rule);
        compare(check, next - 1, &answer.rule);
        known_end = next;
        last = answer.rule;
    }
}

static void check_segments(struct check *check, Elf *elf)
{
    size_t count = 0;

    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr p;
        if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_flags & PF_X)
            check_code(check, p.p_vaddr, p.p_vaddr + p.p_memsz);
    }
}

static void read_sections(struct check *check, Elf *elf)
{
    Elf_Scn *section = NULL;
    size_t names = 0;

    elf_getshdrstrndx(elf, &names);
    while ((section = elf_nextscn(elf, section))) {
        GElf_Shdr header;
        const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (!name)
            continue;
        if (!strcmp(name, ".debug_frame"))
            check->is_debug_compressed = header.sh_flags & SHF_COMPRESSED;
        if ((!strncmp(name, ".plt", 4) || !strncmp(name, ".iplt", 5)) && header.sh_flags & SHF_EXECINSTR &&
            check->plts < PLTS)
            check->plt[check->plts++] = header;
    }
}

int64_t hpp_unwind_check(int fd, const struct hpp_unwind_table *table, hpp_unwind_differ differ,
                         void *context)
{
    struct check check = {.table = table, .differ = differ, .context = context, .compared = -1};
    Elf *elf = elf_version(EV_CURRENT) == EV_NONE ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
    Dwarf *dwarf;

    if (elf)
        read_sections(&check, elf); /* before libdw decompresses them */
    dwarf = elf ? dwarf_begin_elf(elf, DWARF_C_READ, NULL) : NULL;
    check.rows = hpp_unwind_addresses(table);
    check.eh = elf ? dwarf_getcfi_elf(elf) : NULL;
    check.debug = dwarf && !check.is_debug_compressed ? dwarf_getcfi(dwarf) : NULL;
    if (check.rows && (check.eh || check.debug)) {
        check.compared = 0;
        check_segments(&check, elf);
    }
    free(check.rows);
    dwarf_cfi_end(check.eh);
    dwarf_end(dwarf);
    elf_end(elf);
    return check.compared;
}
