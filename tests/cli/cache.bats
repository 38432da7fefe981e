#!/usr/bin/env bats
# hpprof cache: what it prints, what it refuses and why, and that nothing else than its own files goes.

load helper
load profiles

setup() {
    hpprof_setup
    export HPPROF_CACHE=$PWD/cache
    TABLES=$PWD/cache/unwind
}

# make_library FILE [HEX]: a shared object with unwind information, and with that build-id, or none
make_library() {
    echo 'int f(int (*g)(void)); int f(int (*g)(void)) { return g() + 1; }' >source.c
    "${CC:-cc}" -O2 -shared -fPIC -nostdlib -Wl,--build-id="${2:+0x}${2:-none}" source.c -o "$1" && rm source.c
}

@test "warm, list, verify, clear" {
    make_library a.so 0123456789abcdef0123456789abcdef01234567
    make_library b.so 02020202
    hpprof cache warm a.so b.so >out
    grep -qE '^a\.so: [0-9]+ rows, [0-9.]+K? bytes$' out
    [ "$(tail -n 1 out)" = "2 made, 0 already there, 0 failed, in $TABLES" ]
    hpprof cache warm ./a.so >out
    grep -qx './a.so: already there' out
    [ "$(stat -c %a "$TABLES"/*.unwind | sort -u)" = 444 ]

    hpprof cache list >out
    cat out
    [ "$(wc -l <out)" -eq 4 ]
    grep -qE "^0123456789abcdef0123456789abcdef01234567 +[0-9.]+K? +[0-9]+  $(date +%Y)-[0-9-]+$" out
    grep -qE "^02020202 +[0-9.]+K? +[0-9]+  $(date +%Y)-" out
    grep -qE "^2 tables, .* of at most 1.0G bytes, in $TABLES$" out

    hpprof cache verify >out
    [ "$(cat out)" = "2 sound, 0 not used, in $TABLES" ]
    hpprof cache verify a.so b.so >out
    grep -qx 'b.so: as the file gives it' out
    echo mine >"$TABLES/notes"
    hpprof cache clear | grep -qE "^removed 2 files, .* bytes, from $TABLES$"
    [ "$(ls "$TABLES")" = notes ]
}

@test "no cache yet: nothing to list, verify and clear, and nothing is made" {
    hpprof cache list | grep -qx "0 tables, 0 of at most 1.0G bytes, in $TABLES"
    hpprof cache verify | grep -qx "0 sound, 0 not used, in $TABLES"
    hpprof cache clear | grep -qx "removed 0 files, 0 bytes, from $TABLES"
    [ ! -e cache ]
}

@test "the list fits 80 columns, whatever is wrong" {
    cp "$PROGRAMS/stacks" good
    hpprof cache warm good "$AGENT"
    table=$(ls "$TABLES"/*.unwind | head -n 1)
    number=0
    for spoil in 'truncate -s 100' 'truncate -s +100' 'chmod 666' 'sed -i s/^.hppunw[0-9]/xxxxxxxx/' \
        'sed -i s/^\(.hppunw\)[0-9]/\10/'; do
        number=$((number + 1))
        copy=$TABLES/$(printf '%040d' $number).unwind
        cp "$table" "$copy"
        chmod 644 "$copy"
        $spoil "$copy"
    done
    cp "$table" "$TABLES/$(printf '%040d' 6).unwind"
    ln -s "$table" "$TABLES/$(printf '%040d' 7).unwind"
    mkdir "$TABLES/$(printf '%040d' 8).unwind"
    hpprof cache list >out
    cat out
    awk 'length($0) > 80 { print; long = 1 } END { exit long }' <(head -n -1 out)
    for reason in 'it is cut short' 'it is too long' 'others may write to it' 'it is no unwind table' \
        'it is of another version' 'it is for another build-id' 'it is a symbolic link' 'it is not a regular file'; do
        grep -qE "^0{39}[1-8] .*  $reason$" out
    done

    status=0
    hpprof cache verify >out 2>err || status=$?
    cat out err
    [ "$status" -eq 1 ]
    [ "$(cat out)" = "2 sound, 8 not used, in $TABLES" ]
    [ "$(wc -l <err)" -eq 8 ]
    grep -qx "hpprof: $TABLES/0*3.unwind: others may write to it" err
    # what has our name and is no file stays, and so does what a link points to
    hpprof cache clear | grep -q '^removed 8 files'
    [ "$(ls "$TABLES" | wc -l)" -eq 2 ]
}

@test "verify: a damaged table, and one that is not what its file gives" {
    make_library a.so 01010101
    make_library b.so 02020202
    hpprof cache warm a.so b.so
    chmod 644 "$TABLES/01010101.unwind"
    printf '\377' | dd of="$TABLES/01010101.unwind" bs=1 seek=150 conv=notrunc 2>/dev/null
    fails 1 "hpprof: $TABLES/01010101.unwind: its checksum is wrong" hpprof cache verify
    [ "$(cat out)" = "1 sound, 1 not used, in $TABLES" ]
    hpprof cache warm a.so | grep -q '^1 made' # replaced
    hpprof cache verify

    echo 'int h(void); int h(void) { return 1; }' >other.c
    "${CC:-cc}" -O2 -shared -fPIC -nostdlib -Wl,--build-id=0x02020202 other.c -o b.so
    fails 1 "hpprof: b.so: its table in the cache is not the one that the file gives" hpprof cache verify a.so b.so
    make_library c.so 03030303
    fails 1 "hpprof: c.so: its table in the cache: No such file or directory" hpprof cache verify c.so
}

@test "files that have no table" {
    make_library none.so
    make_library a.so 01010101
    echo text >text
    : >empty
    "${CC:-cc}" -c -x c - -o object.o <<<'int x;'
    fails 1 "hpprof: none.so: it has no build-id, so its table cannot be kept" hpprof cache warm a.so none.so
    [ "$(tail -n 1 out)" = "1 made, 0 already there, 1 failed, in $TABLES" ]
    fails 1 "hpprof: text: it is no 64-bit ELF program or library" hpprof cache warm text
    fails 1 "hpprof: empty: it is no 64-bit ELF program or library" hpprof cache warm empty
    fails 1 "hpprof: object.o: it is no 64-bit ELF program or library" hpprof cache warm object.o
    fails 1 "hpprof: missing: No such file or directory" hpprof cache warm missing
    mkfifo fifo
    fails 1 "hpprof: fifo: it is not a regular file" hpprof cache warm fifo
    fails 1 "hpprof: /dev/null: it is not a regular file" hpprof cache warm /dev/null
}

@test "a folder: what can be loaded in it, links not followed, other files passed over" {
    mkdir -p tree/sub
    make_library tree/a.so 01010101
    make_library tree/sub/b.so 02020202
    make_library c.so 03030303
    ln -s ../c.so tree/c.so
    echo text >tree/text
    "${CC:-cc}" -c -x c - -o tree/object.o <<<'int x;'
    hpprof cache warm tree >out
    cat out
    [ "$(tail -n 1 out)" = "2 made, 0 already there, 0 failed, in $TABLES" ]
    hpprof cache verify tree
    hpprof cache warm tree/c.so | grep -q '^1 made' # named, it is followed
}

@test "as --help says: a program and its libraries" {
    hpprof cache --help | grep -qF "hpprof cache warm PROGRAM \$(ldd PROGRAM | grep -o '/[^ ]*')"
    # shellcheck disable=SC2046
    hpprof cache warm /bin/sh $(ldd /bin/sh | grep -o '/[^ ]*') >out
    grep -qE '/libc\.so\.6: [0-9]+ rows' out
    libc=$(readelf -n "$(ldd /bin/sh | sed -n 's/.*=> \(.*libc\.so\.6\) .*/\1/p')" | sed -n 's/.*Build ID: //p')
    hpprof cache list | grep -q "^$libc "
}

@test "no more than --cache-max: the least recently used go" {
    for number in 01 02 03 04; do
        make_library $number.so $number$number$number$number
        hpprof cache warm $number.so
        touch -d "2020-01-$number" "$TABLES/$number$number$number$number.unwind"
    done
    size=$(stat -c %s "$TABLES/01010101.unwind")
    make_library 05.so 05050505
    hpprof cache warm --cache-max=$((3 * size)) 05.so
    [ "$(cd "$TABLES" && echo *)" = "03030303.unwind 04040404.unwind 05050505.unwind" ]
    HPPROF_CACHE_MAX=$((2 * size)) hpprof cache warm 03.so
    HPPROF_CACHE_MAX=$((2 * size)) hpprof cache warm 01.so
    [ "$(cd "$TABLES" && echo *)" = "01010101.unwind 03030303.unwind" ] || [ "$(cd "$TABLES" && echo *)" = "01010101.unwind 05050505.unwind" ]
    fails 1 "hpprof: 02.so: its table of $size bytes is larger than the cache may be" \
        hpprof cache warm --cache-max=$((size - 1)) 02.so
    [ ! -e "$TABLES/02020202.unwind" ]
}

@test "where it is: --cache, HPPROF_CACHE, XDG_CACHE_HOME, HOME, or off" {
    hpprof cache list --cache="$PWD/typed" | grep -q " in $PWD/typed/unwind$"
    HPPROF_CACHE=$PWD/set/ hpprof cache list | grep -q " in $PWD/set/unwind$"
    fails 1 "HPPROF_CACHE is off: there is no cache" env HPPROF_CACHE=off "$HPPROF_COMMAND" cache list
    fails 1 "HPPROF_CACHE is off: there is no cache" hpprof cache warm --cache=off "$AGENT"
    fails 2 "hpprof: cache: --cache: 'here' is not allowed, only off or an absolute path" \
        hpprof cache list --cache=here
    fails 2 "hpprof: cache: HPPROF_CACHE=here is not allowed, only off or an absolute path" \
        env HPPROF_CACHE=here "$HPPROF_COMMAND" cache list
    fails 2 "hpprof: cache: HPPROF_CACHE_MAX=1T is not allowed, only 0..1024G bytes (K, M, G)" \
        env HPPROF_CACHE_MAX=1T "$HPPROF_COMMAND" cache list
    unset HPPROF_CACHE
    as_nobody() { setpriv --reuid 65534 --clear-groups env "$@" "$HPPROF_COMMAND" cache list; }
    [ "$(id -u)" -eq 0 ] || as_nobody() { env "$@" "$HPPROF_COMMAND" cache list; }
    as_nobody XDG_CACHE_HOME=/x HOME=/h | grep -q ' in /x/hpprof/unwind$'
    as_nobody XDG_CACHE_HOME=x HOME=/h | grep -q ' in /h/.cache/hpprof/unwind$'
    as_nobody -u XDG_CACHE_HOME HOME=/h | grep -q ' in /h/.cache/hpprof/unwind$'
    fails 1 "there is no home folder: name one in HOME, or a folder with --cache" as_nobody -u XDG_CACHE_HOME -u HOME
    [ "$(id -u)" -ne 0 ] || hpprof cache list | grep -q ' in /var/cache/hpprof/unwind$'
}

@test "a folder that others may write to, or a link, is neither used nor filled" {
    make_library a.so 01010101
    mkdir -p "$TABLES"
    chmod 1777 "$TABLES"
    for command in list verify "warm a.so"; do
        # shellcheck disable=SC2086
        fails 1 "hpprof: $TABLES is not used: others may write to the folder" hpprof cache $command
    done
    fails 1 "hpprof: cannot clear $TABLES: others may write to the folder" hpprof cache clear
    chmod 755 "$TABLES"
    hpprof cache warm a.so
    mv "$TABLES" elsewhere
    ln -s "$PWD/elsewhere" "$TABLES"
    for command in list verify "warm a.so"; do
        # shellcheck disable=SC2086
        fails 1 "hpprof: $TABLES: it is a symbolic link, or no folder" hpprof cache $command
    done
    fails 1 "hpprof: cannot clear $TABLES" hpprof cache clear
    [ -e elsewhere/01010101.unwind ]
}

@test "another user's folder is not used; root's is, and is not written to" {
    [ "$(id -u)" -eq 0 ] || skip "only root can give files away"
    nobody() { setpriv --reuid 65534 --clear-groups env HPPROF_CACHE="$shared/cache" "$HPPROF_COMMAND" cache "$@"; }
    # below a folder that everybody may enter
    shared=$(mktemp -d)
    chmod 755 "$shared"
    make_library "$shared/a.so" 01010101
    make_library "$shared/b.so" 02020202
    hpprof cache warm --cache="$shared/cache" "$shared/a.so"
    nobody warm "$shared/a.so" | grep -q 'already there'
    fails 1 "cannot keep its table in $shared/cache/unwind: Permission denied" nobody warm "$shared/b.so"
    nobody verify
    fails 1 "hpprof: cannot clear $shared/cache/unwind: Permission denied" nobody clear
    chown 65534 "$shared/cache/unwind/01010101.unwind"
    fails 1 "01010101.unwind: it belongs to another user" hpprof cache verify --cache="$shared/cache"
    chown -R 65534 "$shared/cache"
    fails 1 "not used: the folder belongs to another user" hpprof cache list --cache="$shared/cache"
    rm -r "$shared"
}

@test "a full disk: nothing is left behind" {
    unshare -rm true || skip "cannot make a mount namespace"
    mkdir disk
    # shellcheck disable=SC2016
    unshare -rm bash -c 'mount -t tmpfs -o size=64k,mode=755 hpprof-test disk && shift && "$@"' mounted ro bash -c '
        status=0
        "$1" cache warm --cache="$PWD/disk/cache" /bin/sh "$2" >out 2>err || status=$?
        cat out err
        [ "$status" -eq 1 ] && [ -z "$(find disk -type f -name "*.unwind.*")" ]' full "$HPPROF_COMMAND" \
        "$(ldd /bin/sh | sed -n 's/.*=> \(.*libc\.so\.6\) .*/\1/p')"
    grep -q 'libc.so.6: cannot keep its table in .*/disk/cache/unwind: No space left on device$' err
    (ulimit -f 1 && fails 1 "File too large" "$HPPROF_COMMAND" cache warm "$AGENT")
    [ -z "$(ls "$TABLES")" ]
}

@test "what a writer that died left behind" {
    mkdir -p "$TABLES"
    echo half >"$TABLES/01010101.unwind.0123456789abcdef"
    echo half >"$TABLES/01010101.unwind.0123456789abcdee"
    touch -d '1 hour ago' "$TABLES/01010101.unwind.0123456789abcdef"
    hpprof cache list | grep -q '^0 tables'
    hpprof cache verify
    hpprof cache clear | grep -q '^removed 1 file, 5 bytes'
    [ "$(ls "$TABLES")" = 01010101.unwind.0123456789abcdee ]
}

@test "mistakes on the command line" {
    fails 2 "hpprof: cache: missing argument: hpprof cache" hpprof cache
    fails 2 "hpprof: cache: 'lst' is none of list, warm, verify, clear" hpprof cache lst
    fails 2 "hpprof: cache warm: missing argument: hpprof cache warm FILE..." hpprof cache warm
    fails 2 "hpprof: cache list: 'x' is one argument too many" hpprof cache list x
    fails 2 "hpprof: cache clear: 'x' is one argument too many" hpprof cache clear x
    fails 2 "hpprof: cache: --cache-max: 'lots' is not allowed, only 0..1024G bytes (K, M, G)" \
        hpprof cache warm --cache-max=lots x
    fails 1 "cannot write to standard output" bash -c "'$HPPROF_COMMAND' cache list >/dev/full"
}

# by_fp FILE: the weight of its samples that were walked for want of a table
by_fp() { profile_comments "$1" | sed -n 's/^hpprof.unwind by_fp=\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }

@test "a program that ends before a table of its size can be made leaves one all the same" {
    compiler=$("${CC:-cc}" -print-prog-name=cc1)
    [ -x "$compiler" ] || compiler=$(gcc -print-prog-name=cc1)
    id=$(readelf -n "$compiler" | sed -n 's/.*Build ID: //p')
    for ((i = 0; i < 50; i++)); do echo "int f$i(int x) { return x * $i; }"; done >input.c
    for ((run = 1; run <= 5; run++)); do
        agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/$run.pb" "$compiler" -quiet input.c -o /dev/null
        # the writer goes on when the program has ended; what it has then begun ends soon
        for ((try = 0; try < 50; try++)); do
            [ ! -e "$TABLES/$id.unwind" ] || break 2
            sleep 0.1
        done
    done
    [ -e "$TABLES/$id.unwind" ]
    echo "there after run $run"
    check "$(by_fp $run.pb)" '>' 0
    # it is there from the first sample on, unless that comes before the writer has looked
    for ((run = 6; run <= 35; run++)); do
        agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/$run.pb" "$compiler" -quiet input.c -o /dev/null
        [ ! -e $run.pb ] || [ "$(by_fp $run.pb)" -gt 0 ] || break # without a sample there is no file
    done
    [ "$run" -le 35 ]
    hpprof report $run.pb | tee out
    lacks out 'end in cc1'
}

@test "tables that cannot be kept, or not be built: the report says why" {
    HPPROF_CACHE=off agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/off.pb" "$PROGRAMS/processes" child 0.5 || true
    hpprof report off.pb >out
    grep -A 1 'and will be again: HPPROF_CACHE$' out | grep -qx 'keeps none (there is no folder for them).'
    (
        ulimit -v 8000000
        agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/limited.pb" "$PROGRAMS/processes" child 0.5 || true
    )
    hpprof symbolize limited.pb -o named.pb
    strings -a limited.pb | grep -q "^.*hpprof.no_table reason='the program's memory is limited"
    [ -z "$(ls cache/unwind)" ]
}
