#!/bin/sh
# Validation of the executor: that it runs, what it reports, what it refuses. Times are not judged here, beside other
# suites: `make validate-executor` does that.
. tests/support/harness.sh

model=$PWD/tests/models/tiny-llama.yaml
suite=$work/suite.yaml
write_suite() { # LINE...: the suite with these lines for its one group
    {
        printf 'name: tiny\nrepeats: 2\nnoise: 1000%%\nmax_phase_mape: %s\nmax_op_mape: 1000%%\nop_share: 100%%\n' "$allowed"
        printf 'groups:\n  - name: tiny\n'
        for line; do printf '    %s\n' "$line"; done
    } >"$suite"
}
usual() { # MODEL WEIGHTS KV
    write_suite "models: [$1]" "weights: [$2]" "kv: [$3]" 'prompts: [7]' 'outputs: [3]' 'batches: [1, 2]' \
        'chunks: [0, 4]' 'threads: [1]'
}

# no bar is too high for a run without prediction's help: the report is what is tested
allowed=1000%
usual "$model" fp32 fp32
run validate executor "$suite" -d epyc-9654 --rows-out "$work/rows.csv"
check "it ends with a verdict" [ "$status" -le 1 ]
check "a row for each phase" says "tiny-llama.yaml  fp32     fp32      2       7       3      4        1  decode"
check "the sum" says "4 runs; prefill MAPE"
check "rows hold operators" grep -q 'gate_up_proj' "$work/rows.csv"
check "rows have a heading" grep -q '^model,weights,kv,batch,prompt,output,chunk,threads,phase,op,share,measured_s' "$work/rows.csv"
cp "$work/out" "$work/first"
run validate executor "$suite" -d epyc-9654 --rows-in "$work/rows.csv" --rows-out "$work/again.csv"
check "measured rows are predicted again, the same" cmp -s "$work/rows.csv" "$work/again.csv"
check "and reported the same" cmp -s "$work/first" "$work/out"
refuses "No such file" validate executor "$suite" -d epyc-9654 --rows-in "$work/none.csv"
grep -v ',2,7,3,' "$work/rows.csv" >"$work/fewer.csv"
refuses "has no runs of tiny-llama.yaml, weights fp32, batch 2" validate executor "$suite" -d epyc-9654 --rows-in "$work/fewer.csv"
sed 's/measured_s/seconds/' "$work/rows.csv" >"$work/other.csv"
refuses "no column measured_s" validate executor "$suite" -d epyc-9654 --rows-in "$work/other.csv"
sed '2s/,1,7,3,/,one,7,3,/' "$work/rows.csv" >"$work/word.csv"
refuses "word.csv:2" validate executor "$suite" -d epyc-9654 --rows-in "$work/word.csv"
run validate executor "$suite" -d epyc-9654 --json
check "JSON is JSON" python3 -c "
import json
found = json.load(open('$work/out'))
assert found['runs'] == 4 and found['suite'] == 'tiny'
phases = [row for row in found['rows'] if row['op'] is None]
assert len(phases) == 8 and all(row['measured_s'] > 0 and row['predicted_s'] > 0 for row in phases)
for row in phases:
    parts = [r['measured_s'] for r in found['rows'] if r['op'] and all(r[k] == row[k] for k in ('batch', 'chunk', 'phase'))]
    assert 0 < sum(parts) <= 1.0001 * row['measured_s'], (row, sum(parts))"

# a bar that no run of a small model on another machine's description keeps
allowed=0.1%
usual "$model" fp32 fp32
run validate executor "$suite" -d epyc-9654
check "a missed bar exits with 1" exits 1
check "and says so" says "FAILED"

allowed=10%
refuses "No such file" validate executor "$work/none.yaml" -d epyc-9654
refuses "q9_9" validate executor "$suite" -d q9_9
usual "$model" int3 fp32
refuses "int3 is no type that the executor has products for" validate executor "$suite" -d epyc-9654
usual "$model" fp32 fp8
refuses "fp8 is no type that the executor keeps a cache in" validate executor "$suite" -d epyc-9654
usual nothing-of-the-kind fp32 fp32
refuses "nothing-of-the-kind" validate executor "$suite" -d epyc-9654
write_suite "models: [$model]" 'weights: [fp32]' 'kv: [fp32]' 'prompts: [7]' 'outputs: [3]' 'batches: [1]' 'threads: [97]'
refuses "97" validate executor "$suite" -d epyc-9654
[ -e hardware/local.yaml ] || refuses "rafter measure -o hardware/local.yaml" validate executor "$suite"
finish
