/* Reads /proc/self/maps. Start-up code and writer. */
#include "common/maps.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"

int hpp_maps_open(struct hpp_maps *maps)
{
    long fd = hpp_sys_open("/proc/self/maps", O_RDONLY, 0);

    maps->fd = (int)fd;
    maps->begin = maps->end = 0;
    return fd < 0 ? (int)fd : 0;
}

void hpp_maps_close(struct hpp_maps *maps)
{
    hpp_sys_close(maps->fd);
}

/* Moves what is unread to the front and reads more. Returns the bytes read, 0 at the end, -errno. */
static long fill(struct hpp_maps *maps)
{
    long count;

    for (unsigned i = maps->begin; i < maps->end; i++)
        maps->buffer[i - maps->begin] = maps->buffer[i];
    maps->end -= maps->begin;
    maps->begin = 0;
    if (maps->end == sizeof maps->buffer)
        maps->end = 0; /* one endless line: drop its beginning, what is left fails to parse */
    do
        count = hpp_sys_read(maps->fd, maps->buffer + maps->end, sizeof maps->buffer - maps->end);
    while (count == -EINTR);
    if (count > 0)
        maps->end += (unsigned)count;
    return count;
}

/* Parses digits of BASE at *AT and steps over them and the character STOP behind them. */
static int number(const char **at, unsigned base, char stop, uint64_t *value)
{
    const char *c = *at;

    *value = 0;
    for (;; c++) {
        unsigned digit = (unsigned)hpp_text_hex_digit(*c); /* huge if it is none */
        if (digit >= base)
            break;
        *value = *value * base + digit;
    }
    if (c == *at || *c != stop)
        return -1;
    *at = c + 1;
    return 0;
}

/* The kernel writes a newline in a path as \012. */
static void unescape(char *path)
{
    char *to = path;

    for (const char *from = path; *from; to++) {
        const char *after = hpp_text_after(from, "\\012");
        *to = after ? '\n' : *from;
        from = after ? after : from + 1;
    }
    *to = 0;
}

static int parse(char *text, struct hpp_maps_line *line)
{
    static const char deleted[] = " (deleted)";
    const char *at = text;
    uint64_t major, minor;
    size_t length;

    if (number(&at, 16, '-', &line->start) || number(&at, 16, ' ', &line->end))
        return -1;
    if (hpp_text_length(at) < 5)
        return -1;
    line->readable = at[0] == 'r';
    line->writable = at[1] == 'w';
    line->executable = at[2] == 'x';
    line->shared = at[3] == 's';
    at += 5;
    if (number(&at, 16, ' ', &line->offset) || number(&at, 16, ':', &major) || number(&at, 16, ' ', &minor) ||
        number(&at, 10, ' ', &line->inode))
        return -1;
    line->device = major << 32 | minor;
    while (*at == ' ')
        at++;
    line->path = text + (at - text);
    unescape(line->path);
    length = hpp_text_length(line->path);
    if (length > sizeof deleted - 1 && hpp_text_equal(line->path + length - (sizeof deleted - 1), deleted))
        line->path[length - (sizeof deleted - 1)] = 0;
    return 0;
}

int hpp_maps_next(struct hpp_maps *maps, struct hpp_maps_line *line)
{
    for (;;) {
        for (unsigned i = maps->begin; i < maps->end; i++) {
            if (maps->buffer[i] == '\n') {
                char *text = maps->buffer + maps->begin;
                maps->buffer[i] = 0;
                maps->begin = i + 1;
                if (!parse(text, line))
                    return 1;
            }
        }
        long count = fill(maps);
        if (count <= 0)
            return (int)count;
    }
}

int hpp_maps_all(uint64_t start, uint64_t end,
                 int (*is)(const void *context, const struct hpp_maps_line *line), const void *context)
{
    struct hpp_maps maps;
    struct hpp_maps_line line;
    int result = hpp_maps_open(&maps);

    if (result)
        return result;
    while (start < end && (result = hpp_maps_next(&maps, &line)) > 0) {
        if (line.end <= start)
            continue;
        if (line.start > start || !is(context, &line))
            break;
        start = line.end;
    }
    hpp_maps_close(&maps);
    return result < 0 ? result : start >= end;
}
