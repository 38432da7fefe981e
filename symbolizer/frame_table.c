/* From .eh_frame to a sorted table of its descriptions. Offline only. */
#include "symbolizer/frame_table.h"
#include "common/cfi.h"
#include "symbolizer/memory.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

static Elf_Data *find_section(Elf *elf, uint64_t *address)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    size_t names;

    if (elf_getshdrstrndx(elf, &names))
        return NULL;
    while ((section = elf_nextscn(elf, section))) {
        const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (name && !strcmp(name, ".eh_frame") && header.sh_type != SHT_NOBITS) {
            *address = header.sh_addr;
            return elf_getdata(section, NULL);
        }
    }
    return NULL;
}

static int compare(const void *left, const void *right)
{
    const struct hpp_frame_row *a = left, *b = right;

    return a->start < b->start ? -1 : a->start > b->start;
}

void hpp_frame_table_make(struct hpp_frame_table *table, Elf *elf)
{
    struct hpp_cfi_section section = {0};
    struct hpp_cfi_entry entry, common;
    struct hpp_cfi_description description;
    struct hpp_cfi_cie cie = {.offset = UINT64_MAX};
    Elf_Data *data = find_section(elf, &section.address);
    uint64_t at = 0;
    size_t room = 0;

    *table = (struct hpp_frame_table){.section = section.address};
    if (!data || !data->d_buf)
        return;
    section.data = data->d_buf;
    section.size = data->d_size;
    while (hpp_cfi_next(&section, &at, &entry) > 0) {
        uint64_t behind = entry.cie;
        int64_t start;
        if (entry.is_cie)
            continue;
        if (cie.offset != entry.cie) {
            if (hpp_cfi_next(&section, &behind, &common) <= 0 || !common.is_cie)
                continue;
            hpp_cfi_read_cie(&section, &common, &cie);
        }
        if (cie.is_bad || hpp_cfi_read_description(&section, &cie, &entry, &description))
            continue;
        start = (int64_t)(description.start - section.address);
        if (start != (int32_t)start || entry.offset > INT32_MAX)
            continue;
        table->rows = hpp_memory_room(table->rows, &room, table->count + 1, sizeof *table->rows);
        table->rows[table->count++] = (struct hpp_frame_row){(int32_t)start, (int32_t)entry.offset};
    }
    if (table->count)
        qsort(table->rows, table->count, sizeof *table->rows, compare);
}

void hpp_frame_table_free(struct hpp_frame_table *table)
{
    free(table->rows);
    *table = (struct hpp_frame_table){0};
}
