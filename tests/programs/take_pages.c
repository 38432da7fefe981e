/* Takes all reserved huge pages that are to be had, as another process of the machine may: prints the pid of
 * a child that has them, until it is killed, or for a minute. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_2M (21 << 26)

int main(void)
{
    pid_t child;

    while (mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | HUGE_2M | MAP_POPULATE, -1, 0) != MAP_FAILED)
        ;
    child = fork();
    if (!child) {
        for (int fd = 0; fd < 10; fd++)
            close(fd);
        sleep(60);
        _exit(0);
    }
    printf("%d\n", (int)child);
    return child < 0;
}
