/* hpprof unwind-table: the unwind table that the agent would use for a file, and whether it is right. */
#include "cli/commands.h"
#include "common/unwind_build.h"
#include "symbolizer/unwind_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIFFERENCES_SHOWN = 10 };

struct differences {
    const char *path;
    int64_t count;
    uint64_t last; /* address; one can be compared twice */
};

/* A complaint for each of the first ones. */
static void take_difference(void *context, uint64_t address, const struct hpp_unwind_rule *ours,
                            const struct hpp_unwind_rule *theirs)
{
    struct differences *differences = context;
    char our_text[HPP_UNWIND_RULE_SIZE], their_text[HPP_UNWIND_RULE_SIZE] = "nothing";

    if (differences->count && differences->last == address)
        return;
    differences->last = address;
    if (theirs)
        hpp_unwind_rule_text(theirs, their_text);
    if (differences->count++ < DIFFERENCES_SHOWN)
        hpp_complain("%s: at 0x%" PRIx64 " the table has '%s', but libdw '%s'", differences->path, address,
                     hpp_unwind_rule_text(ours, our_text), their_text);
}

static int print_rows(const struct hpp_unwind_table *table)
{
    uint64_t *addresses = hpp_unwind_addresses(table);
    char text[HPP_UNWIND_RULE_SIZE];

    if (!addresses) {
        hpp_complain("no memory for %" PRIu32 " rows", table->rows);
        return HPP_EXIT_FAILED;
    }
    for (uint32_t i = 0; i < table->rows; i++)
        printf("0x%" PRIx64 "  %s\n", addresses[i],
               hpp_unwind_rule_text(&table->rule[hpp_unwind_rows(table)[i] & 0xffff], text));
    free(addresses);
    return HPP_EXIT_OK;
}

static void print_summary(const char *path, const struct hpp_unwind_build *build,
                          const struct hpp_unwind_table *table)
{
    printf("%s\n", path);
    printf("%10" PRIu32 " rows, %" PRIu32 " rules, from %" PRIu32 " entries\n", table->rows, table->rules,
           build->entries);
    printf("%10" PRIu32 " entries not used, or not wholly: there, frame pointers are followed\n",
           build->skipped);
    printf("%10" PRIu64 " bytes, %.2f a row\n", table->size, (double)table->size / table->rows);
    if (build->frame_bytes)
        printf("%10" PRIu64 " bytes of .eh_frame and .eh_frame_hdr, of which that is %.1f %%\n",
               build->frame_bytes, 100.0 * (double)table->size / (double)build->frame_bytes);
    if (build->note)
        printf("note: %s\n", build->note);
}

/* The comparison; *COMPARED gets how many addresses were. */
static int check(const char *path, int fd, const struct hpp_unwind_table *table, int64_t *compared)
{
    struct differences differences = {.path = path};

    if (!hpp_unwind_is_valid(table, table->size)) {
        hpp_complain("%s: the table that was made is not valid: please report this", path);
        return HPP_EXIT_FAILED;
    }
    *compared = hpp_unwind_check(fd, table, take_difference, &differences);
    if (*compared < 0) {
        hpp_complain("%s: libdw cannot read its unwind information: the table could not be checked", path);
        return HPP_EXIT_FAILED;
    }
    if (differences.count) {
        hpp_complain("%s: the table differs from libdw at %" PRId64 " of %" PRId64
                     " addresses: please report this",
                     path, differences.count, *compared);
        return HPP_EXIT_FAILED;
    }
    return HPP_EXIT_OK;
}

int hpp_cmd_unwind_table(const struct hpp_arguments *arguments)
{
    const char *path = arguments->operands[0];
    struct hpp_unwind_build build = {.source = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)}};
    const struct hpp_unwind_table *table;
    struct stat status;
    int result = HPP_EXIT_FAILED;

    if (build.source.fd < 0) {
        hpp_complain("cannot read %s: %s", path, strerror(errno));
        return HPP_EXIT_FAILED;
    }
    if (fstat(build.source.fd, &status) || !S_ISREG(status.st_mode)) {
        hpp_complain("%s is not a regular file", path);
    } else if (hpp_unwind_build(&build, &table)) {
        hpp_complain("%s: no unwind table: %s", path, build.reason);
    } else {
        bool is_long = arguments->given[HPP_OPT_TABLE_ROWS];
        int64_t compared;
        result = is_long ? print_rows(table) : HPP_EXIT_OK;
        if (!is_long)
            print_summary(path, &build, table);
        if (!result)
            result = check(path, build.source.fd, table, &compared);
        if (!result && !is_long)
            printf("%10" PRId64 " addresses compared with libdw: all equal\n", compared);
        hpp_unwind_free(table);
    }
    close(build.source.fd);
    return result;
}
