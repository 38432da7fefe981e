/* The parts of dump: tables of frame descriptions, calls that are begun again, signals on alternate stacks, a
 * child that is taken while it sleeps. */
#include "common/arch_registers.h"
#include "symbolizer/frame_table.h"
#include "symbolizer/process_images.h"

#include <dlfcn.h>
#include <gelf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Every row of libc's own .eh_frame_hdr is a row of the table that is made from .eh_frame, and the other
 * way. */
static void test_frame_table(void **state)
{
    struct hpp_frame_table table;
    struct hpp_elf_file file;
    GElf_Phdr header;
    Dl_info info;
    size_t count = 0, found = 0;

    (void)state;
    assert_true(dladdr((void *)(uintptr_t)&abort, &info));
    assert_int_equal(hpp_elf_open(&file, info.dli_fname), 0);
    hpp_frame_table_make(&table, file.elf);
    assert_true(table.count > 1000);
    elf_getphdrnum(file.elf, &count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes;
        Elf_Data *data;
        uint32_t rows;
        assert_non_null(gelf_getphdr(file.elf, (int)i, &header));
        if (header.p_type != PT_GNU_EH_FRAME)
            continue;
        data = elf_getdata_rawchunk(file.elf, (int64_t)header.p_offset, header.p_filesz, ELF_T_BYTE);
        assert_non_null(data);
        bytes = data->d_buf;
        memcpy(&rows, bytes + 8, sizeof rows);
        assert_int_equal(rows, table.count);
        for (uint32_t row = 0; row < rows; row++) {
            int32_t pair[2];
            memcpy(pair, bytes + 12 + 8 * row, sizeof pair);
            assert_int_equal(header.p_vaddr + (uint64_t)(int64_t)pair[0],
                             table.section + (uint64_t)(int64_t)table.rows[row].start);
            assert_int_equal(header.p_vaddr + (uint64_t)(int64_t)pair[1],
                             table.section + (uint64_t)(int64_t)table.rows[row].description);
            found++;
        }
    }
    assert_int_equal(found, table.count);
    hpp_frame_table_free(&table);
    hpp_elf_close(&file);
}

/* A call that failed with EINTR is begun again only if that can do no harm. */
static void test_restart_call(void **state)
{
    static const struct {
        long call, result;
        bool again;
    } cases[] = {
        {SYS_epoll_wait, -EINTR, true}, {SYS_semop, -EINTR, true},    {SYS_rt_sigtimedwait, -EINTR, true},
        {SYS_close, -EINTR, false},     {SYS_connect, -EINTR, false}, {SYS_epoll_wait, -EBADF, false},
        {SYS_epoll_wait, 1, false},     {-1, -EINTR, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct user_regs_struct user = {.rax = (unsigned long long)cases[i].result,
                                        .orig_rax = (unsigned long long)cases[i].call};
        assert_int_equal(hpp_arch_restart_call(&user), cases[i].again);
        assert_int_equal((long)user.rax, cases[i].again ? -514 : cases[i].result);
        assert_int_equal((long)user.orig_rax, cases[i].call);
    }
}

static uint8_t alternate[65536];
static volatile uint64_t interrupted;

static void on_signal(int number)
{
    volatile uint8_t here = (uint8_t)number;
    size_t at = (size_t)((uintptr_t)&here - (uintptr_t)alternate);

    if (at < sizeof alternate)
        interrupted = hpp_arch_interrupted_sp(alternate + at, sizeof alternate - at, (uintptr_t)&here);
}

static void test_interrupted_sp(void **state)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, before;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK}, old;
    uint8_t junk[4096];

    (void)state;
    assert_int_equal(sigaltstack(&stack, &before), 0);
    sigaction(SIGUSR1, &action, &old);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &old, NULL);
    sigaltstack(&before, NULL);
    /* somewhere right below this function's own frame */
    assert_in_range(interrupted, (uintptr_t)__builtin_frame_address(0) - 65536, (uintptr_t)&junk + 65536);
    for (int byte = 0; byte < 256; byte += 5) {
        memset(junk, byte, sizeof junk);
        assert_int_equal(hpp_arch_interrupted_sp(junk, sizeof junk, (uintptr_t)junk), 0);
        assert_int_equal(hpp_arch_interrupted_sp(junk + 3, 100, (uintptr_t)junk + 3), 0);
    }
}

#ifdef __SANITIZE_THREAD__
enum { THREADS = 2 }; /* ThreadSanitizer has one of its own */
#else
enum { THREADS = 1 };
#endif

/* Takes a child that sleeps: its stack, its registers, its map; it lives on and ends as it would have. */
static void test_take_child(void **state)
{
    struct hpp_process process;
    struct hpp_process_images images;
    struct hpp_process_image *image;
    char why[HPP_PROCESS_WHY] = "", *name, byte;
    int ends[2], status;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 7 : 8);
    }
    close(ends[0]);
    usleep(50000);
    if (hpp_process_take(&process, child, 0, why)) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        assert_non_null(strstr(why, "may not stop process")); /* ptrace is forbidden here */
        return;
    }
    assert_int_equal(process.thread_count, THREADS);
    assert_true(process.threads[0].taken);
    assert_int_equal(process.threads[0].tid, child);
    assert_true(process.threads[0].pieces[0].size > 0);
    assert_true(process.stopped_ns > 0);
    hpp_process_images_open(&images, &process, NULL);
    image = hpp_process_image_find(&images, (uintptr_t)&test_take_child);
    assert_non_null(image);
    name = hpp_process_image_name(image, (uintptr_t)&test_take_child, NULL);
    assert_string_equal(name, "test_take_child");
    free(name);
    assert_null(hpp_process_image_find(&images, 1));
    hpp_process_images_close(&images);
    hpp_process_free(&process);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void test_check(void **state)
{
    struct hpp_thread_status status;
    char why[HPP_PROCESS_WHY];

    (void)state;
    assert_int_equal(hpp_process_check(getpid(), why), -1);
    assert_non_null(strstr(why, "this command itself"));
    assert_int_equal(hpp_process_check(1 << 22, why), -1);
    assert_string_equal(why, "there is no process 4194304");
    assert_int_equal(hpp_process_status(getpid(), getpid(), &status), 0);
    assert_int_equal(status.state, 'R');
    assert_false(status.kernel);
    assert_int_equal(hpp_process_field(getpid(), getpid(), "PPid"), getppid());
    assert_int_equal(hpp_process_field(getpid(), getpid(), "NoSuchField"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_table),    cmocka_unit_test(test_restart_call),
        cmocka_unit_test(test_interrupted_sp), cmocka_unit_test(test_take_child),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
