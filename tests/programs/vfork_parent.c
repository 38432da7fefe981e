/* A thread that cannot be stopped: it waits in vfork for a child that ends with standard input. Another
 * thread sleeps below waiting_leaf. Prints `ready`, and `ended` at the end.
 * flags: -fno-optimize-sibling-calls -pthread */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int sink, began;

static __attribute__((noinline)) void waiting_leaf(void)
{
    began = 1;
    for (;;)
        pause();
}

static void *waiting(void *argument)
{
    waiting_leaf();
    sink++;
    return argument;
}

int main(void)
{
    pthread_t thread;
    pid_t child;
    char byte;

    if (pthread_create(&thread, NULL, waiting, NULL))
        return 1;
    while (!began)
        usleep(1000);
    child = vfork();
    if (child == 0) {
        if (write(1, "ready\n", 6) != 6)
            _exit(1);
        while (read(0, &byte, 1) > 0)
            ;
        _exit(0);
    }
    waitpid(child, NULL, 0);
    puts("ended");
    return 0;
}
