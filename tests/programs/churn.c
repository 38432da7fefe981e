/* Creates and ends threads all the time, until standard input ends; prints `ready` after the first, at the
 * end `failures: N` (threads that could not be made or joined, or that gave a wrong result). flags: -pthread
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int ended;
static atomic_long failures, made;

static void *leaf(void *argument)
{
    return (void *)((uintptr_t)argument * 3);
}

static void *maker(void *argument)
{
    uintptr_t number = (uintptr_t)argument;

    while (!ended) {
        pthread_t thread;
        void *result = NULL;
        if (pthread_create(&thread, NULL, leaf, (void *)number) || pthread_join(thread, &result) ||
            (uintptr_t)result != number * 3)
            failures++;
        number++;
        made++;
    }
    return NULL;
}

int main(void)
{
    pthread_t makers[3];
    char byte;

    for (uintptr_t i = 0; i < 3; i++)
        if (pthread_create(&makers[i], NULL, maker, (void *)(i * 1000)))
            return 1;
    while (!made)
        usleep(100);
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    ended = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(makers[i], NULL);
    printf("failures: %ld\n", (long)failures);
    return 0;
}
