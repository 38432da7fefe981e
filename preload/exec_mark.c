/* See exec_mark.h. */
#include "preload/exec_mark.h"

#include "common/sys.h"
#include "common/text.h"

static const char name[] = "HPPROF_EXEC=";

static uint64_t number_at(const char **text)
{
    uint64_t number = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++)
        number = number * 10 + (uint64_t)(**text - '0');
    return number;
}

uint64_t hpp_exec_mark_take(char **environment)
{
    uint64_t cpu = 0;
    char **to = environment;

    for (; environment && *environment; environment++) {
        const char *value = hpp_text_after(*environment, name);
        if (!value)
            *to++ = *environment;
        else if (number_at(&value) == (uint64_t)hpp_sys_getpid() && *value++ == ':')
            cpu = number_at(&value);
    }
    if (to != environment)
        *to = NULL;
    return cpu;
}

void hpp_exec_mark_put(char *const *environment, char **marked, char mark[HPP_EXEC_MARK_SIZE], uint64_t cpu)
{
    struct hpp_text text = {mark, HPP_EXEC_MARK_SIZE, 0};

    hpp_text_put(&text, name);
    hpp_text_put_number(&text, (uint64_t)hpp_sys_getpid());
    hpp_text_put(&text, ":");
    hpp_text_put_number(&text, cpu);
    while (environment && *environment)
        *marked++ = *environment++;
    *marked++ = mark;
    *marked = NULL;
}
