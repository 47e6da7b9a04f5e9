#!/bin/sh
# reports/batch-sweep and the chart that gnuplot makes of it.
. tests/support/harness.sh

: >"$work/err"
reports/batch-sweep -m llama-3.1-8b -d l40s --prompt 512 --output 64 >"$work/out" 2>"$work/err" </dev/null
status=$?
check "the sweep succeeds" exits 0
check "it has a header and a row a batch" test "$(wc -l <"$work/out")" -ge 6
check "it ends where memory does" test "$(grep -c ',false,' "$work/out")" -eq 0
cp "$work/out" "$work/sweep.csv"

reports/batch-sweep -m no-such-model -d l40s >"$work/out" 2>"$work/err" </dev/null
status=$?
check "mistakes end it" exits 2
check "and say why" warns "no-such-model"

gnuplot -e "data='$work/sweep.csv'; picture='$work/sweep.png'" plots/batch-sweep.gp >"$work/out" 2>"$work/err"
status=$?
check "gnuplot draws it" exits 0
check "without complaints" quiet
check "as a PNG" test "$(head -c 4 "$work/sweep.png" | tail -c 3)" = PNG
finish
