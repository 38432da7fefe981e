/* Escaping for terminals, JSON and XML. Offline only. */
#include "symbolizer/escape.h"

#include <string.h>

size_t hpp_escape_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t length = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

/* U+0000 to U+001F, U+007F to U+009F: what terminals act on. */
static int is_control(const char *text)
{
    unsigned char first = (unsigned char)text[0];

    return first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0);
}

static size_t characters(const char *text)
{
    size_t count = 0, length;

    for (; *text; text += length ? length : 1, count++)
        length = hpp_escape_utf8(text);
    return count;
}

size_t hpp_escape_plain(FILE *out, const char *text, size_t columns)
{
    size_t all = characters(text), shown = columns && all > columns ? columns - 1 : all, length;

    for (size_t i = 0; i < shown; i++, text += length ? length : 1) {
        length = hpp_escape_utf8(text);
        if (!length || is_control(text))
            fputc('?', out);
        else
            fwrite(text, 1, length, out);
    }
    if (shown < all)
        fputs("…", out);
    return shown + (shown < all);
}

void hpp_escape_json(FILE *out, const char *text)
{
    size_t length;

    fputc('"', out);
    for (; *text; text += length ? length : 1) {
        length = hpp_escape_utf8(text);
        if (!length)
            fputs("\\ufffd", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", *text);
        else
            fwrite(text, 1, length, out);
    }
    fputc('"', out);
}

void hpp_escape_xml(FILE *out, const char *text)
{
    size_t length;

    for (; *text; text += length ? length : 1) {
        length = hpp_escape_utf8(text);
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if (!length || is_control(text) || !strncmp(text, "\xef\xbf\xbe", 3) ||
                 !strncmp(text, "\xef\xbf\xbf", 3))
            fputc('?', out); /* U+FFFE and U+FFFF may not stand in XML */
        else
            fwrite(text, 1, length, out);
    }
}
