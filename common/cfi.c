/* Entries of .eh_frame and .debug_frame. Builder of unwind tables only. */
#include "common/cfi.h"

#include <errno.h>

#include "common/arch_dwarf.h"

/* How an address is encoded (LSB Core, 10.5.1). */
enum {
    PE_ABSOLUTE = 0x00,
    PE_ULEB = 0x01,
    PE_UDATA2 = 0x02,
    PE_UDATA4 = 0x03,
    PE_UDATA8 = 0x04,
    PE_SLEB = 0x09,
    PE_SDATA2 = 0x0a,
    PE_SDATA4 = 0x0b,
    PE_SDATA8 = 0x0c,
    PE_FORMAT = 0x0f,
    PE_RELATIVE_PC = 0x10,
    PE_RELATIVE_FUNCTION = 0x40,
    PE_INDIRECT = 0x80,
    PE_OMIT = 0xff,
};

#define LENGTH_64BIT 0xffffffffu

int hpp_cfi_next(const struct hpp_cfi_section *section, uint64_t *at, struct hpp_cfi_entry *entry)
{
    struct hpp_cursor cursor = {0};
    const uint8_t *id_at;
    uint64_t length, id;
    int is_64bit = 0;

    if (*at >= section->size)
        return 0;
    cursor = (struct hpp_cursor){section->data + *at, section->data + section->size, 0};
    do {
        if (hpp_cursor_left(&cursor) < 4)
            return 0;
        entry->offset = (uint64_t)(cursor.at - section->data);
        length = hpp_cursor_u32(&cursor);
    } while (!length && section->debug); /* padding; in .eh_frame the end */
    if (!length)
        return 0;
    if (length == LENGTH_64BIT) {
        length = hpp_cursor_u64(&cursor);
        is_64bit = 1;
    }
    if (cursor.bad || length > hpp_cursor_left(&cursor))
        return -EINVAL;
    entry->body = (struct hpp_cursor){cursor.at, cursor.at + length, 0};
    *at = (uint64_t)(entry->body.end - section->data);
    id_at = entry->body.at;
    /* In .eh_frame the identifier has four bytes whatever the length has. */
    id = is_64bit && section->debug ? hpp_cursor_u64(&entry->body) : hpp_cursor_u32(&entry->body);
    if (section->debug) {
        entry->is_cie = id == (is_64bit ? UINT64_MAX : UINT32_MAX);
        entry->cie = id;
    } else {
        entry->is_cie = !id;
        entry->cie = (uint64_t)(id_at - section->data) - id;
    }
    return 1;
}

uint64_t hpp_cfi_read_address(const struct hpp_cfi_section *section, struct hpp_cursor *cursor,
                              uint8_t encoding, uint64_t function)
{
    uint64_t field = section->address + (uint64_t)(cursor->at - section->data), value = 0;

    switch (encoding & PE_FORMAT) {
    case PE_ULEB:
        value = hpp_cursor_uleb(cursor);
        break;
    case PE_SLEB:
        value = (uint64_t)hpp_cursor_sleb(cursor);
        break;
    case PE_UDATA2:
        value = hpp_cursor_u16(cursor);
        break;
    case PE_SDATA2:
        value = (uint64_t)(int16_t)hpp_cursor_u16(cursor);
        break;
    case PE_UDATA4:
        value = hpp_cursor_u32(cursor);
        break;
    case PE_SDATA4:
        value = (uint64_t)(int32_t)hpp_cursor_u32(cursor);
        break;
    case PE_ABSOLUTE:
    case PE_UDATA8:
    case PE_SDATA8:
        value = hpp_cursor_u64(cursor);
        break;
    default:
        cursor->bad = 1;
    }
    switch (encoding & ~PE_FORMAT) {
    case PE_ABSOLUTE:
        return value;
    case PE_RELATIVE_PC:
        return value + field;
    case PE_RELATIVE_FUNCTION:
        return value + function;
    default: /* relative to text, data, aligned: nobody writes them here; indirect is no number */
        cursor->bad = 1;
        return 0;
    }
}

/* Passes over the address of the personality routine. */
static void skip_personality(const struct hpp_cfi_section *section, struct hpp_cursor *cursor)
{
    uint8_t encoding = hpp_cursor_u8(cursor);

    if (encoding == PE_OMIT)
        return;
    hpp_cfi_read_address(section, cursor, encoding & PE_FORMAT, 0);
}

/* The augmentation string's letters, and their data at the cursor. */
static void read_augmentation(const struct hpp_cfi_section *section, const char *letters,
                              struct hpp_cursor *cursor, struct hpp_cfi_cie *cie)
{
    const uint8_t *end = NULL;

    if (*letters == 'z') {
        uint64_t size = hpp_cursor_uleb(cursor);
        struct hpp_cursor block = *cursor;
        hpp_cursor_skip(cursor, size);
        end = cursor->at;
        cursor->at = block.at;
        cie->augmented = 1;
        letters++;
    }
    for (; *letters && !cursor->bad; letters++) {
        switch (*letters) {
        case 'R':
            cie->encoding = hpp_cursor_u8(cursor);
            break;
        case 'P':
            skip_personality(section, cursor);
            break;
        case 'L':
            hpp_cursor_u8(cursor);
            break;
        case 'S':
            cie->is_signal = 1;
            break;
        case 'B': /* pointer authentication: AArch64's */
            break;
        default:
            cursor->bad = 1;
        }
    }
    if (end && cursor->at > end)
        cursor->bad = 1;
    if (end)
        cursor->at = end;
}

void hpp_cfi_read_cie(const struct hpp_cfi_section *section, const struct hpp_cfi_entry *entry,
                      struct hpp_cfi_cie *cie)
{
    struct hpp_cursor cursor = entry->body;
    uint8_t version = hpp_cursor_u8(&cursor);
    const char *letters = (const char *)cursor.at;
    uint64_t column;

    *cie = (struct hpp_cfi_cie){.offset = entry->offset, .is_bad = 1};
    while (hpp_cursor_u8(&cursor))
        ;
    if (version == 4) {
        uint8_t address_size = hpp_cursor_u8(&cursor), segment_size = hpp_cursor_u8(&cursor);
        if (address_size != 8 || segment_size)
            return;
    }
    cie->code_align = hpp_cursor_uleb(&cursor);
    cie->data_align = hpp_cursor_sleb(&cursor);
    column = version == 1 ? hpp_cursor_u8(&cursor) : hpp_cursor_uleb(&cursor);
    if (cursor.bad || (version != 1 && version != 3 && version != 4) || column != HPP_ARCH_DWARF_PC)
        return;
    read_augmentation(section, letters, &cursor, cie);
    if (!cursor.bad && !hpp_cfi_run_initial(section, cie, cursor))
        cie->is_bad = 0;
}

int hpp_cfi_read_description(const struct hpp_cfi_section *section, const struct hpp_cfi_cie *cie,
                             const struct hpp_cfi_entry *entry, struct hpp_cfi_description *description)
{
    struct hpp_cursor cursor = entry->body;
    uint64_t size;

    if (cie->is_bad)
        return -EINVAL;
    description->start = hpp_cfi_read_address(section, &cursor, cie->encoding, 0);
    size = hpp_cfi_read_address(section, &cursor, cie->encoding & PE_FORMAT, 0);
    description->end = description->start + size;
    if (cie->augmented)
        hpp_cursor_skip(&cursor, hpp_cursor_uleb(&cursor));
    description->program = cursor;
    return cursor.bad || description->end <= description->start ? -EINVAL : 0;
}
