/* See left_alone.h. What is looked at is the file alone: a script's interpreter, or what a shell runs, is not
 * followed. */
#include "cli/left_alone.h"

#include "symbolizer/elf_file.h"

#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The file that execvp would run, in PATH. */
static bool find(const char *command, char path[PATH_MAX])
{
    const char *at = getenv("PATH"), *end;

    if (strchr(command, '/') || !at)
        return snprintf(path, PATH_MAX, "%s", command) < PATH_MAX;
    for (;; at = end + 1) {
        end = strchrnul(at, ':');
        if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)(end - at), at, end > at ? "/" : "", command) <
                PATH_MAX &&
            !access(path, X_OK))
            return true;
        if (!*end)
            return false;
    }
}

static bool changes_user(const char *path)
{
    struct stat status;

    return !stat(path, &status) && (((status.st_mode & S_ISUID) && status.st_uid != getuid()) ||
                                    ((status.st_mode & S_ISGID) && status.st_gid != getgid()) ||
                                    (getuid() && getxattr(path, "security.capability", NULL, 0) > 0));
}

static bool has_interpreter(Elf *elf)
{
    size_t count = 0;
    GElf_Phdr header;

    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++)
        if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_INTERP)
            return true;
    return false;
}

/* Whether NAME is among the dynamic symbols, defined or not. */
static bool has_symbol(Elf *elf, const char *name)
{
    GElf_Shdr header;
    GElf_Sym symbol;

    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        Elf_Data *data = elf_getdata(section, NULL);
        if (!data || !gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM)
            continue;
        for (int i = 0; gelf_getsym(data, i, &symbol); i++) {
            const char *its = elf_strptr(elf, header.sh_link, symbol.st_name);
            if (its && !strcmp(its, name))
                return true;
        }
    }
    return false;
}

const char *hpp_left_alone(const char *command)
{
    const char *reason = NULL;
    struct hpp_elf_file file;
    char path[PATH_MAX];
    GElf_Ehdr header;

    if (!find(command, path))
        return NULL;
    if (changes_user(path))
        return "runs with the rights of another user or group: LD_PRELOAD does not reach it";
    if (hpp_elf_open(&file, path))
        return NULL;
    if (gelf_getehdr(file.elf, &header) && header.e_ident[EI_CLASS] != ELFCLASS64)
        reason = "is a program of 32 bits: LD_PRELOAD does not reach it";
    else if (!has_interpreter(file.elf))
        reason = "is linked statically: LD_PRELOAD does not reach it";
    else if (has_symbol(file.elf, "__tsan_init"))
        reason = "is built with ThreadSanitizer";
    hpp_elf_close(&file);
    return reason;
}
