#!/bin/sh
# Claims: the table, its formats, single claims, files that are not installed, the chart, and what is refused.
. tests/support/harness.sh

cat >"$work/mine.yaml" <<'END'
name: mine
extends: kv8
setups:
  a100: {model: llama-2-7b, device: a100-80gb-sxm, prompt: 2000, output: 48}
claims:
  - {id: mine#1, says: KV halved, metric: kv_per_token, form: ratio, unit: x, value: 0.5, status: computed, query: {setup: a100}}
  - {id: mine#2.1, metric: tpot, unit: ms, value: 400, kind: up_to, status: computed, query: {setup: a100, batch: [1, 8]}}
  - {id: mine#2.2, metric: tpot, unit: ms, value: 400, status: computed, query: {setup: a100, batch: 100000}}
  - {id: mine#3, metric: batch, form: ratio, unit: x, value: 2, status: input, query: {setup: a100, batch: max}}
  - {id: mine#4, metric: tpot, unit: ms, value: 3, status: not-computable, reason: quality-metric}
END
accepts claims --file "$work/mine.yaml"
check "a good one" grep -q '^mine#1 .*within 10%' "$work/out"
check "a bad one" grep -q '^mine#2.1 .*unexplained' "$work/out"
check "an input is not scored" grep -q '^mine#3 .*input.*not scored' "$work/out"
check "why it is not computed" grep -q '^mine#4 .*quality-metric' "$work/out"
check "a summary" grep -q '^kv_quantization  *5 ' "$work/out"
accepts claims --file "$work/mine.yaml" mine#2
check "a claim's points" [ "$(grep -c '^mine#' "$work/out")" = 2 ]
accepts claims --file "$work/mine.yaml" mine#2.1
check "one point" [ "$(grep -c '^mine#' "$work/out")" = 1 ]
accepts claims --file "$work/mine.yaml" --status input
check "by status" [ "$(grep -c '^mine#' "$work/out")" = 1 ]
accepts claims --file "$work/mine.yaml" --csv
check "CSV has a heading" grep -q '^id,metric,form,kind,status,published,predicted,low,high,unit,ratio,verdict,reason' "$work/out"
accepts claims --file "$work/mine.yaml" --json
check "JSON is a list of claims" python3 -c "
import json
claims = json.load(open('$work/out'))
keys = {'id', 'technique', 'metric', 'kind', 'status', 'published', 'predicted', 'interval', 'ratio', 'verdict', 'reason'}
assert len(claims) == 5 and all(keys <= set(c) for c in claims)
by = {c['id']: c for c in claims}
assert abs(by['mine#1']['predicted'] - 0.5) < 1e-6 and abs(by['mine#1']['ratio'] - 1) < 1e-6
low, high = by['mine#2.1']['interval']
assert low < by['mine#2.1']['predicted'] < high
assert by['mine#4']['predicted'] is None and by['mine#4']['ratio'] is None and by['mine#4']['interval'] is None"
(cd "$work" && RAFTER=$RAFTER && "$RAFTER" claims --file mine.yaml >"$work/here" 2>&1)
check "a file of the working folder" grep -q '^mine#1' "$work/here"

accepts claims --draws 1 --json
check "README.md counts them" python3 -c "
import json, re
claims = json.load(open('$work/out'))
results = {c['id'].split('.')[0] for c in claims}
computed = [c for c in claims if c['status'] == 'computed']
said = re.search(r'has all (\\d+) results that 145 papers .*?; (\\d+) of them can be computed, at\\s+(\\d+) points', open('README.md').read(), re.S)
assert [int(n) for n in said.groups()] == [len(results), len({c['id'].split('.')[0] for c in computed}), len(computed)], said.groups()
scored = [c['verdict'] for c in computed]
within = scored.count('within 10%') / len(scored), (scored.count('within 10%') + scored.count('within 25%')) / len(scored)
assert len(results) >= 829 and within[0] >= 0.40 and within[1] >= 0.65, within"

accepts plot claims --file "$work/mine.yaml" -o "$work/claims.svg"
check "a chart" grep -q '<svg' "$work/claims.svg"
refuses "--batch: a claims chart does not take it" plot claims --batch 3 -o "$work/claims.svg"
refuses "--status: a roofline chart does not take it" plot roofline -m gpt2 -d h100-sxm --status input -o "$work/r.svg"
refuses "no claim to draw" plot claims --file "$work/mine.yaml" --status input -o "$work/none.svg"

refuses "did you mean duoattention" claims duoatention
refuses "no claim kv8#7" claims kv8#7
refuses "expected computed, input, baseline or not-computable" claims --status bad
refuses "No such file" claims --file "$work/none.yaml"
printf 'name: x\nno_effect: none\nclaims: 3\n' >"$work/bad.yaml"
refuses "bad.yaml:3:9: error: claims: expected a list" claims --file "$work/bad.yaml"
printf 'name: x\nno_effect: none\nclaims: [{id: x#1, metric: tpot, unit: ms, value: 1e400, status: computed, query: {model: gpt2}}]\n' >"$work/bad.yaml"
refuses "value" claims --file "$work/bad.yaml"
printf 'name: x\nno_effect: none\nclaims: [{id: x#1, metric: tpot, unit: ms, value: 1, status: computed, query: [1]}]\n' >"$work/bad.yaml"
refuses "expected a map of options" claims --file "$work/bad.yaml"
finish
