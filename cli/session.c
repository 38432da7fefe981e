/* The folder of a run of hpprof record. */
#include "cli/session.h"
#include "symbolizer/booked.h"

#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 10000, STEP_MS = 2 };

int hpp_session_begin(struct hpp_session *session, const char *path, bool keep)
{
    char name[PATH_MAX];
    int length = snprintf(name, sizeof name, keep ? "%s.d" : "%s.parts.XXXXXX", path);

    *session = (struct hpp_session){0};
    if (length >= (int)sizeof name)
        errno = ENAMETOOLONG;
    else if ((keep ? !mkdir(name, 0700) : mkdtemp(name) != NULL) && realpath(name, session->folder))
        return 0;
    if (errno == EEXIST)
        hpp_complain("%s exists: remove it, or choose another name with -o", name);
    else
        hpp_complain("cannot write %s: no folder can be made beside it: %m", path);
    return -1;
}

/* The pid in hpprof.PROGRAM.PID.pb, perhaps with a number behind; 0 if there is none. */
static pid_t pid_of(const char *name)
{
    const char *end = strstr(name, ".pb");
    const char *last = NULL;

    for (const char *next = end; next; next = strstr(next + 1, ".pb"))
        last = next;
    if (!last)
        return 0;
    for (end = last; last > name && last[-1] != '.'; last--)
        ;
    return last < end ? (pid_t)strtol(last, NULL, 10) : 0;
}

/* Whether the process still runs; a zombie does not. */
static bool is_running(pid_t pid)
{
    char path[64], text[512];
    const char *state;
    ssize_t count;
    int fd;

    if (!pid || (kill(pid, 0) && errno == ESRCH))
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    count = read(fd, text, sizeof text - 1);
    close(fd);
    if (count <= 0)
        return false;
    text[count] = '\0';
    state = strrchr(text, ')');
    return state && state[1] && state[2] != 'Z' && state[2] != 'X';
}

/* Whether a writer holds the file. */
static bool is_locked(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool locked;

    if (fd < 0)
        return false;
    locked = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

static int is_profile(const struct dirent *entry)
{
    return strstr(entry->d_name, ".pb") != NULL;
}

/* Counts the writers that are still at work: *ENDING for processes that have ended, *RUNNING for those
 * that have not. */
static void count_writers(const struct hpp_session *session, size_t *ending, size_t *running)
{
    struct dirent **entries;
    int count = scandir(session->folder, &entries, is_profile, NULL);
    int folder = open(session->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *ending = *running = 0;
    for (int i = 0; i < count; i++) {
        if (folder >= 0 && is_locked(folder, entries[i]->d_name))
            *(is_running(pid_of(entries[i]->d_name)) ? running : ending) += 1;
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (folder >= 0)
        close(folder);
}

static void wait_for_writers(struct hpp_session *session)
{
    const struct timespec step = {0, STEP_MS * 1000000};
    size_t ending;

    for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
        count_writers(session, &ending, &session->running);
        if (!ending)
            return;
        nanosleep(&step, NULL);
    }
    hpp_complain("%zu profile writers did not finish in %d s: what they wrote is merged, the rest is missing",
                 ending, WAIT_MS / 1000);
    session->damaged += ending;
}

/* Whether any row counts: a process that ended at once has booked some CPU time, and less than a sample's. */
static bool has_samples(const struct hpp_profile *profile)
{
    int column = hpp_profile_value_index(profile, "samples", "count");

    for (size_t i = 0; column >= 0 && i < profile->sample_count; i++)
        if (profile->values[i * profile->value_count + (size_t)column])
            return true;
    return false;
}

static void merge_file(struct hpp_session *session, const char *path)
{
    struct hpp_profile *one;
    char error[HPP_ERROR_SIZE];

    session->seen++;
    if (hpp_profile_read(path, &one, error)) {
        hpp_complain("%s", error);
        session->damaged++;
        return;
    }
    if (one->torn_bytes ||
        (!hpp_profile_count(one, "hpprof.end") && !is_running(pid_of(strrchr(path, '/') + 1))))
        session->damaged++;
    session->profiled += has_samples(one);
    if (hpp_profile_merge(session->all, one, true)) {
        hpp_complain("%s holds other kinds of values than the others: left out", path);
        session->damaged++;
    }
    hpp_profile_free(one);
}

/* The processes in the order of their pids: the command itself before what it started. */
static int by_pid(const struct dirent **a, const struct dirent **b)
{
    pid_t left = pid_of((*a)->d_name), right = pid_of((*b)->d_name);

    return left != right ? (left < right ? -1 : 1) : strcmp((*a)->d_name, (*b)->d_name);
}

void hpp_session_collect(struct hpp_session *session)
{
    struct dirent **entries;
    int count;

    wait_for_writers(session);
    session->all = hpp_profile_new();
    count = scandir(session->folder, &entries, is_profile, by_pid);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX + NAME_MAX + 2];
        snprintf(path, sizeof path, "%s/%s", session->folder, entries[i]->d_name);
        merge_file(session, path);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    hpp_booked_settle(session->all);
}

void hpp_session_end(struct hpp_session *session, bool keep)
{
    struct dirent **entries;
    int count = keep ? -1 : scandir(session->folder, &entries, NULL, NULL);
    int folder = keep ? -1 : open(session->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < count; i++) {
        if (folder >= 0)
            unlinkat(folder, entries[i]->d_name, 0);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (folder >= 0) {
        close(folder);
        rmdir(session->folder);
    }
    hpp_profile_free(session->all);
    session->all = NULL;
}
