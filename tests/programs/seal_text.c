/* Preloaded, seals the program's text by mseal (Linux 6.10) before main, or says why it cannot.
 * flags: -shared -fPIC */
#include <link.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static int seal(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        unsigned long start = (info->dlpi_addr + segment->p_vaddr) & ~4095ul,
                      end = (info->dlpi_addr + segment->p_vaddr + segment->p_memsz + 4095) & ~4095ul;
        if (segment->p_type == PT_LOAD && segment->p_flags & PF_X &&
            syscall(SYS_mseal, start, end - start, 0))
            perror("seal_text");
    }
    return 1; /* the program is the first */
}

__attribute__((constructor)) static void start(void)
{
    dl_iterate_phdr(seal, NULL);
}
