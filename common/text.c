/* Text without libc, for the agent's start-up code and writer. */
#include "common/text.h"

#include <errno.h>

void hpp_text_put_bytes(struct hpp_text *text, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && text->used + 1 < text->size; i++)
        text->data[text->used++] = bytes[i];
    if (text->size)
        text->data[text->used] = 0;
}

void hpp_text_put(struct hpp_text *text, const char *string)
{
    hpp_text_put_bytes(text, string, hpp_text_length(string));
}

static void put_digits(struct hpp_text *text, uint64_t number, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;

    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    hpp_text_put_bytes(text, digits + at, sizeof digits - at);
}

void hpp_text_put_number(struct hpp_text *text, uint64_t number)
{
    put_digits(text, number, 10);
}

void hpp_text_put_hex(struct hpp_text *text, uint64_t number)
{
    put_digits(text, number, 16);
}

void hpp_text_put_thousandths(struct hpp_text *text, uint64_t thousandths)
{
    char fraction[4] = {'.', (char)('0' + thousandths / 100 % 10), (char)('0' + thousandths / 10 % 10),
                        (char)('0' + thousandths % 10)};
    put_digits(text, thousandths / 1000, 10);
    hpp_text_put_bytes(text, fraction, sizeof fraction);
}

unsigned hpp_text_read_hex(const char **at, uint8_t *bytes, unsigned most)
{
    unsigned count = 0;

    for (; count < most && hpp_text_hex_digit((*at)[0]) >= 0 && hpp_text_hex_digit((*at)[1]) >= 0; *at += 2)
        bytes[count++] = (uint8_t)(hpp_text_hex_digit((*at)[0]) << 4 | hpp_text_hex_digit((*at)[1]));
    return count;
}

size_t hpp_text_length(const char *string)
{
    size_t length = 0;
    while (string[length])
        length++;
    return length;
}

int hpp_text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const char *hpp_text_after(const char *string, const char *prefix)
{
    while (*prefix && *string == *prefix)
        string++, prefix++;
    return *prefix ? NULL : string;
}

const char *hpp_text_base_name(const char *path)
{
    const char *base = path;
    for (; *path; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

/* Whether C is in the set that begins after '['; *END gets what follows the set's ']'. A set that is
 * not closed matches nothing and *END is NULL. */
static int in_set(const char *set, char c, const char **end)
{
    int invert = *set == '!' || *set == '^';
    int found = 0;

    set += invert;
    for (int first = 1; *set && (first || *set != ']'); first = 0) {
        char low = *set++, high = low;
        if (*set == '-' && set[1] && set[1] != ']') {
            high = set[1];
            set += 2;
        }
        found |= low <= c && c <= high;
    }
    *end = *set ? set + 1 : NULL;
    return *set && found != invert;
}

int hpp_text_is_pattern(const char *pattern)
{
    const char *after;

    while (*pattern) {
        if (*pattern++ != '[')
            continue;
        in_set(pattern, 0, &after);
        if (!after)
            return 0;
        pattern = after;
    }
    return 1;
}

int hpp_text_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL, *after;

    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
            continue;
        }
        if (!*text)
            return !*pattern;
        if (*pattern == '[' && in_set(pattern + 1, *text, &after)) {
            pattern = after;
            text++;
        } else if (*pattern && *pattern != '[' && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++retry;
        } else {
            return 0;
        }
    }
}

const char *hpp_text_error(long error)
{
    static const struct {
        int number;
        const char *text;
    } errors[] = {
        {EPERM, "Operation not permitted"},
        {ENOENT, "No such file or directory"},
        {EINTR, "Interrupted system call"},
        {EIO, "Input/output error"},
        {EBADF, "Bad file descriptor"},
        {EAGAIN, "Resource temporarily unavailable"},
        {ENOMEM, "Cannot allocate memory"},
        {EACCES, "Permission denied"},
        {EFAULT, "Bad address"},
        {EBUSY, "Device or resource busy"},
        {EEXIST, "File exists"},
        {ENODEV, "No such device"},
        {ENOTDIR, "Not a directory"},
        {EISDIR, "Is a directory"},
        {EINVAL, "Invalid argument"},
        {EMFILE, "Too many open files"},
        {ENFILE, "Too many open files in system"},
        {ETXTBSY, "Text file busy"},
        {EFBIG, "File too large"},
        {ENOSPC, "No space left on device"},
        {EROFS, "Read-only file system"},
        {ENAMETOOLONG, "File name too long"},
        {ENOSYS, "Function not implemented"},
        {ELOOP, "Too many levels of symbolic links"},
        {EDQUOT, "Disk quota exceeded"},
    };
    if (error < 0)
        error = -error;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].number == error)
            return errors[i].text;
    return "error";
}

unsigned hpp_text_utf8_length(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned c = bytes[0], count = c < 0x80   ? 1
                                   : c < 0xc2 ? 0
                                   : c < 0xe0 ? 2
                                   : c < 0xf0 ? 3
                                   : c < 0xf5 ? 4
                                              : 0;

    for (unsigned i = 1; i < count; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && bytes[1] < 0xa0) || (c == 0xed && bytes[1] > 0x9f) || (c == 0xf0 && bytes[1] < 0x90) ||
        (c == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return count;
}
