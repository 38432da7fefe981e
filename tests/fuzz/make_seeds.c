/* make_seeds FOLDER: writes the files from which fuzzing begins. */
#include "tests/unit/unwind_seeds.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc == 2 && i < UNWIND_SEEDS; i++) {
        size_t size, frame, frame_size;
        uint8_t *bytes = unwind_seed(i, &size, &frame, &frame_size);
        char path[4096];
        FILE *file;

        snprintf(path, sizeof path, "%s/seed%u", argv[1], i);
        file = fopen(path, "w");
        if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
            perror(path);
            return 1;
        }
        free(bytes);
    }
    return argc == 2 ? 0 : 2;
}
