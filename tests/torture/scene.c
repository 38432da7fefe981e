/* What a program does where a signal is least wanted: `scene` goes through start-up, threads of all kinds,
 * fork, spawning, libraries, and executes itself to go through its exit. It prints what came out and ends
 * with status 7.
 *
 * flags: -pthread -ldl */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static __thread int thread_word = 5;
static pthread_key_t key;
static int destroyed;

static void say(const char *what, long value)
{
    char line[80];
    int length = snprintf(line, sizeof line, "%s %ld\n", what, value);
    if (write(1, line, (size_t)length) != length)
        _exit(9);
}

static void destroy(void *argument)
{
    destroyed += *(int *)argument;
}

static void *thread(void *argument)
{
    sigset_t all;

    pthread_setspecific(key, argument);
    switch (*(int *)argument) {
    case 1: /* blocks what it can */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        break;
    case 2:
        pthread_exit(argument);
    case 3: /* cancelled */
        for (;;)
            pause();
    }
    thread_word++;
    errno = 77;
    return argument;
}

static void threads(void)
{
    static int numbers[] = {0, 1, 2, 3};
    long joined = 0;

    pthread_key_create(&key, destroy);
    for (int i = 0; i < 4; i++) {
        pthread_t id;
        void *result = NULL;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 65536);
        if (pthread_create(&id, &attributes, thread, &numbers[i]))
            continue;
        if (i == 3)
            pthread_cancel(id);
        pthread_join(id, &result);
        joined += result == (i == 3 ? PTHREAD_CANCELED : &numbers[i]);
        pthread_attr_destroy(&attributes);
    }
    say("threads joined", joined);
    say("destructors", destroyed);
    say("own word", thread_word);
}

static void forks(void)
{
    for (volatile int how = 0; how < 3; how++) {
        int status = 0;
        pid_t child = how == 2 ? vfork() : fork();
        if (child == 0 && how == 1)
            exit(33);
        if (child == 0)
            _exit(34 + how);
        waitpid(child, &status, 0);
        say("forked child", status);
    }
    say("system", system("exit 5"));
}

static void spawn(char *self)
{
    char *words[] = {self, "child", NULL};
    int status = 0;
    pid_t child;

    if (posix_spawn(&child, self, NULL, NULL, words, environ))
        say("spawn", errno);
    else
        waitpid(child, &status, 0);
    say("spawned", status);
}

static void libraries(void)
{
    for (int i = 0; i < 2; i++) {
        void *library = dlopen("libutil.so.1", RTLD_NOW | RTLD_LOCAL);
        say("library", library != NULL);
        if (library)
            dlclose(library);
    }
}

/* A thread that no library knows of, with its creator's thread-local storage: raw calls only. It lives beside
 * all the other scenes, long enough to be found. */
static atomic_int raw_may_end, raw_tid;

static int run_raw(void *argument)
{
    const struct timespec nap = {0, 2000000};

    while (!raw_may_end) {
        for (volatile int i = 0; i < 50; i++)
            ;
        __asm__ volatile("syscall" ::"a"(SYS_nanosleep), "D"(&nap), "S"(0) : "rcx", "r11", "memory");
    }
    return argument != NULL;
}

static void start_raw(void)
{
    static char stack[65536] __attribute__((aligned(64)));
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

    say("raw thread", clone(run_raw, stack + sizeof stack, flags, NULL, &raw_tid, NULL, &raw_tid) > 0);
}

static void end_raw(void)
{
    const struct timespec nap = {0, 1000000};

    for (int i = 0; i < 300; i++) /* long enough to be found */
        nanosleep(&nap, NULL);
    raw_may_end = 1;
    while (raw_tid)
        nanosleep(&nap, NULL);
    say("raw thread ended", raw_tid);
}

static void last_words(void)
{
    say("at exit", 0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (!strcmp(what, "child"))
        return 12;
    if (!strcmp(what, "last")) {
        atexit(last_words);
        puts("the end");
        exit(7);
    }
    say("start", argc);
    start_raw();
    threads();
    forks();
    spawn(argv[0]);
    libraries();
    end_raw();
    execl(argv[0], argv[0], "last", NULL);
    return 1;
}
