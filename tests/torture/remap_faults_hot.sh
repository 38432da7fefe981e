#!/bin/bash
# remap_faults_hot.sh BUILD BACKEND EVERY: of the places at which the writer makes a system call while it moves text by
# BACKEND under a running program, every EVERY-th: the first, the middle and the last call there are made to fail, one a
# run, each mremap also for another reason, and so that it leaves a hole. The program's results must be right, its text
# whole, the same and never writable (tests/programs/watch_text.c looks at each call), and the profile must tell of all of
# it, and name the call and its error where text stayed for it. Says in a line how much was done; exit status 1 if
# something was wrong, 77 if the machine has not what the backend needs.
set -u
# shellcheck source=tests/torture/remap_reasons.sh
. "$(realpath "${0%/*}")/remap_reasons.sh"
export HPPROF_CACHE=off
holes=0

# run FAIL: the program, with that call made to fail; the profile's account of its text is in told
run() {
    rm -rf session && mkdir session
    [ "$backend" != file ] || dd if=program iflag=nocache count=0 status=none
    WATCH_FAIL=$1 timeout -k 1 60 "$programs/watch_text" "$agent" env LD_PRELOAD="$agent" HPPROF_REMAP="$backend" \
        HPPROF_REMAP_WHEN=hot HPPROF_REMAP_HOT="$work/former.pb" HPPROF_SESSION="$work/session" \
        "$work/program" work 0.15 >out 2>err
    result=$?
    flock -w 20 session/*.pb true # the writer outlives the program, by little
    "$build/hpprof" report --json session/*.pb 2>/dev/null |
        jq -r '.remap[] | select(.image | endswith("/program")) | "\(.huge_kib) \(.asked_kib + .left_kib) \(.reason // "")"' >told
    read -r huge all reason <told || huge=0 all=0 reason=''
    # what has no error, and is not a backend's, is why it was not tried: too few samples, too short a time
    grep -aoE "hpprof\.left eligible_kib=[0-9]+ reason='[^']*'( error='[^']*')? image=$work/program" session/*.pb |
        sed -n "s/^hpprof.left [^ ]* reason='\([^']*\)'\( error='\([^']*\)'\)* image.*/\1|\3/p" |
        grep -vE '^(too few samples were in it|the process used less than a CPU-second)\|$' | sort -u >reasons
}

# judge WHAT ERROR NUMBER FILE: what the run has left where call NUMBER of the kernel's, made in FILE, was to fail
judge() {
    local wrong=''
    case $result in 0 | 3) ;; *) wrong="exit status $result" ;; esac
    grep -qx '0 wrong' out || wrong+=' another output'
    grep -q '; 0 wrong$' err || wrong+=' text was not right'
    [ "$all" -eq "$inward" ] || wrong+=" $all of $inward KiB of text told of"
    [ "$huge" -eq "$inward" ] || [ -n "$reason" ] || wrong+=' no reason'
    grep -q ' 1 calls made to fail' err && injected=$((injected + 1))
    comm -13 plain_reasons reasons >new
    names_call "$3" "$4" "$2" || wrong+=' another reason'
    [ ! -s new ] || changed=$((changed + 1))
    if [ "$2" = hole ] && grep -q ' 1 calls made to fail' err; then
        grep -q ' 1 holes mapped again' err || wrong+=' the hole was not mapped again'
        holes=$((holes + 1))
    fi
    [ -z "$wrong" ] && return
    echo "remap_faults_hot: $backend, call $1: $wrong"
    cat out err told
    status=1
}

cp "$programs/moved" program
case $backend in
file) sync program ;;
cache)
    export HPPROF_TEXT_CACHE=$work/text
    "$build/hpprof" cache warm --text "$work/program" >said 2>&1 || cannot_work "$(needed)" "$(cat said)"
    ;;
esac
HPPROF_REMAP=off HPPROF_FREQ=997 HPPROF_OUT=$work/former.pb LD_PRELOAD=$agent ./program work 0.5 >out
WATCH_LIST=$work/list run ''
inward=$all
# text that runs has been read, mostly in small pages: there file has no more than its calls to fail
[ "$huge" -gt 0 ] || [ "$backend" = file ] || cannot_work "$(needed)" "$(cat told)"
mv reasons plain_reasons
# getpid (39) never fails
grep -v ' 39$' list | sort | uniq -c | while read -r count offset call; do
    addr2line -i -e "$agent" "$offset" | grep -q 'preload/remap/' && echo "$count $offset $call"
done >places
while read -r count offset call; do
    line=$(addr2line -i -e "$agent" "$offset" | grep -m 1 preload/remap/)
    file=${line##*/}
    for number in $(printf '%d\n' 1 $(((count + 1) / 2)) "$count" | uniq); do
        for error in 12 $([ "$call" -ne 25 ] || echo 1 hole); do # mremap
            run "$offset:$number:$error" </dev/null
            judge "$line, $number of $count ($error)" "$error" "$call" "${file%%:*}"
        done
    done
done < <(awk -v every="$every" 'NR % every == 0 || $3 == 25' places)
echo "remap_faults_hot: $backend: $injected failures injected at $(wc -l <places) places; $changed left text where it was, and were named; $holes were holes, mapped again"
[ $injected -gt 0 ] || status=1
exit $status
