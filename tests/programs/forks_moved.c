/* Prints `ready`, and with every line of its standard input what a fork child returns that calls a function
 * of this text, which may have been moved: `child: 0`. flags: -O1 -no-pie */
#include "padding.h"
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static __attribute__((noinline)) int work(volatile int count)
{
    volatile int sum = 0;

    for (int i = 0; i < count; i++)
        sum += i;
    return sum != 4950;
}

int main(void)
{
    char line[64];

    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        int status = 0;
        pid_t child = fork();
        if (!child)
            _exit(work(100));
        waitpid(child, &status, 0);
        printf("child: %d\n", status);
        fflush(stdout);
    }
    return 0;
}
