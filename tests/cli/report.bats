#!/usr/bin/env bats
# hpprof report: figures, orders, groups, JSON, what it says about what is missing.

load helper
load profiles

setup_file() { go_pprof_setup; }

setup() {
    hpprof_setup
    make_profile hpprof.pb
}

@test "functions: flat and cumulative, in the default file" {
    hpprof report >out
    cat out
    [ "$(sed -n '1p' out)" = "hpprof.pb: image.so (pid 4711)" ]
    [ "$(sed -n '2p' out)" = "2.50 s, 100 Hz, 10 samples, 0.10 CPU-seconds" ]
    grep -qx ' *0.05 *50.0 *0.09 *90.0  beta  image.so' out
    grep -qx ' *0.03 *30.0 *0.03 *30.0  alpha  image.so' out
    grep -qx ' *0.01 *10.0 *0.01 *10.0  void gamma<int>(int)  image.so' out
    # outside every symbol: image and offset in the file, never the nearest name
    grep -qx "  *0.01 *10.0 *0.01 *10.0  $(printf 'image.so+0x%x' $((TEXT + 133)))" out
}

@test "the footer: unfinished stacks, losses, huge pages, what was left" {
    hpprof report >out
    cat out
    grep -q '^10.0% of CPU time (1 sample) has stacks that do not reach their' out
    grep -q '^Lost: 7 samples dropped (ring full), 2 late signals of ended threads.$' out
    grep -q '^Text on huge pages: 0.0 of 2.0 MiB eligible, with 0.0% of samples.$' out
    grep -q '^  other.so: 2.0 MiB left: memory is short$' out
    lacks out 'Not finished'
}

@test "unfinished stacks: in which image they end, and why; what was left out" {
    deep_profile deep.pb
    hpprof report deep.pb >out
    sed -n '/^26.0%/,$p' out | tee footer
    cat >expected <<'END'
26.0% of CPU time (260 samples) has stacks that do not reach their
thread's root: their callers are missing from the cum columns.
  12.6% end in libjpeg.so.62: its unwind information is of no use there
   6.0% end in libssl.so.3: it has no unwind information (.eh_frame)
   4.0% end in code without a file: it has no unwind information
   2.0% end in libplugin.so: its unwind table came late, or is of no use there
   0.8% end in server: its unwind table came late, or is of no use there
3.0% of CPU time (30 samples) was walked by frame pointers while
unwind tables were being built; they are kept for later runs.
10.6% of CPU time (106 samples) has stacks with their middle frames
left out; a larger HPPROF_DEPTH keeps more of them.
4.0% of CPU time (40 samples) has stacks too deep to be walked to
their root: their outermost callers are missing from the cum columns.
END
    same footer expected
    # behind the frames left out, the callers count
    grep -qx ' *0.00 *0.0 *7.08 *70.8  serve  server' out
}

@test "the same in JSON: all images, samples, reasons" {
    deep_profile deep.pb
    hpprof report --json deep.pb >out.json
    jq -e '.total_samples == 1000 and .unfinished_samples == 260 and .truncated_samples == 146
        and .rootless_samples == 40 and .rootless_ns == 400000000 and .by_fp_samples == 30
        and .lost.not_libunwind == 0' out.json
    jq -e '.unfinished_by_image | length == 7 and ([.[].samples] | add) == 260 and ([.[].ns] | add) == 2600000000' out.json
    jq -e '.unfinished_by_image[1] == {image: "/usr/lib/libssl.so.3", ns: 600000000, samples: 60,
        reason: "it has no unwind information (.eh_frame)"}' out.json
    jq -e '.unfinished_by_image[2] | .image == "" and .samples == 40' out.json
    hpprof report --json hpprof.pb | jq -e '.by_fp_samples == 0 and .rootless_samples == 0 and
        (.unfinished_by_image | length == 1) and .unfinished_by_image[0].reason == "frame pointers only"'
}

@test "--by thread and process tell the same of stacks" {
    deep_profile deep.pb
    hpprof report deep.pb | sed -n '/^26.0%/,$p' >expected
    [ -s expected ]
    for by in image thread process; do
        hpprof report --by $by deep.pb | sed -n '/^26.0%/,$p' >footer
        same footer expected
    done
}

@test "middle frames left out are no missing roots" {
    chunk whole.pb <<'END'
string_table: ["", "samples", "count", "cpu", "nanoseconds", "[truncated]", "hpprof.process pid=1 unwind=auto image=/x", "f"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 } comment: 6
function { id: 1 name: 5 } function { id: 2 name: 7 }
location { id: 1 line { function_id: 1 } } location { id: 2 line { function_id: 2 } }
sample { location_id: [2, 1, 2] value: [3, 30000000] }
END
    hpprof report whole.pb >out
    cat out
    grep -qx "All stacks reach their thread's root." out
    grep -q '^100.0% of CPU time (3 samples) has stacks with their middle frames$' out
}

@test "merged: counts add up, what is said of an image stands once" {
    deep_profile a.pb
    deep_profile b.pb fp 78
    hpprof merge a.pb b.pb a.pb -o all.pb
    profile_comments all.pb >comments
    cat comments
    [ "$(grep -c '^hpprof.unwind by_fp=15$' comments)" -eq 6 ]
    [ "$(grep -c '^hpprof.no_table ' comments)" -eq 1 ]
    hpprof report --json all.pb | jq -e '.by_fp_samples == 90 and .total_samples == 3000
        and .unfinished_by_image[0].samples == 378 and .unfinished_by_image[0].reason == "some processes had frame pointers only"'
    # the comment of one file, or of one chunk, says no less than that of two
    hpprof merge all.pb -o again.pb
    hpprof report --json again.pb | jq -e '.by_fp_samples == 90'
}

@test "CPU time without samples: rows, and the footer's account of what was used" {
    booked_profile booked.pb 60 25 10 5 100
    hpprof report booked.pb | tee out
    grep -x '10.00 s, 100 Hz, 60 samples, 1.00 CPU-seconds' out
    sed -n '/^CPU time/,$p' out | head -5 >footer
    cat >expected <<'END'
CPU time used (getrusage): 1.00 s
     0.60 s  60.0%  sampled
     0.25 s  25.0%  [short-lived]: threads ended before a signal came
     0.10 s  10.0%  [signals blocked]: the program kept SIGPROF from coming
     0.05 s   5.0%  [unsampled]: loading, exit, losses, the timer's limits
END
    same footer expected
    lacks out '^.{81}'
    grep -qx ' *0.25 *25.0 *0.25 *25.0  \[short-lived\]' out
    grep -qx ' *0.60 *60.0 *0.95 *95.0  run  server' out
    grep -qx "All stacks reach their thread's root." out
    hpprof report --json booked.pb | jq -e '.total_ns == 1000000000 and .total_samples == 100
        and .cpu == {total_ns: 1000000000, sampled_ns: 600000000, short_lived_ns: 250000000, blocked_ns: 100000000,
            unsampled_ns: 50000000, stopped_ns: 0}'
    hpprof report --by thread booked.pb | grep -qx ' *0.10 *10.0 *0.10 *10.0  \[signals blocked\]'
    hpprof report --by image booked.pb | tee out
    grep -qx ' *0.25 *25.0 *0.25 *25.0  \[short-lived\]' out
    grep -qx ' *0.60 *60.0 *0.95 *95.0  server' out
}

@test "a profile of booked rows alone has no samples, and no stacks to speak of" {
    booked_profile booked.pb 0 25 10 5 40
    hpprof report booked.pb | tee out
    grep -x '10.00 s, 100 Hz, 0 samples, 0.40 CPU-seconds' out
    grep -x 'No samples: all of the CPU time is booked.' out
    lacks out 'All stacks'
    hpprof flamegraph -o booked.svg booked.pb
    grep -F '>0 samples, 0.40 CPU-seconds' booked.svg
}

@test "the part of what was used that is not in the profile is told, and so is a profile without the figure" {
    booked_profile booked.pb 60 5 0 0 100
    hpprof report booked.pb | tee out
    grep -qx ' *0.35 s  35.0%  not told: it still ran, or its writer was killed' out
    lacks out 'signals blocked'
    hpprof report >out
    lacks out '^CPU time'
    hpprof report --json | jq -e '.cpu.total_ns == 0 and .cpu.sampled_ns == 100000000'
}

@test "go tool pprof reads it, and agrees" {
    deep_profile deep.pb
    go_pprof -top -sample_index=samples -nodefraction=0 deep.pb >top 2>err || { cat err; false; }
    cat top
    [ "$(awk '$6 == "[truncated]" { print $4 }' top)" -eq 146 ]
    [ "$(awk '$6 == "serve" { print $4 }' top)" -eq 708 ]
    go_pprof -comments deep.pb 2>/dev/null | grep -q '^hpprof.no_table reason='
}

@test "a process that still runs is said to" {
    first_chunk running.pb "$IMAGE"
    hpprof report running.pb | grep -q '^Not finished'
}

@test "--json has the same figures, and the keys that programs rely on" {
    hpprof report --json >out.json
    jq -e '.total_samples == 10 and .total_ns == 100000000 and .unfinished_samples == 1
        and .truncated_samples == 0 and .lost.dropped == 7 and .lost.stale == 2 and .torn_bytes == 0
        and .processes == 1 and .ended_processes == 1 and .frequency_hz == 100 and .program == "image.so"
        and .duration_ns == 2500000000 and .by == "function" and .sort == "flat"' out.json
    jq -e '.rows[0] == {name: "beta", image: $image, flat_ns: 50000000, cum_ns: 90000000,
        flat_samples: 5, cum_samples: 9}' --arg image "$IMAGE" out.json
    jq -e '.rows | length == 5' out.json
    jq -e '.remap | length == 2' out.json
    jq -e '.remap[] | select(.image == "/lib/other.so") | .reason == "memory is short" and .left_kib == 2048' out.json
    jq -e '.remap[] | select(.image == $image) | .backend == "anon" and .ranges == 1 and .asked_kib == 4
        and .huge_kib == 4 and .ms == 0.25' --arg image "$IMAGE" out.json
}

@test "--sort: flat, cum, name; equal figures by name" {
    [ "$(hpprof report --json | jq -r '[.rows[].name | .[:5]] | join(" ")')" = "beta alpha image void  [unfi" ]
    [ "$(hpprof report --json --sort cum | jq -r '.rows[0].name')" = beta ]
    [ "$(hpprof report --json -s name | jq -r '.rows[0].name')" = "[unfinished]" ]
    [ "$(hpprof report --json -s name | jq -r '.rows[1].name')" = alpha ]
}

@test "--rows cuts, and says so; 0 is all" {
    hpprof report -n 2 >out
    grep -q '^ *3 more (-n 0 prints all)$' out
    [ "$(hpprof report -n 2 --json | jq '.rows | length')" -eq 2 ]
    [ "$(hpprof report -n 2 --json | jq .row_count)" -eq 5 ]
    hpprof report -n 0 >out
    lacks out ' more '
}

@test "--by image, thread, process" {
    hpprof report --by image --json | jq -e '.rows[0].name == $image and .rows[0].cum_samples == 10' --arg image "$IMAGE"
    hpprof report -b thread --json | jq -e '.rows == [
        {name: "main (4711)", image: "", flat_ns: 50000000, cum_ns: 50000000, flat_samples: 5, cum_samples: 5},
        {name: "worker (4712)", image: "", flat_ns: 50000000, cum_ns: 50000000, flat_samples: 5, cum_samples: 5}]'
    hpprof report --by=process --json | jq -e '.rows[0].name == "image.so (4711)" and .row_count == 1'
}

@test "a terminal of 80 columns: every line fits, numbers whole, colour; NO_COLOR without" {
    long=$(printf 'x%.0s' {1..200})
    first_chunk long.pb "$IMAGE"
    chunk long.pb <<END
string_table: "$long"
function { id: 2 name: 13 system_name: 13 }
location { id: 6 mapping_id: 1 address: 1 line { function_id: 2 } }
sample { location_id: 6 value: [100000, 1000000000000] }
END
    script -qec "stty cols 80; TERM=xterm '$HPPROF_COMMAND' report long.pb" /dev/null >out </dev/null
    grep -q $'\033\[1m' out
    sed 's/\x1b\[[0-9;]*m//g; s/\r$//' out >plain
    cat plain
    grep -q '^  1000.00  100.0   1000.00  100.0  x*…$' plain
    [ "$(LC_ALL=C.UTF-8 wc -L <plain)" -le 80 ]
    deep_profile "$PWD/deep.pb"
    chunk deep.pb <<END
string_table: "hpprof.no_table reason='$long' image=/usr/lib/libz.so.1" comment: 32
sample { location_id: [10, 1] value: [1000, 10000000000] }
END
    script -qec "stty cols 80; NO_COLOR=1 '$HPPROF_COMMAND' report deep.pb" /dev/null >out </dev/null
    sed 's/\r$//' out >plain
    cat plain
    grep -q '^  50.2% end in libz.so.1: x*…$' plain
    [ "$(LC_ALL=C.UTF-8 wc -L <plain)" -le 80 ]
    script -qec "stty cols 80; NO_COLOR=1 '$HPPROF_COMMAND' report long.pb" /dev/null >out </dev/null
    lacks out $'\033'
    hpprof report long.pb | grep -q "$long"
}

@test "names cannot act on the terminal" {
    first_chunk evil.pb "$IMAGE"
    chunk evil.pb <<'END'
string_table: "\033]0;x\007\302\233"
function { id: 2 name: 13 system_name: 13 }
location { id: 6 line { function_id: 2 } }
sample { location_id: 6 value: [1, 10000000] }
END
    hpprof report evil.pb >out
    grep -qF '?]0;x??' out
    chunk path.pb <<'END'
string_table: ["", "samples", "count", "cpu", "nanoseconds", "/no/\033[2Jwhere", "ab"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
mapping { id: 1 memory_start: 4096 memory_limit: 8192 filename: 5 build_id: 6 }
location { id: 1 mapping_id: 1 address: 5000 }
sample { location_id: 1 value: [1, 10000000] }
END
    hpprof report path.pb >out 2>err
    grep -qF '/no/?[2Jwhere: No such file' err
    lacks out $'\033'
}

@test "a binary that changed since is not used, and said so once" {
    cp hpprof.pb old.pb
    make_image "$IMAGE" 0xdeadbeef
    hpprof report old.pb >out 2>err
    cat out err
    [ "$(wc -l <err)" -eq 1 ]
    grep -q "^hpprof: $IMAGE: it has changed since: build-id ${BUILD_ID:0:16}… then, deadbeef… now: its functions stay without names$" err
    lacks out alpha
    grep -q "image.so+0x" out
}

@test "a binary that is missing is said so once" {
    mv "$IMAGE" gone
    hpprof report >out 2>err
    [ "$(cat err)" = "hpprof: $IMAGE: No such file or directory: its functions stay without names" ]
    grep -q "image.so+0x$(printf %x $((TEXT + 5)))" out
}

@test "a torn last chunk: read up to there, and said" {
    first_chunk torn.pb "$IMAGE"
    whole=$(wc -c <torn.pb)
    second_chunk torn.pb
    head -c $((whole + 10)) torn.pb >cut.pb
    hpprof report cut.pb >out 2>err
    cat err
    [ "$(cat err)" = "hpprof: cut.pb: its last chunk is torn: read up to there, 10 bytes left out" ]
    grep -q ' 5 samples' out
    grep -q '^Torn last chunk: 10 bytes left out.$' out
    [ "$(hpprof report --json cut.pb 2>/dev/null | jq .torn_bytes)" -eq 10 ]
}

@test "missing file, empty file, directory, no profile, torn in its first chunk" {
    : >empty
    echo "root:x:0:0" >passwd
    head -c 30 hpprof.pb >stump
    fails 1 "hpprof: cannot read missing.pb: No such file or directory" hpprof report missing.pb
    fails 1 "hpprof: empty is empty" hpprof report empty
    fails 1 "hpprof: cannot read .: Is a directory" hpprof report .
    fails 1 "hpprof: passwd is not a profile" hpprof report passwd
    fails 1 "hpprof: $IMAGE is not a profile" hpprof report "$IMAGE"
    fails 1 "hpprof: stump is torn in its first chunk" hpprof report stump
}

@test "another kind of profile is refused" {
    chunk heap.pb <<'END'
string_table: ["", "space", "bytes"] sample_type { type: 1 unit: 2 }
END
    fails 1 "hpprof: heap.pb holds no CPU time" hpprof report heap.pb
}

@test "a profile without samples" {
    chunk none.pb <<'END'
string_table: ["", "samples", "count", "cpu", "nanoseconds"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
END
    hpprof report none.pb | grep -q '^No samples'
    hpprof report --json none.pb | jq -e '.rows == [] and .total_ns == 0'
}

@test "standard input, gzip'd or not" {
    [ "$(hpprof report --json - <hpprof.pb | jq .total_samples)" -eq 10 ]
    [ "$(gzip <hpprof.pb | hpprof report --json - | jq .total_samples)" -eq 10 ]
}

@test "a full disk is a failure" {
    fails 1 "standard output" bash -c "'$HPPROF_COMMAND' report >/dev/full"
}
