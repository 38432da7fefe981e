# Figures of bench/remap.sh on what moving costs: time before main, time that others wait, memory. Sourced there.
# shellcheck shell=bash disable=SC2154,SC2046,SC2086,SC2012

versions() {
    local program name
    program=$(realpath "$(command -v clang++)") || { echo 'clang++ --version: not measured: it is not installed' && return; }
    warm "$program"
    echo 'clang++ --version, wall time with the agent (HPPROF_REMAP=auto) / without:'
    unset HPPROF_SESSION
    "$pairs" "$(rounds 101)" wall without : warm-cache $(agent HPPROF_TEXT_CACHE="$work/text" HPPROF_OUT="$work/%p.pb") \
        : no-cache $(agent HPPROF_OUT="$work/%p.pb") : off $(agent HPPROF_REMAP=off HPPROF_OUT="$work/%p.pb") -- "$program" --version | tee "$work/versions"
    export HPPROF_SESSION=$work/session
    at_most 'warm cache' "$(column "$work/versions" warm-cache 6)" 1.15
    at_most 'no cache' "$(column "$work/versions" no-cache 6)" 1.05
    HPPROF_TEXT_CACHE=$work/text under "$program" --version
    name=$(json '[.remap[] | select(.huge_kib > 0)] | "\(map(.huge_kib) | add // 0) KiB by \(map(.backend) | unique | join(", "))"')
    echo "    (with the warm cache $name are on huge pages)"
}

# Moves by anon, and the same bytes read into huge pages, in turn.
fills() {
    local round how
    echo 'Text of 150 MiB moved before main by anon, ms / those of one pread of its file into populated huge pages:'
    "$programs/gen_text" "$work" 152 >/dev/null && (cd "$work" && cc text.c -o filled)
    "$work/filled" >/dev/null 2>&1
    : >"$work/moves" && : >"$work/looked" && : >"$work/reads"
    for ((round = $(rounds 15); round > 0; round--)); do
        "$build/bench/remap" "$work/filled" >>"$work/reads"
        for how in moves looked; do
            under HPPROF_REMAP=anon HPPROF_REMAP_WHEN=start $([ $how = moves ] || echo "$programs/deny" pagemap-scan 25) "$work/filled"
            json '[.remap[] | select(.image | endswith("filled"))] | "\(map(.ms) | add) \(map(.huge_kib) | add)"' >>"$work/$how"
        done
    done
    for how in moves looked; do
        paste -d ' ' "$work/$how" "$work/reads" >"$work/pasted" # ms, KiB; ms of the pread, of both, KiB
        at_most "$([ $how = moves ] && echo 'as it is' || echo 'without PAGEMAP_SCAN')" "$(median "$work/pasted" '$1 / $2 / ($3 / $5)')" \
            "$([ $how = moves ] && echo 1.5 || echo 2)"
        awk -v ms="$(median "$work/pasted" '$1')" -v kib="$(median "$work/pasted" '$2')" -v pread="$(median "$work/pasted" '$3 * $2 / $5')" \
            -v both="$(median "$work/pasted" '$4 * $2 / $5')" -v ratio="$(median "$work/pasted" '$1 / $2 / ($4 / $5)')" 'BEGIN {
            printf "    %.1f ms for %d KiB on huge pages; the pread %.1f ms, with populating %.1f ms (ratio to both %.2f)\n", ms, kib, pread, both, ratio }'
    done
    rm -f "$work"/text.* "$work/filled"
}

# The longest that a thread stands still in a call while the code that it calls is moved, beside a program whose text
# stays. Its processor was not taken from it then: that is left out. Judged is the median of what was the longest in each
# run; the worst of all is said.
stalls() {
    local round how
    echo 'Longest time that a thread stood still in one call while its text was moved, hot, by anon, us:'
    cp "$build/bench/remap_calls" "$work/calls"
    drop "$work/calls"
    : >"$work/moved" && : >"$work/left"
    for ((round = $(rounds 11); round > 0; round--)); do
        for how in moved left; do
            under HPPROF_REMAP=$([ $how = moved ] && echo anon || echo off) HPPROF_REMAP_WHEN=hot HPPROF_FREQ=99 "$work/calls" stalls 3
            echo "$(cat "$work/out") $(json '[.remap[].ranges] | add // 0')" >>"$work/$how"
        done
    done
    at_most "moved: median of the runs' longest, us" "$(median "$work/moved" '$1')" 1000
    no_bound 'moved: longest of all runs' "$(sort -g "$work/moved" | awk 'END { print $1 }')"
    no_bound "not moved: median of the runs' longest" "$(median "$work/left" '$1')"
    no_bound 'not moved: longest of all runs' "$(sort -g "$work/left" | awk 'END { print $1 }')"
    echo "    (over 1 ms in $(awk '$1 > 1000' "$work/moved" | wc -l) of $(wc -l <"$work/moved") runs, not moved in $(awk '$1 > 1000' "$work/left" | wc -l))"
    echo "    longest of each run, moved: $(cut -d' ' -f1 "$work/moved" | sort -g | tr '\n' ' ')"
    echo "    not moved: $(cut -d' ' -f1 "$work/left" | sort -g | tr '\n' ' ')"
    echo "    $(median "$work/moved" '$3') moves a run, $(median "$work/moved" '$2') of 65536 KiB on huge pages at its end"
    rm -f "$work/calls"
}

# pss COUNT: KiB of the text of so many compilers that wait for their standard input
pss() {
    local pids=() pid sum=0
    rm -f "$work/hold" && mkfifo "$work/hold"
    begin_session
    for ((i = 0; i < $1; i++)); do
        env $(agent HPPROF_REMAP=cache HPPROF_TEXT_CACHE="$work/text") "$program" -cc1 -fsyntax-only -x c++ - <"$work/hold" &
        pids+=($!)
    done
    exec 9>"$work/hold"
    sleep 2
    for pid in "${pids[@]}"; do
        sum=$((sum + $(awk '/^[0-9a-f]+-[0-9a-f]+ / { text = $2 ~ /x/ } text && /^Pss:/ { n += $2 } END { print n + 0 }' "/proc/$pid/smaps")))
    done
    exec 9>&-
    wait "${pids[@]}"
    end_session
    json '[.remap[].huge_kib] | add // 0' >"$work/huge"
    echo $sum
}
memory() {
    local program one eight
    program=$(realpath "$(command -v clang++)") || { echo 'PSS of clang: not measured: it is not installed' && return; }
    warm "$program"
    echo 'PSS of text of clang processes at once, by cache:'
    one=$(pss 1) eight=$(pss 8)
    echo "    1 process $one KiB, 8 processes $eight KiB, $(cat "$work/huge") KiB of each on huge pages"
    at_most '8 processes / 1' "$(awk -v a="$eight" -v b="$one" 'BEGIN { print a / b }')" 1.1
}

# A build of this project: some hundred short processes.
builds() {
    local what=cpu word='CPU time'
    unset HPPROF_SESSION
    for what in wall cpu; do
        [ $what = wall ] || word='CPU time'
        [ $what = cpu ] || word='wall time'
        echo "make -j2 all of this project, $word with the agent / without:"
        "$pairs" "$(rounds 5)" $what without : with $(agent HPPROF_OUT="$work/builds/%e.%p.pb") \
            -- sh -c "rm -rf '$work/builds' && mkdir -p '$work/builds' && exec make -s -C '$here/..' -j2 BUILD='$work/builds/build' all" | tee "$work/builds.table"
        at_most "make -j2, $word" "$(column "$work/builds.table" with 6)" 1.02
    done
    echo "    ($(find "$work/builds" -name '*.pb' | wc -l) processes left a profile)"
    export HPPROF_SESSION=$work/session
}
