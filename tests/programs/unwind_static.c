/* A static position-independent program: no agent can be loaded into it. With an argument it is the helper of
 * another program: it starts itself once more, as programs that must not depend on libraries do.
 * flags: -O2 -fomit-frame-pointer -static-pie */
#include "burn.h"
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

BURN_FUNCTION(static_work, 3)

int main(int argc, char **argv)
{
    int status = 0;
    if (argc > 1) {
        pid_t pid = fork();
        if (pid == 0) {
            execl(argv[0], argv[0], (char *)NULL);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 1;
    }
    static_work(0.1);
    printf("static, status %d\n", status);
    return 0;
}
