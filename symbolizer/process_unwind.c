/* libunwind over copied stacks and the files behind the text. Offline only. */
#include "symbolizer/process_unwind.h"

#include <inttypes.h>
#include <libunwind.h>
#include <stdio.h>
#include <string.h>

/* Exported for users of remote address spaces, but in no header (libunwind's include/dwarf.h). */
#define search_unwind_table UNW_OBJ(dwarf_search_unwind_table)
int search_unwind_table(unw_addr_space_t space, unw_word_t pc, unw_dyn_info_t *info,
                        unw_proc_info_t *procedure, int need_unwind_info, void *argument);

/* Where rows that no file holds seem to lie: no process has memory there. */
#define OWN_ROWS (1ull << 62)

struct walk {
    struct hpp_process_images *images;
    const struct hpp_process_thread *thread;
    struct hpp_arch_registers registers; /* where the cursor begins */
    struct hpp_unwind_place place;       /* of the last look-up */
    bool informed;                       /* the last step had unwind information */
    uint64_t missed;                     /* the last address that could not be read; 0: none */
};

static bool read_stack(const struct hpp_process_thread *thread, uint64_t address, uint64_t *word)
{
    for (int i = 0; i < HPP_STACK_PIECES; i++) {
        const struct hpp_stack_piece *piece = &thread->pieces[i];
        uint64_t at = address - piece->address;
        if (at < piece->size && piece->size - at >= sizeof *word) {
            memcpy(word, piece->bytes + at, sizeof *word);
            return true;
        }
    }
    return false;
}

static int access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *word, int write, void *argument)
{
    struct walk *walk = argument;
    struct hpp_process_image *image;

    (void)space;
    if (write)
        return -UNW_EINVAL;
    if (read_stack(walk->thread, address, word))
        return 0;
    if (address - OWN_ROWS < walk->place.entries * sizeof *walk->place.rows && walk->place.rows) {
        memcpy(word, (const char *)walk->place.rows + (address - OWN_ROWS), sizeof *word);
        return 0;
    }
    image = hpp_process_image_find(walk->images, address);
    if (image && hpp_process_image_read(image, address, word, sizeof *word))
        return 0;
    walk->missed = address;
    return -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write,
                      void *argument)
{
    struct walk *walk = argument;

    (void)space;
    if (write || number < 0 || number >= HPP_ARCH_REGISTERS)
        return -UNW_EBADREG;
    *value = walk->registers.value[number];
    return 0;
}

static int access_fpreg(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write,
                        void *argument)
{
    (void)space, (void)number, (void)value, (void)write, (void)argument;
    return -UNW_EBADREG;
}

static int find_proc_info(unw_addr_space_t space, unw_word_t pc, unw_proc_info_t *procedure,
                          int need_unwind_info, void *argument)
{
    struct walk *walk = argument;
    struct hpp_process_image *image = hpp_process_image_find(walk->images, pc);
    struct hpp_unwind_place *place = &walk->place;
    unw_dyn_info_t info = {.format = UNW_INFO_FORMAT_REMOTE_TABLE};
    int result;

    if (!image || !hpp_process_image_unwind_place(image, pc, place))
        return -UNW_ENOINFO;
    info.start_ip = place->text_start;
    info.end_ip = place->text_end;
    info.u.rti.segbase = place->base;
    info.u.rti.table_data = place->table ? place->table : OWN_ROWS;
    info.u.rti.table_len = place->entries; /* in words of 8 bytes */
    result = search_unwind_table(space, pc, &info, procedure, need_unwind_info, argument);
    walk->informed = result >= 0;
    return result;
}

/* libunwind frees what search_unwind_table allocated itself. */
static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *procedure, void *argument)
{
    (void)space, (void)procedure, (void)argument;
}

/* What a program registers with libunwind for itself stays out of sight. */
static int get_dyn_info_list_addr(unw_addr_space_t space, unw_word_t *list, void *argument)
{
    (void)space, (void)list, (void)argument;
    return -UNW_ENOINFO;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *argument)
{
    (void)space, (void)cursor, (void)argument;
    return -UNW_EINVAL;
}

static bool is_code(const struct walk *walk, uint64_t address)
{
    const struct hpp_process_mapping *mapping = hpp_process_mapping_find(walk->images->process, address);

    return mapping && mapping->executable;
}

/* Begins anew where the cursor is, for code that has not called anything: libunwind looks up what stands
 * before a return address. POP: a call through a bad pointer has put its return address on the stack, and
 * nothing else has happened. */
static bool begin_again(struct walk *walk, unw_cursor_t *cursor, unw_addr_space_t space, bool pop)
{
    struct hpp_arch_registers registers;
    uint64_t pc;

    for (int i = 0; i < HPP_ARCH_REGISTERS; i++)
        if (unw_get_reg(cursor, i, &registers.value[i]))
            registers.value[i] = 0;
    if (pop) {
        if (!read_stack(walk->thread, registers.value[HPP_ARCH_SP], &pc) || !is_code(walk, pc - 1))
            return false;
        registers.value[HPP_ARCH_SP] += sizeof pc;
        registers.value[HPP_ARCH_PC] = pc;
    }
    walk->registers = registers;
    return !unw_init_remote(cursor, space, walk);
}

/* Whether a return address is a function's first byte, with nothing before it that could have called: the one
 * under which a coroutine begins is made so (makecontext and its like). */
static bool is_entry(struct walk *walk, unw_addr_space_t space, uint64_t pc)
{
    unw_proc_info_t procedure;

    return find_proc_info(space, pc - 1, &procedure, 0, walk) < 0 &&
           find_proc_info(space, pc, &procedure, 0, walk) >= 0 && procedure.start_ip == pc;
}

/* Why the step from FRAME gave nothing. */
static void explain(const struct walk *walk, const struct hpp_process_frame *frame, int result,
                    char why[HPP_UNWIND_WHY])
{
    bool cut = false;

    for (int i = 0; i < HPP_STACK_PIECES; i++) {
        const struct hpp_stack_piece *piece = &walk->thread->pieces[i];
        cut |= piece->cut && walk->missed >= piece->address + piece->size;
    }
    if (cut)
        snprintf(why, HPP_UNWIND_WHY, "the stack is deeper than %d KiB", HPP_STACK_BYTES >> 10);
    else if (walk->missed && walk->informed)
        snprintf(why, HPP_UNWIND_WHY, "there is no stack at 0x%" PRIx64, walk->missed);
    else if (walk->informed)
        snprintf(why, HPP_UNWIND_WHY, "its unwind information cannot be used: %s", unw_strerror(result));
    else if (frame->image)
        snprintf(why, HPP_UNWIND_WHY, "no unwind information for this code in %.200s",
                 hpp_process_image_title(frame->image));
    else
        snprintf(why, HPP_UNWIND_WHY, "no unwind information for code without a file");
}

static bool run(struct walk *walk, unw_addr_space_t space, hpp_process_visit *visit, void *context,
                char why[HPP_UNWIND_WHY])
{
    unw_word_t pc = 0, sp = 0, sp_before = 0;
    bool exact = true;  /* pc is where the thread is, or was interrupted; not a return address */
    bool entry = false; /* the frame before is a coroutine's first one, if nothing follows */
    unw_cursor_t cursor;
    int result = unw_init_remote(&cursor, space, walk);

    for (int depth = 0; depth < HPP_FRAMES_MAX && result >= 0; depth++) {
        struct hpp_process_frame frame;
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        unw_get_reg(&cursor, UNW_REG_SP, &sp);
        frame = (struct hpp_process_frame){.pc = pc, .place = pc - !exact};
        if (!exact && !is_code(walk, frame.place)) {
            snprintf(why, HPP_UNWIND_WHY, "the return address 0x%" PRIx64 " is not code", pc);
            return entry;
        }
        if (!exact && sp <= sp_before) {
            snprintf(why, HPP_UNWIND_WHY, "the stack does not rise any more");
            return false;
        }
        entry = !exact && is_entry(walk, space, pc) && begin_again(walk, &cursor, space, false);
        if (entry)
            frame.place = pc;
        frame.image = hpp_process_image_find(walk->images, frame.place);
        walk->informed = false;
        walk->missed = 0;
        sp_before = sp;
        if (exact && !is_code(walk, pc)) {
            visit(context, &frame);
            snprintf(why, HPP_UNWIND_WHY, "0x%" PRIx64 " is not code", pc);
            if (!begin_again(walk, &cursor, space, true))
                return false;
            exact = false;
            continue;
        }
        result = unw_step(&cursor);
        /* it tells of the frame that the step has left */
        frame.signal = unw_is_signal_frame(&cursor) > 0;
        visit(context, &frame);
        if (result <= 0 && (entry || (result == 0 && walk->informed)))
            return true;
        if (result <= 0) {
            explain(walk, &frame, result, why);
            return false;
        }
        exact = frame.signal;
    }
    if (result < 0)
        snprintf(why, HPP_UNWIND_WHY, "%s", unw_strerror(result));
    else
        snprintf(why, HPP_UNWIND_WHY, "more than %d frames", HPP_FRAMES_MAX);
    return false;
}

bool hpp_process_unwind(struct hpp_process_images *images, const struct hpp_process_thread *thread,
                        hpp_process_visit *visit, void *context, char why[HPP_UNWIND_WHY])
{
    static unw_accessors_t accessors = {
        .find_proc_info = find_proc_info,
        .put_unwind_info = put_unwind_info,
        .get_dyn_info_list_addr = get_dyn_info_list_addr,
        .access_mem = access_mem,
        .access_reg = access_reg,
        .access_fpreg = access_fpreg,
        .resume = resume,
    };
    struct walk walk = {.images = images, .thread = thread, .registers = thread->registers};
    unw_addr_space_t space = unw_create_addr_space(&accessors, 0);
    bool whole;

    if (!space) {
        snprintf(why, HPP_UNWIND_WHY, "libunwind has no memory");
        return false;
    }
    whole = run(&walk, space, visit, context, why);
    unw_destroy_addr_space(space);
    return whole;
}
