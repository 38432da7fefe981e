/* The loader's list of what it has loaded. Start-up code only. */
#include "preload/own_images.h"

#include <errno.h>
#include <link.h>
#include <sys/auxv.h>

#include "common/sys.h"
#include "profiler/handler.h"

#define PAGE 4096u

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

int hpp_own_images_program(char *path, size_t size)
{
    long length;

    if (!getauxval(AT_BASE))
        return -ENOEXEC;
    length = HPP_SYSCALL(readlinkat, AT_FDCWD, "/proc/self/exe", path, size - 1, 0, 0);
    if (length <= 0 || (size_t)length == size - 1)
        return length < 0 ? (int)length : -ENAMETOOLONG;
    path[length] = 0;
    return 0;
}
