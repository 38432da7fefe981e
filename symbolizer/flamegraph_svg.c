/* The flame graph as a self-contained SVG. It shows without script; flamegraph.js, which is built in, makes
 * it fit the window, zoom and search. Offline only. */
#include "symbolizer/booked.h"
#include "symbolizer/escape.h"
#include "symbolizer/flamegraph.h"
#include "symbolizer/memory.h"
#include "symbolizer/summary.h"
#include "symbolizer/symbolize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 1200,     /* of the drawing, before the script fits it to the window */
    MARGIN = 10,      /* left and right */
    ROW = 17,         /* height of a frame and the gap above it */
    HEAD = 58,        /* title and controls */
    FOOT = 34,        /* the line of details */
    DEPTH_MAX = 1000, /* deeper frames are not drawn */
};

static const double character_width = 7.23, thinnest = 0.1; /* pixels; the script knows the former too */

extern const char flamegraph_script[] __attribute__((visibility("hidden")));
__asm__(".pushsection .rodata\n"
        "flamegraph_script:\n"
        ".incbin \"symbolizer/flamegraph.js\"\n"
        ".byte 0\n"
        ".popsection\n");

/* A frame to draw: where it begins, in nanoseconds from the left. */
struct frame {
    uint32_t node, depth;
    int64_t left;
};

static uint32_t hash(const char *text)
{
    uint32_t value = 2166136261u; /* FNV-1a */

    while (*text)
        value = (value ^ (unsigned char)*text++) * 16777619u;
    return value ^ value >> 15;
}

/* A channel of the colour (hue in degrees, saturation and lightness in percent), 0 to 255: CSS Color 4,
 * 7.1. */
static int channel(int degrees, int saturation, int lightness)
{
    int turned = degrees % 360;
    int slope = turned < 60 ? turned : turned < 180 ? 60 : turned < 240 ? 240 - turned : 0;
    double spread = saturation / 100.0 * (lightness < 50 ? lightness : 100 - lightness) / 100.0;

    return (int)(255 * (lightness / 100.0 + spread * (slope / 30.0 - 1)) + 0.5);
}

/* A hue for each image, lightness by name; grey for what is no function, pale for functions without a
 * name. */
static void print_color(FILE *out, const char *name, const char *image)
{
    const char *base = hpp_base_name(image);
    size_t length = strlen(base);
    bool nameless = length && !strncmp(name, base, length) && !strncmp(name + length, "+0x", 3);
    /* Up to 15 degrees either way by name; no magenta, which is for what was searched. */
    int hue = (int)(hash(image) % 250 + 345 + hash(name) / 16 % 30);
    int saturation = nameless ? 30 : 75, lightness = 70 + (int)(hash(name) % 12);

    if (!*image || !strcmp(name, HPP_NAME_ANON))
        saturation = 0;
    fprintf(out, "#%02x%02x%02x", channel(hue + 120, saturation, lightness),
            channel(hue, saturation, lightness), channel(hue + 240, saturation, lightness));
}

/* The part of NAME that fits a frame of this many pixels; nothing rather than one or two characters. */
static void print_label(FILE *out, const char *name, double pixels)
{
    int room = (int)((pixels - 6) / character_width);
    size_t shown = 0, characters = 0, size = 0, length;

    for (; name[size]; size += length ? length : 1, characters++) {
        length = hpp_escape_utf8(name + size);
        if ((int)characters == room - 2)
            shown = size;
    }
    if (room < 3)
        return;
    if ((int)characters <= room) {
        hpp_escape_xml(out, name);
        return;
    }
    char *cut = hpp_memory_copy(name, shown + 1);
    cut[shown] = '\0';
    hpp_escape_xml(out, cut);
    fputs("..", out);
    free(cut);
}

/* What stands in brackets behind the name: its file, or what a name in brackets means. */
static const char *place_of(const char *name, const char *image)
{
    if (*image)
        return strcmp(name, HPP_NAME_ANON) ? hpp_base_name(image) : "made at run time";
    return !strcmp(name, HPP_NAME_UNFINISHED)  ? "callers not known"
           : !strcmp(name, HPP_NAME_TRUNCATED) ? "frames left out"
           : hpp_booked_by_name(name) >= 0     ? "CPU time without samples"
                                               : "";
}

static void print_frame(FILE *out, const struct hpp_flame *flame, const struct frame *frame, double total,
                        uint32_t levels)
{
    const struct hpp_flame_node *node = &flame->nodes[frame->node];
    const char *name = hpp_profile_string(flame->profile, node->name);
    const char *image = hpp_profile_string(flame->profile, node->image);
    const char *place = place_of(name, image);
    double scale = (WIDTH - 2 * MARGIN) / total, x = MARGIN + (double)frame->left * scale;
    double width = (double)node->ns * scale;
    uint32_t y = HEAD + (levels - 1 - frame->depth) * ROW;

    fprintf(out, "<g data-x=\"%.9g\" data-w=\"%.9g\"><title>", (double)frame->left / total,
            (double)node->ns / total);
    hpp_escape_xml(out, name);
    if (*place) {
        fputs(" [", out);
        hpp_escape_xml(out, place);
        fputc(']', out);
    }
    fprintf(out, " (%" PRId64 " sample%s, ", node->samples, node->samples == 1 ? "" : "s");
    if (flame->event)
        fprintf(out, "%" PRId64 " %s", node->ns, flame->event);
    else
        fprintf(out, "%.2f s", (double)node->ns / 1e9);
    fprintf(out, ", %.2f%%)</title><rect x=\"%.2f\" y=\"%" PRIu32 "\" width=\"%.2f\" height=\"%d\" fill=\"",
            100 * (double)node->ns / total, x, y, width, ROW - 1);
    if (frame->node)
        print_color(out, name, image);
    else
        fputs("#ddd", out);
    fprintf(out, "\"/><text x=\"%.2f\" y=\"%" PRIu32 "\">", x + 3, y + 12);
    print_label(out, name, width);
    fputs("</text></g>\n", out);
}

/* The frames that are wide enough, parents before children. Returns how many; *LEVELS gets the depth. */
static size_t lay_out(const struct hpp_flame *flame, struct frame **frames, uint32_t *levels)
{
    double least = thinnest * (double)flame->nodes[0].ns / (WIDTH - 2 * MARGIN);
    size_t count = 1, room = 0;

    *frames = hpp_memory_room(NULL, &room, 1, sizeof **frames);
    (*frames)[0] = (struct frame){0};
    *levels = 1;
    for (size_t i = 0; i < count; i++) {
        const struct frame at = (*frames)[i];
        const struct hpp_flame_node *node = &flame->nodes[at.node];
        int64_t left = at.left;
        for (uint32_t j = 0; j < node->count && at.depth + 1 < DEPTH_MAX; j++) {
            uint32_t below = flame->order[node->first + j];
            int64_t ns = flame->nodes[below].ns;
            if (ns > 0 && (double)ns >= least) {
                *frames = hpp_memory_room(*frames, &room, count + 1, sizeof **frames);
                (*frames)[count++] = (struct frame){below, at.depth + 1, left};
                *levels = at.depth + 2;
            }
            left = hpp_clamped_sum(left, ns > 0 ? ns : 0);
        }
    }
    return count;
}

static void print_head(FILE *out, const struct hpp_flame *flame, const char *title, int height)
{
    struct hpp_summary summary;
    const struct hpp_flame_node *root = &flame->nodes[0];

    hpp_summary_make(&summary, flame->profile);
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
            "<style>\n"
            "text{font:12px monospace;fill:#111;pointer-events:none}\n"
            "#title{font:bold 17px sans-serif;text-anchor:middle}\n"
            "#about{font:12px sans-serif;text-anchor:middle;fill:#555}\n"
            ".button{font:12px sans-serif;fill:#05c;cursor:pointer;pointer-events:all}\n"
            ".button:hover{text-decoration:underline}\n"
            "#matched{font:12px sans-serif;text-anchor:end}\n"
            "#frames g{cursor:pointer}\n"
            "#frames rect{stroke:#fffdf7;stroke-width:.4}\n"
            "#frames g:hover rect{stroke:#000;stroke-width:.7}\n"
            "#frames g.above{opacity:.55}\n"
            "#frames g.match rect{fill:#ff66e0}\n"
            "</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fffdf7\"/>\n"
            "<text id=\"title\" x=\"%d\" y=\"24\">",
            WIDTH, height, WIDTH, height, WIDTH / 2);
    hpp_escape_xml(out, title);
    fprintf(out, "</text>\n<text id=\"about\" x=\"%d\" y=\"43\">%" PRId64 " samples, %.2f CPU-seconds",
            WIDTH / 2, hpp_booked_others(flame->profile), (double)root->ns / 1e9);
    if (summary.frequency)
        fprintf(out, ", %" PRIu64 " Hz", summary.frequency);
    if (summary.processes > 1)
        fprintf(out, ", %zu processes", summary.processes);
    fprintf(
        out,
        "</text>\n"
        "<text id=\"reset\" class=\"button\" x=\"%d\" y=\"24\" visibility=\"hidden\">Reset zoom</text>\n"
        "<text id=\"search\" class=\"button\" x=\"%d\" y=\"24\" text-anchor=\"end\" visibility=\"hidden\">"
        "Search</text>\n",
        MARGIN, WIDTH - MARGIN);
    hpp_summary_free(&summary);
}

void hpp_flame_print_svg(FILE *out, const struct hpp_flame *flame, const char *title)
{
    struct frame *frames;
    uint32_t levels;
    size_t count = lay_out(flame, &frames, &levels);
    int height = HEAD + (int)levels * ROW + FOOT;
    double total = flame->nodes[0].ns > 0 ? (double)flame->nodes[0].ns : 1;

    print_head(out, flame, title, height);
    fputs("<g id=\"frames\">\n", out);
    for (size_t i = 0; i < count; i++)
        print_frame(out, flame, &frames[i], total, levels);
    fprintf(out,
            "</g>\n<text id=\"details\" x=\"%d\" y=\"%d\"></text>\n"
            "<text id=\"matched\" x=\"%d\" y=\"%d\"></text>\n"
            "<script><![CDATA[\n%s]]></script>\n</svg>\n",
            MARGIN, height - 12, WIDTH - MARGIN, height - 12, flamegraph_script);
    free(frames);
}
