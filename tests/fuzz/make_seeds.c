/* make_seeds FOLDER: writes the files from which fuzzing begins. */
#include "tests/unit/fixture.h"
#include "tests/unit/unwind_seeds.h"

#include <stdio.h>
#include <stdlib.h>

static int write_seed(const char *folder, const char *name, unsigned number, const void *bytes, size_t size)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s%u", folder, name, number);
    file = fopen(path, "w");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
        perror(path);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct fixture profile;
    int failed = argc != 2;

    for (unsigned i = 0; !failed && i < UNWIND_SEEDS; i++) {
        size_t size, frame, frame_size;
        uint8_t *bytes = unwind_seed(i, &size, &frame, &frame_size);
        failed = write_seed(argv[1], "seed", i, bytes, size);
        free(bytes);
    }
    if (!failed) {
        fixture_program(&profile, 7, "/bin/app", "00112233445566778899aabbccddeeff00112233", 0x400000);
        failed = write_seed(argv[1], "profile", 0, profile.bytes, profile.size);
        fixture_free(&profile);
    }
    return failed;
}
