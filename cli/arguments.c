/* A command's options from the table of options.def: parsing by getopt_long, and --help. Offline only. */
#include "cli/commands.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 25, LONG_BASE = 0x1000, SHORT_SIZE = 2 * HPP_OPTION_COUNT + 8 };

static bool takes(const struct hpp_command *command, int id)
{
    return hpp_options[id].users & command->user && *hpp_options[id].flag;
}

/* getopt's two tables. Every long option answers LONG_BASE + id, every short one its letter. */
static void make_tables(const struct hpp_command *command, char letters[SHORT_SIZE],
                        struct option longs[HPP_OPTION_COUNT + 2])
{
    int count = 0;
    char *at = letters;

    *at++ = command->stops_at_operand ? '+' : ':';
    if (command->stops_at_operand)
        *at++ = ':';
    *at++ = 'h';
    longs[count++] = (struct option){"help", no_argument, NULL, 'h'};
    for (int id = 0; id < HPP_OPTION_COUNT; id++) {
        const struct hpp_option *option = &hpp_options[id];
        bool bare = option->kind == HPP_OPTION_SWITCH;
        if (!takes(command, id))
            continue;
        longs[count++] =
            (struct option){option->flag, bare ? no_argument : required_argument, NULL, LONG_BASE + id};
        if (option->letter) {
            *at++ = (char)option->letter;
            if (!bare)
                *at++ = ':';
        }
    }
    *at = '\0';
    longs[count] = (struct option){0};
}

static int id_of_letter(const struct hpp_command *command, int letter)
{
    for (int id = 0; id < HPP_OPTION_COUNT; id++)
        if (takes(command, id) && hpp_options[id].letter == letter)
            return id;
    return -1;
}

/* "-o" or "--out": as the user would type it. */
static const char *spelling(int id)
{
    static char text[64];

    snprintf(text, sizeof text, "--%s", hpp_options[id].flag);
    return text;
}

static int bad_value(const struct hpp_command *command, int id, const char *value)
{
    hpp_complain("%s: %s: '%s' is not allowed, only %s%s", command->name, spelling(id), value,
                 hpp_options[id].allowed, hpp_option_unit(&hpp_options[id]));
    return -EINVAL;
}

/* getopt answered ':' (argument missing) or '?' (unknown) about optopt, or about the word before optind. */
static int bad_option(const struct hpp_command *command, int answer, char **argv)
{
    int id = optopt >= LONG_BASE ? optopt - LONG_BASE : id_of_letter(command, optopt);
    const char *word = argv[optind - 1];

    if (answer == ':' && id >= 0)
        hpp_complain("%s: %s needs an argument: %s", command->name, spelling(id), hpp_options[id].argument);
    else if (optopt >= LONG_BASE)
        hpp_complain("%s: %s takes no argument", command->name, spelling(id));
    else if (optopt)
        hpp_complain("%s: unknown option '-%c': see hpprof %s --help", command->name, optopt, command->name);
    else
        hpp_complain("%s: unknown option '%s': see hpprof %s --help", command->name, word, command->name);
    return -EINVAL;
}

static void set_defaults(const struct hpp_command *command, struct hpp_arguments *arguments)
{
    for (int id = 0; id < HPP_OPTION_COUNT; id++) {
        arguments->text[id] = hpp_options[id].initial;
        if (takes(command, id) && *hpp_options[id].initial)
            hpp_option_parse(&hpp_options[id], hpp_options[id].initial, &arguments->number[id]);
    }
}

int hpp_arguments_parse(const struct hpp_command *command, int argc, char **argv,
                        struct hpp_arguments *arguments, bool *help)
{
    char letters[SHORT_SIZE];
    struct option longs[HPP_OPTION_COUNT + 2];
    int answer;

    make_tables(command, letters, longs);
    set_defaults(command, arguments);
    *help = false;
    optind = 0; /* glibc: start afresh, and read the first letter of the table again */
    while ((answer = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        int id = answer >= LONG_BASE ? answer - LONG_BASE : id_of_letter(command, answer);
        if (answer == 'h') {
            *help = true;
            return 0;
        }
        if (answer == ':' || answer == '?' || id < 0)
            return bad_option(command, answer, argv);
        arguments->given[id] = true;
        arguments->text[id] = optarg ? optarg : "";
        if (optarg && hpp_option_parse(&hpp_options[id], optarg, &arguments->number[id]))
            return bad_value(command, id, optarg);
    }
    arguments->operand_count = argc - optind;
    arguments->operands = argv + optind;
    return 0;
}

/* TEXT in lines of at most 79 columns, those after the first indented; COLUMN is where the first begins. */
static void print_wrapped(const char *text, int column)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column + 1 + length > 79) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        /* a list of words that no line holds: as much of it as this one does */
        if (column + 1 + length > 79)
            for (length = 79 - column - 1; length > 1 && text[length - 1] != '|';)
                length--;
        column += printf(" %.*s", length, text);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const struct hpp_command *command, const struct hpp_option *option)
{
    const char *before = *option->allowed && *option->initial ? "; " : "";
    char letter[8] = "    ", text[512];
    int used = 0, column;

    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    column = printf("  %s--%s%s%s", letter, option->flag, *option->argument ? "=" : "", option->argument);
    column += printf("%*s", HELP_COLUMN - column, "");
    used = snprintf(text, sizeof text, "%s", option->help);
    if (*option->allowed || *option->initial)
        used += snprintf(text + used, sizeof text - (size_t)used, " (%s%s%s%s)", option->allowed, before,
                         *option->initial ? "default " : "", option->initial);
    if (*option->variable && command->user & (HPP_RECORD_OPTION | HPP_CACHE_OPTION))
        snprintf(text + used, sizeof text - (size_t)used, " [%s]", option->variable);
    print_wrapped(text, column);
}

void hpp_arguments_help(const struct hpp_command *command)
{
    printf("usage: hpprof %s %s\n%s\n%s\n\n", command->name, command->synopsis, command->summary,
           command->detail);
    for (int id = 0; id < HPP_OPTION_COUNT; id++)
        if (takes(command, id))
            print_option(command, &hpp_options[id]);
    printf("%-*s print this\n", HELP_COLUMN, "  -h, --help");
}
