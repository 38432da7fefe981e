/* Prints what a program can see of itself and of its children: with the agent it must be what it is without,
 * but for the agent's writer, which is a process by itself and left out where processes are listed.
 * flags: -pthread */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3 };

static pthread_barrier_t begun, may_end;

static void *thread(void *argument)
{
    pthread_setname_np(pthread_self(), argument);
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&may_end);
    return argument;
}

/* The names in a folder of /proc/PID that are numbers: as numbers, or how many. */
static void print_folder(const char *who, pid_t pid, const char *folder, int as_numbers)
{
    char path[64];
    struct dirent *entry;
    int count = 0;
    DIR *open_folder;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, folder);
    open_folder = opendir(path);
    printf("%s %s:", who, folder);
    while (open_folder && (entry = readdir(open_folder)))
        if (isdigit((unsigned char)entry->d_name[0])) {
            count++;
            if (as_numbers)
                printf(" %s", entry->d_name);
        }
    printf(as_numbers ? "\n" : " %d\n", count);
    if (open_folder)
        closedir(open_folder);
}

static void print_status(const char *who, pid_t pid)
{
    static const char *const wanted[] = {
        "Name:",   "Threads:", "TracerPid:",  "Uid:",     "Gid:",   "FDSize:",
        "SigBlk:", "SigIgn:",  "NoNewPrivs:", "Seccomp:", "CapEff:"};
    char path[64], line[512];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            if (!strncmp(line, wanted[i], strlen(wanted[i])))
                printf("%s %s", who, line);
    if (file)
        fclose(file);
}

/* What ps says, without the writers. */
static void print_ps(const char *who, const char *arguments)
{
    char command[160], line[256];
    FILE *pipe;

    snprintf(command, sizeof command, "ps %s", arguments);
    fflush(stdout);
    pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe))
        if (!strstr(line, "hpprof-writer"))
            printf("%s ps: %s", who, line);
    printf("%s ps ends: %d\n", who, pipe ? pclose(pipe) : -1);
}

static void print_wait(const char *how, pid_t pid, int status)
{
    printf("%s: %s, status %d\n", how, pid > 0 ? "a child" : pid == 0 ? "none yet" : strerror(errno), status);
}

static void wait_in_all_ways(void)
{
    siginfo_t info = {0};
    int status = -1;
    pid_t child;

    print_wait("wait without a child", wait(&status), status);
    print_wait("waitpid, not waiting", waitpid(-1, &status, WNOHANG), status);
    print_wait("waitid without a child", waitid(P_ALL, 0, &info, WEXITED | WNOHANG), info.si_status);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        print_folder("child sees parent", getppid(), "fd", 1);
        print_folder("child sees parent", getppid(), "task", 0);
        print_status("child sees parent", getppid());
        print_folder("child", getpid(), "fd", 1);
        fflush(stdout);
        _exit(3);
    }
    print_wait("wait", wait(&status), status);
    print_wait("wait again", wait(&status), status);
    print_wait("of its group", waitpid(0, &status, 0), status);
}

static void look(const char *who)
{
    char arguments[96];

    print_folder(who, getpid(), "fd", 1);
    print_folder(who, getpid(), "task", 0);
    print_status(who, getpid());
    snprintf(arguments, sizeof arguments, "-o nlwp=,comm= -p %d", getpid());
    print_ps(who, arguments);
    snprintf(arguments, sizeof arguments, "-L -o comm= -p %d", getpid());
    print_ps(who, arguments);
    snprintf(arguments, sizeof arguments, "-o comm= --ppid %d", getpid());
    print_ps(who, arguments);
}

static int is_alone(void)
{
    struct dirent *entry;
    int count = 0;
    DIR *folder = opendir("/proc/self/task");

    while (folder && (entry = readdir(folder)))
        count += isdigit((unsigned char)entry->d_name[0]) != 0;
    if (folder)
        closedir(folder);
    return count == 1;
}

static void run_for(double seconds)
{
    double end = (double)clock() / CLOCKS_PER_SEC + seconds;
    while ((double)clock() / CLOCKS_PER_SEC < end)
        ;
}

int main(void)
{
    static char names[THREADS][8] = {"one", "two", "three"};
    pthread_t threads[THREADS];

    look("at start");
    run_for(0.05); /* some samples */
    look("after a while");
    pthread_barrier_init(&begun, NULL, THREADS + 1);
    pthread_barrier_init(&may_end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, thread, names[i]))
            return 1;
    pthread_barrier_wait(&begun);
    look("with threads");
    pthread_barrier_wait(&may_end);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 5000 && !is_alone(); i++) /* the kernel shows them a moment longer */
        usleep(1000);
    look("after threads");
    wait_in_all_ways();
    return 0;
}
