/* ELF files through libelf. Offline only. */
#include "symbolizer/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENTS_MAX = 4096 /* program headers looked at */ };

/* Looks for the GNU build-id in a piece of notes. */
static bool build_id_in(Elf_Data *data, char text[HPP_BUILD_ID_TEXT])
{
    size_t at = 0, next, name, description;
    GElf_Nhdr note;

    for (; data && (next = gelf_getnote(data, at, &note, &name, &description)) > 0; at = next) {
        const unsigned char *bytes = (unsigned char *)data->d_buf + description;
        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
            memcmp((char *)data->d_buf + name, "GNU", 4) || !note.n_descsz ||
            note.n_descsz > (HPP_BUILD_ID_TEXT - 1) / 2)
            continue;
        for (size_t i = 0; i < note.n_descsz; i++)
            snprintf(text + 2 * i, 3, "%02x", bytes[i]);
        return true;
    }
    return false;
}

/* By sections (debug files keep those), else by program headers. */
static void find_build_id(struct hpp_elf_file *file)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    GElf_Phdr segment;
    size_t count = 0;

    *file->build_id = '\0';
    while ((section = elf_nextscn(file->elf, section)))
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE &&
            build_id_in(elf_getdata(section, NULL), file->build_id))
            return;
    if (elf_getphdrnum(file->elf, &count))
        return;
    for (size_t i = 0; i < count && i < SEGMENTS_MAX; i++)
        if (gelf_getphdr(file->elf, (int)i, &segment) && segment.p_type == PT_NOTE &&
            build_id_in(elf_getdata_rawchunk(file->elf, (int64_t)segment.p_offset, segment.p_filesz,
                                             segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR),
                        file->build_id))
            return;
}

static int accept_elf(struct hpp_elf_file *file)
{
    if (!file->elf || elf_kind(file->elf) != ELF_K_ELF) {
        hpp_elf_close(file);
        return -ENOEXEC;
    }
    find_build_id(file);
    return 0;
}

int hpp_elf_open(struct hpp_elf_file *file, const char *path)
{
    struct stat status;

    elf_version(EV_CURRENT);
    *file = (struct hpp_elf_file){.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
    if (file->descriptor < 0)
        return -errno;
    if (fstat(file->descriptor, &status) || !S_ISREG(status.st_mode)) {
        hpp_elf_close(file);
        return -ENOEXEC;
    }
    /* Not mapped: a file that is cut short meanwhile must not bring SIGBUS. */
    file->elf = elf_begin(file->descriptor, ELF_C_READ, NULL);
    return accept_elf(file);
}

int hpp_elf_open_vdso(struct hpp_elf_file *file)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);

    elf_version(EV_CURRENT);
    *file = (struct hpp_elf_file){.descriptor = -1};
    if (!header)
        return -ENOENT;
    file->elf = elf_memory((char *)(uintptr_t)header,
                           header->e_shoff + (size_t)header->e_shnum * header->e_shentsize);
    return accept_elf(file);
}

void hpp_elf_close(struct hpp_elf_file *file)
{
    if (file->elf)
        elf_end(file->elf);
    if (file->descriptor >= 0)
        close(file->descriptor);
    *file = (struct hpp_elf_file){.descriptor = -1};
}

size_t hpp_elf_segments(const struct hpp_elf_file *file, struct hpp_elf_segment *segments, size_t room)
{
    size_t count = 0, found = 0;
    GElf_Phdr header;

    if (elf_getphdrnum(file->elf, &count))
        return 0;
    for (size_t i = 0; i < count && i < SEGMENTS_MAX && found < room; i++)
        if (gelf_getphdr(file->elf, (int)i, &header) && header.p_type == PT_LOAD && header.p_flags & PF_X)
            segments[found++] = (struct hpp_elf_segment){header.p_vaddr, header.p_offset, header.p_memsz};
    return found;
}

static int rank_of(const GElf_Sym *symbol)
{
    switch (GELF_ST_BIND(symbol->st_info)) {
    case STB_GLOBAL:
    case STB_GNU_UNIQUE:
        return 0;
    case STB_WEAK:
        return 1;
    default:
        return 2;
    }
}

static void visit_section(const struct hpp_elf_file *file, Elf_Scn *section, const GElf_Shdr *header,
                          hpp_elf_visit *visit, void *context)
{
    Elf_Data *data = elf_getdata(section, NULL);
    GElf_Sym symbol;

    if (!data || !data->d_buf)
        return;
    for (int i = 0; gelf_getsym(data, i, &symbol); i++) {
        int type = GELF_ST_TYPE(symbol.st_info);
        const char *name;
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF)
            continue;
        name = elf_strptr(file->elf, header->sh_link, symbol.st_name);
        if (name && *name)
            visit(context, symbol.st_value, symbol.st_size, rank_of(&symbol), name);
    }
}

bool hpp_elf_symbols(const struct hpp_elf_file *file, hpp_elf_visit *visit, void *context)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    bool whole = false;

    while ((section = elf_nextscn(file->elf, section))) {
        if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
            continue;
        whole |= header.sh_type == SHT_SYMTAB;
        visit_section(file, section, &header, visit, context);
    }
    return whole;
}

/* Opens PATH if it is an ELF file with this build-id. */
static bool open_matching(struct hpp_elf_file *file, const char *path, const char *build_id)
{
    if (hpp_elf_open(file, path))
        return false;
    if (!strcmp(file->build_id, build_id))
        return true;
    hpp_elf_close(file);
    return false;
}

/* The name in .gnu_debuglink, or NULL. Only a name: no path gets in through it. */
static const char *debug_link(const struct hpp_elf_file *image)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    size_t names;

    if (elf_getshdrstrndx(image->elf, &names))
        return NULL;
    while ((section = elf_nextscn(image->elf, section))) {
        const char *name =
            gelf_getshdr(section, &header) ? elf_strptr(image->elf, names, header.sh_name) : NULL;
        Elf_Data *data = name && !strcmp(name, ".gnu_debuglink") ? elf_getdata(section, NULL) : NULL;
        if (data && data->d_buf && memchr(data->d_buf, '\0', data->d_size) && !strchr(data->d_buf, '/'))
            return data->d_buf;
    }
    return NULL;
}

int hpp_elf_open_debug(struct hpp_elf_file *file, const char *path, const char *build_id,
                       const struct hpp_elf_file *image)
{
    const char *link = image ? debug_link(image) : NULL, *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) : 0;
    char name[8192];

    if (strlen(build_id) > 2 && strspn(build_id, "0123456789abcdef") == strlen(build_id)) {
        snprintf(name, sizeof name, "/usr/lib/debug/.build-id/%.2s/%s.debug", build_id, build_id + 2);
        if (open_matching(file, name, build_id))
            return 0;
    }
    if (!link || !slash)
        return -ENOENT;
    snprintf(name, sizeof name, "%.*s/.debug/%s", folder, path, link);
    if (open_matching(file, name, build_id))
        return 0;
    snprintf(name, sizeof name, "%.*s/%s", folder, path, link);
    if (strcmp(name, path) && open_matching(file, name, build_id))
        return 0;
    snprintf(name, sizeof name, "/usr/lib/debug%.*s/%s", folder, path, link);
    return open_matching(file, name, build_id) ? 0 : -ENOENT;
}
