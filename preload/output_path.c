/* Output names. Start-up code and fork children. */
#include "preload/output_path.h"

#include "common/sys.h"
#include "common/text.h"

#define DEFAULT_NAME "hpprof.%e.%p.pb"

static void expand(struct hpp_text *to, const char *pattern, const char *program, int pid)
{
    for (; *pattern; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'e') {
            hpp_text_put(to, program);
            pattern++;
        } else if (pattern[0] == '%' && pattern[1] == 'p') {
            hpp_text_put_number(to, (uint64_t)pid);
            pattern++;
        } else {
            pattern += pattern[0] == '%' && pattern[1] == '%';
            hpp_text_put_bytes(to, pattern, 1);
        }
    }
}

void hpp_output_path(struct hpp_pprof_file *file, const struct hpp_agent_options *options, const char *folder,
                     const char *program, int pid)
{
    struct hpp_text path = HPP_TEXT(file->path);
    const char *in = options->session ? options->session : folder;

    if (in) {
        hpp_text_put(&path, in);
        hpp_text_put(&path, "/");
        expand(&path, DEFAULT_NAME, program, pid);
        file->folder = options->session ? NULL : folder;
        return;
    }
    if (options->out[0] != '/') {
        char here[HPP_PATH_MAX];
        long length = HPP_SYSCALL(getcwd, here, sizeof here, 0, 0, 0, 0);
        /* a directory that has no name (any more) cannot be written to by name: this fails, and says so */
        hpp_text_put(&path, length > 0 && here[0] == '/' ? here : "/(nameless directory)");
        if (path.used > 1)
            hpp_text_put(&path, "/");
    }
    expand(&path, options->out[0] ? options->out : DEFAULT_NAME, program, pid);
}

void hpp_output_folder(const char *path, char *folder, unsigned size)
{
    struct hpp_text to = {folder, size, 0};
    size_t length = hpp_text_length(path);

    if (length > 3 && hpp_text_equal(path + length - 3, ".pb"))
        length -= 3;
    hpp_text_put_bytes(&to, path, length);
    hpp_text_put(&to, ".d");
}
