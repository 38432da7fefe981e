#!/usr/bin/env bats
# hpprof flamegraph: the SVG and the folded lines.

load helper
load profiles

setup() {
    hpprof_setup
    make_profile hpprof.pb
}

@test "--folded: root first, weight in samples, one [unfinished] root" {
    hpprof flamegraph --folded | sort >out
    cat out
    sort >expected <<END
[unfinished];beta;void gamma<int>(int) 1
beta 5
beta;alpha 3
$(printf 'image.so+0x%x' $((TEXT + 133))) 1
END
    same out expected
    [ ! -e hpprof.svg ]
    hpprof flamegraph --folded hpprof.pb -o folded.txt
    sort folded.txt | cmp - expected
}

@test "frames left out in the middle are no root, and keep their place" {
    deep_profile deep.pb
    hpprof flamegraph --folded deep.pb >out
    cat out
    grep -qx 'serve;recurse;\[truncated\];recurse;parse 100' out
    grep -qx '\[unfinished\];jpeg_idct_islow;\[truncated\];recurse;parse 6' out
    grep -qx '\[truncated\];recurse;parse 40' out
    [ "$(folded_weight '^\[unfinished\];' <out)" -eq 260 ]
    [ "$(folded_weight '^serve;' <out)" -eq 700 ]
    hpprof flamegraph deep.pb
    # one root for all that is unfinished, over the ground
    grep -c '<title>\[unfinished\] ' hpprof.svg | grep -qx 1
    grep -q '<title>\[unfinished\] \[callers not known\] (260 samples, 2.60 s, 26.00%)' hpprof.svg
    grep -q '<title>\[truncated\] \[frames left out\] (100 samples, 1.00 s, 10.00%)' hpprof.svg
}

@test "semicolons and line ends in names do not break lines" {
    first_chunk odd.pb "$IMAGE"
    chunk odd.pb <<'END'
string_table: "a;b\nc 7"
function { id: 2 name: 13 system_name: 13 }
location { id: 6 line { function_id: 2 } }
sample { location_id: 6 value: [1, 10000000] }
END
    hpprof flamegraph --folded odd.pb | grep -qx 'a:b?c 7 1'
}

@test "the SVG: well-formed, escaped, every frame with its figures" {
    hpprof flamegraph
    sed '/<script>/,/<\/script>/d' hpprof.svg >drawing
    lacks drawing '&([^a-z]|[a-z]*[^a-z;])'
    # every tag that opens, closes, in order
    grep -o '<[^?][^>]*>' drawing | awk '/\/>$/ { next }
        /^<\// { if ($0 != "</" open[depth--] ">") exit bad = 1; next }
        { name = substr($1, 2); sub(/>.*/, "", name); open[++depth] = name }
        END { exit bad || depth }'
    grep -q '<title>beta \[image.so\] (8 samples, 0.08 s, 80.00%)</title>' hpprof.svg
    grep -q '<title>void gamma&lt;int&gt;(int) \[image.so\] (1 sample, 0.01 s, 10.00%)</title>' hpprof.svg
    grep -q '<title>all (10 samples, 0.10 s, 100.00%)</title>' hpprof.svg
    grep -q 'CPU time of image.so (pid 4711)' hpprof.svg
    lacks hpprof.svg 'https?://[^w]'
}

@test "--title and -o" {
    hpprof flamegraph hpprof.pb --title 'a < b & "c"' -o other.svg
    grep -q '>a &lt; b &amp; &quot;c&quot;</text>' other.svg
    [ ! -e hpprof.svg ]
}

@test "without samples there is nothing to draw" {
    chunk none.pb <<'END'
string_table: ["", "samples", "count", "cpu", "nanoseconds"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
END
    fails 1 "hpprof: none.pb holds no samples" hpprof flamegraph none.pb
    [ ! -e hpprof.svg ]
}

@test "where it cannot write" {
    fails 1 "hpprof: cannot write missing/x.svg: No such file or directory" hpprof flamegraph -o missing/x.svg
    fails 1 "hpprof: cannot write /dev/full: No space left on device" hpprof flamegraph -o /dev/full
    fails 1 "hpprof: cannot read nothing.pb" hpprof flamegraph nothing.pb
}

@test "CPU time without samples stands on its start routine, grey and explained" {
    booked_profile booked.pb 60 25 10 5 100
    hpprof flamegraph --folded booked.pb >out
    cat >expected <<'END'
[unsampled] 5
run 60
run;[short-lived] 25
run;[signals blocked] 10
END
    same out expected
    hpprof flamegraph -o out.svg booked.pb
    grep -F '<title>[short-lived] [CPU time without samples] (25 samples, 0.25 s, 25.00%)</title>' out.svg >frame
    grep -E 'fill="#(..)\1\1"' frame
}
