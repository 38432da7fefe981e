/* Writes to whole 2 MiB of its text, which it makes writable for that: a fork child does, then it does itself
 * while another child has the same pages. With an argument that command is run first. Prints `N wrong`:
 * children that did not end well, and bytes that are not what they should be.
 * flags: -no-pie -Wl,-z,max-page-size=0x200000 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 2 << 20 };

/* Of its own, in front of the code, which goes on running. */
__asm__(".pushsection .text.hot.written, \"ax\", @progbits\n.balign 0x200000\n"
        ".globl written\nwritten: .fill 0x200000, 1, 0xcc\n.popsection\n");
extern unsigned char written[];

static int writes(unsigned char value)
{
    volatile unsigned char *text = written;

    if (mprotect(written, SIZE, PROT_READ | PROT_WRITE))
        return 1;
    text[SIZE / 2] = value;
    return mprotect(written, SIZE, PROT_READ | PROT_EXEC) || text[SIZE / 2] != value || text[0] != 0xcc;
}

static int failed(pid_t child)
{
    int status;

    return waitpid(child, &status, 0) != child || status;
}

int main(int argc, char **argv)
{
    int wrong = argc > 1 && system(argv[1]), ends[2];
    char byte;
    pid_t child = fork();

    if (!child)
        _exit(writes(1));
    wrong += failed(child);
    if (pipe(ends))
        return 2;
    child = fork();
    if (!child) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0 || ((volatile unsigned char *)written)[SIZE / 2] != 0xcc);
    }
    wrong += writes(2);
    close(ends[1]);
    wrong += failed(child);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
