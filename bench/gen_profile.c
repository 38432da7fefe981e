/* Writes a profile of programs that never ran, for measuring the commands:
 *
 *   gen_profile OUT STACKS ROUNDS LOCATIONS < PATHS
 *
 * The ELF files whose paths come on standard input are the images, each with LOCATIONS addresses spread over
 * its text; STACKS stacks of 8 to 40 frames are drawn from them, and each is sampled once in each of ROUNDS
 * chunks, as the agent would write them. The same input gives the same profile. */
#include "common/elf_header.h"
#include "proto/profile.pb-c.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHALLOW = 8, DEEP = 40, PERIOD = 10101010 };

/* What the first chunk holds, growing. */
static struct images {
    char **strings;
    size_t string_count;
    Hpp__Pprof__Mapping **mappings;
    size_t mapping_count;
    Hpp__Pprof__Location **locations;
    size_t location_count;
} all;

static uint64_t draw(uint64_t below)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

/* ARRAY with one more item at its end; room doubles at powers of two. */
static void *grow(void *array, size_t count, size_t size)
{
    if (count & (count - 1))
        return array;
    array = realloc(array, (count ? 2 * count : 1) * size);
    if (!array)
        abort();
    return array;
}

static int64_t add_string(const char *text)
{
    all.strings = grow(all.strings, all.string_count, sizeof *all.strings);
    all.strings[all.string_count] = strdup(text);
    return (int64_t)all.string_count++;
}

static void add_location(uint64_t mapping, uint64_t address)
{
    Hpp__Pprof__Location *location = malloc(sizeof *location);

    hpp__pprof__location__init(location);
    location->id = all.location_count + 1;
    location->mapping_id = mapping;
    location->address = address;
    all.locations = grow(all.locations, all.location_count, sizeof *all.locations);
    all.locations[all.location_count++] = location;
}

/* Adds the first executable segment of the file at PATH; nothing if it is no ELF file of this machine. */
static void add_image(const char *path, unsigned locations)
{
    static uint64_t next = UINT64_C(0x7f0000000000);
    struct hpp_elf_source source = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct hpp_elf_header header;
    Hpp__Pprof__Mapping *mapping;
    char build_id[2 * HPP_BUILD_ID_MAX + 1] = "";

    if (source.fd < 0)
        return;
    if (!hpp_elf_header_read(&source, &header) && header.count && header.executable[0].file_size) {
        for (unsigned i = 0; i < header.build_id_size; i++)
            sprintf(build_id + 2 * i, "%02x", header.build_id[i]);
        mapping = malloc(sizeof *mapping);
        hpp__pprof__mapping__init(mapping);
        mapping->id = all.mapping_count + 1;
        mapping->file_offset = header.executable[0].offset & ~UINT64_C(4095);
        mapping->memory_start = next;
        mapping->memory_limit = next + ((header.executable[0].file_size + 8191) & ~UINT64_C(4095));
        mapping->filename = add_string(path);
        mapping->build_id = add_string(build_id);
        all.mappings = grow(all.mappings, all.mapping_count, sizeof *all.mappings);
        all.mappings[all.mapping_count++] = mapping;
        for (unsigned i = 0; i < locations; i++)
            add_location(mapping->id,
                         next + (header.executable[0].offset & 4095) + draw(header.executable[0].file_size));
        next = mapping->memory_limit + (1 << 21);
    }
    close(source.fd);
}

/* One sample a stack, drawn anew but the same for the same count. */
static Hpp__Pprof__Sample **draw_samples(size_t stacks)
{
    static int64_t values[] = {1, PERIOD};
    Hpp__Pprof__Sample **samples = malloc(stacks * sizeof *samples);

    for (size_t i = 0; i < stacks; i++) {
        Hpp__Pprof__Sample *sample = malloc(sizeof *sample);
        hpp__pprof__sample__init(sample);
        sample->n_location_id = SHALLOW + draw(DEEP - SHALLOW + 1);
        sample->location_id = malloc(sample->n_location_id * sizeof *sample->location_id);
        for (size_t j = 0; j < sample->n_location_id; j++)
            sample->location_id[j] = 1 + draw(all.location_count);
        sample->n_value = 2;
        sample->value = values;
        samples[i] = sample;
    }
    return samples;
}

static bool write_chunk(FILE *out, const Hpp__Pprof__Profile *chunk)
{
    size_t size = hpp__pprof__profile__get_packed_size(chunk);
    uint8_t *bytes = malloc(size);
    bool good;

    hpp__pprof__profile__pack(chunk, bytes);
    good = fwrite(bytes, 1, size, out) == size;
    free(bytes);
    return good;
}

static bool write_profile(FILE *out, size_t stacks, unsigned rounds)
{
    Hpp__Pprof__Profile chunk = HPP__PPROF__PROFILE__INIT;
    Hpp__Pprof__ValueType samples = HPP__PPROF__VALUE_TYPE__INIT, cpu = HPP__PPROF__VALUE_TYPE__INIT;
    Hpp__Pprof__ValueType *types[] = {&samples, &cpu};

    samples.type = add_string("samples");
    samples.unit = add_string("count");
    cpu.type = add_string("cpu");
    cpu.unit = add_string("nanoseconds");
    chunk.n_sample_type = 2;
    chunk.sample_type = types;
    chunk.period_type = &cpu;
    chunk.period = PERIOD;
    chunk.n_string_table = all.string_count;
    chunk.string_table = all.strings;
    chunk.n_mapping = all.mapping_count;
    chunk.mapping = all.mappings;
    chunk.n_location = all.location_count;
    chunk.location = all.locations;
    chunk.n_sample = stacks;
    chunk.sample = draw_samples(stacks);
    if (!write_chunk(out, &chunk))
        return false;
    chunk.n_sample_type = chunk.n_string_table = chunk.n_mapping = chunk.n_location = 0;
    chunk.period_type = NULL;
    chunk.period = 0;
    while (--rounds)
        if (!write_chunk(out, &chunk))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    size_t stacks = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned rounds = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    char *path = NULL;
    size_t room = 0;
    FILE *out;

    if (!stacks || !rounds) {
        fputs("usage: gen_profile OUT STACKS ROUNDS LOCATIONS < PATHS\n", stderr);
        return 2;
    }
    add_string("");
    while (getline(&path, &room, stdin) > 0) {
        path[strcspn(path, "\n")] = 0;
        add_image(path, (unsigned)strtoul(argv[4], NULL, 10));
    }
    free(path);
    if (!all.location_count) {
        fputs("gen_profile: no ELF file on standard input\n", stderr);
        return 1;
    }
    out = fopen(argv[1], "w");
    if (!out || !write_profile(out, stacks, rounds) || fclose(out)) {
        perror(argv[1]);
        return 1;
    }
    printf("%s: %zu samples in %zu stacks of %zu images\n", argv[1], stacks * rounds, stacks,
           all.mapping_count);
    return 0;
}
