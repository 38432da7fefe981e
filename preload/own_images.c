/* The loader's list of what it has loaded. Start-up code only. */
#include "preload/own_images.h"

#include <errno.h>
#include <link.h>
#include <sys/auxv.h>

#include "common/sys.h"
#include "common/text.h"
#include "preload/remap/huge_pages.h"
#include "profiler/handler.h"
#include "profiler/pprof_append.h"

#define PAGE             4096u
#define SCRIPT_ARGUMENTS 12u

struct look {
    struct hpp_segment *own;
    size_t size;
    int is_large;
};

static int look_at(struct dl_phdr_info *object, size_t size, void *data)
{
    struct look *look = data;
    uint64_t handler = (uint64_t)(uintptr_t)&hpp_handler;

    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uint64_t start = object->dlpi_addr + p->p_vaddr, end = start + p->p_memsz;
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        look->is_large |= p->p_memsz >= look->size;
        if (handler < start || handler >= end)
            continue;
        look->own->start = start & ~(uint64_t)(PAGE - 1);
        look->own->end = (end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    }
    return 0;
}

int hpp_own_images_look(struct hpp_segment *own, size_t size)
{
    struct look look = {own, size, 0};

    dl_iterate_phdr(look_at, &look);
    return look.is_large;
}

static int ask_huge(struct dl_phdr_info *object, size_t size, void *data)
{
    const struct hpp_remap_options *options = data;

    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uint64_t address = object->dlpi_addr + p->p_vaddr;
        uint64_t start = (address + HPP_HUGE_PAGE - 1) & ~(HPP_HUGE_PAGE - 1);
        uint64_t end = (address + p->p_filesz) & ~(HPP_HUGE_PAGE - 1);
        if (p->p_type == PT_LOAD && p->p_flags == (PF_R | PF_X) && end > start &&
            end - start >= options->min && !((address ^ p->p_offset) & (HPP_HUGE_PAGE - 1)))
            hpp_sys_madvise(start, end - start, MADV_HUGEPAGE);
    }
    return 0;
}

void hpp_own_images_ask_huge(const struct hpp_remap_options *options)
{
    struct hpp_remap_options copy = *options;

    if (options->how == HPP_REMAP_AUTO && options->when == HPP_REMAP_WHEN_AUTO && !options->refused &&
        hpp_text_equal(options->match, "*"))
        dl_iterate_phdr(ask_huge, &copy);
}

/* The path that the program was executed by, if its last part is the file's name: not if it is a symbolic
 * link, or perhaps a script, which is then one of its interpreter's first arguments (as often as the kernel
 * goes from interpreter to interpreter: fs/exec.c, exec_binprm). */
static const char *path_of_exec(char **arguments)
{
    const char *path = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    char link;

    for (unsigned i = 0; path && i <= SCRIPT_ARGUMENTS && arguments[i]; i++)
        if (i && hpp_text_equal(arguments[i], path))
            return NULL;
    if (path && HPP_SYSCALL(readlinkat, AT_FDCWD, path, &link, 1, 0, 0) == -EINVAL)
        return path;
    return NULL;
}

int hpp_own_images_name(char **arguments, struct hpp_text *name)
{
    const char *path = path_of_exec(arguments);
    char link[HPP_PATH_MAX];
    long length = 0;

    if (!getauxval(AT_BASE))
        return -ENOEXEC;
    if (!path) { /* in a new process this takes as long as a hundred other calls */
        length = HPP_SYSCALL(readlinkat, AT_FDCWD, "/proc/self/exe", link, sizeof link - 1, 0, 0);
        if (length <= 0 || (size_t)length == sizeof link - 1)
            return length < 0 ? (int)length : -ENAMETOOLONG;
        link[length] = 0;
        path = link;
    }
    hpp_text_put(name, hpp_text_base_name(path));
    return 0;
}
