#!/bin/sh
# The commands that README.md shows: each line of a ```sh block that starts with ./rafter runs with status 0 or 1, and
# when a ```text block follows the block, it is what its last command prints, character by character.
. tests/support/harness.sh

if ! [ -f README.md ]; then
    echo "no README.md"
    echo "0 passed, 1 failed"
    exit 1
fi
# The commands write files: run them in a copy of the names that they see.
mkdir "$work/root"
for name in *; do ln -s "$PWD/$name" "$work/root/$name"; done
rm -f "$work/root/rafter"
ln -s "$RAFTER" "$work/root/rafter"

# One file a command, with the output that is expected of it when there is one.
awk -v work="$work" '
    function close_block() { for (i = 1; i <= n; i++) { print commands[i] > (work "/command." ++total); close(work "/command." total) } }
    /^```sh/ { inside = "sh"; n = 0; next }
    /^```text/ && shown { inside = "text"; printf "" > (work "/expected." total); next }
    /^```/ && inside == "sh" { inside = ""; close_block(); shown = n > 0; next }
    /^```/ && inside == "text" { inside = ""; close(work "/expected." total); shown = 0; next }
    /^```/ { inside = inside == "" ? "other" : ""; shown = 0; next }
    inside == "sh" && /\\$/ { held = held substr($0, 1, length($0) - 1); next }
    inside == "sh" { line = held $0; held = ""; if (line ~ /^\.\/rafter/) commands[++n] = line; next }
    inside == "text" { print > (work "/expected." total); next }
    inside == "" && /[^ ]/ { shown = 0 }
' README.md

count=$(find "$work" -maxdepth 1 -name 'command.*' | wc -l)
status=0
: >"$work/out"
: >"$work/err"
check "README.md shows commands" test "$count" -gt 0
number=0
while [ "$number" -lt "$count" ]; do
    number=$((number + 1))
    command=$(cat "$work/command.$number")
    (cd "$work/root" && sh -c "$command") >"$work/out" 2>"$work/err" </dev/null
    status=$?
    check "$command" test "$status" -le 1
    [ -f "$work/expected.$number" ] || continue
    if cmp -s "$work/expected.$number" "$work/out"; then
        pass
    else
        failed=$((failed + 1))
        echo "FAILED: README.md shows another output of: $command"
        diff "$work/expected.$number" "$work/out" | head -n 20
    fi
done
finish
