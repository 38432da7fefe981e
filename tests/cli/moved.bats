#!/usr/bin/env bats
# Moved text and what else looks at it: fork, debuggers, core dumps, probes, seals, programs that move it themselves.
# By every backend, at start and while it runs.

load helper
load backends
load profiles

setup_file() {
    hpprof_setup
    former_profile "$BATS_FILE_TMPDIR/moved.pb" "$PROGRAMS/moved"
    former_profile "$BATS_FILE_TMPDIR/textrel.pb" "$PROGRAMS/textrel"
    # where probes are set: what the system has mounted, or for these tests alone
    export TRACING=/sys/kernel/tracing
    [ ! -w $TRACING/uprobe_events ] || return 0
    TRACING=$BATS_FILE_TMPDIR/tracing
    mkdir "$TRACING"
    mount -t tracefs hpprof-test "$TRACING" 2>/dev/null || true
}
teardown_file() { umount "$BATS_FILE_TMPDIR/tracing" 2>/dev/null || true; }

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
    ulimit -S -c 0
}
teardown() {
    exec 9>&-
    [ ! -e probe ] || unprobe
    backends_release
}

# by BACKEND COMMAND…: at start and while it runs, with ./program, a copy of $SUBJECT; WHEN says which. HPPROF_REMAP_HOT
# says then what is hot.
SUBJECT=moved
by() {
    local backend=$1
    shift
    for WHEN in start hot; do
        echo "== $backend, $WHEN"
        ready "$backend" "$PROGRAMS/$SUBJECT"
        export HPPROF_REMAP_WHEN=$WHEN HPPROF_REMAP_HOT='' HPPROF_OUT=$PWD/$backend.$WHEN.%p.pb
        [ $WHEN = start ] || HPPROF_REMAP_HOT=$BATS_FILE_TMPDIR/$SUBJECT.pb
        "$@" # not in a condition: what fails in it would go on
    done
    unset HPPROF_OUT
}

# fresh: before each run of ./program that is to move. By `file` that is not to be cached, as it was by the run before; for
# what is moved while it runs, and by then has been read, to be cached on huge pages.
fresh() {
    [ "$HPPROF_REMAP" = file ] || return 0
    cold program
    [ $WHEN = start ] || HPPROF_REMAP_WHEN=start HPPROF_REMAP_HOT='' HPPROF_OUT="$PWD/fresh.%p.pb" agent ./program work 0
}

# moved_by: the profiles so far of this backend tell that text was moved by it (of `file`: lies on huge pages)
moved_by() {
    wait_ended
    cat "$HPPROF_REMAP.$WHEN".*.pb | grep -aoE "hpprof.(remap backend=$HPPROF_REMAP [^/]*|left [^/]*)image=[[:graph:]]*/program" | tee told
    ! grep "reason='its file system gave no huge pages'" told || skip 'no large folios on this file system'
    check "$(grep "^hpprof.remap .* when=$WHEN " told | comment_field huge_kib | awk '{ n += $1 } END { print n + 0 }')" '>' 0 'KiB huge'
}

# wait_ended: until writers, which outlive their programs by little, have ended
wait_ended() {
    for _ in {1..100}; do
        [ -z "$(find . -maxdepth 1 -name "$HPPROF_REMAP.$WHEN.*.pb" -exec grep -La 'hpprof.end ' {} +)" ] || { sleep 0.05 && continue; }
        break
    done
}

its_children() {
    fresh
    agent ./program forks 0.4 >out
    cat out
    grep -E '^[0-9]+ children: 0 failed$' out
    moved_by
}

@test "fork children run it, also those made while it is being moved, by anon" { by anon its_children; }
@test "fork children run it, also those made while it is being moved, by memfd" { by memfd its_children; }
@test "fork children run it, also those made while it is being moved, by hugetlb" { by hugetlb its_children; }
@test "fork children run it, also those made while it is being moved, by file" { by file its_children; }
@test "fork children run it, also those made while it is being moved, by cache" { by cache its_children; }

# core: of ./program, which crashed; its size is in size
core() {
    local name
    ulimit -S -c "$(ulimit -H -c)"
    rm -f core*
    ! "$@" ./program crash 0.4 >out 2>&1 || return 1
    name=$(echo core*)
    [ -s "$name" ] || { cat out && return 1; }
    mv "$name" dumped
    size=$(stat -c %s dumped)
    gdb -nx -batch -iex 'set debuginfod enabled off' -ex bt ./program dumped >bt 2>&1
    grep -E '^#0 .* inner ' bt && grep -E '^#1 .* middle ' bt && grep -E '^#2 .* outer ' bt && grep -E '^#3 .* main ' bt || {
        cat bt
        return 1
    }
}

its_core() {
    local without
    HPPROF_REMAP=off core agent
    without=$size
    fresh
    core agent
    check "$size" '<=' $((without + 65536)) 'bytes of the core dump'
    moved_by
}

core_by() {
    [ "$(ulimit -H -c)" = unlimited ] || skip 'core dumps are limited'
    case $(cat /proc/sys/kernel/core_pattern) in '|'* | */* | '') skip 'core dumps go elsewhere' ;; esac
    by "$1" its_core
}
@test "a core dump has the right names in gdb, and is no larger, by anon" { core_by anon; }
@test "a core dump has the right names in gdb, and is no larger, by memfd" { core_by memfd; }
@test "a core dump has the right names in gdb, and is no larger, by hugetlb" { core_by hugetlb; }
@test "a core dump has the right names in gdb, and is no larger, by file" { core_by file; }
@test "a core dump has the right names in gdb, and is no larger, by cache" { core_by cache; }

# unmoved: how many KiB of the 16 MiB from probed on are where they were, of the process pid
unmoved() {
    local range path from to kib=0 start
    start=$((16#$(nm program | awk '$3 == "probed" { print $1 }')))
    while read -r range _ _ _ _ path; do
        [ "$path" = "$PWD/program" ] || continue
        from=$((16#${range%-*})) to=$((16#${range#*-}))
        from=$((from > start ? from : start)) to=$((to < start + (16 << 20) ? to : start + (16 << 20)))
        [ $from -ge $to ] || kib=$((kib + (to - from) / 1024))
    done <"/proc/$pid/maps"
    echo $kib
}

# its_start KIB: ./program, which waits and has said so, with these 16 MiB moved but for KIB, gives the line called N for each
# line written to fd 9
its_start() {
    rm -f held
    mkfifo held
    : >out # what it said before is no answer
    fresh
    env LD_PRELOAD="$AGENT" ./program wait 0.4 <held >out 3>&- 9>&- &
    pid=$!
    exec 9>held
    for _ in {1..600}; do
        ! grep -q ready out || break
        sleep 0.05
    done
    grep -q ready out
    for _ in {1..600}; do
        [ "$HPPROF_REMAP" != file ] && [ "$(unmoved)" -gt "$1" ] || return 0
        sleep 0.05
    done
    cat "/proc/$pid/maps"
    return 1
}
its_end() {
    exec 9>&-
    wait "$pid"
    cat out
    grep -qx 'called 0' out
    grep -qx '0 wrong' out
}

its_debugger() {
    its_start 0
    gdb -nx -batch -iex 'set debuginfod enabled off' -p "$pid" -ex 'break probed' -ex 'info symbol work_all' -ex detach >gdb.out 2>&1
    cat gdb.out
    grep -E '^work_all in section .text' gdb.out
    grep -E '^Breakpoint 1 at ' gdb.out
    echo >&9
    its_end
    moved_by
}

debugger_by() {
    strace -o /dev/null true 2>err || skip "ptrace is not possible"
    by "$1" its_debugger
}
@test "gdb attaches, finds names, sets a breakpoint and takes it away, by anon" { debugger_by anon; }
@test "gdb attaches, finds names, sets a breakpoint and takes it away, by memfd" { debugger_by memfd; }
@test "gdb attaches, finds names, sets a breakpoint and takes it away, by hugetlb" { debugger_by hugetlb; }
@test "gdb attaches, finds names, sets a breakpoint and takes it away, by file" { debugger_by file; }
@test "gdb attaches, finds names, sets a breakpoint and takes it away, by cache" { debugger_by cache; }

# probe: counts calls of probed() in ./program; unprobe: the end of that, how often is in hits
probe() {
    local offset
    offset=$(nm program | awk '$3 == "probed" { print $1 }')
    read -r from at <<<"$(readelf -lW program | awk '$1 == "LOAD" && / R E / { print $2, $3 }' | tail -n 1)"
    offset=$((0x$offset - at + from))
    name=hpprof_$$_$RANDOM
    { echo "p:$name/probed $PWD/program:$offset" >>"$TRACING/uprobe_events" && echo 1 >"$TRACING/events/$name/enable"; } 2>/dev/null ||
        skip "no uprobe can be set"
    echo "$name" >probe
}
unprobe() {
    name=$(cat probe)
    rm probe
    hits=$(awk -v path="$PWD/program" '$1 == path && $2 == "probed" { print $3 }' "$TRACING/uprobe_profile")
    echo 0 >"$TRACING/events/$name/enable"
    echo "-:$name/probed" >>"$TRACING/uprobe_events"
}

probed_before() {
    probe
    its_start 2048
    echo >&9
    its_end
    unprobe
    check "$hits" '==' 1
    moved_by
    # the 2 MiB with the probe are left, the others are not
    at=$((16#$(nm program | awk '$3 == "probed" { print $1 }')))
    while read -r from to; do
        [ $((from)) -gt $at ] || [ $((to)) -le $at ]
    done <<<"$(sed -n 's/^hpprof.remap .* start=\([^ ]*\) end=\([^ ]*\) .*/\1 \2/p' told)"
    [ "$HPPROF_REMAP" = file ] || grep "^hpprof.left eligible_kib=2048 reason='the text in memory differs from the file'" told
}

probed_after() {
    its_start 0
    probe
    echo >&9
    its_end
    unprobe
    moved_by
    # it is set where the file is mapped
    check "$hits" '==' "$([ "$HPPROF_REMAP" = file ] && echo 1 || echo 0)"
}

probe_by() {
    [ -w "$TRACING/uprobe_events" ] || skip "no uprobe can be set"
    by "$@"
}
@test "a uprobe that was set before: its 2 MiB are left, it counts, by anon" { probe_by anon probed_before; }
@test "a uprobe that was set before: its 2 MiB are left, it counts, by memfd" { probe_by memfd probed_before; }
@test "a uprobe that was set before: its 2 MiB are left, it counts, by hugetlb" { probe_by hugetlb probed_before; }
@test "a uprobe that was set before: its 2 MiB are left, it counts, by file" { probe_by file probed_before; }
@test "a uprobe that was set before: its 2 MiB are left, it counts, by cache" { probe_by cache probed_before; }
@test "a uprobe that is set after: it harms nobody, and counts where text was not replaced, by anon" { probe_by anon probed_after; }
@test "a uprobe that is set after: it harms nobody, and counts where text was not replaced, by memfd" { probe_by memfd probed_after; }
@test "a uprobe that is set after: it harms nobody, and counts where text was not replaced, by hugetlb" { probe_by hugetlb probed_after; }
@test "a uprobe that is set after: it harms nobody, and counts where text was not replaced, by file" { probe_by file probed_after; }
@test "a uprobe that is set after: it harms nobody, and counts where text was not replaced, by cache" { probe_by cache probed_after; }

its_thrown() {
    fresh
    agent ./program thrown 0.4 >out
    cat out
    grep -qx 'thrown away: 0, then 0 wrong' out
    moved_by
}
@test "text that the program throws away (MADV_DONTNEED) is there again, by anon" { by anon its_thrown; }
@test "text that the program throws away (MADV_DONTNEED) is there again, by memfd" { by memfd its_thrown; }
@test "text that the program throws away (MADV_DONTNEED) is there again, by hugetlb" { by hugetlb its_thrown; }

sealed() {
    fresh
    agent LD_PRELOAD="$AGENT $PROGRAMS/seal_text" ./program work 0.4 >out 2>err
    cat out err
    ! grep -q seal_text: err || skip "the kernel has no mseal"
    grep -x '0 wrong' out
    if [ "$HPPROF_REMAP" = file ]; then
        moved_by # where nothing is replaced a seal is no hindrance
        return
    fi
    wait_ended
    cat "$HPPROF_REMAP.$WHEN".*.pb | grep -aoE "hpprof.(remap|left) [^/]*image=[[:graph:]]*/program" | tee told
    grep "^hpprof.left .*reason='mremap failed: it may not be replaced (mseal)'" told
    lacks told '^hpprof.remap '
}

@test "sealed text (mseal) is not replaced, and the profile says so, by anon" { by anon sealed; }
@test "sealed text (mseal) is not replaced, and the profile says so, by memfd" { by memfd sealed; }
@test "sealed text (mseal) is not replaced, and the profile says so, by hugetlb" { by hugetlb sealed; }
@test "sealed text (mseal) is not replaced, and the profile says so, by file" { by file sealed; }
@test "sealed text (mseal) is not replaced, and the profile says so, by cache" { by cache sealed; }

relocated() {
    agent ./program 0.4 >out
    cat out
    grep -x '8 words right, then 8' out
    wait_ended
    cat "$HPPROF_REMAP.$WHEN".*.pb | grep -aoE "hpprof.(remap|left) [^/]*image=[[:graph:]]*/program" | tee told
    grep "^hpprof.left .*reason=" told
    lacks told '^hpprof.remap '
}

relocated_by() { SUBJECT=textrel && by "$1" relocated; }
@test "text relocations: what the loader has changed stays, by anon" { relocated_by anon; }
@test "text relocations: what the loader has changed stays, by memfd" { relocated_by memfd; }
@test "text relocations: what the loader has changed stays, by hugetlb" { relocated_by hugetlb; }
@test "text relocations: what the loader has changed stays, by file" { relocated_by file; }
@test "text relocations: what the loader has changed stays, by cache" { relocated_by cache; }

# node_by BACKEND on|off: with its own move of its text or without, at start and, by the profile of that run, hot
node_by() {
    local when
    command -v node >/dev/null || skip "node is not installed"
    [ "$2" = off ] || node --use-largepages=on -e '' 2>err || skip "node cannot move its text"
    cat >work.js <<'END'
let s = 0; const end = process.cpuUsage().user + 400000;
function work(n) { const a = []; for (let i = 0; i < n; i++) a.push(String(Math.sin(i))); return a.sort().join('').length; }
while (process.cpuUsage().user < end) s = work(20000);
console.log(s);
END
    node work.js >expected
    export HPPROF_REMAP=$1 HPPROF_REMAP_HOT='' HPPROF_FREQ=249
    case $1 in
    hugetlb) reserve 40 ;;
    cache)
        export HPPROF_TEXT_CACHE=$PWD/text
        hpprof cache warm --text "$(realpath "$(command -v node)")" >warmed 2>&1 || {
            grep 'this file system gives its copy no huge pages' warmed
            skip "this file system gives no huge pages"
        }
        ;;
    esac
    for when in start hot; do
        agent HPPROF_REMAP_WHEN=$when HPPROF_OUT="$PWD/$when.pb" node --use-largepages="$2" work.js >out 2>err
        same expected out
        [ ! -s err ]
        profile_comments $when.pb | grep -E '^hpprof.(remap|left) .*/node$' | tee $when
        HPPROF_REMAP_HOT=$PWD/start.pb
    done
    # what it moves later, it moves from where we have; mostly it has moved what we find while it runs, or is at it
    if [ "$2" = on ]; then
        grep -E "^hpprof.(remap .* when=hot|left eligible_kib=.* reason='(the program has it on huge pages of its own|part of it is writable or not the file's)') " hot
    elif [ "$1" != file ]; then # it may be cached in small pages
        grep "^hpprof.remap backend=$1 " start
        grep "^hpprof.remap backend=$1 .* when=hot " hot
    fi
    profile_folded hot.pb >folded
    has_samples folded 70
    check "$(folded_weight 'v8::' <folded)" '>=' 5
}
@test "node, by anon" { node_by anon off; }
@test "node, by memfd" { node_by memfd off; }
@test "node, by hugetlb" { node_by hugetlb off; }
@test "node, by file" { node_by file off; }
@test "node, by cache" { node_by cache off; }
@test "node that moves its text itself, by anon" { node_by anon on; }
@test "node that moves its text itself, by memfd" { node_by memfd on; }
@test "node that moves its text itself, by hugetlb" { node_by hugetlb on; }
@test "node that moves its text itself, by file" { node_by file on; }
@test "node that moves its text itself, by cache" { node_by cache on; }
@test "node that moves its text itself, by auto" { node_by auto on; }
