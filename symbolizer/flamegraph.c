/* The tree of stacks, and the folded lines. Offline only. */
#include "symbolizer/flamegraph.h"
#include "symbolizer/escape.h"
#include "symbolizer/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The child NAME of PARENT, made when it is new. KEYS knows the nodes but the root by (parent, name). */
static uint32_t child(struct hpp_flame *flame, struct hpp_intern *keys, uint32_t parent, uint32_t name,
                      uint32_t image)
{
    uint32_t key[2] = {parent, name}, node = hpp_intern_add(keys, key, sizeof key) + 1;

    if (node == flame->count) {
        flame->nodes = hpp_memory_room(flame->nodes, &flame->room, flame->count + 1, sizeof *flame->nodes);
        flame->nodes[flame->count++] =
            (struct hpp_flame_node){.name = name, .image = image, .parent = parent};
    }
    return node;
}

static void add_sample(struct hpp_flame *flame, struct hpp_intern *keys, size_t sample, int64_t samples,
                       int64_t ns)
{
    const struct hpp_profile *profile = flame->profile;
    size_t depth;
    const uint32_t *stack = hpp_profile_stack(profile, sample, &depth);
    uint32_t node = 0;

    while (depth--) {
        const struct hpp_location *location = &profile->locations[stack[depth]];
        uint32_t image = location->mapping == HPP_NONE ? 0 : profile->mappings[location->mapping].filename;
        for (uint32_t j = location->line_count; j--;) {
            const struct hpp_line *line = &profile->lines[location->first_line + j];
            node = child(flame, keys, node, profile->functions[line->function].name, image);
        }
    }
    flame->nodes[node].self_samples = hpp_clamped_sum(flame->nodes[node].self_samples, samples);
    flame->nodes[node].samples = hpp_clamped_sum(flame->nodes[node].samples, samples);
    flame->nodes[node].ns = hpp_clamped_sum(flame->nodes[node].ns, ns);
}

static int compare(const void *left, const void *right, void *context)
{
    const struct hpp_flame *flame = context;
    const struct hpp_flame_node *a = &flame->nodes[*(const uint32_t *)left];
    const struct hpp_flame_node *b = &flame->nodes[*(const uint32_t *)right];

    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return strcmp(hpp_profile_string(flame->profile, a->name), hpp_profile_string(flame->profile, b->name));
}

/* Sums up towards the root, and gives each node its children in order[]. */
static void finish(struct hpp_flame *flame)
{
    size_t edges = flame->count - 1;

    for (size_t i = edges; i > 0; i--) {
        struct hpp_flame_node *parent = &flame->nodes[flame->nodes[i].parent];
        parent->samples = hpp_clamped_sum(parent->samples, flame->nodes[i].samples);
        parent->ns = hpp_clamped_sum(parent->ns, flame->nodes[i].ns);
        parent->count++;
    }
    flame->order = hpp_memory_get(edges * sizeof *flame->order);
    for (size_t i = 0; i < edges; i++)
        flame->order[i] = (uint32_t)i + 1;
    qsort_r(flame->order, edges, sizeof *flame->order, compare, flame);
    for (size_t i = 0; i < edges; i += flame->nodes[flame->nodes[flame->order[i]].parent].count)
        flame->nodes[flame->nodes[flame->order[i]].parent].first = (uint32_t)i;
}

int hpp_flame_make(struct hpp_flame *flame, struct hpp_profile *profile)
{
    int samples_column = hpp_profile_value_index(profile, "samples", "count");
    const char *event;
    int ns_column = hpp_profile_sampled_index(profile, &event);
    struct hpp_intern keys = {0};

    *flame = (struct hpp_flame){.profile = profile, .event = event};
    if (samples_column < 0 || ns_column < 0)
        return -EINVAL;
    flame->nodes = hpp_memory_room(NULL, &flame->room, 1, sizeof *flame->nodes);
    flame->nodes[flame->count++] = (struct hpp_flame_node){.name = hpp_profile_add_string(profile, "all")};
    for (size_t i = 0; i < profile->sample_count; i++) {
        const int64_t *values = profile->values + i * profile->value_count;
        add_sample(flame, &keys, i, values[samples_column], values[ns_column]);
    }
    hpp_intern_free(&keys);
    finish(flame);
    return 0;
}

void hpp_flame_free(struct hpp_flame *flame)
{
    free(flame->nodes);
    free(flame->order);
    *flame = (struct hpp_flame){0};
}

/* NAME without the characters that mean something in a folded line. */
static void print_name(FILE *out, const char *name)
{
    char copy[4096];

    snprintf(copy, sizeof copy, "%s", name);
    for (char *at = copy; *at; at++)
        if (*at == ';')
            *at = ':';
    hpp_escape_plain(out, copy, 0);
}

void hpp_flame_print_folded(FILE *out, const struct hpp_flame *flame)
{
    uint32_t *path = NULL;
    size_t room = 0;

    for (size_t i = 0; i + 1 < flame->count; i++) {
        uint32_t node = flame->order[i];
        size_t depth = 0;
        if (!flame->nodes[node].self_samples)
            continue;
        for (uint32_t at = node; at; at = flame->nodes[at].parent) {
            path = hpp_memory_room(path, &room, depth + 1, sizeof *path);
            path[depth++] = at;
        }
        while (depth--) {
            print_name(out, hpp_profile_string(flame->profile, flame->nodes[path[depth]].name));
            fputc(depth ? ';' : ' ', out);
        }
        fprintf(out, "%" PRId64 "\n", flame->nodes[node].self_samples);
    }
    free(path);
}
