/* Runs a command and waits until nothing of it is left, its children's orphans included:
 *
 *   reap SECONDS COMMAND [ARGUMENT...]
 *
 * What it says goes on stderr. Exit status: the command's; 124 where it, or something that it left behind,
 * still runs after SECONDS: then that is ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_alarm(int signal)
{
    (void)signal;
}

/* Ends our children, and theirs as they come to us. */
static int end_all(int command_ended)
{
    char path[64], line[4096];
    FILE *file;
    int pid, ended = 0;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    do {
        file = fopen(path, "r");
        while (file && fscanf(file, "%d", &pid) == 1) {
            kill(pid, SIGKILL);
            ended++;
        }
        if (file)
            fclose(file);
    } while (waitpid(-1, NULL, __WALL) > 0);
    snprintf(line, sizeof line, "reap: %s; %d processes ended\n",
             command_ended ? "something of it is left" : "the command does not end", ended);
    fputs(line, stderr);
    return 124;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_alarm};
    int status, result = -1;
    pid_t command, ended;

    if (argc < 3 || atoi(argv[1]) < 1) {
        fputs("usage: reap SECONDS COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigaction(SIGALRM, &action, NULL);
    command = fork();
    if (command == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    alarm((unsigned)atoi(argv[1]));
    while ((ended = waitpid(-1, &status, __WALL)) > 0)
        if (ended == command)
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return errno == EINTR ? end_all(result >= 0) : result;
}
