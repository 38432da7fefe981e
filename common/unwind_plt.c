/* Stubs of procedure linkage tables, known by their bytes. Builder of unwind tables only. */
#include "common/unwind_plt.h"

#define STUB 16u /* bytes of one, and of what is passed over where it is not known */
#define CODE 12u /* bytes of its code at most; padding follows */
#define ANY  (-1)
#define ADDR ANY, ANY, ANY, ANY /* an address, or the relocation's number */

struct stub {
    uint8_t size;
    uint8_t pushed;   /* from this byte on it has pushed 8 bytes; 0: never */
    uint8_t is_first; /* the table's first, where the others go when they have pushed */
    uint8_t length;   /* of its code */
    int16_t code[CODE + 1];
};

#define ENDBR 0xf3, 0x0f, 0x1e, 0xfa
#define BND   0xf2

static const struct stub stubs[] = {
    {STUB, 11, 0, 12, {0xff, 0x25, ADDR, 0x68, ADDR, 0xe9}}, /* jmp *; push; jmp */
    {STUB, 9, 0, 10, {ENDBR, 0x68, ADDR, 0xe9}},             /* endbr64; push; jmp */
    {STUB, 9, 0, 11, {ENDBR, 0x68, ADDR, BND, 0xe9}},        /* the same with a bnd prefix */
    {STUB, 6, 1, 8, {0xff, 0x35, ADDR, 0xff, 0x25}},         /* push; jmp * */
    {STUB, 6, 1, 9, {0xff, 0x35, ADDR, BND, 0xff, 0x25}},    /* with bnd */
    {STUB, 0, 0, 6, {ENDBR, 0xff, 0x25}},                    /* endbr64; jmp * */
    {STUB, 0, 0, 7, {ENDBR, BND, 0xff, 0x25}},               /* with bnd */
    {STUB / 2, 0, 0, 8, {0xff, 0x25, ADDR, 0x66, 0x90}},     /* jmp *; nop */
};

/* Which stub stands at CODE, of LEFT bytes; NULL: none that is known. */
static const struct stub *find_stub(const uint8_t *code, uint64_t left)
{
    for (const struct stub *stub = stubs; stub < stubs + sizeof stubs / sizeof stubs[0]; stub++) {
        unsigned same = 0;
        if (left < stub->size)
            continue;
        while (same < stub->length && (stub->code[same] == ANY || stub->code[same] == code[same]))
            same++;
        if (same == stub->length)
            return stub;
    }
    return NULL;
}

void hpp_unwind_plt_run(const struct hpp_cfi_section *plt, uint64_t end, hpp_cfi_take take, void *context)
{
    const struct stub *stub;

    for (uint64_t at = 0; at < plt->size && plt->address + at < end; at += stub ? stub->size : STUB) {
        uint64_t start = plt->address + at;
        struct hpp_unwind_rule rule = {
            .cfa = HPP_CFA_SP, .cfa_offset = 8, .ra = HPP_SAVED_AT_CFA, .ra_offset = -8};
        stub = find_stub(plt->data + at, plt->size - at);
        if (!stub || start % stub->size)
            continue;
        if (stub->is_first) {
            rule.cfa_offset = 16;
            take(context, start, start + stub->pushed, &rule);
            rule.cfa_offset = 24;
            start += stub->pushed;
        } else if (stub->pushed) {
            rule.cfa = HPP_CFA_PLT;
            rule.cfa_add = stub->pushed;
        }
        take(context, start, plt->address + at + stub->size, &rule);
    }
}
