#!/bin/bash
# remap_faults.sh BUILD BACKEND EVERY: every EVERY-th system call between the first and the last that the remap of a
# program by BACKEND makes is made to fail, one a run, and each mremap so too that it leaves a hole. The program's
# output and the bytes of its text must be what they are without, and where text is not on huge pages for that the profile
# must name the call that failed, and the error. Says in a line how much was done, and how often the text stayed for it;
# exit status 1 if something was wrong, 77 if the machine has not what the backend needs.
set -u
# shellcheck source=tests/torture/remap_reasons.sh
. "$(realpath "${0%/*}")/remap_reasons.sh"
export HPPROF_REMAP_WHEN=start

# run N ERROR: the program, its N-th call made to fail; its output goes to out, what it was told to comments
run() {
    rm -rf session
    mkdir session
    # which shall be cold each time, so that it makes the same calls
    [ "$backend" != file ] || dd if=program iflag=nocache count=0 status=none
    HPPROF_CACHE=off HPPROF_REMAP=$backend HPPROF_SESSION=$work/session timeout -k 1 60 \
        "$programs/fail_call" "$agent" "$1" "$2" "$work/program" >out 2>err
    result=$?
    flock -w 20 session/*.pb true # the writer outlives the program, by little
    grep -aoE "hpprof\.(left eligible_kib=[0-9]+ reason='[^']*'( error='[^']*')?|remap backend=$backend [^=]*=[^ ]* [^ ]* asked_kib=[0-9]+ huge_kib=[0-9]+)" \
        session/*.pb >comments
    sed -n "s/^hpprof.left [^ ]* reason='\([^']*\)'\( error='\([^']*\)'\)*.*/\1|\3/p" comments | sort -u >reasons
}

kib() { sed -n "s/^main .*$1_kib=\([0-9]*\).*/\1/p" out; }
told() { sed -n "s/.*$1_kib=\([0-9]*\).*/\1/p" comments | awk '{ n += $1 } END { print n + 0 }'; }

# judge CALL ERROR NUMBER FILE: what the run has left where call NUMBER of the kernel's, made in FILE, was to fail
judge() {
    local wrong=''
    [ $result -eq 0 ] || wrong="exit status $result"
    cmp -s <(sed 's/huge_kib=[0-9]*//' plain) <(sed 's/huge_kib=[0-9]*//' out) || wrong+=' another output'
    if ! grep -q '^hpprof: no profile: ' err; then # then it is said there
        [ "$(($(told asked) + $(told eligible)))" = "$(kib inward)" ] || wrong+=' text without a record'
        [ "$(told huge)" -le "$(kib huge)" ] || wrong+=' more told than is so'
        comm -13 plain_reasons reasons >new
        [ -s new ] || [ "$(kib huge)" -ge "$most" ] || wrong+=' no reason'
        names_call "$3" "$4" "$2" || wrong+=' another reason'
        [ ! -s new ] || changed=$((changed + 1))
    fi
    injected=$((injected + 1))
    [ -z "$wrong" ] && return
    echo "remap_faults: $backend, call $1 ($2), $3 in $4: $wrong"
    cat out comments
    status=1
}

case $backend in
file) cp "$programs/text_check_large" program && sync program ;;
cache)
    ln -s "$programs/text_check_exec" program
    export HPPROF_TEXT_CACHE=$work/text
    "$build/hpprof" cache warm "$programs/text_check_exec" >said 2>&1 ||
        cannot_work "$(needed)" "$(cat said)"
    ;;
*) cp "$programs/text_check" program ;;
esac
run 0 0
cp out plain
[ "$(kib huge)" -gt 0 ] || cannot_work "$(needed)" "$(cat comments)"
most=$(kib huge)
mv reasons plain_reasons
# the calls of the remap: `CALL NUMBER FILE`, FILE where it is made: of preload/remap/, or what that calls
cut -d' ' -f2 err | addr2line -a -i -e "$agent" | awk 'NR == FNR { number[++calls] = $3; next }
    /^0x/ { n++; next } { ours = /preload\/remap\//; sub(/:.*/, ""); sub(/.*\//, "") }
    ours { first = first ? first : n; last = n } ours && !own[n]++ || !(n in file) || (!own[n] && file[n] ~ /\.h$/) { file[n] = $0 }
    END { for (n = first; n && n <= last; n++) print n, number[n], file[n] }' err - >list
while read -r call number file; do
    errors=''
    [ $((call % every)) -ne 0 ] || errors=12
    [ "$number" -ne 25 ] || errors='12 hole 1' # mremap
    for error in $errors; do
        run "$call" "$error" </dev/null
        judge "$call" "$error" "$number" "$file"
    done
done <list
echo "remap_faults: $backend: $injected failures injected into $(wc -l <list) calls; $changed left text where it was, and were named"
[ $injected -gt 0 ] || status=1
exit $status
