/* Call-frame information (DWARF 5, 6.4; .eh_frame: Linux Standard Base, Core, 10.6): its entries, and the
 * programs in them. Everything read is bounded by its section; nothing is trusted. Used by the builder of
 * unwind tables; writer and offline. */
#ifndef HPP_COMMON_CFI_H
#define HPP_COMMON_CFI_H

#include <stdint.h>

#include "common/cursor.h"
#include "common/unwind_table.h"

/* A section in memory. */
struct hpp_cfi_section {
    const uint8_t *data;
    uint64_t size;
    uint64_t address; /* link-time address of data[0] */
    int debug;        /* .debug_frame */
};

/* A common information entry or a frame description entry. */
struct hpp_cfi_entry {
    uint64_t offset;        /* of its first byte, in the section */
    uint64_t cie;           /* a description's common entry: offset in the section */
    struct hpp_cursor body; /* what follows the identifier */
    int is_cie;
};

/* How the value of a register, or the CFA, is found: a row's column. */
enum hpp_cfi_how {
    HPP_CFI_UNSPECIFIED,
    HPP_CFI_UNDEFINED,
    HPP_CFI_SAME,
    HPP_CFI_AT_CFA,      /* at CFA + offset */
    HPP_CFI_CFA_PLUS,    /* CFA + offset itself */
    HPP_CFI_REGISTER,    /* register BASE + offset itself */
    HPP_CFI_AT_REGISTER, /* at register BASE + offset, to which `add` is added */
    HPP_CFI_PLT,         /* register BASE + offset, + 8 where (pc & 15) >= add */
    HPP_CFI_INDEXED,     /* at sp + offset + register BASE * 8, to which `add` is added */
    HPP_CFI_UNKNOWN,     /* in a way that has no name here */
};

struct hpp_cfi_column {
    uint8_t how;
    uint8_t base;
    int16_t add;
    int32_t offset;
};

/* The columns that walking needs. */
struct hpp_cfi_row {
    struct hpp_cfi_column cfa, sp, fp, pc;
};

struct hpp_cfi_cie {
    uint64_t offset; /* in its section */
    uint64_t code_align;
    int64_t data_align;
    uint8_t encoding;  /* of addresses (DW_EH_PE_*) */
    uint8_t augmented; /* descriptions hold a block of augmentation data */
    uint8_t is_signal; /* of frames that a signal made */
    uint8_t is_bad;    /* its descriptions cannot be used */
    struct hpp_cfi_row initial;
};

/* A frame description entry, read. */
struct hpp_cfi_description {
    uint64_t start;
    uint64_t end; /* > start */
    struct hpp_cursor program;
};

/* Takes the rule of code from FROM up to TO (link-time, FROM < TO), in rising order without gaps. */
typedef void (*hpp_cfi_take)(void *context, uint64_t from, uint64_t to, const struct hpp_unwind_rule *rule);

/* Reads the entry at offset *AT, which moves behind it. Returns 1; 0 at the section's end or terminator;
 * -EINVAL if the entry's length is more than what is left. */
int hpp_cfi_next(const struct hpp_cfi_section *section, uint64_t *at, struct hpp_cfi_entry *entry);

/* Reads common entry ENTRY and runs its program. What is wrong with it shows in cie->is_bad. */
void hpp_cfi_read_cie(const struct hpp_cfi_section *section, const struct hpp_cfi_entry *entry,
                      struct hpp_cfi_cie *cie);

/* Reads description ENTRY, whose common entry is CIE. Returns 0, or -EINVAL if it describes nothing. */
int hpp_cfi_read_description(const struct hpp_cfi_section *section, const struct hpp_cfi_cie *cie,
                             const struct hpp_cfi_entry *entry, struct hpp_cfi_description *description);

/* Runs DESCRIPTION's program; TAKE gets a rule for all its code. Returns 0, or 1 if for some of it none can
 * be told: that code got rule 0 (HPP_CFA_NONE). */
int hpp_cfi_run(const struct hpp_cfi_section *section, const struct hpp_cfi_cie *cie,
                const struct hpp_cfi_description *description, hpp_cfi_take take, void *context);

/* An encoded address (LSB Core, 10.5.1) at the cursor of SECTION; FUNCTION is what DW_EH_PE_funcrel is
 * relative to. An encoding that is not in use, or names a pointer, makes the cursor bad. */
uint64_t hpp_cfi_read_address(const struct hpp_cfi_section *section, struct hpp_cursor *cursor,
                              uint8_t encoding, uint64_t function);

/* The instructions of CURSOR, for the initial row of CIE. Returns 0 or -EINVAL. */
int hpp_cfi_run_initial(const struct hpp_cfi_section *section, struct hpp_cfi_cie *cie,
                        struct hpp_cursor program);

/* The column that EXPRESSION tells: for the CFA where IS_CFA, else for a register saved at its value. */
struct hpp_cfi_column hpp_cfi_column_of(struct hpp_cursor expression, int is_cfa);

/* The rule of ROW; rule 0 where the table has none for it, and 1 is returned. */
int hpp_cfi_rule(const struct hpp_cfi_row *row, int is_signal, struct hpp_unwind_rule *rule);

#endif
