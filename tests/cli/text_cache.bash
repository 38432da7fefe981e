# Copies of text, for their tests. Loaded after helper.
# shellcheck shell=bash

text_cache_setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
    # the folders above it are root's or ours
    TEXT=$PWD/text
    export HPPROF_TEXT_CACHE=$TEXT HPPROF_COMMAND AGENT
    cp "$PROGRAMS/text_check_exec" .
    TARGET=$PWD/text_check_exec
}

# warm FILE…: copies them; where the file system gives no huge pages there is nothing to test
warm() {
    status=0
    hpprof cache --text warm "$@" >out 2>err || status=$?
    cat out err
    if grep -q 'this file system gives its copy no huge pages' err; then
        skip "this file system gives no huge pages"
    fi
    [ "$status" -eq 0 ]
}

# moved [VARIABLE=VALUE…] COMMAND…: text_check sees equal text; comments has what became of it
moved() {
    rm -f x.pb
    agent HPPROF_REMAP=cache HPPROF_FREQ=9999 HPPROF_MAX_CPU=0 HPPROF_OUT="$PWD/x.pb" "$@" >out 2>err
    cat out err
    [ ! -s err ]
    grep -q '^all images=[0-9]* differ=0$' out
    grep -q '^writable_executable=0$' out
    profile_comments x.pb | tee comments
}

is_huge() { awk '/^main / { for (i = 2; i <= 3; i++) { sub(/.*=/, "", $i) } exit !($2 > 0 && $2 == $3) }' out; }

# big_program NAME ID: one with 4 MiB of text on whole huge pages, and that build-id, that says ready and reads a byte
big_program() {
    "${CC:-cc}" -no-pie -Wl,--build-id="0x$2" -x c - -o "$1" <<'END'
#include <unistd.h>
__asm__(".pushsection .text.big,\"ax\",@progbits\n.fill 6291456,1,0xcc\n.popsection\n");
int main(void)
{
    char c;
    return write(1, "ready\n", 6) != 6 || read(0, &c, 1) < 0;
}
END
}

# hold FILE: starts it, moved, until let_go; process is its pid
hold() {
    [ -p held ] || mkfifo held
    : >ready
    # shellcheck disable=SC2016 # the inner shell's
    agent HPPROF_REMAP=cache HPPROF_OUT="$PWD/held.%p.pb" sh -c 'echo $$ >pid; exec "$0"' "$1" <held >ready 3>&- 9>&- &
    held+=($!)
    exec 9>held
    for _ in {1..400}; do
        ! grep -q ready ready || break
        sleep 0.05
    done
    process=$(cat pid)
}
let_go() {
    exec 9>&-
    wait "${held[@]}"
    held=()
}
