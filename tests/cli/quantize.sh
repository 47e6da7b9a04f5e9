#!/bin/sh
# rafter quantize: weights of every source as GGUF files.
. tests/support/harness.sh

tiny=tests/models/tiny-llama.yaml

# random weights of a description
for type in fp32 fp16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q4_k q5_k q6_k; do
  accepts quantize "$tiny" "$work/$type.gguf" --weights $type --random-seed 1
  check "says what it wrote in $type" says " MB, linear layers in $type"
done
check "no temporary file is left" test "$(find "$work" -name '*.tmp')" = ""
accepts quantize "$tiny" "$work/again.gguf" --weights q8_0 --random-seed 1
check "the same seed, the same file" cmp "$work/q8_0.gguf" "$work/again.gguf"
accepts quantize "$tiny" "$work/again.gguf" --weights q8_0 --random-seed 2
if cmp -s "$work/q8_0.gguf" "$work/again.gguf"; then same=yes; else same=no; fi
check "another seed, another file" test $same = no

# what was written is read: by import, and as a source
accepts import "$work/q4_k.gguf"
check "its type" says 'weight_type: q4_k'
check "its attention" says 'attention: {heads: 4, kv_heads: 2, head_dim: 64, rotary_dim: 64}'
accepts quantize "$work/fp32.gguf" "$work/again.gguf" --weights q8_0
check "as large as that of the source" \
  test "$(wc -c <"$work/again.gguf")" = "$(wc -c <"$work/q8_0.gguf")"
accepts quantize "$work/again.gguf" "$work/again.gguf" --weights q4_0
accepts import "$work/again.gguf"
check "a file may be its own source" says 'weight_type: q4_0'
check "its name is kept" says 'name: Tiny Llama'

# experts; rows that blocks do not divide
accepts quantize tests/models/tiny-mixtral.yaml "$work/moe.gguf" --weights q4_k --random-seed 1
run import "$work/moe.gguf"
check "experts" says 'moe: {experts: 4, top_k: 2, intermediate: 256, gated: true}'
check "rows of 128 values are q8_0" says 'weight_type: q8_0'

# a tokenizer from elsewhere
for vocabulary in byte-bpe sentencepiece; do
  accepts quantize "$tiny" "$work/plain.gguf" --weights q8_0 --random-seed 1 --tokenizer tests/models/$vocabulary.gguf
  check "the tokens of $vocabulary come along" grep -aq 'tokenizer.ggml.tokens' "$work/plain.gguf"
  check "the metadata of one tokenizer" test "$(grep -ac 'tokenizer.ggml.model' "$work/plain.gguf")" = 1
  accepts import "$work/plain.gguf"
done
accepts quantize "$work/plain.gguf" "$work/again.gguf" --weights q4_0
check "a tokenizer is kept" grep -aq 'tokenizer.ggml.scores' "$work/again.gguf"
if command -v python3 >/dev/null; then
  cp tests/models/vocabularies.py "$work/"
  python3 "$work/vocabularies.py"
  check "the vocabularies are those of their script" cmp "$work/byte-bpe.gguf" tests/models/byte-bpe.gguf
  check "both are" cmp "$work/sentencepiece.gguf" tests/models/sentencepiece.gguf
fi

# refusals: the old file stays
cp "$work/q8_0.gguf" "$work/kept.gguf"
refuses 'quantize what into which file' quantize "$tiny"
refuses 'expected fp32, fp16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or q6_k' quantize "$tiny" "$work/kept.gguf" --random-seed 1
refuses '--weights fp8: expected fp32' quantize "$tiny" "$work/kept.gguf" --weights fp8 --random-seed 1
refuses 'has no weights; a description gets random ones with --random-seed' quantize "$tiny" "$work/kept.gguf" --weights q8_0
refuses 'has weights; --random-seed makes those of a model' quantize "$work/q8_0.gguf" "$work/kept.gguf" --weights q8_0 --random-seed 1
refuses 'cannot open' quantize "$work/none.gguf" "$work/kept.gguf" --weights q8_0
refuses 'unknown model' quantize nonesuch "$work/kept.gguf" --weights q8_0 --random-seed 1
refuses 'of memory are available' quantize llama-3.1-405b "$work/kept.gguf" --weights bf16 --random-seed 1
refuses 'no GGUF architecture that is written here has it' quantize mamba-130m "$work/kept.gguf" --weights q8_0 --random-seed 1
refuses 'cannot write' quantize "$tiny" "$work/none/a.gguf" --weights q8_0 --random-seed 1
head -c 100000 "$work/q8_0.gguf" >"$work/cut.gguf"
refuses "its data ends behind the file's end" quantize "$work/cut.gguf" "$work/kept.gguf" --weights q8_0
check "a refusal leaves the old file" cmp "$work/q8_0.gguf" "$work/kept.gguf"
mkdir "$work/folder"
refuses 'config.json' quantize "$work/folder" "$work/kept.gguf" --weights q8_0

finish
