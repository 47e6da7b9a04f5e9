#!/bin/sh
# The walk-throughs of docs/, followed: a ```yaml block is written to the file that its first line names, in a folder of
# RAFTER_PATH that is otherwise empty, a ```csv block likewise to where the commands run, a ```json block to config.json
# there; the lines of a ```sh block are run, each ending as its '# exit status N' says, else with 0; what the last of
# them printed has the lines of the ```text block below it, in that order. '...' stands for any lines, and within a line
# for any text.
. tests/support/harness.sh

root=$PWD
mkdir "$work/bin"
ln -s "$RAFTER" "$work/bin/rafter"
status=0
: >"$work/out"
: >"$work/err"

# The blocks of a page in their order: one file each, called by number, kind and line.
split_page() { # PAGE FOLDER
    awk -v folder="$2" '
        function open_block(kind) { file = sprintf("%s/%02d.%s.%d", folder, ++blocks, kind, FNR); printf "" > file }
        /^```/ && file != "" { close(file); file = ""; next }
        /^```(yaml|json|csv|sh|text)$/ { open_block(substr($0, 4)); next }
        /^```/ { open_block("other"); next }
        file != "" { print > file }' "$1"
}

# Whether the output has the lines of the block.
shown() { # BLOCK
    cat "$work/out" "$work/err" >"$work/both"
    awk '
        function ends(line, text) { return substr(line, length(line) - length(text) + 1) == text }
        function matches(line, pattern,  at) { # each part after the one before it, the last at the end
            if ((at = index(pattern, "...")) == 0) return line == pattern
            if (substr(line, 1, at - 1) != substr(pattern, 1, at - 1)) return 0
            line = substr(line, at)
            pattern = substr(pattern, at + 3)
            while ((at = index(pattern, "...")) > 0) {
                part = substr(pattern, 1, at - 1)
                pattern = substr(pattern, at + 3)
                if ((at = index(line, part)) == 0) return 0
                line = substr(line, at + length(part))
            }
            return length(line) >= length(pattern) && ends(line, pattern)
        }
        FNR == NR { line[++lines] = $0; next }
        $0 == "..." { free = 1; next }
        {
            at++
            while (free && at <= lines && !matches(line[at], $0)) at++
            if (at > lines || !matches(line[at], $0)) { print "not there: " $0; wrong = 1; exit }
            free = 0
        }
        END { exit wrong || (!free && at != lines) }' "$work/both" "$1" >"$work/why"
}

follow() { # PAGE
    page=${1##*/}
    folder=$work/$page
    mkdir -p "$folder/blocks" "$folder/mine" "$folder/here"
    ln -s ../mine/techniques "$folder/here/techniques"
    export RAFTER_PATH="$folder/mine:$root"
    split_page "$1" "$folder/blocks"
    files=0 commands=0 texts=0
    for block in "$folder"/blocks/*; do
        line=${block##*.}
        case $block in
        *.yaml.*)
            name=$(sed -n '1s|^# \([a-z]*/[a-z0-9.-]*\.yaml\)$|\1|p' "$block")
            check "$page:$line: the first line names the file" test -n "$name"
            mkdir -p "$folder/mine/${name%/*}"
            cp "$block" "$folder/mine/$name"
            files=$((files + 1))
            ;;
        *.json.*) cp "$block" "$folder/here/config.json" ;;
        *.csv.*)
            name=$(sed -n '1s|^# \([a-z0-9.-]*\.csv\)$|\1|p' "$block")
            check "$page:$line: the first line names the file" test -n "$name"
            cp "$block" "$folder/here/$name"
            ;;
        *.sh.*)
            while IFS= read -r command; do
                expected=$(echo "$command" | sed -n 's/.*# exit status \([0-9]*\)$/\1/p')
                (cd "$folder/here" && PATH=$work/bin:$PATH sh -c "$command") >"$work/out" 2>"$work/err" </dev/null
                status=$?
                check "$page:$line: $command" exits "${expected:-0}"
                commands=$((commands + 1))
            done <"$block"
            ;;
        *.text.*)
            check "$page:$line: the output of: $command" shown "$block"
            [ -s "$work/why" ] && cat "$work/why"
            texts=$((texts + 1))
            ;;
        esac
    done
    status=0
    check "$page has files, commands and outputs" test $((files > 0 && commands > 2 && texts > 0)) = 1
    for name in "$folder"/mine/*/*.yaml; do
        check "$page uses ${name##*/}" grep -qw "$(basename "$name" .yaml)" "$folder"/blocks/*.sh.*
    done
}

for kind in device model workload software technique; do
    follow "docs/add-a-$kind.md"
done
follow docs/calibration.md
finish
