/* hpprof record: run a command with the agent loaded into it and all its descendants, and merge what
 * they leave into one profile. */
#include "cli/commands.h"
#include "cli/former.h"
#include "cli/left_alone.h"
#include "cli/session.h"
#include "symbolizer/booked.h"
#include "symbolizer/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_OUT "hpprof.pb"

/* ---- the agent's library and options ---------------------------------------------------------------- */

/* The agent beside this program (build folder) or where `make install` puts it. */
static bool find_agent(char agent[PATH_MAX])
{
    static const char *const places[] = {"libhpprof.so", "../lib/hpprof/libhpprof.so"};
    const char *named = getenv("HPPROF_LIB");
    char self[PATH_MAX], path[2 * PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

    if (named && *named)
        return realpath(named, agent) != NULL;
    if (length <= 0)
        return false;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        if (realpath(path, agent))
            return true;
    }
    return false;
}

/* The loader splits LD_PRELOAD at blanks and colons: reach such a path by a link without them, in LINKS, a
 * folder made for it ("" if there was no need). */
static int make_preloadable(char agent[PATH_MAX], char links[PATH_MAX])
{
    char link[PATH_MAX + 32];

    links[0] = '\0';
    if (!strpbrk(agent, " \t\n:"))
        return 0;
    strcpy(links, "/tmp/hpprof.XXXXXX");
    if (!mkdtemp(links))
        return -1;
    snprintf(link, sizeof link, "%s/libhpprof.so", links);
    if (symlink(agent, link))
        return -1;
    strcpy(agent, link);
    return 0;
}

static void remove_links(const char *links)
{
    char link[PATH_MAX + 32];

    if (!*links)
        return;
    snprintf(link, sizeof link, "%s/libhpprof.so", links);
    unlink(link);
    rmdir(links);
}

/* What the environment says must be allowed as well as what the command line says. */
static bool environment_is_allowed(void)
{
    for (int id = 0; id < HPP_OPTION_COUNT; id++) {
        const struct hpp_option *option = &hpp_options[id];
        const char *value = *option->variable ? getenv(option->variable) : NULL;
        uint64_t number;

        if (value && *value && option->users & HPP_AGENT_OPTION && hpp_option_parse(option, value, &number)) {
            hpp_complain("%s=%s is not allowed: use %s%s%s", option->variable, value, hpp_option_kind(option),
                         option->allowed, hpp_option_unit(option));
            return false;
        }
    }
    return true;
}

/* gcc's AddressSanitizer ends a program that has something preloaded before it, unless it is told not to
 * look. The agent takes nothing that it needs to come first for. */
static void allow_asan(void)
{
    const char *before = getenv("ASAN_OPTIONS");
    char *options = NULL;

    if (asprintf(&options, "verify_asan_link_order=0%s%s", before ? ":" : "", before ? before : "") >= 0)
        setenv("ASAN_OPTIONS", options, 1);
    free(options);
}

/* What a run gives its agents. */
struct record_run {
    char agent[PATH_MAX], links[PATH_MAX]; /* the library; a folder with a link to it, or "" */
    char former[PATH_MAX];                 /* the profile that tells what is hot, or "" */
    struct hpp_session session;
};

/* The environment of the command. Called in the child. */
static void set_environment(const struct hpp_arguments *arguments, const struct record_run *run)
{
    const char *before = getenv("LD_PRELOAD");
    char *preload = NULL;

    for (int id = 0; id < HPP_OPTION_COUNT; id++)
        if (arguments->given[id] && hpp_options[id].users & HPP_AGENT_OPTION)
            setenv(hpp_options[id].variable, arguments->text[id], 1);
    unsetenv(hpp_options[HPP_OPT_OUT].variable);
    unsetenv("HPPROF_FIRST");
    if (*run->former)
        setenv(hpp_options[HPP_OPT_REMAP_HOT].variable, run->former, 1);
    setenv("HPPROF_SESSION", run->session.folder, 1);
    if (before && *before && asprintf(&preload, "%s:%s", before, run->agent) < 0)
        preload = NULL;
    setenv("LD_PRELOAD", preload ? preload : run->agent, 1);
    free(preload);
    allow_asan();
}

/* ---- the command ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t the_child;

/* A signal meant for us alone goes on to the command; the terminal sends its own to both. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if (the_child && (info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL))
        kill(the_child, number);
    errno = saved;
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

/* Runs the command with MASK as signal mask. Returns its pid, or -errno if it could not be executed. */
static pid_t start(const struct hpp_arguments *arguments, const struct record_run *run, const sigset_t *mask)
{
    int report[2], error = 0;
    ssize_t count;
    pid_t pid;

    if (pipe2(report, O_CLOEXEC))
        return -errno;
    pid = fork();
    if (pid < 0) {
        error = errno;
        close(report[0]);
        close(report[1]);
        return -error;
    }
    if (pid == 0) {
        set_environment(arguments, run);
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(arguments->operands[0], arguments->operands);
        error = errno;
        count = write(report[1], &error, sizeof error);
        _exit(count == sizeof error ? 127 : 126);
    }
    close(report[1]);
    do
        count = read(report[0], &error, sizeof error);
    while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count == sizeof error) {
        waitpid(pid, NULL, 0);
        return -error;
    }
    return pid;
}

/* Runs the command to its end. Returns its exit status as a shell gives it; *STARTED says whether it could
 * be executed (if not, one line was printed), *USED gets what it and its waited-for descendants used. */
static int run_command(const struct hpp_arguments *arguments, const struct record_run *run, bool *started,
                       struct rusage *used)
{
    sigset_t all, mask;
    pid_t pid;
    int status;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    pid = start(arguments, run, &mask);
    the_child = pid > 0 ? pid : 0;
    catch_signals();
    sigprocmask(SIG_SETMASK, &mask, NULL);
    *started = pid > 0;
    if (pid < 0) {
        errno = -pid;
        hpp_complain("cannot run %s: %m", arguments->operands[0]);
        return -pid == ENOENT ? 127 : 126;
    }
    while (wait4(pid, &status, 0, used) < 0 && errno == EINTR)
        ;
    the_child = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- the end ---------------------------------------------------------------------------------------- */

/* The CPU time of all rows, in ns. */
static int64_t total_ns(const struct hpp_profile *profile)
{
    int column = hpp_profile_value_index(profile, "cpu", "nanoseconds");
    int64_t sum = 0;

    for (size_t i = 0; column >= 0 && i < profile->sample_count; i++)
        sum = hpp_clamped_sum(sum, profile->values[i * profile->value_count + (size_t)column]);
    return sum;
}

/* What the command and its waited-for descendants used; processes that still run are in the rows only. */
static double seconds(const struct hpp_session *session, const struct rusage *used)
{
    double waited = (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
                    (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1e6;
    double told = (double)total_ns(session->all) / 1e9;

    return session->running && told > waited ? told : waited;
}

/* Whether any process was to leave its text where it is. */
static bool remap_was_off(const struct hpp_profile *profile)
{
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        char value[16];
        if (hpp_comment_is(comment, "hpprof.process") &&
            hpp_comment_text(comment, "remap", value, sizeof value))
            return !strcmp(value, "off");
    }
    return false;
}

static void print_details(const struct hpp_session *session)
{
    struct hpp_summary summary = {0};

    hpp_summary_make(&summary, session->all);
    if (!hpp_summary_print_lost(stderr, &summary) && !session->damaged)
        fputs("Lost: nothing.\n", stderr);
    hpp_summary_print_by_fp(stderr, &summary, hpp_booked_others(session->all));
    if (summary.eligible_kib)
        hpp_summary_print_remap(stderr, &summary, hpp_booked_others(session->all));
    else if (remap_was_off(session->all))
        fputs("Text on huge pages: off.\n", stderr);
    else
        fputs("Text on huge pages: none, no image has a whole aligned 2 MiB of text.\n", stderr);
    hpp_summary_free(&summary);
    hpp_summary_print_notes(stderr, session->all);
}

/* The file that switches profiling off while it exists. */
static const char *off_file(void)
{
    const char *named = getenv(hpp_options[HPP_OPT_OFF_FILE].variable);

    return named && *named ? named : hpp_options[HPP_OPT_OFF_FILE].initial;
}

static void print_summary(const struct hpp_session *session, const char *command, const struct rusage *used)
{
    int64_t samples = hpp_booked_others(session->all);
    const char *alone = session->seen ? NULL : hpp_left_alone(command);

    fprintf(stderr, "hpprof: %zu process%s seen, %zu profiled; %.2f CPU-seconds; ", session->seen,
            session->seen == 1 ? "" : "es", session->profiled, seconds(session, used));
    if (samples)
        fprintf(stderr, "%lld sample%s\n", (long long)samples, samples == 1 ? "" : "s");
    else
        fputs("no samples\n", stderr);
    if (!session->seen && !access(off_file(), F_OK))
        fprintf(stderr, "hpprof: %s exists: as long as it does, nothing is profiled\n", off_file());
    else if (!session->seen)
        fprintf(stderr, "hpprof: %s %s; it was left alone\n", command,
                alone ? alone : "did not load the agent");
    if (session->damaged)
        fprintf(stderr, "hpprof: %zu profile%s incomplete: the end is missing\n", session->damaged,
                session->damaged == 1 ? " is" : "s are");
    if (session->running)
        fprintf(stderr, "hpprof: %zu process%s still running; what comes goes to %s\n", session->running,
                session->running == 1 ? " is" : "es are", session->folder);
    if (session->seen)
        print_details(session);
}

/* As perf does it: the file that was there before gets the name PATH.old. */
static void put_aside(const char *path)
{
    char old[PATH_MAX];
    struct stat status;

    if (snprintf(old, sizeof old, "%s.old", path) < (int)sizeof old && !lstat(path, &status) &&
        S_ISREG(status.st_mode))
        rename(path, old);
}

/* Writes the merged profile. Returns whether that worked. */
static bool write_out(const struct hpp_session *session, const char *path)
{
    char error[HPP_ERROR_SIZE];

    if (!session->seen)
        return true;
    put_aside(path);
    if (hpp_profile_write(session->all, path, error)) {
        hpp_complain("%s; the processes' profiles are kept in %s", error, session->folder);
        return false;
    }
    if (session->profiled)
        fprintf(stderr, "hpprof: wrote %s; next: hpprof report %s\n", path, path);
    else
        fprintf(stderr, "hpprof: wrote %s\n", path);
    return true;
}

/* Finds and makes what the command needs beside the session. Returns -1 after complaining. */
static int prepare(const struct hpp_arguments *arguments, struct record_run *run)
{
    const char *variable = getenv(hpp_options[HPP_OPT_REMAP_HOT].variable);
    const char *former = arguments->given[HPP_OPT_REMAP_HOT] ? arguments->text[HPP_OPT_REMAP_HOT] : variable;

    run->former[0] = '\0';
    if (former && *former && hpp_former_prepare(former, run->session.folder, run->former))
        return -1;
    if (make_preloadable(run->agent, run->links)) {
        hpp_complain("cannot make a link to %s in /tmp: %m", run->agent);
        return -1;
    }
    return 0;
}

int hpp_cmd_record(const struct hpp_arguments *arguments)
{
    const char *variable = getenv(hpp_options[HPP_OPT_OUT].variable);
    const char *out = *arguments->text[HPP_OPT_OUT] ? arguments->text[HPP_OPT_OUT]
                      : variable && *variable       ? variable
                                                    : DEFAULT_OUT;
    bool separate = arguments->given[HPP_OPT_SEPARATE], started, written = true;
    static struct record_run run;
    struct hpp_session *session = &run.session;
    struct rusage used = {0};
    int status;

    if (!environment_is_allowed())
        return HPP_EXIT_USAGE;
    if (!find_agent(run.agent)) {
        hpp_complain(
            "libhpprof.so is neither beside this program nor in ../lib/hpprof: name it in HPPROF_LIB");
        return HPP_EXIT_FAILED;
    }
    if (hpp_session_begin(session, out, separate))
        return HPP_EXIT_FAILED;
    if (prepare(arguments, &run)) {
        hpp_session_end(session, false);
        return HPP_EXIT_FAILED;
    }
    status = run_command(arguments, &run, &started, &used);
    if (started) {
        hpp_session_collect(session);
        print_summary(session, arguments->operands[0], &used);
        written = write_out(session, out);
    }
    hpp_session_end(session, started && (separate || session->running || !written));
    remove_links(run.links);
    return status == 0 && !written ? HPP_EXIT_FAILED : status;
}
