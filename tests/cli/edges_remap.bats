#!/usr/bin/env bats
# HPPROF_REMAP_EDGES=absorb: the first and last 2 MiB of text, with what is beside it, by each backend: anon and hugetlb take
# all that may be absorbed; memfd not the ELF header of a PIE, which core dumps must have; cache what lies in memory as
# it does in the file; file, which makes no copies, nothing.

load helper
load backends
load profiles

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}
teardown() { backends_release; }

# build NAME FLAG…: edge_text, compiled so
build() { cc -D_GNU_SOURCE -O1 -g "$ROOT/tests/programs/edge_text.c" -o "$@" -fno-omit-frame-pointer -fno-optimize-sibling-calls; }

# absorbs BACKEND FILE [VARIABLE=VALUE…] [COMMAND…]: a copy of FILE, ./program, under COMMAND: its report in the file out,
# what it was told in comments
absorbs() {
    local profile
    ready "$1" "$2"
    rm -rf session
    mkdir session
    agent HPPROF_REMAP_WHEN=start HPPROF_REMAP_EDGES=absorb HPPROF_SESSION="$PWD/session" "${@:3}" ./program >out 2>err
    cat out err
    [ ! -s err ]
    grep -x 'differ=0 writable_executable=0 heap=ok' out
    for profile in session/*.pb; do # setarch has one too; writers outlive their programs, by little
        flock -w 20 "$profile" true
    done
    told session/*.pb
    [ "$(grep -c '^hpprof.remap ' comments)" -eq "$(grep -c "^hpprof.remap backend=$1 " comments)" ]
}

# told PROFILE: what it says of text
told() {
    profile_comments "$1" | grep -E '^hpprof\.(remap|left) .*/(program|edge_text|big_dso)$' | tee comments
}

# whole: all text is on huge pages, and what came along is told
whole() {
    check "$(sed -n 's/^segment_kib=\([0-9]*\).*/\1/p' out)" '>' 4096
    awk -F'[= ]' '/^segment_kib=/ && $4 < $2 { print "small: " $0; bad = 1 } END { exit bad }' out
    lacks comments '^hpprof.left '
    check "$(comment_field huge_kib <comments | awk '{ n += $1 } END { print n }')" '==' \
        "$(sed -n 's/^segment_kib=\([0-9]*\).*/\1/p' out)"
    grep ' absorbed_kib=[1-9]' comments
}

# edges MOVED LEFT REASON: so many edges moved, and so many were left, for REASON, a regular expression
edges() {
    [ "$(grep -c '^hpprof.remap .* absorbed_kib=[1-9]' comments)" -eq "$1" ]
    [ "$(grep -c '^hpprof.left ' comments)" -eq "$2" ]
    [ "$(grep -cE "^hpprof.left eligible_kib=[0-9]+ reason='$3' " comments)" -eq "$2" ]
}

@test "beside the text are a gap and read-only data: all of it becomes huge, the data executable, and that is told" {
    absorbs anon "$PROGRAMS/edge_text"
    whole
    grep ' executable_data_kib=[1-9]' comments
    agent HPPROF_REMAP=anon HPPROF_REMAP_EDGES=absorb HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/edge_text" 0.2
    hpprof report x.pb | grep -E 'edge_text: with [0-9.]+ MiB beside its text, of which [0-9.]+ MiB are data, executable now'
    hpprof report --json x.pb | jq -e '.remap[0].executable_data_kib > 0 and .remap[0].absorbed_kib >= .remap[0].executable_data_kib'
}

@test "inward, the default: nothing beside the text is touched" {
    agent HPPROF_REMAP=anon "$PROGRAMS/edge_text" >out
    awk -F'[= ]' '/^segment_kib=/ { exit !($4 > 0 && $4 <= $2) }' out
    absorbs anon "$PROGRAMS/edge_text" HPPROF_REMAP_EDGES=inward
    lacks comments absorbed_kib
}

ten_by() {
    local absorbed=0
    for _ in {1..10}; do
        absorbs "$1" "$PROGRAMS/edge_text"
        [ "$1" = memfd ] || whole
        ! grep "^hpprof.remap backend=$1 .*absorbed_kib" comments || absorbed=$((absorbed + 1))
    done
    check $absorbed '>=' 9 'one draw of 512 has nothing to absorb where memfd does'
}
@test "at ten addresses that the kernel draws, by anon" { ten_by anon; }
@test "at ten addresses that the kernel draws, by memfd" { ten_by memfd; }
@test "at ten addresses that the kernel draws, by hugetlb" { ten_by hugetlb; }

fixed_by() {
    build exec -no-pie
    absorbs "$1" exec
    whole
    absorbs "$1" exec setarch -R
    whole
    edges 2 0 ''
    grep ' executable_data_kib=[1-9]' comments
}
@test "a program at a fixed address, by anon" { fixed_by anon; }
@test "a program at a fixed address, by memfd" { fixed_by memfd; }
@test "a program at a fixed address, by hugetlb" { fixed_by hugetlb; }
@test "a program at a fixed address, by cache" { fixed_by cache; }

@test "a PIE where address space is not drawn, by anon" {
    absorbs anon "$PROGRAMS/edge_text" setarch -R
    whole
}
@test "a PIE where address space is not drawn, by hugetlb" {
    absorbs hugetlb "$PROGRAMS/edge_text" setarch -R
    whole
}
@test "a PIE where address space is not drawn, by memfd: the 2 MiB with its ELF header stay" {
    absorbs memfd "$PROGRAMS/edge_text" setarch -R
    edges 1 1 'core dumps would lack its ELF header'
}
@test "a PIE where address space is not drawn, by cache: it stays" {
    absorbs cache "$PROGRAMS/edge_text" setarch -R
    edges 0 3 'its addresses and its offsets in the file differ by no multiple of 2 MiB'
}

gaps_by() {
    build gaps -Wl,-z,max-page-size=0x200000
    absorbs "$1" gaps
    [ "$1" = cache ] || whole
    [ "$1" = cache ] || grep ' absorbed_kib=[1-9][0-9]* executable_data_kib=0 ' comments
    [ "$1" != cache ] || edges 0 1 'what is beside it lies elsewhere in the file'
}
@test "gaps between segments, by anon" { gaps_by anon; }
@test "gaps between segments, by memfd" { gaps_by memfd; }
@test "gaps between segments, by hugetlb" { gaps_by hugetlb; }
@test "gaps between segments, by cache: they stay" { gaps_by cache; }

relro_by() {
    build small -DRODATA=1 -no-pie
    absorbs "$1" small
    edges 1 1 '.*\(RELRO\) is beside it'
}
@test "RELRO beside the text stays what it is, with that edge, by anon" { relro_by anon; }
@test "RELRO beside the text stays what it is, with that edge, by memfd" { relro_by memfd; }
@test "RELRO beside the text stays what it is, with that edge, by hugetlb" { relro_by hugetlb; }
@test "RELRO beside the text stays what it is, with that edge, by cache" { relro_by cache; }

heap_by() {
    cat >last.s <<'END'
.section .last, "ax", @progbits
.rept 5120
.fill 1016, 1, 0xcc
.quad 7
.endr
.section .note.GNU-stack, "", @progbits
END
    build last -no-pie -Wl,--section-start=.last=0x20001000 last.s
    readelf -lW last | awk '$1 == "LOAD" { flags = $7 $8 } END { exit flags != "RE" }'
    absorbs "$1" last
    grep -E "^hpprof.left eligible_kib=[0-9]+ reason='the (gap beside it is not its own|heap is beside it)' .*/program$" comments
    absorbs "$1" last setarch -R
    grep -E "^hpprof.left eligible_kib=[0-9]+ reason='the (gap beside it is not its own|heap is beside it)' .*/program$" comments
}
@test "the room of the heap is not taken, by anon" { heap_by anon; }
@test "the room of the heap is not taken, by memfd" { heap_by memfd; }
@test "the room of the heap is not taken, by hugetlb" { heap_by hugetlb; }
@test "the room of the heap is not taken, by cache" { heap_by cache; }

objects_by() {
    export HPPROF_REMAP_EDGES=absorb
    cc -D_GNU_SOURCE -O1 "$ROOT/tests/programs/big_dso.c" -shared -fPIC -Wl,-z,max-page-size=0x200000 -o big_dso
    ready "$1" "$PROGRAMS/shares_fixed"
    [ "$1" != cache ] || hpprof cache warm --text "$PWD/big_dso"
    agent HPPROF_REMAP_WHEN=start HPPROF_OUT="$PWD/x.pb" HPPROF_FREQ=997 LD_PRELOAD="$AGENT $PWD/big_dso" ./program 0.4 >out
    told x.pb
    grep "^hpprof.remap backend=$1 .*/big_dso$" comments
    if [ "$1" = cache ]; then
        grep "^hpprof.left .*reason='what is beside it lies elsewhere in the file' .*/big_dso$" comments
    else
        grep '^hpprof.remap .* absorbed_kib=[1-9].*/big_dso$' comments
    fi
    agent HPPROF_REMAP_WHEN=start LD_PRELOAD="$AGENT $PWD/big_dso" "$PROGRAMS/text_check" >out
    cat out
    grep -x 'writable_executable=0' out
    grep -x 'all images=[0-9]* differ=0' out
}
@test "shared objects: what the loader keeps between their segments, by anon" { objects_by anon; }
@test "shared objects: what the loader keeps between their segments, by memfd" { objects_by memfd; }
@test "shared objects: what the loader keeps between their segments, by hugetlb" { objects_by hugetlb; }
@test "shared objects: what the loader keeps between their segments stays, by cache" { objects_by cache; }

@test "file, which makes no copies, leaves the edges, and says so" {
    absorbs file "$PROGRAMS/edge_text" setarch -R
    [ "$(grep -c "^hpprof.left .*reason='the backend cannot absorb what is beside it'" comments)" -eq 2 ]
}

# hot_by BACKEND FILE
hot_by() {
    ready "$1" "$2"
    UNDRAWN=1 agent HPPROF_REMAP_WHEN=hot HPPROF_REMAP_EDGES=absorb HPPROF_FREQ=249 HPPROF_OUT="$PWD/x.pb" ./program 3 >out
    cat out
    grep -x 'differ=0 writable_executable=0 heap=ok' out
    told x.pb
    [ "$(grep -c "^hpprof.remap backend=$1 .* when=hot absorbed_kib=[1-9].* image=" comments)" -eq 2 ]
    # of the first thread: how much the other one runs beside it is chance
    profile_folded x.pb | grep -v read_data >folded
    for function in low_work high_work; do
        share_is folded "(^|;)$function\$" 25 60 true
    done
    lacks <(profile_mappings x.pb) '//anon'
    hpprof perf-map x.pb -o map
    grep -E '^[0-9a-f]+ [0-9a-f]+ low_work$' map
    grep -E '^[0-9a-f]+ [0-9a-f]+ high_work$' map
}
@test "hot: edges move while a thread reads the data beside the text; samples keep their names, and perf its map, by anon" {
    hot_by anon "$PROGRAMS/edge_text"
}
@test "hot: edges move while a thread reads the data beside the text; samples keep their names, and perf its map, by memfd" {
    build exec -no-pie
    hot_by memfd exec
}
@test "hot: edges move while a thread reads the data beside the text; samples keep their names, and perf its map, by hugetlb" {
    hot_by hugetlb "$PROGRAMS/edge_text"
}
@test "hot: edges move while a thread reads the data beside the text; samples keep their names, and perf its map, by cache" {
    build exec -no-pie
    hot_by cache exec
}

# ticks PID: of CPU time that its first thread has used
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/task/$1/stat"; }

core_by() {
    [ "$(cat /proc/sys/kernel/core_pattern)" = core ] || skip "core dumps go elsewhere"
    local try pid file from
    build exec -no-pie
    ulimit -c unlimited || skip "core dumps are not allowed"
    for file in "$PROGRAMS/edge_text" exec; do
        ready "$1" "$file"
        rm -f core* out
        HPPROF_REMAP_WHEN=start HPPROF_REMAP_EDGES=absorb HPPROF_OUT="$PWD/x.%p.pb" LD_PRELOAD=$AGENT ./program 60 >out 3>&- &
        pid=$!
        for ((try = 0; try < 200; try++)); do
            grep -q '^at work' out && break
            sleep 0.05
        done
        from=$(ticks $pid)
        for ((try = 0; try < 200; try++)); do # until it is at work, which it says a little before
            [ "$(ticks $pid)" -lt $((from + 3)) ] || break
            sleep 0.05
        done
        kill -ABRT $pid
        wait $pid || true
        timeout 60 gdb -q -batch -ex 'thread apply all bt' ./program core* >bt 2>&1 || true
        cat bt
        grep -E '(low|high)_work' bt
        grep ' main ' bt
    done
}
@test "a core dump opened in gdb: names, at both ends of the text, by anon" { core_by anon; }
@test "a core dump opened in gdb: names, at both ends of the text, by memfd" { core_by memfd; }
@test "a core dump opened in gdb: names, at both ends of the text, by hugetlb" { core_by hugetlb; }
@test "a core dump opened in gdb: names, at both ends of the text, by cache" { core_by cache; }

plugins_by() {
    export HPPROF_REMAP_EDGES=absorb HPPROF_REMAP_WHEN=hot HPPROF_FREQ=249
    agent HPPROF_OUT="$PWD/plugins.pb" "$PROGRAMS/late" swap 0.6 >out
    [ "$1" = auto ] || ready "$1" "$PROGRAMS/late_plugin"
    agent HPPROF_REMAP_HOT=plugins.pb HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/late" rounds 100 >out
    grep -qx '0 rounds failed' out
}
@test "objects come and go while their edges move, by auto" { plugins_by auto; }
@test "objects come and go while their edges move, by anon" { plugins_by anon; }
@test "objects come and go while their edges move, by memfd" { plugins_by memfd; }
@test "objects come and go while their edges move, by hugetlb" { plugins_by hugetlb; }

calls_fail_by() {
    local call number error first last
    "$PROGRAMS/fail_call" "$AGENT" 0 0 /bin/true 2>err || skip "ptrace is not possible"
    build exec -no-pie
    ready "$1" exec
    export HPPROF_CACHE=off HPPROF_REMAP_EDGES=absorb HPPROF_REMAP_WHEN=start HPPROF_SESSION=$PWD/session
    mkdir session
    "$PROGRAMS/fail_call" "$AGENT" 0 0 ./program >out 2>list
    grep ' huge_kib=[1-9]' out
    cut -d' ' -f2 list | addr2line -a -i -e "$AGENT" | awk '/^0x/ { n++ } /remap\/(edges|cache)\.c/ { last = n; if (!first) first = n }
        END { print first, last }' >range
    read -r first last <range
    check "$((last - first))" '>' 20
    # what looks and compares is many calls alike: every third
    while read -r call _ number; do
        ((call >= first && call <= last + 12 && (number == 25 || call % 3 == 0))) || continue
        for error in 12 $([ "$number" != 25 ] || echo hole); do
            rm -f session/*.pb
            timeout -k 1 60 "$PROGRAMS/fail_call" "$AGENT" "$call" "$error" ./program >out 2>err </dev/null || {
                echo "call $call ($number), $error:"
                cat out err
                return 1
            }
            grep -qx 'differ=0 writable_executable=0 heap=ok' out
            echo "$call $number $error $(head -1 out)" >>results
        done
    done <list
    cat results
    check "$(wc -l <results)" '>=' 20
}
@test "each system call of it fails: the bytes stay, by anon" { calls_fail_by anon; }
@test "each system call of it fails: the bytes stay, by memfd" { calls_fail_by memfd; }
@test "each system call of it fails: the bytes stay, by hugetlb" { calls_fail_by hugetlb; }
@test "each system call of it fails: the bytes stay, by cache" { calls_fail_by cache; }
