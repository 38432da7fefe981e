/* From an address of another process to the file behind it. Offline only. */
#include "symbolizer/process_images.h"
#include "symbolizer/profile.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void hpp_process_images_open(struct hpp_process_images *images, const struct hpp_process *process,
                             void (*tell)(const char *line))
{
    struct stat ours, theirs, our_root, root;
    char path[64];

    *images = (struct hpp_process_images){.process = process, .tell = tell, .root = -1};
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", process->reach);
    if (stat(path, &theirs) || stat("/proc/self/ns/mnt", &ours))
        return;
    snprintf(path, sizeof path, "/proc/%d/root", process->reach);
    if (stat(path, &root) || stat("/", &our_root) ||
        (ours.st_ino == theirs.st_ino && root.st_dev == our_root.st_dev && root.st_ino == our_root.st_ino))
        return;
    images->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void hpp_process_images_close(struct hpp_process_images *images)
{
    struct hpp_process_image *next;

    for (struct hpp_process_image *image = images->first; image; image = next) {
        next = image->next;
        hpp_process_image_free(image);
    }
    if (images->root >= 0)
        close(images->root);
    *images = (struct hpp_process_images){.root = -1};
}

/* A memfd and reserved huge pages have names like files, and may hold moved text. */
static bool is_file(const struct hpp_process_mapping *mapping)
{
    if (!strncmp(mapping->path, "/memfd:", 7) || !strcmp(mapping->path, "/anon_hugepage"))
        return false;
    return mapping->path[0] == '/' || !strcmp(mapping->path, "[vdso]");
}

/* The image of which MAPPING shows a piece and that holds ADDRESS, or NULL. */
static struct hpp_process_image *image_at(struct hpp_process_images *images,
                                          const struct hpp_process_mapping *mapping, uint64_t address)
{
    struct hpp_process_image *image;
    char line[HPP_ERROR_SIZE];

    for (image = images->first; image; image = image->next)
        if (image->mapping == mapping && !hpp_process_image_segment(image, address))
            return NULL;
        else if (image->mapping->inode == mapping->inode && image->mapping->device == mapping->device &&
                 !strcmp(image->mapping->path, mapping->path) && hpp_process_image_segment(image, address))
            return image;
    image = hpp_process_image_open(mapping, images->process->reach, images->root);
    image->next = images->first;
    images->first = image;
    if (!image->usable && images->tell && mapping->executable) {
        snprintf(line, sizeof line,
                 "%s: it is missing, has changed since, or is no ELF file: its functions stay "
                 "without names",
                 mapping->path);
        images->tell(line);
    }
    return hpp_process_image_segment(image, address) ? image : NULL;
}

struct hpp_process_image *hpp_process_image_find(struct hpp_process_images *images, uint64_t address)
{
    const struct hpp_process *process = images->process;
    const struct hpp_process_mapping *mapping, *end = process->mappings + process->mapping_count, *near;
    struct hpp_process_image *image = NULL;

    if (images->last_found && hpp_process_image_segment(images->last_found, address))
        return images->last_found;
    mapping = hpp_process_mapping_find(process, address);
    if (!mapping)
        return NULL;
    if (is_file(mapping)) {
        image = image_at(images, mapping, address);
    } else if (mapping->executable) {
        /* moved text: the file's other pieces lie right below or right above */
        for (near = mapping; near > process->mappings && !is_file(near); near--)
            ;
        image = is_file(near) ? image_at(images, near, address) : NULL;
        for (near = mapping; !image && near < end; near++)
            if (is_file(near)) {
                image = image_at(images, near, address);
                break;
            }
    }
    if (image)
        images->last_found = image;
    return image;
}
