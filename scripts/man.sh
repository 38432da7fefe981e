#!/bin/sh
# man.sh BUILD PAGE: the manual page PAGE on standard output, each part between `.\" BEGIN NAME` and `.\" END` made anew:
# `commands` from what BUILD/hpprof says in its help, `variables` the agent's; both with the options of proto/options.def.
# `make man` puts it in the page's place; scripts/check-man.sh holds the pages to it.
set -eu
cd "$(dirname "$0")/.."
build=${1:?usage: man.sh BUILD PAGE} page=${2:?usage: man.sh BUILD PAGE}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A line an option: variable, flag, letter, argument, kind, default, allowed, users, help.
"${CC:-cc}" -E -P -x c - >"$work/rows" <<END
#define OPTION(id, variable, flag, letter, argument, kind, initial, allowed, users, help) \
    @row variable @ flag @ letter @ argument @ #kind @ initial @ allowed @ #users @ help
#include "$PWD/proto/options.def"
END
tr '\n' ' ' <"$work/rows" | sed 's/@row/\n/g' | sed 's/" *"//g; s/ *@ */@/g; s/^ *//; s/"//g; s/ *$//' | grep @ >"$work/options"
"$build/hpprof" help >"$work/commands"
sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' "$work/commands" | while read -r command; do
    echo "command $command"
    "$build/hpprof" help "$command"
done >"$work/help"

awk -v options="$work/options" -v help="$work/help" '
# Text as roff takes it: escapes, and dashes that are typed.
function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/--/, "\\-\\-", text)
    gsub(/ -/, " \\-", text)
    return text
}
# The same in lines, a new one for each sentence; none that looks like a request.
function fill(text,   words, n, i, line) {
    n = split(roff(text), words, " ")
    for (i = 1; i <= n; i++) {
        if (words[i] ~ /[|\/$]/) { # what is typed is not hyphenated, and a list broken only between its words
            gsub(/-/, "\\-", words[i])
            gsub(/[|]/, "&\\:\\%", words[i])
            words[i] = "\\%" words[i]
        }
        if (line != "" && (length(line " " words[i]) > 78 || (line ~ /[.]$/ && words[i] ~ /^[A-Z]/))) {
            print line
            line = ""
        }
        line = line (line == "" ? "" : " ") words[i]
        if (line ~ /^[.\x27]/)
            line = "\\&" line
    }
    print line
}
function capital(text) { return toupper(substr(text, 1, 1)) substr(text, 2) }

# The text of option I, what it may be, and its variable if there is one to name.
function print_text(i, variable,   n) {
    fill(capital(text[i]))
    n = allowed[i] (allowed[i] != "" && initial[i] != "" ? "; " : "") (initial[i] != "" ? "default " initial[i] : "")
    if (n != "")
        fill("(" n ")")
    if (variable != "")
        print ".Bq Ev " variable
}
function print_options(user, with_variables,   i, n) {
    for (i = 1; i <= count; i++) {
        if (flag[i] == "" || (" " users[i] " ") !~ "[ |]" user "[ |]")
            continue
        if (!n++)
            print ".Bl -tag -width Ds"
        print ".It " (letter[i] != "0" ? "Fl " letter[i] " , " : "") "Fl \\-" flag[i] (argument[i] != "" ? " Ns = Ns Ar " argument[i] : "")
        print_text(i, with_variables ? variable[i] : "")
    }
    if (n)
        print ".El"
}
function print_variables(   i) {
    print ".Bl -tag -width Ds"
    for (i = 1; i <= count; i++) {
        if (variable[i] == "" || (" " users[i] " ") !~ /[ |]AGENT[ |]/)
            continue
        print ".It Ev " variable[i] " Ns = Ns Ar " argument[i]
        print_text(i, "")
    }
    print ".El"
}
function end_words() { if (in_words) print ".El"; in_words = 0 }
# What a command says of itself: paragraphs, and lists of words with what they mean.
function print_help(   line, name, state) {
    while ((getline line < help) > 0) {
        if (sub(/^command /, "", line)) {
            if (name != "")
                end_command(name)
            name = line
            state = 0
            print ".Ss " name
        } else if (state == 0) {
            sub(/^usage: /, "", line)
            print ".Dl " roff(line)
            state = 1
        } else if (state == 1) {
            print ".Pp"
            fill(capital(line) ".")
            state = 2
        } else if (line ~ /^ *-/) {
            state = 3
        } else if (state == 3) {
            continue
        } else if (line == "") {
            end_words()
            gap = 1
        } else if (match(line, /^[a-z]+  +/)) {
            if (!in_words)
                print ".Bl -tag -width verify"
            in_words = 1
            print ".It " substr(line, 1, index(line, " ") - 1)
            fill(capital(substr(line, RLENGTH + 1)))
        } else {
            if (gap)
                print ".Pp"
            sub(/^ +/, "", line)
            if (line ~ /^hpprof /)
                print ".Dl " roff(line)
            else
                fill(line)
            gap = 0
        }
        if (line != "")
            gap = 0
    }
    end_command(name)
}
function end_command(name) {
    end_words()
    gsub(/-/, "_", name)
    print_options(toupper(name), name == "record" || name == "cache")
}
BEGIN {
    while ((getline line < options) > 0) {
        split(line, field, "@")
        count++
        variable[count] = field[1]; flag[count] = field[2]; letter[count] = field[3]; argument[count] = field[4]
        gsub(/\x27/, "", letter[count])
        initial[count] = field[6]; allowed[count] = field[7]; users[count] = field[8]; text[count] = field[9]
        if (field[5] == "SIZE")
            allowed[count] = allowed[count] " bytes"
    }
}
/^\.\\" BEGIN / { print; making = 1; if ($3 == "commands") print_help(); else print_variables(); next }
/^\.\\" END/ { making = 0 }
!making' "$page"
