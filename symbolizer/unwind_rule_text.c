/* Unwind rules in words. Offline only. */
#include "symbolizer/unwind_check.h"

#include "common/arch_dwarf.h"

#include <stdio.h>
#include <stdlib.h>

static const char *register_name(unsigned number)
{
    static const char *const names[] = {HPP_ARCH_DWARF_NAMES};

    return number < sizeof names / sizeof names[0] ? names[number] : "?";
}

static void cfa_text(const struct hpp_unwind_rule *rule, char *text, size_t size)
{
    const char *sp = register_name(HPP_ARCH_DWARF_SP), *base = register_name(rule->base);

    switch ((enum hpp_cfa)rule->cfa) {
    case HPP_CFA_SP:
        snprintf(text, size, "%s%+d", sp, rule->cfa_offset);
        break;
    case HPP_CFA_FP:
        snprintf(text, size, "%s%+d", register_name(HPP_ARCH_DWARF_FP), rule->cfa_offset);
        break;
    case HPP_CFA_REGISTER:
        snprintf(text, size, "%s%+d", base, rule->cfa_offset);
        break;
    case HPP_CFA_DEREF:
        snprintf(text, size, "[%s%+d]%+d", base, rule->cfa_offset, rule->cfa_add);
        break;
    case HPP_CFA_INDEXED:
        snprintf(text, size, "[%s%+d+%s*8]%+d", sp, rule->cfa_offset, base, rule->cfa_add);
        break;
    case HPP_CFA_PLT:
        snprintf(text, size, "%s%+d+8*((pc&15)>=%d)", sp, rule->cfa_offset, rule->cfa_add);
        break;
    case HPP_CFA_SIGNAL:
        snprintf(text, size, "[%s%+d] (signal)", sp, rule->cfa_offset);
        break;
    default:
        snprintf(text, size, "?");
    }
}

static void saved_text(unsigned saved, int offset, char *text, size_t size)
{
    switch ((enum hpp_saved)saved) {
    case HPP_SAVED_SAME:
        snprintf(text, size, "same");
        break;
    case HPP_SAVED_AT_CFA:
        snprintf(text, size, "[CFA%+d]", offset);
        break;
    case HPP_SAVED_AT_FP:
        snprintf(text, size, "[%s%+d]", register_name(HPP_ARCH_DWARF_FP), offset);
        break;
    case HPP_SAVED_AT_SP:
        snprintf(text, size, "[%s%+d]", register_name(HPP_ARCH_DWARF_SP), offset);
        break;
    case HPP_SAVED_REGISTER:
        snprintf(text, size, "%s", register_name((unsigned)offset));
        break;
    default:
        snprintf(text, size, "lost");
    }
}

const char *hpp_unwind_rule_text(const struct hpp_unwind_rule *rule, char text[HPP_UNWIND_RULE_SIZE])
{
    char cfa[40], fp[24], ra[24];

    if (rule->cfa == HPP_CFA_NONE || rule->cfa == HPP_CFA_END) {
        snprintf(text, HPP_UNWIND_RULE_SIZE, "%s", rule->cfa == HPP_CFA_END ? "end of stack" : "none");
        return text;
    }
    cfa_text(rule, cfa, sizeof cfa);
    saved_text(rule->fp, rule->fp_offset, fp, sizeof fp);
    saved_text(rule->ra, rule->ra_offset, ra, sizeof ra);
    snprintf(text, HPP_UNWIND_RULE_SIZE, "CFA=%s fp=%s ra=%s", cfa, fp, ra);
    return text;
}

uint64_t *hpp_unwind_addresses(const struct hpp_unwind_table *table)
{
    const uint32_t *rows = hpp_unwind_rows(table);
    uint64_t *addresses = malloc((table->rows + 1ull) * sizeof *addresses);

    for (uint32_t page = 0; addresses && page < table->pages; page++)
        for (uint32_t i = hpp_unwind_first(table, page); i < hpp_unwind_first(table, page + 1ull); i++)
            addresses[i] = table->base + ((uint64_t)page << table->shift) + (rows[i] >> 16);
    return addresses;
}
