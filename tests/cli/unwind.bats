#!/usr/bin/env bats
# Stacks of code without frame pointers, by unwind tables: whole to their root, the same whether text was moved
# or not, and without a caller that the program does not have.

load helper

UNWIND=${PROGRAMS%/programs}/unwind

# by_fp PROFILE: the weight of PROFILE.pb that was walked by frame pointer, as a table was not there yet. A writer
# that gets no processor is late.
by_fp() { profile_comments "$1.pb" | awk -F= '/^hpprof.unwind by_fp=/ { n += $2 } END { print n + 0 }'; }

setup_file() {
    ( # what it sets is not for the tests
        hpprof_setup
        ldd "$PROGRAMS"/unwind_{frames,throw,coroutines} | grep -o '/[^ :]*' | sort -u | xargs "$HPPROF_COMMAND" cache warm
    )
}

setup() {
    hpprof_setup
}

# sampled REMAP PROGRAM ARGUMENT…: into REMAP.folded; what it prints is what it prints without the agent
sampled() {
    local remap=$1
    shift
    "$PROGRAMS/$1" "${@:2}" >plain.out
    agent HPPROF_OUT="$PWD/$remap.pb" HPPROF_REMAP="$remap" HPPROF_REMAP_MIN=0 HPPROF_FREQ=997 \
        "$PROGRAMS/$1" "${@:2}" >"$remap.out" 2>"$remap.err"
    same plain.out "$remap.out"
    same /dev/null "$remap.err"
    profile_folded "$remap.pb" >"$remap.folded"
    has_samples <(profile_folded "$remap.pb") 100
}

# edges PROFILE OWN EDGE…: between functions whose names match OWN there are no calls but those EDGEs
# (CALLER>CALLEE), in PROFILE.folded; a function that is not OWN is one of "*". Stacks that were walked by frame
# pointer, as their table was not there yet, are no better than frame pointers: as many may be wrong.
edges() {
    awk -v own="^($2)\$" -v known=" ${*:3} " -v by_fp="$(by_fp "$1")" '{
        weight = $NF; sub(/ [0-9]+$/, ""); gsub(/ \[clone [^]]*\]/, "")
        n = split($0, frame, ";")
        for (i = 1; i < n; i++) {
            if (frame[i] ~ /^\[/ || frame[i + 1] ~ /^\[/)
                continue
            caller = frame[i] ~ own ? frame[i] : "*"
            callee = frame[i + 1] ~ own ? frame[i + 1] : "*"
            if (caller callee != "**" && !index(known, " " caller ">" callee " ")) {
                wrong[caller ">" callee " in " substr($0, 1, 300)] += weight
                all += weight
            }
        }
    } END {
        for (what in wrong)
            print "no such call: " what " " wrong[what]
        exit all > by_fp
    }' "$1.folded"
}

# agree REGEX PROGRAM ARGUMENT…: what matches has at least 98 % of the weight, whatever the remap did (and it did, where it
# can). If not, that program is run again, at most three times, and all are judged together: where samples are few, a
# single one of the program's start or end stands for more than the rest.
agree() {
    local remap more good all
    profile_comments off.pb >comments
    lacks comments '^hpprof.remap '
    ! huge_pages_on || profile_comments anon.pb | grep -q "^hpprof.remap .*image=$PROGRAMS/unwind"
    for remap in off anon; do
        good=0 all=0
        for more in yes yes yes no; do
            sort -k2nr $remap.folded | head -8 | cut -c 1-300
            profile_comments $remap.pb | grep '^hpprof.unwind\|^hpprof.note' || true
            good=$((good + $(folded_weight "$1" <$remap.folded)))
            all=$((all + $(profile_samples $remap.pb) - $(by_fp $remap)))
            if [ $more = no ] || [ $((100 * good)) -ge $((98 * all)) ]; then
                break
            fi
            rm $remap.pb
            sampled $remap "${@:2}"
        done
        check $((100 * good)) '>=' $((98 * all)) "remap $remap"
    done
}

# stacks: of folded stacks on standard input, those that are some: what is booked is none
stacks() { grep -Ev '(^|;)\[(short-lived|signals blocked|unsampled)\] [0-9]+$'; }

# main>*: it prints, and a sample may fall into that.
frames='main|drive|alpha|alpha_step|alpha_work|beta|beta_work|thread_start|asm_outer|asm_loop|asm_work|run_assembly|run_jit|jit_work|descend'
chain='drive>alpha drive>beta alpha>alpha_step alpha_step>alpha_work beta>beta_work alpha_work>* beta_work>*'

again() {
    rm "$1.pb"
    sampled "$1" unwind_frames chain 1
    cat "$1.folded" >>all.folded
}

@test "a chain of C functions" {
    for remap in off anon; do
        sampled $remap unwind_frames chain 1
        edges $remap "$frames" 'main>drive main>*' "$chain"
    done
    agree '^main;drive;(alpha;alpha_step;alpha_work|beta;beta_work)(;|$)' unwind_frames chain 1
    for remap in off anon; do
        cp $remap.folded all.folded
        share_is all.folded ';alpha_work(;|$)' 55 85 again $remap
    done
}

@test "the same in a thread" {
    for remap in off anon; do
        sampled $remap unwind_frames thread 0.5
        edges $remap "$frames" 'main>*' 'thread_start>drive' "$chain"
    done
    agree '^thread_start;drive;(alpha;alpha_step;alpha_work|beta;beta_work)(;|$)' unwind_frames thread 0.5
}

@test "assembly that keeps its frame in a place of its own" {
    for remap in off anon; do
        sampled $remap unwind_frames assembly 0.5
        edges $remap "$frames" 'main>run_assembly main>* run_assembly>asm_outer asm_outer>asm_work asm_work>asm_loop asm_work>*'
    done
    agree '^main;run_assembly;asm_outer;asm_work(;|$)' unwind_frames assembly 0.5
}

@test "exceptions through 50 frames" {
    for remap in off anon; do
        sampled $remap unwind_throw 1
        edges $remap 'main|catches\(int\)|pass\(int\)|cleanup::.*' \
            'main>catches(int) main>* catches(int)>pass(int) catches(int)>* pass(int)>pass(int) pass(int)>* pass(int)>cleanup::~cleanup()'
    done
    agree '^main(;catches\(int\)|;\[?[cv]|$)' unwind_throw 1
}

@test "coroutines: makecontext" {
    for remap in off anon; do
        sampled $remap unwind_coroutines makecontext 0.5
        edges $remap 'main|resume|coroutine|generate|yield|work_inside|work_outside|switch_to' \
            'main>resume main>work_outside main>* resume>* *>coroutine coroutine>generate generate>generate generate>work_inside generate>yield yield>* work_inside>* work_outside>*'
    done
    agree '^(main|(\[unfinished\];)?([^;]*;)?coroutine)(;|$)' unwind_coroutines makecontext 0.5
}

@test "coroutines: a switch by hand" {
    for remap in off anon; do
        sampled $remap unwind_coroutines switch 0.5
        edges $remap 'main|resume|coroutine|generate|yield|work_inside|work_outside|switch_to' \
            'main>resume main>work_outside main>* resume>switch_to coroutine>generate generate>generate generate>work_inside generate>yield yield>switch_to work_inside>* work_outside>* *>coroutine'
    done
    agree '^(main|(\[unfinished\];)?coroutine)(;|$)' unwind_coroutines switch 0.5
}

@test "code made at run time, with a frame pointer" {
    for remap in off anon; do
        sampled $remap unwind_frames jit_fp 0.5
        edges $remap "$frames" 'main>run_jit main>* run_jit>* *>jit_work jit_work>alpha_work alpha_work>*'
    done
    agree ';jit_work;alpha_work(;|$)' unwind_frames jit_fp 0.5
}

@test "code made at run time, without one: nothing is invented" {
    for remap in off anon; do
        sampled $remap unwind_frames jit_bare 0.5
        edges $remap "$frames" 'main>run_jit main>* run_jit>* *>jit_work jit_work>alpha_work alpha_work>*'
    done
    agree '(^|;)jit_work;alpha_work(;|$)' unwind_frames jit_bare 0.5
}

@test "recursion 100, 5,000, 10,000 and 1,000,000 deep: both ends are kept as far as the walk goes" {
    local depth
    for depth in 100 5000 10000 1000000; do
        rm -f off.pb
        sampled off unwind_frames deep 0.4 $depth
        edges off "$frames|deep_start" 'main>* deep_start>descend descend>descend descend>beta_work beta_work>*'
        stacks <off.folded | awk -v depth=$depth -v by_fp="$(by_fp off)" '{
            weight = $NF; sub(/ [0-9]+$/, ""); all += weight
            whole = /^deep_start;/; gap = /;\[truncated\];/; cut = /^\[truncated\]/
            n = gsub(/descend/, "&")
            if (depth == 100 && whole && n == 100 || depth == 5000 && whole && gap && n > 200 && n < 256 ||
                depth >= 10000 && cut && n >= 64 && n < 256)
                good += weight
            else
                print n, substr($0, 1, 100) " ... " substr($0, length($0) - 100)
        } END { print depth, good, all; exit !(good >= 0.97 * (all - by_fp)) }'
    done
}

@test "HPPROF_DEPTH: so many frames, from both ends" {
    local depth
    for depth in 16 50; do
        rm -f off.pb
        HPPROF_DEPTH=$depth sampled off unwind_frames deep 0.4 1000
        stacks <off.folded | awk -v depth=$depth -v by_fp="$(by_fp off)" '{
            weight = $NF; sub(/ [0-9]+$/, ""); all += weight
            if (/^deep_start;descend;/ && /;\[truncated\];descend;/ && split($0, frame, ";") == depth)
                good += weight
        } END { print depth, good, all; exit !(good >= 0.97 * (all - by_fp)) }'
    done
}

@test "a static program: as without the agent" {
    sampled_static() { "$@" "$PROGRAMS/unwind_static"; "$@" "$PROGRAMS/unwind_static" again; }
    sampled_static env >plain
    sampled_static agent HPPROF_OUT="$PWD/x.pb" >out 2>err
    same plain out
    same /dev/null err
}

@test "single steps: the callers are right at every instruction" {
    strace -o /dev/null true || skip "ptrace is not possible"
    timeout 200 "$UNWIND/step" >out 2>err || { tail -3 out; head -40 err; return 1; }
    tail -2 out
    check "$(sed -n 's/.* signals: \([0-9]*\) whole.*/\1/p' out)" '>=' 2000
}

@test "single steps find each mistake that is planted into the tables" {
    local bug status
    strace -o /dev/null true || skip "ptrace is not possible"
    for bug in 1 2 3; do
        status=0
        timeout 100 "$UNWIND/step" $bug >out 2>err || status=$?
        tail -n 2 out
        [ $status -eq 1 ] || { echo "mistake $bug: status $status"; return 1; }
    done
}

@test "libdw's opinion of each stack is the same" {
    local program
    # bound at once: where the loader looks a symbol up, a stack ends at its frame (HPP_WALK_NO_RULE), libdw's does not
    for program in 'unwind_frames chain' unwind_throw 'unwind_coroutines makecontext'; do
        # shellcheck disable=SC2086
        AGENT=${PROGRAMS%/programs}/libhpprof-check.so agent HPPROF_OUT="$PWD/%e.pb" HPPROF_REMAP=off \
            HPPROF_FREQ=997 HPP_SECOND_OPINION_OUT="$PWD/samples" LD_BIND_NOW=1 "$PROGRAMS"/$program 2 >out
    done
    timeout 100 "$UNWIND/second_opinion" -v samples.*
}
