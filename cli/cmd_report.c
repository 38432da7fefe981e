/* hpprof report: where the CPU time went. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/report.h"
#include "symbolizer/symbolize.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The width of the terminal at standard output; 0 if that is no terminal. */
static int terminal_columns(void)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO))
        return 0;
    return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : 80;
}

static void print(const struct hpp_arguments *arguments, const struct hpp_report *report,
                  const struct hpp_profile *profile)
{
    int columns = terminal_columns();
    const char *no_color = getenv("NO_COLOR"), *by = arguments->text[HPP_OPT_BY];
    struct hpp_report_style style = {.path = hpp_input_path(arguments),
                                     .what = by,
                                     .rows = arguments->number[HPP_OPT_ROWS],
                                     .columns = columns,
                                     .color = columns && !(no_color && *no_color),
                                     .base_names = arguments->number[HPP_OPT_BY] == HPP_BY_IMAGE,
                                     .show_image = arguments->number[HPP_OPT_BY] == HPP_BY_FUNCTION};

    if (arguments->given[HPP_OPT_JSON])
        hpp_report_print_json(stdout, report, profile, style.path, by, arguments->text[HPP_OPT_SORT],
                              style.rows);
    else
        hpp_report_print_text(stdout, report, profile, &style);
}

int hpp_cmd_report(const struct hpp_arguments *arguments)
{
    struct hpp_profile *profile = hpp_load(hpp_input_path(arguments));
    struct hpp_report report;
    int status = HPP_EXIT_OK;

    if (!profile)
        return HPP_EXIT_FAILED;
    hpp_symbolize(profile, true, hpp_complain_line);
    if (hpp_report_make(&report, profile, (enum hpp_report_by)arguments->number[HPP_OPT_BY],
                        (enum hpp_report_sort)arguments->number[HPP_OPT_SORT])) {
        hpp_complain("%s holds no CPU time (cpu/nanoseconds): it is another kind of profile",
                     hpp_input_path(arguments));
        status = HPP_EXIT_FAILED;
    } else {
        print(arguments, &report, profile);
        hpp_report_free(&report);
    }
    hpp_profile_free(profile);
    return status;
}
