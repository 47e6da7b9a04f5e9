#!/bin/sh
# Techniques beside the baseline, and the best stacks of them.
. tests/support/harness.sh

question="-m llama-3.1-8b -d a100-80gb-sxm --batch 16"
# shellcheck disable=SC2086
accepts compare $question --techniques
check "the baseline" says "(as asked)"
check "a technique" says "kv8 "
check "those without an answer, and why" grep -q 'shared-prefix .*the workload has no shared_prefix' "$work/out"
# shellcheck disable=SC2086
accepts compare $question --techniques --family kv_quantization --json
check "only the family" python3 -c "
import json
found = json.load(open('$work/out'))
assert found['stacks'] and all(len(s['techniques']) == 1 for s in found['stacks'])
assert 'kv8' in [s['techniques'][0] for s in found['stacks']]
gains = [s['gain'] for s in found['stacks']]
assert gains == sorted(gains, reverse=True)"
# shellcheck disable=SC2086
accepts recommend $question --json --top 100000
check "stacks of one to three, best first" python3 -c "
import json
found = json.load(open('$work/out'))
assert {len(s['techniques']) for s in found['stacks']} == {1, 2, 3}
assert found['evaluated'] >= len(found['stacks']) + 1
kept = [s for s in found['stacks'] if s['kept']]
gains = [s['gain'] for s in kept]
assert gains == sorted(gains, reverse=True) and gains[0] > 1
for s in found['stacks']:
    assert len(set(s['techniques'])) == len(s['techniques'])
best = kept[0]
print(' '.join(best['techniques']), best['answer']['throughput_tokens_per_s'])" 
python3 -c "
import json
best = [s for s in json.load(open('$work/out'))['stacks'] if s['kept']][0]
print(*['--with %s' % t for t in best['techniques']])
print(best['answer']['throughput_tokens_per_s'])" >"$work/best"
# shellcheck disable=SC2046,SC2086
accepts estimate $question $(head -1 "$work/best") --json
check "the best stack is what estimate says of it" python3 -c "
import json
assert abs(json.load(open('$work/out'))['throughput_tokens_per_s'] / float(open('$work/best').readlines()[1]) - 1) < 1e-9"
# shellcheck disable=SC2086
accepts recommend $question --lossless --depth 2 --objective tpot --json
check "lossless ones only" python3 -c "
import json
found = json.load(open('$work/out'))
assert found['objective'] == 'tpot' and all(s['lossless'] and len(s['techniques']) <= 2 for s in found['stacks'])"
# shellcheck disable=SC2086
accepts recommend $question --max-memory 12GiB --json
check "a limit on memory" python3 -c "
import json
found = json.load(open('$work/out'))
kept = [s for s in found['stacks'] if s['kept']]
assert found['limits']['memory_bytes'] == 12 * 2**30 and kept
assert all(s['answer']['memory']['total_bytes'] <= 12 * 2**30 for s in kept)
assert not found['baseline']['kept'] and found['baseline']['tightest'] == 'memory'"
# shellcheck disable=SC2086
run recommend $question --max-tpot 1us
check "limits that nothing keeps exit with 1" exits 1
# shellcheck disable=SC2086
refuses "did you mean throughput" recommend $question --objective throughputt
# shellcheck disable=SC2086
refuses "no technique of family" recommend $question --family nothing
refuses "give each flag one value" compare -m llama-3.1-8b -d h100-sxm,a100-80gb-sxm --techniques
refuses "--model is missing" recommend -d h100-sxm
finish
