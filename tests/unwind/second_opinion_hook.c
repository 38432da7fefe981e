/* In the agent of the second-opinion test only: keeps, with each sample, the registers and the stack that the
 * handler found, for tests/unwind/second_opinion to walk them again. HPP_SECOND_OPINION_OUT names the file,
 * one a process. Called by the handler: no lock, room is got by one atomic addition. */
#include "tests/unwind/second_opinion.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/walk.h"

void hpp_second_opinion(const struct hpp_walk *walk, const uint64_t *frames,
                        const struct hpp_walk_result *result, const void *context);

enum { FILE_SIZE = 1 << 30, FOREIGN_STACK = 64 << 10, RED_ZONE = 128 };

static struct opinion_file *the_file;
static _Atomic uint64_t the_logged_code; /* pid and generation of the code map that was recorded last */

/* Sparse: only what is written takes room on disk. */
static __attribute__((constructor)) void open_file(void)
{
    const char *prefix = getenv("HPP_SECOND_OPINION_OUT");
    char path[4096];
    size_t length = prefix ? strlen(prefix) : 0;
    long fd, at;
    int pid = hpp_sys_getpid();

    if (!length || length > sizeof path - 32)
        return;
    memcpy(path, prefix, length);
    path[length++] = '.';
    for (int divisor = 1000000000; divisor; divisor /= 10) /* always ten digits */
        path[length++] = (char)('0' + pid / divisor % 10);
    path[length] = 0;
    fd = hpp_sys_open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return;
    if (HPP_SYSCALL(ftruncate, fd, FILE_SIZE, 0, 0, 0, 0) == 0) {
        at = hpp_sys_mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
        if (!hpp_sys_failed(at)) {
            struct opinion_file *file = (struct opinion_file *)at;
            file->size = FILE_SIZE;
            if (!file->used) /* else of the program that this one has taken the place of */
                file->used = sizeof *file;
            file->magic = OPINION_MAGIC;
            the_file = file;
        }
    }
    hpp_sys_close((int)fd);
}

/* Room for a record, zeroed; NULL if there is no more. */
static void *reserve(uint64_t size)
{
    uint64_t at = atomic_fetch_add(&the_file->used, size);

    if (at + size > the_file->size) {
        atomic_fetch_add(&the_file->unlogged, 1);
        return NULL;
    }
    return (char *)the_file + at;
}

static void complete(struct opinion_record *record, uint64_t size, enum opinion_kind kind)
{
    record->size = size;
    record->pid = (uint32_t)hpp_sys_getpid();
    atomic_thread_fence(memory_order_release);
    record->kind = kind;
}

static void log_code(const struct hpp_code_map *map)
{
    uint64_t key = (uint64_t)hpp_sys_getpid() << 32 | map->generation;
    uint64_t size = sizeof(struct opinion_code) + map->count * sizeof(struct opinion_range);
    struct opinion_code *code;

    if (atomic_exchange(&the_logged_code, key) == key)
        return;
    code = reserve(size);
    if (!code)
        return;
    code->code = map->generation;
    code->count = map->count;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct hpp_code_range *range = &map->ranges[i];
        struct opinion_range *to = &code->ranges[i];
        to->start = range->start;
        to->end = range->end;
        to->bias = range->segment->start - range->segment->link;
        for (unsigned n = 0; n + 1 < sizeof to->path && range->segment->image->path[n]; n++)
            to->path[n] = range->segment->image->path[n];
    }
    complete(&code->record, size, OPINION_CODE);
}

static void copy_registers(uint64_t *to, const ucontext_t *context)
{
    static const int number[OPINION_REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                  REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                  REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

    for (int i = 0; i < OPINION_REGISTERS; i++)
        to[i] = (uint64_t)context->uc_mcontext.gregs[number[i]];
}

void hpp_second_opinion(const struct hpp_walk *walk, const uint64_t *frames,
                        const struct hpp_walk_result *result, const void *context)
{
    int own = walk->sp >= walk->stack_low + RED_ZONE && walk->sp < walk->stack_end;
    uint64_t from = (walk->sp & ~7ull) - RED_ZONE;
    uint64_t room = own ? walk->stack_end - from : FOREIGN_STACK;
    uint64_t head = sizeof(struct opinion_sample) + result->count * sizeof frames[0];
    struct opinion_sample *sample;
    long copied;

    if (!the_file || !walk->code) /* the writer has not found the images yet: a sample of one frame */
        return;
    log_code(walk->code);
    if (room > OPINION_STACK_MAX)
        room = OPINION_STACK_MAX;
    sample = reserve(head + room);
    if (!sample)
        return;
    sample->code = walk->code->generation;
    copy_registers(sample->registers, context);
    copied = hpp_sys_copy_own_memory((char *)sample + head, from, room);
    sample->stack = from;
    sample->stack_size = copied > 0 ? (uint64_t)copied : 0;
    sample->stop = result->stop;
    sample->agent_start = walk->agent ? walk->agent->start : 0;
    sample->agent_end = walk->agent ? walk->agent->end : 0;
    sample->end = result->end;
    sample->count = result->count;
    sample->untold = result->untold;
    memcpy(sample->frames, frames, result->count * sizeof frames[0]);
    complete(&sample->record, head + room, OPINION_SAMPLE);
}
