/* The machine-readable comments of a profile (FORMAT.md, "Comments"). Offline only. */
#include "symbolizer/profile.h"
#include "symbolizer/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hpp_profile_add_comment(struct hpp_profile *profile, const char *text)
{
    profile->comments = hpp_memory_room(profile->comments, &profile->comment_room, profile->comment_count + 1,
                                        sizeof *profile->comments);
    profile->comments[profile->comment_count] = hpp_profile_add_string(profile, text);
    hpp_intern_add(&profile->comment_keys, &profile->comments[profile->comment_count++], sizeof(uint32_t));
}

bool hpp_profile_has_comment(const struct hpp_profile *profile, const char *text)
{
    uint32_t string = hpp_intern_find(&profile->strings, text, strlen(text));

    return string != HPP_NONE && hpp_intern_find(&profile->comment_keys, &string, sizeof string) != HPP_NONE;
}

const char *hpp_profile_comment(const struct hpp_profile *profile, size_t index)
{
    return hpp_profile_string(profile, profile->comments[index]);
}

bool hpp_comment_is(const char *comment, const char *word)
{
    size_t length = strlen(word);

    return !strncmp(comment, word, length) && (comment[length] == ' ' || !comment[length]);
}

/* The end of the field at AT: `image=` runs to the end of the line, a quoted value to its second quote. */
static const char *field_end(const char *at)
{
    const char *value = at + strcspn(at, "= ");

    if (!strncmp(at, "image=", 6))
        return at + strlen(at);
    if (value[0] == '=' && value[1] == '\'') {
        const char *end = strchr(value + 2, '\'');
        return end ? end + 1 : value + strlen(value);
    }
    return at + strcspn(at, " ");
}

bool hpp_comment_text(const char *comment, const char *key, char *out, size_t size)
{
    size_t length = strlen(key);
    const char *at = comment + strcspn(comment, " ");

    while (*at) {
        const char *field = at + 1, *end = field_end(field), *value = field + length + 1;
        bool found = !strncmp(field, key, length) && field[length] == '=';
        at = *end ? strchr(end, ' ') : end;
        if (!at)
            at = end + strlen(end);
        if (!found)
            continue;
        if (*value == '\'' && strcmp(key, "image")) {
            value++;
            end -= end > value && end[-1] == '\'';
        }
        snprintf(out, size, "%.*s", (int)(end - value), value);
        return true;
    }
    if (size)
        *out = '\0';
    return false;
}

uint64_t hpp_comment_number(const char *comment, const char *key)
{
    char text[32];

    if (!hpp_comment_text(comment, key, text, sizeof text) || *text < '0' || *text > '9')
        return 0;
    return strtoull(text, NULL, text[1] == 'x' ? 16 : 10);
}

uint64_t hpp_profile_sum(const struct hpp_profile *profile, const char *word, const char *key)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < profile->comment_count; i++)
        if (hpp_comment_is(hpp_profile_comment(profile, i), word))
            sum += hpp_comment_number(hpp_profile_comment(profile, i), key);
    return sum;
}

size_t hpp_profile_count(const struct hpp_profile *profile, const char *word)
{
    size_t count = 0;

    for (size_t i = 0; i < profile->comment_count; i++)
        count += hpp_comment_is(hpp_profile_comment(profile, i), word);
    return count;
}

bool hpp_profile_process(const struct hpp_profile *profile, int64_t *pid, char *program, size_t size)
{
    char path[4096];
    const char *only = NULL, *slash;

    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        if (!hpp_comment_is(comment, "hpprof.process"))
            continue;
        if (only && strcmp(only, comment))
            return false;
        only = comment;
    }
    if (!only)
        return false;
    *pid = (int64_t)hpp_comment_number(only, "pid");
    hpp_comment_text(only, "image", path, sizeof path);
    slash = strrchr(path, '/');
    snprintf(program, size, "%s", slash ? slash + 1 : path);
    return true;
}

int hpp_profile_sampled_index(const struct hpp_profile *profile, const char **event)
{
    int index = hpp_profile_value_index(profile, "cpu", "nanoseconds");

    *event = NULL;
    for (size_t i = 0; index < 0 && i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        char name[32];
        if (hpp_comment_is(comment, "hpprof.process") &&
            hpp_comment_text(comment, "event", name, sizeof name))
            index = hpp_profile_value_index(profile, name, "count");
        if (index >= 0)
            *event = hpp_profile_string(profile, profile->value_types[index].type);
    }
    return index;
}
