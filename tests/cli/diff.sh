#!/bin/sh
# What changed between two answers; hostile documents.
. tests/support/harness.sh
ask="estimate -m llama-3.1-8b -d h100-sxm --batch 32 --prompt 4096"
accepts $ask -o "$work/plain.json"
accepts $ask --kv fp8 -o "$work/kv.json"
accepts $ask -n 2 --weights fp8 --set site.pue=1.3 --with kv8 -o "$work/many.json"
accepts estimate -m mixtral-8x7b -d h100-sxm -n 2 --batch 8 --with speculative-chain -o "$work/other.json"

accepts diff "$work/plain.json" "$work/plain.json"
check "the same is the same" says "the answers are the same"
accepts diff "$work/plain.json" "$work/kv.json"
check "the cause" says "caused by types.kv: bf16 -> fp8"
check "half the cache" grep -q 'memory.kv_bytes.*0.500x' "$work/out"
check "operators, the most changed first" test "$(sed -n '/^Operators/,$p' "$work/out" | sed -n 3p | awk '{ print $1 }')" = decode.attention
check "what does not change is not listed" sh -c "! grep -q weights_bytes '$work/out'"
accepts diff "$work/plain.json" "$work/many.json"
for input in devices parallel.tp types.weights techniques settings; do
    check "input $input" says "$input"
done
check "several causes" says "inputs together"
accepts diff "$work/plain.json" "$work/other.json"
check "operators of only one side" says "decode.moe_gate_up"
for format in --json --csv --markdown; do accepts diff "$work/plain.json" "$work/other.json" $format; done
accepts diff "$work/plain.json" "$work/many.json" --csv
check "CSV: five cells" awk -F, '/^figure/ && NF != 5 { bad = 1 } END { exit bad }' "$work/out"
accepts diff "$work/plain.json" "$work/other.json" --top 1
check "--top 1" says "more operators differ"

refuses 'which answers?' diff
refuses 'which answers?' diff "$work/plain.json"
refuses 'unexpected' diff "$work/plain.json" "$work/kv.json" "$work/many.json"
refuses 'No such file' diff "$work/plain.json" "$work/none.json"
refuses 'not a regular file' diff /dev/zero "$work/plain.json"
bad() { # MESSAGE: $work/bad.json is refused with it
    refuses "$1" diff "$work/plain.json" "$work/bad.json"
    refuses "$1" diff "$work/bad.json" "$work/plain.json"
}
printf '' >"$work/bad.json"; bad 'bad.json:1:'
printf '{"schema_version": 1,\n "model": }' >"$work/bad.json"; bad 'bad.json:2:'
printf '{"a": 1,\n "a": 2}' >"$work/bad.json"; bad 'bad.json:2:'
printf '[]' >"$work/bad.json"; bad 'bad.json:1:1: error: expected a JSON object'
printf '{"schema_version": 1}' >"$work/bad.json"; bad 'model: found nothing'
printf '{"schema_version": 1,\n  "model": 3}' >"$work/bad.json"; bad 'bad.json:2:12: error: model: found 3'
sed 's/"schema_version": 1/"schema_version": 99/' "$work/plain.json" >"$work/bad.json"; bad 'schema_version: found 99'
sed 's/"ttft_s": [0-9.e-]*,/"ttft_s": "fast",/' "$work/plain.json" >"$work/bad.json"; bad 'ttft_s: found "fast"'
"$RAFTER" ops -m llama-3.1-8b -d h100-sxm --json >"$work/bad.json"; bad 'expected it as in an answer'
awk 'BEGIN { printf "{\"a\":"; for (i = 0; i < 5000; i++) printf "["; }' >"$work/bad.json"; bad 'nested deeper'
head -c 2000000 /dev/zero | tr '\0' ' ' >"$work/bad.json"; bad 'bytes'
# parts of the wrong kind are no crash
for edit in 's/"ops": \[/"ops": [1, null, {"name": 5}, {"name": "x", "exposed_s": []},/' 's/"tp": 1/"tp": [[[{}]]]/' \
    's/"techniques": \[\]/"techniques": {"a": [1, "b", null]}/' 's/"cost_usd": [0-9.e-]*/"cost_usd": null/'; do
    sed "$edit" "$work/plain.json" >"$work/odd.json"
    accepts diff "$work/plain.json" "$work/odd.json"
    accepts diff "$work/odd.json" "$work/kv.json" --json
done
finish
