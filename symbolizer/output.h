/* A file that appears whole or not at all: written beside its place under another name, then renamed.
 * Offline only. */
#ifndef HPP_SYMBOLIZER_OUTPUT_H
#define HPP_SYMBOLIZER_OUTPUT_H

#include "symbolizer/profile.h"

#include <stdio.h>
#include <sys/types.h>

struct hpp_output {
    FILE *file;
    char path[4096], temporary[4200]; /* temporary is "" where the file is written directly */
};

/* Opens OUTPUT for PATH. What is at PATH now stays until hpp_output_close. IN_PLACE: "-" is standard output,
 * and a device, pipe or link at PATH is written through; without it PATH is replaced, whatever it is, and no
 * link is followed. Returns 0, or -errno and one line in ERROR. */
int hpp_output_open(struct hpp_output *output, const char *path, mode_t mode, bool in_place,
                    char error[HPP_ERROR_SIZE]);

/* Ends OUTPUT. RESULT is 0, or the -errno that writing met, upon which nothing is left behind. Returns RESULT
 * or the error of closing, with one line in ERROR. */
int hpp_output_close(struct hpp_output *output, int result, char error[HPP_ERROR_SIZE]);

#endif
