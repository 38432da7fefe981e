# Profiles with known contents, for the tests of the commands: text in protobuf's text format, encoded a chunk
# at a time, as the agent appends them. Loaded after helper.
# shellcheck shell=bash

# chunk FILE: appends the message on standard input to FILE.
chunk() { protoc-c --proto_path="$ROOT/proto" --encode=hpp.pprof.Profile profile.proto >>"$1"; }

# make_image FILE: a shared object with functions alpha, beta (64 bytes each) and, after a hole, gamma<int>(int).
make_image() {
    {
        echo '.text; .globl alpha, beta, _Z5gammaIiEvT_'
        for name in alpha beta _Z5gammaIiEvT_; do
            echo ".type $name, @function; $name: .fill 64, 1, 0x90; .size $name, 64"
            [ $name != beta ] || echo '.fill 64, 1, 0x90'
        done
        echo "# $RANDOM$RANDOM"
    } >"$1.s"
    "${CC:-cc}" -shared -nostdlib -Wl,--build-id="${2:-sha1}" "$1.s" -o "$1" && rm "$1.s"
}

# image_facts FILE: sets BUILD_ID, TEXT (file offset of alpha = its address in the file), SEGMENT (offset, size).
image_facts() {
    BUILD_ID=$(readelf -n "$1" | sed -n 's/.*Build ID: //p')
    TEXT=$((0x$(nm "$1" | awk '$3 == "alpha" { print $1 }')))
    SEGMENT=$((TEXT / 4096 * 4096))
}

# first_chunk FILE IMAGE [PID [BASE [BUILD_ID]]]: the head of a profile of IMAGE loaded at BASE; 5 samples:
# 3 in alpha called by beta, 1 in gamma<int>(int) called by beta, whose callers are unknown, 1 in the hole.
first_chunk() {
    local image=$2 pid=${3:-4711} base=${4:-0x7f0000000000} build_id
    image_facts "$image"
    build_id=${5:-$BUILD_ID}
    chunk "$1" <<END
string_table: ["", "samples", "count", "cpu", "nanoseconds", "thread", "tid", "main", "$image", "$build_id",
  "hpprof version=0.1.0 format=1", "[unfinished]",
  "hpprof.process pid=$pid started=${pid}000 freq=100 timer=cpu unwind=fp validate=auto remap=anon image=$image"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
period_type { type: 3 unit: 4 } period: 10000000 time_nanos: 1000000000 duration_nanos: 1500000000
comment: [10, 12]
mapping { id: 1 memory_start: $((base + SEGMENT)) memory_limit: $((base + SEGMENT + 4096)) file_offset: $SEGMENT
  filename: 8 build_id: 9 }
location { id: 1 mapping_id: 1 address: $((base + TEXT + 5)) }
location { id: 2 mapping_id: 1 address: $((base + TEXT + 64 + 5)) }
location { id: 3 mapping_id: 1 address: $((base + TEXT + 192 + 5)) }
location { id: 4 mapping_id: 1 address: $((base + TEXT + 128 + 5)) }
location { id: 5 line { function_id: 1 } }
function { id: 1 name: 11 system_name: 11 }
sample { location_id: [1, 2] value: [3, 30000000] label { key: 5 str: 7 } label { key: 6 num: $pid } }
sample { location_id: [3, 2, 5] value: [1, 10000000] label { key: 5 str: 7 } label { key: 6 num: $pid } }
sample { location_id: [4] value: [1, 10000000] label { key: 5 str: 7 } label { key: 6 num: $pid } }
END
}

# second_chunk FILE [CAUSE]: 5 more samples in beta, of another thread, a loss, a moved range, and the end.
second_chunk() {
    local start=$((0x7f0000000000 + SEGMENT))
    chunk "$1" <<END
string_table: ["worker", "hpprof.lost dropped=7 stale=2", "hpprof.end cause=${2:-exit}",
  "hpprof.left eligible_kib=2048 reason='memory is short' image=/lib/other.so",
  "hpprof.remap backend=anon start=$(printf 0x%x $((start + 8))) end=$(printf 0x%x $((start + 4000))) asked_kib=4 huge_kib=4 ms=0.250 image=${3:-$IMAGE}"]
duration_nanos: 2500000000
sample { location_id: 2 value: [5, 50000000] label { key: 5 str: 13 } label { key: 6 num: 4712 } }
comment: [14, 15, 16, 17]
END
}

# deep_profile FILE [UNWIND [PID]]: 1,000 samples in named functions of files that are not there: 600 whole, 260
# unfinished (6 of them with middle frames left out), 100 with middle frames left out, 40 without their root.
deep_profile() {
    chunk "$1" <<END
string_table: ["", "samples", "count", "cpu", "nanoseconds", "thread", "tid", "main", "[unfinished]", "[truncated]",
  "/opt/app/bin/server", "/usr/lib/libjpeg.so.62", "/usr/lib/libssl.so.3", "//anon", "/opt/app/lib/libplugin.so",
  "/usr/lib/libz.so.1", "/opt/app/lib/libtiny.so",
  "serve", "recurse", "parse", "jpeg_idct_islow", "SSL_read", "[anon]", "plugin_run", "inflate", "tiny", "[unknown]",
  "hpprof version=0.1.0 format=1", "hpprof.unwind by_fp=15",
  "hpprof.no_table reason='it has no unwind information (.eh_frame)' image=/usr/lib/libssl.so.3",
  "hpprof.process pid=${3:-77} started=${3:-77}000 freq=100 timer=cpu unwind=${2:-auto} validate=auto remap=off image=/opt/app/bin/server"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
period_type { type: 3 unit: 4 } period: 10000000 time_nanos: 1000000000 duration_nanos: 10000000000
$(for ((i = 1; i <= 7; i++)); do
        echo "mapping { id: $i memory_start: ${i}0000 memory_limit: ${i}9000 filename: $((i + 9)) has_functions: true }"
    done)
function { id: 1 name: 8 } function { id: 2 name: 9 } $(for i in {3..12}; do echo "function { id: $i name: $((i + 14)) }"; done)
location { id: 1 line { function_id: 1 } } location { id: 2 line { function_id: 2 } }
location { id: 3 mapping_id: 1 address: 10003 line { function_id: 3 } }
location { id: 4 mapping_id: 1 address: 10004 line { function_id: 4 } }
location { id: 5 mapping_id: 1 address: 10005 line { function_id: 5 } }
location { id: 6 mapping_id: 2 address: 20006 line { function_id: 6 } }
location { id: 7 mapping_id: 3 address: 30007 line { function_id: 7 } }
location { id: 8 mapping_id: 4 address: 40008 line { function_id: 8 } }
location { id: 9 mapping_id: 5 address: 50009 line { function_id: 9 } }
location { id: 10 mapping_id: 6 address: 60010 line { function_id: 10 } }
location { id: 11 mapping_id: 7 address: 70011 line { function_id: 11 } }
location { id: 12 address: 80012 line { function_id: 12 } }
comment: [27, 30, 28]
$(while read -r weight stack; do
        echo "sample { location_id: [$stack] value: [$weight, ${weight}0000000] label { key: 5 str: 7 } label { key: 6 num: 77 } }"
    done <<SAMPLES
600 5,4,3
120 5,6,1
6 5,4,2,6,1
60 7,1
30 5,8,1
10 5,12,1
20 9,1
8 10,3,1
5 10,1
1 11,1
100 5,4,2,4,3
40 5,4,2
SAMPLES
    )
END
    chunk "$1" <<END
string_table: "hpprof.end cause=exit" duration_nanos: 10000000000 comment: [28, 29, 31]
END
}

# former_profile FILE PROGRAM [WEIGHT…]: samples in PROGRAM's text, so many at the start of each of its whole 2 MiB (without
# WEIGHT: one in each), for HPPROF_REMAP_HOT. Which of them a real run has seen is chance.
former_profile() {
    local offset start size at id=1 weights=("${@:3}")
    read -r offset start size <<<"$(readelf -lW "$2" | awk '$1 == "LOAD" && / R E / { text = $2 " " $3 " " $6 } END { print text }')"
    at=$(((start + 0x1fffff) & -0x200000))
    {
        echo 'string_table: ["", "samples", "count", "'"$(readelf -n "$2" | sed -n 's/.*Build ID: //p')"'"]'
        echo "sample_type { type: 1 unit: 2 } mapping { id: 1 memory_start: $((start)) file_offset: $((offset)) build_id: 3 }"
        for (( ; at + 0x200000 <= start + size; at += 0x200000, id++)); do
            echo "location { id: $id mapping_id: 1 address: $at } sample { location_id: $id value: ${weights[id - 1]:-$(($# == 2))} }"
        done
    } | chunk "$1"
}

# make_profile FILE [PID]: both chunks; the image is IMAGE, made if it is not there.
make_profile() {
    IMAGE=${IMAGE:-$PWD/image.so}
    [ -e "$IMAGE" ] || make_image "$IMAGE"
    first_chunk "$1" "$IMAGE" "${2:-4711}"
    second_chunk "$1"
}

# fails STATUS MESSAGE COMMAND…: it ends with STATUS, and says on stderr one line that contains MESSAGE.
fails() {
    local expected=$1 message=$2 status=0
    shift 2
    "$@" >out 2>err || status=$?
    cat out err
    [ "$status" -eq "$expected" ] || { echo "status $status, not $expected"; return 1; }
    [ "$(wc -l <err)" -eq 1 ] || { echo "not one line"; return 1; }
    grep -qF -- "$message" err
}

# booked_profile FILE SAMPLED SHORT BLOCKED UNSAMPLED USED [PID]: numbers of 10 ms. Threads that ran `run`, of which
# so much was sampled and booked; main; and the process's clock.
booked_profile() {
    chunk "$1" <<END
string_table: ["", "samples", "count", "cpu", "nanoseconds", "thread", "tid", "pool", "[unfinished]", "[truncated]",
  "[short-lived]", "[signals blocked]", "[unsampled]", "run", "/opt/app/bin/server", "hpprof version=0.1.0 format=1",
  "hpprof.process pid=${7:-77} started=${7:-77}000 freq=100 timer=cpu unwind=auto validate=auto remap=off image=/opt/app/bin/server",
  "hpprof.cpu total_ns=10000000 sampled_ns=0 short_lived_ns=0 blocked_ns=0 unsampled_ns=0",
  "hpprof.cpu total_ns=$(($6 - 1))0000000 sampled_ns=${2}0000000 short_lived_ns=${3}0000000 blocked_ns=${4}0000000 unsampled_ns=${5}0000000",
  "hpprof.end cause=exit", "time", "seconds"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
period_type { type: 3 unit: 4 } period: 10000000 time_nanos: 1000000000 duration_nanos: 10000000000
mapping { id: 1 memory_start: 65536 memory_limit: 131072 filename: 14 has_functions: true }
$(for i in 1 2 3 4 5; do echo "function { id: $i name: $((i + 7)) } location { id: $i line { function_id: $i } }"; done)
function { id: 6 name: 13 } location { id: 6 mapping_id: 1 address: 65600 line { function_id: 6 } }
sample { location_id: 6 value: [$2, ${2}0000000] label { key: 5 str: 7 } label { key: 6 num: 77 } }
sample { location_id: [3, 6] value: [$3, ${3}0000000] label { key: 20 num: 1 num_unit: 21 } }
sample { location_id: [4, 6] value: [$4, ${4}0000000] label { key: 20 num: 1 num_unit: 21 } }
sample { location_id: 5 value: [$5, ${5}0000000] label { key: 20 num: 1 num_unit: 21 } }
comment: [15, 16, 17, 18, 19]
END
}
