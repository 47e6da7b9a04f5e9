#!/bin/sh
# Where answers go: files, pipes that close, disks that are full, terminals.
. tests/support/harness.sh

ask="estimate -m llama-3.1-8b -d h100-sxm"

# -o FILE
run $ask -o "$work/answer.txt"
check "-o: 0" exits 0
check "-o: nothing on standard output" silent
check "-o: the file has the answer" grep -q "Latency" "$work/answer.txt"
"$RAFTER" $ask >"$work/direct"
check "-o: what would have been printed" cmp -s "$work/direct" "$work/answer.txt"
run $ask -o "$work/answer.json"
check ".json: JSON" grep -q '"schema_version"' "$work/answer.json"
run $ask -o "$work/answer.csv"
check ".csv: CSV" grep -q '^model,' "$work/answer.csv"
run $ask -o "$work/answer.md"
check ".md: Markdown" grep -q '^## ' "$work/answer.md"
run $ask --csv -o "$work/other.json"
check "a flag wins over the extension" grep -q '^model,' "$work/other.json"
run $ask -o -
check "-o -: standard output" says "Latency"
echo old >"$work/kept"
run $ask -m nonesuch -o "$work/kept"
check "an error leaves the old file" grep -qx old "$work/kept"
refuses 'cannot' $ask -o "$work/no/such/folder/file"
refuses 'cannot' $ask -o "$work"
check "nothing is left behind" test -z "$(find "$work" -name '*.tmp*' -o -name '.*.??????' | head -n 1)"
if [ "$(id -u)" != 0 ]; then
    mkdir "$work/sealed"
    chmod 500 "$work/sealed"
    refuses 'cannot' $ask -o "$work/sealed/file"
fi
run plot roofline -m llama-3.1-8b -d h100-sxm -o "$work/roofline.svg"
check "a chart: 0" exits 0
check "a chart: its file is the chart" grep -q '<svg' "$work/roofline.svg"
check "a chart: said on standard output" says "wrote $work/roofline.svg"
refuses '.svg' plot roofline -m llama-3.1-8b -d h100-sxm -o "$work/roofline.bmp"

# a disk that is full
if [ -c /dev/full ]; then
    for arguments in "$ask" "$ask --json" "ops -m llama-3.1-8b -d h100-sxm" "list" "show h100-sxm" "help" "version"; do
        "$RAFTER" $arguments >/dev/full 2>"$work/err"
        status=$?
        : >"$work/out"
        check "$arguments to a full disk: 2" exits 2
        check "$arguments to a full disk: said" warns "cannot write to standard output"
    done
    refuses 'cannot' $ask -o /dev/full
fi

# standard output that is closed
"$RAFTER" $ask >&- 2>"$work/err"
status=$?
: >"$work/out"
check "closed standard output: 2" exits 2
check "closed standard output: said" warns "cannot write"

# a reader that leaves: the status comes out of the pipe through a file
{
    "$RAFTER" $ask 2>"$work/err"
    echo $? >"$work/status"
} | : # never reads
status=$(cat "$work/status")
check "a pipe that nobody reads is no death by signal" test "$status" = 2 -o "$status" = 0
mkfifo "$work/pipe"
{
    sleep 0.2
    "$RAFTER" $ask 2>"$work/err"
    echo $? >"$work/status"
} >"$work/pipe" &
writer=$!
: <"$work/pipe" # opened and closed at once: the write meets a broken pipe
wait $writer
status=$(cat "$work/status")
check "a broken pipe: 2" exits 2
check "a broken pipe: said" warns "Broken pipe"

# messages go to standard error, answers to standard output
run $ask --modle x
check "messages are not answers" silent

# colours: never off a terminal, on one unless NO_COLOR says otherwise
escape=$(printf '\033')
status=0
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1; then
    env -u NO_COLOR TERM=xterm script -qec "$RAFTER $ask" /dev/null >"$work/out" 2>&1 </dev/null
    check "colours on a terminal" grep -q "$escape" "$work/out"
    NO_COLOR=1 TERM=xterm script -qec "$RAFTER $ask" /dev/null >"$work/out" 2>&1 </dev/null
    check "NO_COLOR" sh -c "! grep -q '$escape' '$work/out'"
    env -u NO_COLOR TERM=dumb script -qec "$RAFTER $ask" /dev/null >"$work/out" 2>&1 </dev/null
    check "a dumb terminal" sh -c "! grep -q '$escape' '$work/out'"
fi
env -u NO_COLOR TERM=xterm "$RAFTER" $ask >"$work/out" 2>"$work/err"
check "no colours in a file" sh -c "! grep -q '$escape' '$work/out'"

finish
