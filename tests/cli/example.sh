#!/bin/sh
# The C interface as a user meets it: rafter.h and librafter.a, nothing of src/.
. tests/support/harness.sh

: "${CC:=gcc}"
: "${EXAMPLE_FLAGS:=-Wall -Wextra -Wpedantic}"
: "${EXAMPLE_LIBS:=librafter.a $(pkg-config --libs gsl yaml-0.1 jansson cairo) -lm -fopenmp}"
status=0
: >"$work/out"
: >"$work/err"

# shellcheck disable=SC2086 # lists of words
for example in examples/*.c; do
    name=$(basename "$example" .c)
    $CC -std=c17 $EXAMPLE_FLAGS -Werror -Iinclude -o "$work/$name" "$example" $EXAMPLE_LIBS >"$work/out" 2>"$work/err"
    status=$?
    check "$example builds without warnings" exits 0
    "$work/$name" >"$work/out" 2>"$work/err"
    status=$?
    check "$example runs" exits 0
    check "$example has no messages" quiet
    check "$example prints a table" test "$(wc -l <"$work/out")" -ge 5
done

# the same figures as from the program
run estimate -m llama-3.1-8b -d h100-sxm --batch 8 --prompt 1024 --output 256 --csv
ttft=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "ttft_s") column = i } NR == 2 { printf "%.1f", 1000 * $column }' "$work/out")
"$work/estimate" >"$work/out" 2>"$work/err"
check "the library answers as the program does" says "batch 8: $ttft ms to the first token"

# the library keeps its names to itself
nm -g --defined-only librafter.a 2>/dev/null | awk 'NF == 3 { print $3 }' | grep -v '^rafter_' >"$work/out"
status=0
check "librafter.a defines rafter_ names only" silent

# the header alone, as C99, C17 and C++
echo '#include "rafter.h"' >"$work/header.c"
for standard in c99 c17; do
    $CC -std=$standard -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/header.c" >"$work/out" 2>"$work/err"
    status=$?
    check "rafter.h is $standard" exits 0
done
if command -v g++ >/dev/null; then
    g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -x c++ "$work/header.c" >"$work/out" 2>"$work/err"
    status=$?
    check "rafter.h is C++" exits 0
fi

# without a catalogue the program says so and fails
mkdir "$work/empty"
cp "$work/estimate" "$work/empty/"
RAFTER_PATH="$work/none" XDG_CONFIG_HOME="$work/none" "$work/empty/estimate" >"$work/out" 2>"$work/err"
status=$?
if [ ! -d /usr/local/share/rafter ]; then check "no catalogue: 2" exits 2; fi

finish
