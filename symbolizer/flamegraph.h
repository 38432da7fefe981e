/* The stacks of a profile as a tree of names, root first, and its two pictures: folded lines and an SVG.
 * Offline only. */
#ifndef HPP_SYMBOLIZER_FLAMEGRAPH_H
#define HPP_SYMBOLIZER_FLAMEGRAPH_H

#include "symbolizer/profile.h"

#include <stdio.h>

struct hpp_flame_node {
    uint32_t name, image;  /* strings; image: a path, 0 if none */
    uint32_t parent;       /* the root is its own */
    uint32_t first, count; /* children in order[] */
    int64_t samples, ns;   /* of this node and all below it */
    int64_t self_samples;  /* of stacks that end here */
};

struct hpp_flame {
    const struct hpp_profile *profile;
    const char *event;            /* NULL: ns is CPU time; else the number of these events */
    struct hpp_flame_node *nodes; /* node 0 is the root, "all"; a child comes after its parent */
    size_t count, room;
    uint32_t *order; /* nodes without the root, children of one parent together, by name */
};

/* Makes the tree of PROFILE, which must have names (hpp_symbolize) and outlive FLAME; it gets one string
 * more. Returns 0, or -EINVAL when it holds no samples/count, or neither CPU time nor events. Free FLAME in
 * any case. */
int hpp_flame_make(struct hpp_flame *flame, struct hpp_profile *profile);
void hpp_flame_free(struct hpp_flame *flame);

/* Prints `root;…;leaf weight` lines, weight in samples, for flamegraph.pl and others. */
void hpp_flame_print_folded(FILE *out, const struct hpp_flame *flame);

/* Prints a self-contained SVG, widths by CPU time. */
void hpp_flame_print_svg(FILE *out, const struct hpp_flame *flame, const char *title);

#endif
