#!/bin/sh
# Inverse questions and searches: answers that hold when asked forwards, formats, exit statuses, refusals.
. tests/support/harness.sh

value() { # KEY: a top-level number or word of the JSON in $work/out
    sed -n 's/^  "'"$1"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "$work/out"
}
ask="-m llama-3.1-8b -d h100-sxm"

# the largest batch keeps the limits of a workload, one more does not
accepts solve batch $ask -w chat --json
batch=$(value value)
check "a whole batch" test "$batch" -gt 1
check "which limit binds" test "$(value binding)" = ttft
accepts estimate $ask -w chat --batch "$batch"
run estimate $ask -w chat --batch "$((batch + 1))"
check "one more misses an objective" exits 1
accepts solve batch $ask -w chat
check "it says whose limits these are" says "the workload's objectives"
accepts solve batch $ask -w chat --max-ttft 1s
check "flags replace them" says "TTFT at most 1.000 s"
check "and nothing else is held" sh -c "! grep -q objectives '$work/out'"
accepts solve concurrency $ask --json
check "concurrency is batch" test "$(value unknown)" = batch
check "memory binds when nothing else does" test "$(value binding)" = memory
batch=$(value value)
accepts estimate $ask --batch "$batch"
run estimate $ask --batch "$((batch + 1))"
check "one more does not fit" exits 1

# every unknown, in every format
for unknown in batch prompt output devices bandwidth compute memory; do
    accepts solve $unknown $ask --max-latency 5s --output 64
    check "$unknown: evaluations are counted" says "evaluations"
    check "$unknown: no trailing blanks" sh -c "! grep -q ' \$' '$work/out'"
    accepts solve $unknown $ask --max-latency 5s --output 64 --json
    check "$unknown: found" test "$(value found)" = true
    accepts solve $unknown $ask --max-latency 5s --output 64 --csv
    check "$unknown CSV: two lines" test "$(wc -l <"$work/out")" = 2
    check "$unknown CSV: as many cells as headings" \
        test "$(sed -n 1p "$work/out" | tr -cd , | wc -c)" = "$(sed -n 2p "$work/out" | tr -cd , | wc -c)"
    accepts solve $unknown $ask --max-latency 5s --output 64 --markdown
    check "$unknown Markdown" says "## Llama"
done
accepts solve context $ask --json
check "context is prompt, and ends at the model's" test "$(value value)" = $((131072 - 128))
accepts solve devices -m llama-3-70b -d h100-sxm --batch 4
check "the split is named" says "TP"
accepts solve bandwidth $ask --max-tpot 20ms
check "what the device has" says "of the 3.352 TB/s it has"

# no
run solve batch $ask --max-ttft 1us
check "no batch is that fast: 1" exits 1
check "it says so" says "none keeps the limits"
run solve batch $ask --max-ttft 1us --json
check "no value" test "$(value value)" = null
run solve devices -m llama-3-70b -d h100-sxm --max-tpot 10us
check "no count of devices is: 1" exits 1
run solve parallelism -m llama-3-70b -d h100-sxm -n 1
check "no split fits: 1" exits 1
check "the limit that breaks is named" says "memory per device 1."
run solve pareto -m llama-3-70b -d h100-sxm -n 1
check "no point fits: 1" exits 1

# splits
accepts solve parallelism -m mixtral-8x7b -d h100-sxm -n 8 --batch 64
check "how many were evaluated" says "splits evaluated"
check "ten are shown" test "$(grep -c kept "$work/out")" = 10
accepts solve parallelism -m mixtral-8x7b -d h100-sxm -n 8 --batch 64 --top 3 --objective latency
check "--top 3" test "$(grep -c kept "$work/out")" = 3
accepts solve parallelism -m mixtral-8x7b -d h100-sxm -n 8 --batch 64 --csv
check "every row uses all devices" awk -F, 'NR > 1 && $1 * $2 * $4 * $5 != 8 { bad = 1 } END { exit bad }' "$work/out"
accepts solve parallelism -m mixtral-8x7b -d 8xh100 --batch 8 --objective cost --json
check "a system's own count" test "$(value devices)" = 8

# the front
accepts solve pareto -m llama-3.1-8b -d h100-sxm -n 4 --batch 64
check "a chart" says "●"
check "the title is of the whole pool" says "4 x NVIDIA H100"
check "its axes" says "tokens/s/user"
accepts solve pareto -m llama-3.1-8b -d h100-sxm -n 4 --batch 64 --csv
check "per user falls, per device rises" awk -F, \
    'NR > 2 && ($1 >= user || $2 <= device) { bad = 1 } { user = $1; device = $2 } END { exit bad }' "$work/out"
accepts solve pareto -m llama-3.1-8b -d h100-sxm -n 4 --batch 64 --markdown --top 3

# bad questions
refuses 'solve for what?' solve
refuses 'did you mean batch?' solve bathc $ask
refuses 'cannot solve for "xyzzy"' solve xyzzy $ask
refuses 'needs a limit on time' solve bandwidth $ask
refuses '--model is missing' solve batch -d h100-sxm
refuses '--device is missing' solve batch -m llama-3.1-8b
refuses 'did you mean h100-sxm' solve parallelism -m llama-3.1-8b -d h100-smx -n 4
refuses '--objective: found "speed"' solve parallelism $ask -n 2 --objective speed
refuses '--objective is for' solve batch $ask --objective cost
refuses '--tp: this is what is searched' solve parallelism $ask -n 2 --tp 2
refuses 'exceed' solve batch $ask --prompt 200000
refuses 'no split of 2 devices' solve parallelism $ask -n 2 --prompt 200000
for number in nan inf -1 0 1e400 abc 5parsecs; do
    for flag in --max-ttft --max-tpot --max-latency --max-cost --min-throughput; do
        run solve batch $ask "$flag" "$number"
        check "$flag $number exits with 2" exits 2
        check "$flag $number is named" warns "$flag"
    done
done
refuses '--max-ttft' estimate $ask --max-ttft 1s

finish
