/* Small files of /proc and /sys. Start-up code, writer and offline. */
#include "common/proc_file.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"

long hpp_proc_file_read(const char *path, char *to, size_t size)
{
    long fd = hpp_sys_open(path, O_RDONLY, 0);
    size_t used = 0;
    long count = 0;

    to[0] = 0;
    if (fd < 0)
        return fd;
    while (used < size - 1 && (count = hpp_sys_read((int)fd, to + used, size - 1 - used)) != 0) {
        if (count == -EINTR)
            continue;
        if (count < 0)
            break;
        used += (size_t)count;
    }
    hpp_sys_close((int)fd);
    to[used] = 0;
    return count < 0 ? count : (long)used;
}

uint64_t hpp_proc_file_number(const char *text)
{
    uint64_t value = 0;

    while (*text == ' ' || *text == '\t')
        text++;
    if (*text < '0' || *text > '9')
        return UINT64_MAX;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return UINT64_MAX;
    return value;
}

const char *hpp_proc_file_line(const char *text, const char *key)
{
    for (;;) {
        const char *after = hpp_text_after(text, key);
        if (after)
            return after;
        while (*text && *text != '\n')
            text++;
        if (!*text)
            return NULL;
        text++;
    }
}
