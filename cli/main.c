/* hpprof: the table of commands, and what they share: --help, --version, usage errors. Offline only. */
#include "cli/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct hpp_command commands[] = {
    {"record", HPP_RECORD_OPTION, "[OPTION]... [--] COMMAND [ARGUMENT]...",
     "run COMMAND and profile it and all its descendants", "Writes hpprof.pb, or the FILE of -o.", 1,
     INT32_MAX, true, hpp_cmd_record},
    {"report", HPP_REPORT_OPTION, "[OPTION]... [FILE]", "print where the CPU time went",
     "Reads hpprof.pb, or FILE (- is standard input).", 0, 1, false, hpp_cmd_report},
    {"flamegraph", HPP_FLAMEGRAPH_OPTION, "[OPTION]... [FILE]",
     "draw the stacks as an SVG to zoom and search",
     "Reads hpprof.pb, or FILE; writes hpprof.svg, or the FILE of -o. With --folded it\n"
     "prints lines on standard output, or writes them to the FILE of -o.",
     0, 1, false, hpp_cmd_flamegraph},
    {"symbolize", HPP_SYMBOLIZE_OPTION, "FILE -o OUT",
     "write the profile with names, for other pprof readers", "OUT is gzip'd if it ends in .gz.", 1, 1, false,
     hpp_cmd_symbolize},
    {"perf-map", HPP_PERF_MAP_OPTION, "FILE|PID [-o MAP]", "write names of moved text for perf",
     "FILE is the profile of one process, which may still run, PID such a process;\n"
     "writes /tmp/perf-PID.map, or the FILE of -o.",
     1, 1, false, hpp_cmd_perf_map},
    {"merge", HPP_MERGE_OPTION, "FILE... -o OUT", "write several profiles as one",
     "OUT is gzip'd if it ends in .gz.", 1, INT32_MAX, false, hpp_cmd_merge},
    {"dump", HPP_DUMP_OPTION, "PID [-t TID]", "print the stacks of a process as they are right now",
     "Prints every thread, running or sleeping, leaf first. The process is stopped\n"
     "for some milliseconds. A stack that does not reach its thread's root ends with\n"
     "a line [unfinished] that says why.",
     1, 1, false, hpp_cmd_dump},
    {"status", 0, "PID", "print how the profiling of a running process goes",
     "What its profile holds so far: the timer and its limits, how much of the CPU\n"
     "time has samples, what was lost, text on huge pages, notes.",
     1, 1, false, hpp_cmd_status},
    {"unwind-table", HPP_UNWIND_TABLE_OPTION, "[--rows] FILE",
     "make the unwind table of an ELF file and check it",
     "Prints what the table holds, and compares it with libdw's reading of FILE: exit\n"
     "status 1, and the first addresses, where they differ.",
     1, 1, false, hpp_cmd_unwind_table},
    {"cache", HPP_CACHE_OPTION, "[OPTION]... list|warm FILE...|verify [FILE]...|clear|mount",
     "keep unwind tables, and text on huge pages, on disk",
     "Copies of text are what the backend `cache` maps, on huge pages that all\n"
     "processes share: root's, or, in a folder named by --text-cache, your own.\n"
     "\n"
     "list    print what is there, and what would not be used, with the reason\n"
     "warm    make the tables of the FILEs (all files below, of a folder) beforehand,\n"
     "        and copy those with whole huge pages of text. A program and libraries:\n"
     "        hpprof cache warm PROGRAM $(ldd PROGRAM | grep -o '/[^ ]*')\n"
     "verify  check owner, mode, checksum and contents of every table and copy, and\n"
     "        that those of the FILEs are what the FILEs give\n"
     "clear   remove them\n"
     "mount   put a tmpfs on huge pages in the place of the folder of copies, or\n"
     "        [DIR], where that has none (as large as copies may become)",
     1, INT32_MAX, false, hpp_cmd_cache},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

void hpp_complain(const char *format, ...)
{
    va_list list;

    fflush(stdout);
    fputs("hpprof: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

static void print_commands(FILE *out)
{
    fputs("usage: hpprof COMMAND [OPTION]... [ARGUMENT]...\n\n", out);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`hpprof help COMMAND` tells its options. One program, without this command:\n"
          "  LD_PRELOAD=libhpprof.so PROGRAM   leaves hpprof.PROGRAM.PID.pb\n",
          out);
}

static const struct hpp_command *find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    hpp_complain("'%s' is no command: `hpprof --help` lists them", name);
    return NULL;
}

/* What was printed must have arrived: a full disk is a failure. */
static int finish(int status)
{
    if ((fflush(stdout) || ferror(stdout)) && status == HPP_EXIT_OK) {
        hpp_complain("cannot write to standard output: %m");
        return HPP_EXIT_FAILED;
    }
    return status;
}

static int run(const struct hpp_command *command, int argc, char **argv)
{
    struct hpp_arguments arguments = {0};
    bool help = false;

    if (hpp_arguments_parse(command, argc, argv, &arguments, &help))
        return HPP_EXIT_USAGE;
    if (help) {
        hpp_arguments_help(command);
        return HPP_EXIT_OK;
    }
    if (arguments.operand_count < command->operands_min) {
        hpp_complain("%s: missing argument: hpprof %s %s", command->name, command->name, command->synopsis);
        return HPP_EXIT_USAGE;
    }
    if (arguments.operand_count > command->operands_max) {
        hpp_complain("%s: '%s' is one argument too many: hpprof %s %s", command->name,
                     arguments.operands[command->operands_max], command->name, command->synopsis);
        return HPP_EXIT_USAGE;
    }
    return command->run(&arguments);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    const struct hpp_command *command;

    if (!name) {
        print_commands(stderr);
        return HPP_EXIT_USAGE;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "version")) {
        puts("hpprof " HPP_VERSION);
        return finish(HPP_EXIT_OK);
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || (!strcmp(name, "help") && argc == 2)) {
        print_commands(stdout);
        return finish(HPP_EXIT_OK);
    }
    command = find_command(strcmp(name, "help") ? name : argv[2]);
    if (!command)
        return HPP_EXIT_USAGE;
    if (!strcmp(name, "help")) {
        hpp_arguments_help(command);
        return finish(HPP_EXIT_OK);
    }
    return finish(run(command, argc - 1, argv + 1));
}
