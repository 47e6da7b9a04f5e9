#!/bin/sh
# The executor's runs that were recorded on one machine, predicted again: docs/validation.md shows what comes out, and
# the bars hold, with no noise in it.
. tests/support/harness.sh

folder=validation/recorded
run validate executor validation/executor/matrix.yaml -d $folder/executor-device.yaml --rows-in $folder/executor-rows.csv
check "the whole matrix is recorded" says "62 runs; prefill MAPE"
sed -n '/^phase /,$p' "$work/out" >"$work/table"
sed -n '/^```text/,/^```$/p' $folder/executor.md | sed '1d;$d' >"$work/page"
check "the page is today's: scripts/record-executor rewrites it" cmp -s "$work/table" "$work/page"
awk '/16 decode steps, ms/ { table = 1; next } table && !/^\|/ { exit } table && !/^\|-/' README.md >"$work/readme"
check "README.md has rows of it" [ "$(wc -l <"$work/readme")" -ge 5 ]
check "which are today's" sh -c "! grep -vxF -f $folder/executor.md $work/readme"
run validate executor validation/executor/matrix.yaml -d $folder/executor-device.yaml --rows-in $folder/executor-rows.csv --json
check "phases within 10% on average, nine operators in ten within 25%" python3 -c "
import json
groups = json.load(open('$work/out'))['errors']
phases = [g for g in groups if g['op'] is None]
assert len(phases) == 2 and all(g['mape'] <= 0.10 for g in phases), phases
operators = [g['mape'] for g in groups if g['op']]
assert len(operators) >= 40 and sum(m <= 0.25 for m in operators) >= 0.9 * len(operators), sorted(operators)"
finish
