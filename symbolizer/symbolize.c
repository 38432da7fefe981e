/* From addresses to names, over a whole profile. Offline only. */
#include "symbolizer/symbolize.h"
#include "symbolizer/memory.h"
#include "symbolizer/symbols.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file, for all mappings of it. */
struct image {
    uint32_t filename, build_id;
    bool usable;
    struct hpp_symbols symbols;
    uint32_t *functions; /* of each symbol: its function, HPP_NONE before the first use */
};

struct naming {
    struct hpp_profile *profile;
    bool all;
    void (*tell)(const char *line);
    struct image *images;
    size_t image_count, image_room;
    uint32_t *image_of; /* of each mapping: index in images, HPP_NONE before the first use */
};

const char *hpp_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

bool hpp_is_image_name(const char *filename)
{
    if (!strcmp(filename, "[vdso]"))
        return true;
    return *filename && *filename != '[' && strncmp(filename, "//anon", 6) && strncmp(filename, "/memfd:", 7);
}

static struct image *image_of(struct naming *naming, uint32_t index)
{
    const struct hpp_mapping *mapping = &naming->profile->mappings[index];
    const char *path = hpp_profile_string(naming->profile, mapping->filename);
    char why[HPP_WHY_SIZE], line[HPP_ERROR_SIZE];
    struct image *image;

    if (naming->image_of[index] != HPP_NONE)
        return &naming->images[naming->image_of[index]];
    for (size_t i = 0; i < naming->image_count; i++) {
        image = &naming->images[i];
        if (image->filename == mapping->filename && image->build_id == mapping->build_id) {
            naming->image_of[index] = (uint32_t)i;
            return image;
        }
    }
    naming->images =
        hpp_memory_room(naming->images, &naming->image_room, naming->image_count + 1, sizeof *naming->images);
    image = &naming->images[naming->image_count];
    *image = (struct image){.filename = mapping->filename, .build_id = mapping->build_id};
    naming->image_of[index] = (uint32_t)naming->image_count++;
    image->usable =
        !hpp_symbols_read(&image->symbols, path, hpp_profile_string(naming->profile, mapping->build_id),
                          mapping->file_offset, why);
    image->functions = hpp_memory_get(image->symbols.count * sizeof *image->functions);
    memset(image->functions, 0xff, image->symbols.count * sizeof *image->functions);
    if (!image->usable && naming->tell) {
        snprintf(line, sizeof line, "%s: %s: its functions stay without names", path, why);
        naming->tell(line);
    }
    return image;
}

static uint32_t add_function(struct hpp_profile *profile, const char *name, const char *system_name)
{
    return hpp_profile_add_function(
        profile, &(struct hpp_function){.name = hpp_profile_add_string(profile, name),
                                        .system_name = hpp_profile_add_string(profile, system_name)});
}

static uint32_t symbol_function(struct naming *naming, struct image *image, size_t symbol)
{
    const char *name = hpp_symbols_name(&image->symbols, symbol);
    char *demangled;

    if (image->functions[symbol] == HPP_NONE) {
        demangled = hpp_demangle(name);
        image->functions[symbol] = add_function(naming->profile, demangled ? demangled : name, name);
        free(demangled);
    }
    return image->functions[symbol];
}

/* The function of a location that lies in mapping INDEX, or HPP_NONE. */
static uint32_t image_function(struct naming *naming, uint32_t index, uint64_t address)
{
    const struct hpp_mapping *mapping = &naming->profile->mappings[index];
    uint64_t offset = address - mapping->start + mapping->file_offset;
    struct image *image = image_of(naming, index);
    size_t symbol = hpp_symbols_find(&image->symbols, offset);
    char name[4400];

    if (symbol < image->symbols.count && image->symbols.symbols[symbol].start <= offset)
        return symbol_function(naming, image, symbol);
    if (!image->usable && !naming->all)
        return HPP_NONE;
    snprintf(name, sizeof name, "%.4096s+0x%" PRIx64,
             hpp_base_name(hpp_profile_string(naming->profile, mapping->filename)), offset);
    return add_function(naming->profile, name, name);
}

static void name_location(struct naming *naming, size_t index)
{
    struct hpp_profile *profile = naming->profile;
    struct hpp_location *location = &profile->locations[index];
    const char *filename = location->mapping == HPP_NONE
                               ? ""
                               : hpp_profile_string(profile, profile->mappings[location->mapping].filename);
    struct hpp_line line = {0};

    if (hpp_is_image_name(filename))
        line.function = image_function(naming, location->mapping, location->address);
    else if (location->mapping == HPP_NONE)
        line.function = add_function(profile, HPP_NAME_UNKNOWN, HPP_NAME_UNKNOWN);
    else if (!*filename || !strncmp(filename, "//anon", 6))
        line.function = add_function(profile, HPP_NAME_ANON, HPP_NAME_ANON);
    else
        line.function = add_function(profile, hpp_base_name(filename), hpp_base_name(filename));
    if (line.function == HPP_NONE)
        return;
    location->first_line = hpp_profile_add_lines(profile, &line, 1);
    location->line_count = 1;
}

void hpp_symbolize(struct hpp_profile *profile, bool all, void (*tell)(const char *line))
{
    struct naming naming = {.profile = profile, .all = all, .tell = tell};
    bool *named = hpp_memory_get(profile->mapping_count);

    naming.image_of = hpp_memory_get(profile->mapping_count * sizeof *naming.image_of);
    memset(naming.image_of, 0xff, profile->mapping_count * sizeof *naming.image_of);
    memset(named, true, profile->mapping_count);
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct hpp_location *location = &profile->locations[i];
        if (!location->line_count)
            name_location(&naming, i);
        if (location->mapping != HPP_NONE)
            named[location->mapping] &= location->line_count > 0;
    }
    for (size_t i = 0; i < profile->mapping_count; i++)
        profile->mappings[i].has_functions = named[i];
    for (size_t i = 0; i < naming.image_count; i++) {
        hpp_symbols_free(&naming.images[i].symbols);
        free(naming.images[i].functions);
    }
    free(naming.images);
    free(naming.image_of);
    free(named);
}
