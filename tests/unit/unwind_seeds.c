/* Files to begin fuzzing from. */
#include "unwind_seeds.h"

#include "unwind_file.h"

#include <dwarf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t programs[][40] = {
    {DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2, DW_CFA_advance_loc | 3,
     DW_CFA_def_cfa_register, 6, DW_CFA_remember_state, DW_CFA_advance_loc1, 40, DW_CFA_def_cfa, 7, 8,
     DW_CFA_restore | 6, DW_CFA_advance_loc | 1, DW_CFA_restore_state},
    {DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 6, DW_CFA_def_cfa_offset, 24, DW_CFA_advance_loc | 10,
     DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11,
     DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus},
    {DW_CFA_advance_loc | 5,
     DW_CFA_def_cfa,
     10,
     0,
     DW_CFA_advance_loc2,
     5,
     1,
     DW_CFA_def_cfa_expression,
     3,
     DW_OP_breg6,
     0x78,
     DW_OP_deref,
     DW_CFA_expression,
     6,
     2,
     DW_OP_breg6,
     0,
     DW_CFA_val_offset,
     7,
     0,
     DW_CFA_advance_loc4,
     1,
     1,
     0,
     0,
     DW_CFA_GNU_args_size,
     8,
     DW_CFA_register,
     16,
     5,
     DW_CFA_undefined,
     6},
    {DW_CFA_offset_extended_sf, 6, 0x7e, DW_CFA_def_cfa_sf, 7, 0x7e, DW_CFA_advance_loc | 9,
     DW_CFA_def_cfa_offset_sf, 0x7c, DW_CFA_val_expression, 6, 2, DW_OP_breg7, 0, DW_CFA_undefined, 16},
};
static const uint8_t signal_program[] = {
    DW_CFA_def_cfa_expression, 4,  DW_OP_breg7, 0xa0,        1,    DW_OP_deref,
    DW_CFA_expression,         6,  3,           DW_OP_breg7, 0xf8, 0,
    DW_CFA_expression,         16, 3,           DW_OP_breg7, 0xa8, 1};

static void add_entries(struct unwind_file *file, const char *letters)
{
    size_t cie = unwind_file_cie(file, letters, NULL, 0);
    unsigned count = sizeof programs / sizeof programs[0];

    for (unsigned i = 0; i < 2 * count; i++) /* not in order, with gaps and padding between */
        unwind_file_description(file, cie, 0x200 * (i * 3 % 8), 0x1f0 + 8 * (i % 3), programs[i % count],
                                sizeof programs[0]);
    if (*letters == 'z') {
        cie = unwind_file_cie(file, "zRS", NULL, 0);
        unwind_file_description(file, cie, 0x2000, 0x10, signal_program, sizeof signal_program);
    }
}

/* A small program of the system. */
static uint8_t *read_program(size_t *size)
{
    FILE *file = fopen("/bin/true", "r");
    uint8_t *bytes = malloc(1 << 16);

    assert_non_null(file);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 16, file);
    fclose(file);
    return bytes;
}

uint8_t *unwind_seed(unsigned number, size_t *size, size_t *frame, size_t *frame_size)
{
    struct unwind_file file;
    uint8_t *bytes;

    if (number == UNWIND_SEEDS - 1) {
        bytes = read_program(size);
        *frame = *size / 2;
        *frame_size = *size - *frame;
        return bytes;
    }
    unwind_file_start(&file);
    if (number == 1)
        file.encoding = DW_EH_PE_absptr;
    file.is_debug = number == 2;
    if (file.is_debug)
        file.encoding = DW_EH_PE_absptr;
    add_entries(&file, file.is_debug ? "" : "zR");
    if (file.is_debug)
        unwind_file_to_debug(&file);
    unwind_file_finish(&file);
    bytes = file.bytes;
    *size = file.bytes_size;
    *frame = file.debug ? *size - file.debug_size : UNWIND_FRAME_AT;
    *frame_size = file.debug ? file.debug_size : file.size;
    file.bytes = NULL;
    unwind_file_end(&file);
    return bytes;
}
