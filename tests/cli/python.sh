#!/bin/sh
# examples/estimate.py: the same question to the program and to the shared library, from Python.
. tests/support/harness.sh

: "${RAFTER_SHARED:=$PWD/librafter.so}" "${CC:=gcc}"
export RAFTER RAFTER_LIBRARY="$RAFTER_SHARED"

# A sanitized library wants its run time loaded before Python, which keeps much of its own memory to the end.
preload=
if nm -D "$RAFTER_SHARED" | grep -q __asan_init; then
    preload="$($CC -print-file-name=libasan.so) $($CC -print-file-name=libubsan.so)"
    ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0"
    export ASAN_OPTIONS
fi
python() { # ARGUMENT...
    env ${preload:+LD_PRELOAD="$preload"} PYTHONDONTWRITEBYTECODE=1 python3 -W error "$@" \
        >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

python examples/estimate.py
check "it runs" exits 0
check "without messages" quiet
check "the program and the library say the same" test \
    "$(sed -n 's/^program: //p' "$work/out")" = "$(sed -n 's/^library: //p' "$work/out")"
cp "$work/out" "$work/python.out"
run estimate -m llama-3.1-8b -d h100-sxm --batch 8 --prompt 1024 --output 256 --csv
ttft=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "ttft_s") column = i } NR == 2 { printf "%.3f", 1000 * $column }' "$work/out")
check "which is what the program says here" grep -qF "library: $ttft ms" "$work/python.out"
check "the sweep has a row a batch" test "$(grep -c '^ *[0-9]* *[0-9.]* *[0-9.]* *' "$work/python.out")" -ge 5

# The structs are those of the header: each field at its place.
{
    echo '#include "rafter.h"'
    echo '#include <stdio.h>'
    echo 'int main(void) {'
    for struct in question answer; do
        sed -n "/^typedef struct {/,/^} rafter_/{H;};/^typedef struct {/h;/^} rafter_$struct;/{x;p;}" include/rafter.h |
            sed -e '/^typedef/d' -e '/^}/d' -e 's|/\*.*||' |
            grep -oE '[a-z_]+[,;]' | tr -d ',;' |
            while read -r field; do
                printf 'printf("%s %s %%zu\\n", offsetof(rafter_%s, %s));\n' $struct "$field" $struct "$field"
            done
        printf 'printf("%s - %%zu\\n", sizeof(rafter_%s));\n' $struct $struct
    done
    echo 'return 0; }'
} >"$work/layout.c"
$CC -std=c17 -Wall -Werror -Iinclude -o "$work/layout" "$work/layout.c" >"$work/out" 2>"$work/err"
status=$?
check "the layout program builds" exits 0
"$work/layout" >"$work/layout.c.out"
check "it knows the fields" test "$(wc -l <"$work/layout.c.out")" -ge 40
python -c '
import ctypes, sys
sys.path.insert(0, "examples")
import estimate
for name, struct in ("question", estimate.Question), ("answer", estimate.Answer):
    for field, _ in struct._fields_:
        print(name, field, getattr(struct, field).offset)
    print(name, "-", ctypes.sizeof(struct))'
check "Python lays them out" exits 0
check "as C does" cmp "$work/layout.c.out" "$work/out"

# Mistakes.
python -c '
import sys
sys.path.insert(0, "examples")
import estimate
with estimate.Rafter() as rafter:
    for fields in {"model": "llama-3.1-8b"}, {"model": "no-such-model", "device": "h100-sxm"}:
        try:
            rafter.estimate(**fields)
        except RuntimeError as problem:
            print("refused:", problem)'
check "a bad question raises" test "$(grep -c '^refused: .*..' "$work/out")" = 2
check "and the message says why" says no-such-model
RAFTER_LIBRARY=$work/missing.so python examples/estimate.py
check "no library: an error in a line" test "$status:$(wc -l <"$work/err")" = 1:1

finish
