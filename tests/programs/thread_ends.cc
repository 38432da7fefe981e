/* A thread works, and then in all that runs at its end: a cleanup handler, the destructors of a thread_local
 * object and of a key. It `returns`, or is `cancelled` where it allows that, or `cancelled_anywhere`. The
 * second argument gives the seconds of CPU of each (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double seconds = 0.3;
static pthread_key_t key;
static sem_t worked;

BURN_FUNCTION(work_thread, 3)
BURN_FUNCTION(work_in_cleanup, 5)
BURN_FUNCTION(work_in_object, 7)
BURN_FUNCTION(work_in_key, 11)

struct object {
    int used = 0;
    ~object()
    {
        work_in_object(seconds);
    }
};

static thread_local object local;

static void end_key(void *)
{
    work_in_key(seconds);
}

static void clean_up(void *)
{
    work_in_cleanup(seconds);
}

/* Not in the function that has the handler: an instruction that is no call may not throw there. */
static BURN_OPAQUE void wait_for_the_end(const char *how)
{
    int before;

    if (!strcmp(how, "cancelled_anywhere"))
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
    sem_post(&worked);
    while (!strcmp(how, "cancelled_anywhere"))
        burn_sink++;
    while (!strcmp(how, "cancelled"))
        pthread_testcancel();
}

static void *thread_root(void *how)
{
    local.used++;
    pthread_setspecific(key, how);
    pthread_cleanup_push(clean_up, nullptr);
    work_thread(seconds);
    wait_for_the_end(static_cast<const char *>(how));
    pthread_cleanup_pop(1);
    return how;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    void *result;

    if (argc > 2)
        seconds = atof(argv[2]);
    if (argc < 2 || sem_init(&worked, 0, 0) || pthread_key_create(&key, end_key) ||
        pthread_create(&thread, nullptr, thread_root, argv[1])) {
        fprintf(stderr, "usage: thread_ends returns|cancelled|cancelled_anywhere [SECONDS]\n");
        return 2;
    }
    sem_wait(&worked);
    if (!strncmp(argv[1], "cancelled", 9))
        pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "returned");
    return 0;
}
