#!/bin/sh
# What the commands answer, and with which exit status.
. tests/support/harness.sh

# yes, no
run estimate -m llama-3.1-8b -d h100-sxm
check "it fits: 0" exits 0
check "it says so" says "fits,"
run estimate -m llama-3-70b -d h100-sxm
check "it does not fit: 1" exits 1
check "it says so" says "does not fit"
check "it says what would" says "it would fit: batch 1 on 2 devices"
run estimate -m llama-3.1-8b -d h100-sxm --batch 100000 --prompt 4096
check "a batch too large: 1" exits 1
check "the largest that fits is named" says "it would fit: batch "
cat >"$work/strict.yaml" <<'YAML'
name: strict
batch: 1
prompt: 1024
output: 16
slo: {ttft: 1 us}
sources: {batch: a test}
YAML
run estimate -m llama-3.1-8b -d h100-sxm -w "$work/strict.yaml"
check "an objective is missed: 1" exits 1
check "it says which" says "missed"

# the report
run estimate -m llama-3.1-8b -d h100-sxm -w chat
for word in "Llama 3.1 8B" "H100" "vLLM" "Latency" "TTFT" "TPOT" "Throughput" "Memory" "KV cache" "Energy" \
    "USD_OR_DOLLAR" "prefill" "decode" "of roof" "note:"; do
    [ "$word" = USD_OR_DOLLAR ] && word='$'
    check "the report has $word" says "$word"
done
run estimate -m llama-3.1-8b -d h100-sxm --output 1
check "one output token: no TPOT" grep -q 'TPOT) *-' "$work/out"

# no trailing blanks, no escape sequences, lines that fit a page
for command in estimate ops; do
    run "$command" -m llama-3.1-8b -d h100-sxm
    check "$command: no trailing blanks" sh -c "! grep -q ' \$' '$work/out'"
    check "$command: no colour off a terminal" sh -c "! grep -q '$(printf '\033')' '$work/out'"
done

# streams whose operands are in the cache have its rate for a roof
run ops -m mixtral-8x7b -d h100-sxm -n 2 --batch 8 --phase decode --csv
check "moe_permute reaches some of the cache's roof" awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "percent_of_roof") column = i } $2 == "moe_permute" && $column > 0.1 { found = 1 } END { exit !found }' "$work/out"

# formats
run estimate -m llama-3.1-8b -d h100-sxm --csv
check "CSV: two lines" test "$(wc -l <"$work/out")" = 2
check "CSV: as many cells as headings" test "$(sed -n 1p "$work/out" | tr -cd , | wc -c)" = "$(sed -n 2p "$work/out" | tr -cd , | wc -c)"
run ops -m llama-3.1-8b -d h100-sxm --csv
check "ops CSV: a row an operator" test "$(grep -c '^decode,gate_up_proj,gemm,' "$work/out")" = 1
check "ops CSV: both phases" test "$(grep -c '^prefill,gate_up_proj,gemm,' "$work/out")" = 1
run ops -m llama-3.1-8b -d h100-sxm --csv --phase decode
check "--phase decode leaves prefill out" test "$(grep -c '^prefill,' "$work/out")" = 0
run estimate -m llama-3.1-8b -d h100-sxm --markdown
check "Markdown: headings" says "## Llama 3.1 8B"
check "Markdown: tables" says "|---|"
run compare -m llama-3.1-8b -d h100-sxm,a100-80gb-sxm --csv
check "compare CSV: a row a variant" test "$(wc -l <"$work/out")" = 3

# compare
run compare -m llama-3.1-8b -d h100-sxm -d a100-80gb-sxm
check "variants by repeated flags" says "a100-80gb-sxm"
check "ratios" says "x"
run compare -m llama-3.1-8b -d h100-sxm --batch 1,2
check "a bare number is named with its flag" says "batch 2"
run compare -m llama-3.1-8b -d h100-sxm --with none,fp8,fp8+speculative-chain
check "stacks of techniques" says "fp8+speculative-chain"
check "a stack is not its first technique alone" test "$(sed -n 's/^latency *//p' "$work/out" | tr -s ' ' '\n' | sort -u | wc -l)" -ge 6
run compare -m llama-3-70b -d h100-sxm,a100-80gb-sxm
check "no variant fits: 1" exits 1
run compare -m llama-3-70b -d h100-sxm,8xh100
check "one variant fits: 0" exits 0

# many variants: a row each
accepts compare -m llama-3-70b,llama-3.1-8b -d h100-sxm,h200-sxm -n 1,2,3 --weights bf16,fp8
check "a row each, ratios to the first" says "llama-3.1-8b h200-sxm devices 2 fp8"
check "what has no answer is listed" says "do not divide by tp=3"
accepts compare -m llama-3-70b,llama-3.1-8b -d h100-sxm,h200-sxm -n 1,2,3 --weights bf16,fp8 --csv
check "CSV: those with an answer" test "$(wc -l <"$work/out")" = 17
accepts compare -m llama-3-70b,llama-3.1-8b -d h100-sxm,h200-sxm -n 1,2,3 --weights bf16,fp8 --json
check "JSON: the others" says '"reason"'
refuses 'no variant has an answer' compare -m llama-3.1-8b -d h100-sxm -n 3,5,7 --batch 1,2,3
refuses 'at most 1024' compare -m llama-3.1-8b -d h100-sxm --batch "$(seq -s, 1 40)" --prompt "$(seq -s, 1 40)"

# list and show
accepts list
check "list has models" says "llama-3.1-8b"
check "list has devices" says "h100-sxm"
check "list has types" says "int4-g128"
for kind in hardware models software workloads techniques mechanisms types; do
    accepts list "$kind"
    accepts list "$kind" --csv
    accepts list "$kind" --json
done
accepts show h100-sxm
check "show: value and SI" grep -q 'hbm.bandwidth.*TB/s\|hbm.bandwidth.*GB/s.*3.352e+12' "$work/out"
check "show: unverified figures are marked" says "unverified"
accepts show H100_SXM
accepts show meta-llama/Llama-3.1-8B-Instruct
check "show by Hugging Face name" says "llama-3.1-8b"
accepts show mechanism kv_quantization
accepts show speculative_decoding
check "empirical parameters are marked" says "empirical"
accepts show speculative-chain
check "empirical values are marked" says "empirical"
accepts show q4_k
check "bytes of an element" says "0.5625"
"$RAFTER" list hardware --csv | sed -e 1d -e 's/,.*//' >"$work/ids"
"$RAFTER" list models --csv | sed -e 1d -e 's/,.*//' >>"$work/ids"
while read -r id; do accepts show "$id"; done <"$work/ids"

# explain
for metric in ttft_s tpot_s latency_s memory.total_bytes energy_j cost_usd; do
    accepts explain "$metric" -m llama-3.1-8b -d h100-sxm
    cp "$work/out" "$work/explained"
    accepts estimate -m llama-3.1-8b -d h100-sxm --explain "$metric"
    check "explain $metric is estimate --explain $metric" cmp -s "$work/out" "$work/explained"
done

# the same question, the same answer
"$RAFTER" estimate -m mixtral-8x7b -d 8xh100 --json >"$work/first"
"$RAFTER" estimate -m mixtral-8x7b -d 8xh100 --json >"$work/second"
status=0
check "answers repeat to the last digit" cmp -s "$work/first" "$work/second"

# completion is a script that bash accepts
accepts completion bash
if command -v bash >/dev/null; then
    check "bash can read the completion" bash -n "$work/out"
fi
accepts completion zsh
check "a completion for zsh" says "#compdef rafter"
if command -v zsh >/dev/null; then
    check "zsh can read the completion" zsh -n "$work/out"
fi
refuses 'which shell?' completion tcsh

finish
