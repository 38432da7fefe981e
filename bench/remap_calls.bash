# Figure `calls` of bench/remap.sh: what a call costs where code is spread over 16,384 pages, by each backend and by
# others that move text. Each of those needs a program of its own: there ours move the text in its stead. Sourced there.
# shellcheck shell=bash disable=SC2154,SC2046,SC2086

# try NAME WORD…: adds a variant, the command that env makes of WORD…, unless its code does not come to lie on huge pages
try() {
    local kib
    kib=$(env "${@:2}" 1 2>"$work/err" | awk '{ print $2 }')
    if [ "${kib:-0}" -lt 60000 ]; then
        echo "  not measured: $1: it moves ${kib:-0} of 65536 KiB here"
        return 1
    fi
    names+=("$1")
    commands[$1]=${*:2}
}

# try_ours PEER PROGRAM: each backend on PROGRAM
try_ours() {
    local backend
    "$hpprof" cache --text-cache="$work/text" warm "$2" >/dev/null 2>&1 || true
    dd if="$2" of="$2.file" bs=8M status=none && chmod 755 "$2.file" # in large pieces, so in large folios
    drop "$2"
    "$2" 1 >/dev/null 2>&1 # which has it in small pages of the page cache
    for backend in anon memfd file cache hugetlb; do
        [ $backend != hugetlb ] || [ -n "$reserved" ] || continue
        try "$backend@$1" $(agent HPPROF_REMAP=$backend HPPROF_REMAP_WHEN=start HPPROF_FREQ=1 HPPROF_TEXT_CACHE="$work/text") \
            "$2$([ $backend != file ] || echo .file)" || true
    done
}

align='-Wl,-z,common-page-size=2097152 -Wl,-z,max-page-size=2097152' # as both ask for

try_libhugetlbfs() {
    if ! cc -no-pie "$build/obj/bench/remap_calls.o" -o "$work/calls.libhugetlbfs" $align -Wl,--no-as-needed -lhugetlbfs 2>"$work/err"; then
        echo '  not measured: libhugetlbfs: it is not installed (libhugetlbfs-dev)'
    elif ! { mkdir -p "$work/hugetlbfs" && mount -t hugetlbfs none "$work/hugetlbfs" 2>/dev/null; }; then
        echo '  not measured: libhugetlbfs: no hugetlbfs can be mounted'
    else
        mounted=$work/hugetlbfs
        try_ours libhugetlbfs "$work/calls.libhugetlbfs"
        try libhugetlbfs HUGETLB_ELFMAP=R HUGETLB_PATH="$work/hugetlbfs" "$work/calls.libhugetlbfs" || true
    fi
}

try_page_primer() {
    objcopy --redefine-sym main=calls_main "$build/obj/bench/remap_calls.o" "$work/calls.o" && ar rcs "$work/libcalls.a" "$work/calls.o"
    if ! command -v cargo >/dev/null; then
        echo '  not measured: page-primer: there is no cargo'
    elif ! (cd "$here/page_primer" && CARGO_TARGET_DIR="$build/bench/page_primer" \
        RUSTFLAGS="-L native=$work -l static=calls ${align//-Wl,-z,/-C link-arg=-z -C link-arg=}" cargo build --quiet --release --locked) >"$work/cargo" 2>&1; then
        echo "  not measured: page-primer: cargo cannot build it: $(tail -n 1 "$work/cargo")"
    else
        cp "$build/bench/page_primer/release/bench-page-primer" "$work/calls.page-primer"
        try_ours page-primer "$work/calls.page-primer"
        try page-primer PAGE_PRIMER=on "$work/calls.page-primer" || true
    fi
}

# say_calls: of lines "ROUND NAME NS": medians, and each BACKEND@PEER against PEER in the same rounds: the median of the
# ratios is judged, and between which quartiles they lie is said.
say_calls() {
    awk '
    function of(name, over,    i, j, n, v, value) {
        for (i = 1; i <= rounds; i++) {
            value = over ? ns[i, name] / ns[i, over] : ns[i, name]
            for (j = ++n; j > 1 && v[j - 1] > value; j--) v[j] = v[j - 1]
            v[j] = value
        }
        spread = sprintf("%.3f to %.3f", v[int((n + 3) / 4)], v[int((3 * n + 3) / 4)])
        return v[int((n + 1) / 2)]
    }
    { ns[$1, $2] = $3; if ($1 > rounds) rounds = $1 }
    !seen[$2]++ { names[++count] = $2 }
    END {
        for (i = 1; i <= count; i++) {
            name = names[i]
            split(name, part, "@")
            if (!(part[2] in seen)) { printf "  %-48s %9.2f\n", name, of(name); continue }
            ns_a_call = of(name)
            ratio = of(name, part[2])
            printf "  %-37s %10.2f %9.3f  at most 1     %s (half of them %s)\n", name, ns_a_call, ratio, ratio <= 1 ? "ok" : "MISSED", spread
        }
    }'
}

calls() {
    local name round i names=() reserved=''
    declare -A commands=()
    echo 'ns a call into 16,384 pages of code at random; BACKEND@PEER: on the program of that peer, and over it:'
    ! reserve 100 || reserved=yes
    [ -n "$reserved" ] || echo '  not measured: hugetlb, libhugetlbfs, page-primer: 100 huge pages cannot be reserved here'
    cp "$build/bench/remap_calls" "$work/calls.own"
    try_ours own "$work/calls.own"
    commands[without]=$work/calls.own
    names=(without "${names[@]}")
    [ -z "$reserved" ] || try_libhugetlbfs
    [ -z "$reserved" ] || try_page_primer
    if [ -n "${PEER_PRELOAD-}" ]; then
        name=$(basename "$PEER_PRELOAD")
        cp "$build/bench/remap_calls" "$work/calls.preload"
        try_ours "$name" "$work/calls.preload"
        try "$name" LD_PRELOAD="$(realpath "$PEER_PRELOAD")" "$work/calls.preload" || true
    fi
    begin_session
    for ((round = 1; round <= $(rounds 15); round++)); do
        for ((i = 0; i < ${#names[@]}; i++)); do
            name=${names[(i + round - 1) % ${#names[@]}]}
            echo "$round $name $(env ${commands[$name]} 300 2>/dev/null | cut -d' ' -f1)"
        done
    done >"$work/ns"
    say_calls <"$work/ns"
    [ -z "$mounted" ] || umount "$mounted"
    mounted=''
    reserve "$pages_before" || true
    rm -f "$work"/calls.* "$work"/libcalls.a
}
