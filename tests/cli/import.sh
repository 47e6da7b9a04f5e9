#!/bin/sh
# rafter import: configs and GGUF headers to descriptions that answer questions.
. tests/support/harness.sh

gguf=tests/fuzz/corpus/gguf_header/llama.gguf

# a config to standard output, and to a file with a summary
accepts import tests/import/llama-3.1-8b.json
check "a description on standard output" says 'attention: {heads: 32, kv_heads: 8, head_dim: 128, rotary_dim: 128}'
check "named as its file" says 'name: llama-3.1-8b'
accepts import tests/import/llama-3.1-8b.json --name me/Mine -o "$work/mine.yaml"
check "the summary counts" says 'Mine: 8.03 B parameters; 32 layers; 131072 bytes of KV cache a token at 16 bits; weights in bf16'
check "the summary says where it is" says "wrote $work/mine.yaml"
check "the file has the repository" grep -qx 'hf_repo: me/Mine' "$work/mine.yaml"
check "no temporary file is left" test "$(find "$work" -name '*.tmp')" = ""
accepts show models "$work/mine.yaml"
accepts estimate -m "$work/mine.yaml" -d h100-sxm --json
sed '/"model"/d; /"name"/d' "$work/out" | grep -E '"(ttft_s|latency_s)"' >"$work/ours"
accepts estimate -m llama-3.1-8b -d h100-sxm --json
grep -E '"(ttft_s|latency_s)"' "$work/out" >"$work/theirs"
check "the same answer as the catalogue's" cmp "$work/ours" "$work/theirs"

# what the summary says of others
accepts import tests/import/mixtral-8x7b.json -o "$work/a.yaml"
check "active parameters" says '46.7 B parameters, 12.88 B of them used by a token'
accepts import tests/import/gpt-oss-20b.json -o "$work/a.yaml"
check "windows" says 'bytes a token within the windows; weights in bf16, experts in mxfp4'
accepts import tests/import/t5-3b.json -o "$work/a.yaml"
check "cross-attention" says '48 layers; 393216 bytes of KV cache a token at 16 bits, and 393216 bytes a token of the prompt for cross-attention'
accepts import tests/import/mamba-130m.json -o "$work/a.yaml"
check "no KV cache" says '0 bytes of KV cache'
mkdir "$work/Some-Model"
cp tests/import/opt-125m.json "$work/Some-Model/config.json"
accepts import "$work/Some-Model/config.json"
check "named as its folder" says 'name: Some-Model'

# GGUF
run import "$gguf"
check "a GGUF file" says 'weight_type: q4_k'
check "a GGUF file's name" says 'name: seed'
check "its mixed types are warned about" warns 'of the matrices are of other types'
head -c 300 "$gguf" >"$work/short.gguf"
refuses 'the file ends inside the header' import "$work/short.gguf"
printf 'GGUF\001\000\000\000' >"$work/old.gguf"
refuses 'GGUF header, byte 4: found version 1, expected 2 or 3' import "$work/old.gguf"

# refusals: the old file stays
cp "$work/mine.yaml" "$work/kept.yaml"
printf '{"architectures": ["LlamaForCausalLM"],\n "hidden_size": "big"}' >"$work/bad.json"
refuses "$work/bad.json:2:17: error: hidden_size: found \"big\"" import "$work/bad.json" -o "$work/kept.yaml"
check "vocab_size is asked for too" warns 'error: vocab_size: missing, expected a whole number'
check "the old file stays" cmp "$work/kept.yaml" "$work/mine.yaml"
printf '{"architectures": ["LlamaForCausalLM"' >"$work/bad.json"
refuses "$work/bad.json:1:37: error: not JSON" import "$work/bad.json"
printf '{"a": 1, "a": 2}' >"$work/bad.json"
refuses 'duplicate object key' import "$work/bad.json"
printf '{"architectures": ["MysteryForCausalLM"]}' >"$work/bad.json"
refuses 'unknown architecture "MysteryForCausalLM"' import "$work/bad.json"
: >"$work/bad.json"
refuses 'not JSON' import "$work/bad.json"
refuses 'import what?' import
refuses 'No such file' import "$work/none.json"
refuses 'not a regular file' import "$work"
refuses 'not a regular file' import /dev/null
refuses 'descriptions are files that end in .yaml' import tests/import/opt-125m.json -o "$work/a.json"
refuses 'No such file' import tests/import/opt-125m.json -o "$work/none/a.yaml"
refuses 'unknown option --json' import tests/import/opt-125m.json --json

finish
