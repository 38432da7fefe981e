/* Stacks as text: a heading a thread, then a line a frame. Offline only. */
#include "symbolizer/dump.h"
#include "symbolizer/escape.h"
#include "symbolizer/process_unwind.h"

#include <inttypes.h>
#include <stdlib.h>

struct printing {
    FILE *out;
    struct hpp_process_images images;
    int depth;
};

static const char *state_name(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'S':
    case 'I':
        return "sleeping";
    case 'D':
        return "waiting in the kernel";
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
    case 'X':
        return "ended";
    default:
        return "state unknown";
    }
}

static void print_frame(void *context, const struct hpp_process_frame *frame)
{
    struct printing *printing = context;
    FILE *out = printing->out;
    char *name;

    fprintf(out, "#%-3d 0x%016" PRIx64, printing->depth++, frame->pc);
    if (frame->signal) {
        fputs(" <signal handler called>", out);
    } else if (frame->image) {
        name = hpp_process_image_name(frame->image, frame->place, printing->images.tell);
        fputc(' ', out);
        hpp_escape_plain(out, name ? name : "", 0);
        free(name);
    }
    if (frame->image) {
        fputs("  ", out);
        hpp_escape_plain(out, hpp_process_image_title(frame->image), 0);
    }
    fputc('\n', out);
}

static void print_thread(struct printing *printing, const struct hpp_process_thread *thread)
{
    char why[HPP_UNWIND_WHY];

    fprintf(printing->out, "thread %d \"", thread->tid);
    hpp_escape_plain(printing->out, thread->status.name, 0);
    fprintf(printing->out, "\" (%s)\n", state_name(thread->status.state));
    printing->depth = 0;
    if (!thread->taken)
        fprintf(printing->out, "[no stack] %s\n", thread->missing ? thread->missing : "the thread has ended");
    else if (!hpp_process_unwind(&printing->images, thread, print_frame, printing, why))
        fprintf(printing->out, "[unfinished] %s\n", why);
    fputc('\n', printing->out);
}

void hpp_dump_print(FILE *out, const struct hpp_process *process, void (*tell)(const char *line))
{
    struct printing printing = {.out = out};

    hpp_process_images_open(&printing.images, process, tell);
    for (size_t i = 0; i < process->thread_count; i++)
        print_thread(&printing, &process->threads[i]);
    hpp_process_images_close(&printing.images);
    fprintf(out, "stopped for %.1f ms\n", (double)process->stopped_ns / 1e6);
}
