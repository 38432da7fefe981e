/* Makes other processes, in the way its first argument names, and prints what it saw of them; both
 * sides use CPU for the seconds that the second argument gives (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char self[4096], *seconds_text = "0.3";
static double seconds;

BURN_FUNCTION(burn_parent, 3)
BURN_FUNCTION(burn_child, 5)

static void print_status(const char *what, pid_t pid, int status)
{
    if (pid < 0)
        printf("%s: %s\n", what, strerror(errno));
    else if (WIFEXITED(status))
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else
        printf("%s: signal %d\n", what, WTERMSIG(status));
}

static void print_wait(const char *what, pid_t child)
{
    int status = 0;
    pid_t pid = child < 0 ? child : waitpid(child, &status, 0);
    print_status(what, pid, status);
}

static char **child_arguments(void)
{
    static char *arguments[4];
    arguments[0] = self, arguments[1] = "child", arguments[2] = seconds_text;
    return arguments;
}

/* What the others run: also its own case. */
static int run_child(void)
{
    burn_child(seconds);
    printf("child done\n");
    return 7;
}

static pid_t fork_child(int status)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        burn_child(seconds);
        exit(status);
    }
    return child;
}

static int run_fork(void)
{
    pid_t child = fork_child(11);
    burn_parent(seconds);
    print_wait("fork", child);
    return 0;
}

static int run_exec(void)
{
    burn_parent(seconds);
    execv(self, child_arguments());
    return 1;
}

static int run_vfork(void)
{
    char **arguments = child_arguments();
    fflush(stdout);
    pid_t child = vfork();
    if (child == 0) {
        execv(self, arguments);
        _exit(99);
    }
    print_wait("vfork and exec", child);
    child = vfork();
    if (child == 0)
        _exit(13);
    print_wait("vfork and _exit", child);
    burn_parent(seconds);
    return 0;
}

static int run_spawn(void)
{
    pid_t child = -1;
    fflush(stdout);
    errno = posix_spawn(&child, self, NULL, NULL, child_arguments(), environ);
    print_wait("posix_spawn", errno ? -1 : child);
    burn_parent(seconds);
    return 0;
}

static int run_system(void)
{
    char command[8192];
    snprintf(command, sizeof(command), "'%s' child %s", self, seconds_text);
    print_status("system", 0, system(command));
    burn_parent(seconds);
    return 0;
}

static int run_popen(void)
{
    char command[8192], line[256];
    snprintf(command, sizeof(command), "'%s' child %s", self, seconds_text);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof(line), pipe))
        printf("read: %s", line);
    print_status("pclose", 0, pipe ? pclose(pipe) : -1);
    burn_parent(seconds);
    return 0;
}

/* Each in a thread of its own: in its own way makes a child, works, waits. */
static void *fork_in_thread(void *status)
{
    pid_t child = fork_child(15);
    burn_parent(seconds);
    waitpid(child, status, 0);
    return NULL;
}

static void *vfork_in_thread(void *status)
{
    char **arguments = child_arguments();
    pid_t child = vfork();
    if (child == 0) {
        execv(self, arguments);
        _exit(99);
    }
    burn_parent(seconds);
    waitpid(child, status, 0);
    return NULL;
}

static void *spawn_in_thread(void *status)
{
    pid_t child = -1;
    posix_spawn(&child, self, NULL, NULL, child_arguments(), environ);
    burn_parent(seconds);
    waitpid(child, status, 0);
    return NULL;
}

static int run_threads(void)
{
    void *(*const roots[])(void *) = {fork_in_thread, vfork_in_thread, spawn_in_thread};
    pthread_t threads[3];
    int status[3] = {-1, -1, -1};
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, roots[i], &status[i]))
            return 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    print_status("fork in a thread", 0, status[0]);
    print_status("vfork in a thread", 0, status[1]);
    print_status("posix_spawn in a thread", 0, status[2]);
    return 0;
}

/* A daemon by two forks; it ends when it closes the pipe, and nobody waits for it. */
static int run_daemon(void)
{
    int ends[2];
    char text[64] = "";
    fflush(stdout);
    if (pipe(ends))
        return 1;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0) {
            close(ends[0]);
            burn_child(seconds);
            _exit(write(ends[1], "daemon done", 11) != 11);
        }
        _exit(0);
    }
    close(ends[1]);
    print_wait("first fork", child);
    burn_parent(seconds);
    ssize_t got = read(ends[0], text, sizeof(text) - 1);
    printf("daemon said: %.*s\n", (int)(got < 0 ? 0 : got), text);
    return 0;
}

/* Waits until there are no children: before it has any, and after three. */
static int wait_for_all(int options)
{
    int status, count = 0, sum = 0;
    pid_t pid = waitpid(-1, &status, options);
    printf("wait: %s\n", pid < 0 ? strerror(errno) : "a child it did not make");
    for (int i = 1; i <= 3; i++)
        fork_child(i);
    burn_parent(seconds);
    while ((pid = waitpid(-1, &status, options)) > 0) {
        count++;
        sum += WEXITSTATUS(status);
    }
    printf("waited for %d, statuses %d, then %s\n", count, sum, strerror(errno));
    return 0;
}

static int run_waitall(void)
{
    return wait_for_all(0);
}

/* As debuggers and supervisors wait: for children that give no signal too. */
static int run_waitall_wall(void)
{
    return wait_for_all(__WALL);
}

/* Only a process with one thread may do this. */
static int run_unshare(void)
{
    burn_parent(seconds);
    int result = unshare(CLONE_NEWUSER);
    printf("unshare: %s\n", result ? strerror(errno) : "done");
    burn_child(seconds);
    return 0;
}

/* The child is the first process of its namespace. */
static int run_pid_namespace(void)
{
    int result = unshare(CLONE_NEWUSER | CLONE_NEWPID);
    printf("unshare: %s\n", result ? strerror(errno) : "done");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!result)
            printf("pid %d\n", (int)getpid());
        burn_child(seconds);
        exit(16);
    }
    burn_parent(seconds);
    print_wait("fork", child);
    return 0;
}

static int run_setuid(void)
{
    burn_parent(seconds);
    uid_t to = getuid() ? getuid() : 65534;
    int result = setuid(to);
    printf("setuid: %s, uid %d, euid %d\n", result ? strerror(errno) : "done", (int)getuid(), (int)geteuid());
    burn_child(seconds);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"child", run_child},     {"fork", run_fork},
    {"exec", run_exec},       {"vfork", run_vfork},
    {"spawn", run_spawn},     {"system", run_system},
    {"popen", run_popen},     {"daemon", run_daemon},
    {"waitall", run_waitall}, {"waitall_wall", run_waitall_wall},
    {"unshare", run_unshare}, {"setuid", run_setuid},
    {"threads", run_threads}, {"pid_namespace", run_pid_namespace},
};

int main(int argc, char **argv)
{
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (argc > 2)
        seconds_text = argv[2];
    seconds = atof(seconds_text);
    for (size_t i = 0; length > 0 && argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name))
            return cases[i].run();
    fprintf(stderr, "usage: processes CASE [SECONDS]\n");
    return 2;
}
