#!/bin/sh
# rafter run: what it prints and writes, and what it refuses.
. tests/support/harness.sh

cat >"$work/tiny.yaml" <<'EOF'
name: Tiny
hidden: 256
vocab: 320
max_context: 128
norm: rms
weight_type: bf16
activation_type: bf16
blocks:
  layer:
    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 32}
    dense: {intermediate: 512, gated: true}
layers: 2
EOF
tiny="run -m $work/tiny.yaml --threads 1"

# field PATH: of the JSON printed last, as Python writes it
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval("d"+sys.argv[2]))' "$work/out" "$1"; }
is() { [ "$(field "$1")" = "$2" ]; }
holds() { [ "$(field "$1")" = True ]; } # an expression that begins with a subscript of the answer

accepts $tiny --prompt 8 --output 4
check "the model and its types" says "tiny, weights bf16"
check "the cache's type" says "KV cache fp16"
check "prefill" says "prefill: "
check "decode" says "decode: "
check "operators" says "gate_up_proj"
check "a roof" says "of the roof"

accepts $tiny --prompt 8 --output 4 --json
check "weights" is "['weights']" bf16
check "kv" is "['kv']" fp16
check "threads" is "['threads']" 1
check "prompt tokens" is "['prompt_tokens']" 8
check "output tokens" is "['output_tokens']" 4
check "four ids" is "['token_ids'].__len__()" 4
check "no text without a tokenizer" is "['text']" None
check "prefill's tokens" is "['prefill']['tokens']" 8
check "decode's tokens: the first comes with the prompt" is "['decode']['tokens']" 3
check "times of operators are within the phase's" \
    holds "['prefill']['time_s'] * 1.001 >= sum(op['time_s'] for op in d['prefill']['ops']) > 0"
check "a decode runs each layer's operators once" \
    holds "['decode']['ops'] and [op['count'] for op in d['decode']['ops'] if op['name'] == 'attention'] == [6]"
check "rates" holds "['decode']['tokens_per_s'] > 0 and d['prefill']['percent_of_roof'] > 0"
first=$(field "['token_ids']")

# the same seed gives the same tokens, by whatever threads and chunks
for flags in "" "--threads 2" "--chunk 3"; do
    accepts run -m "$work/tiny.yaml" --prompt 8 --output 4 --json --weights fp32 --kv fp32 $flags
    [ -n "${tokens:=$(field "['token_ids']")}" ]
    check "the tokens of fp32 with '$flags'" is "['token_ids']" "$tokens"
done
accepts $tiny --prompt 8 --output 4 --json --random-seed 2
check "other weights, other tokens" [ "$(field "['token_ids']")" != "$first" ]

accepts $tiny --token-ids 1,300,17 --output 2 --json --batch 3 --kv q8_0 --weights q8_0
check "three sequences" is "['token_ids'].__len__()" 3
check "of one prompt, alike" holds "['token_ids'][0] == d['token_ids'][1] == d['token_ids'][2]"
check "all prompts' tokens" is "['prompt_tokens']" 9
accepts $tiny --prompt 4 --output 1 --json
check "no decode for one token" is "['decode']" None
accepts $tiny --prompt 4 --output 2 --csv
check "CSV" says "phase,name,count,time_s,share"
check "CSV has both phases" says "decode,attention,2,"
accepts $tiny --prompt 4 --output 2 --markdown
check "Markdown" says "| attention"
accepts $tiny --prompt 4 --output 8 --temperature 1 --top-k 20 --top-p 0.9 --seed 5 --json
sampled=$(field "['token_ids']")
accepts $tiny --prompt 4 --output 8 --temperature 1 --top-k 20 --top-p 0.9 --seed 5 --json
check "a seed repeats what is sampled" is "['token_ids']" "$sampled"

# files
accepts $tiny --prompt 5 --output 3 --logits "$work/logits.npy" --trace "$work/trace.json"
check "logits have a row a token" python3 - "$work/logits.npy" <<'EOF'
import sys
data = open(sys.argv[1], "rb").read()
assert data[:6] == b"\x93NUMPY" and b"'<f4'" in data[:128] and b"(8, 320)" in data[:128], data[:128]
assert len(data) == 128 + 8 * 320 * 4 or len(data) == 64 + 8 * 320 * 4, len(data)
EOF
check "the trace is one of complete events" python3 - "$work/trace.json" <<'EOF'
import json, sys
trace = json.load(open(sys.argv[1]))
events = trace["traceEvents"] if isinstance(trace, dict) else trace
assert any(e.get("name") == "attention" and e.get("ph") == "X" for e in events)
EOF
accepts quantize tinyllama-1.1b "$work/none.gguf" --help
accepts quantize "$work/tiny.yaml" "$work/tiny.gguf" --weights q8_0 --random-seed 1
accepts run -m "$work/tiny.gguf" --prompt 8 --output 4 --json
check "a file's weights as they are" is "['weights']" q8_0
accepts run -m "$work/tiny.gguf" --prompt 8 --output 4 --weights q8_0
refuses '`rafter quantize` writes it in another type' run -m "$work/tiny.gguf" --weights bf16
refuses '--random-seed makes those of a model' run -m "$work/tiny.gguf" --random-seed 1

# beyond the context that the model was trained for: computed positions go on
run $tiny --prompt 120 --output 20
check "a context that is too long is run" exits 0
check "and warned of" warns "prompt 120 + output 20 = 140 tokens exceed tiny's context of 128"

# OpenMP's own binding narrows the first thread's mask before main(); all processors are used all the same
accepts run -m "$work/tiny.yaml" --prompt 8 --output 1 --json
threads=$(field "['threads']")
for binding in OMP_PROC_BIND=true OMP_PROC_BIND=close OMP_PLACES=cores; do
    export "${binding?}"
    accepts run -m "$work/tiny.yaml" --prompt 8 --output 1 --json
    check "$binding takes no processor away" is "['threads']" "$threads"
    unset "${binding%%=*}"
done

# texts, and the control tokens in them: byte-bpe has <|endoftext|>
accepts quantize tests/models/tiny-llama.yaml "$work/bpe.gguf" --weights q8_0 --random-seed 1 \
    --tokenizer tests/models/byte-bpe.gguf
words="run -m $work/bpe.gguf --threads 1 --output 1 --json"
accepts $words --text 'the'
one=$(field "['prompt_tokens']")
accepts $words --text 'the<|endoftext|>the'
spelled=$(field "['prompt_tokens']")
check "control tokens are text" [ "$spelled" -gt $((2 * one + 1)) ]
accepts $words --special --text 'the<|endoftext|>the'
check "and read when asked for" is "['prompt_tokens']" $((2 * one + 1))
printf 'the<|endoftext|>the' >"$work/prompt.txt"
accepts $words --text-file "$work/prompt.txt"
check "a file's text is the same" is "['prompt_tokens']" "$spelled"
accepts $words --text-file "$work/prompt.txt" --special
check "with control tokens too" is "['prompt_tokens']" $((2 * one + 1))
printf 'a\000b\n' >"$work/prompt.txt"
accepts $words --text-file "$work/prompt.txt"
check "NUL and line ends are bytes of it" is "['prompt_tokens']" 4
: >"$work/prompt.txt"
refuses '--text-file: no tokens' $words --text-file "$work/prompt.txt"
refuses '/no/such.txt' $words --text-file /no/such.txt
head -c 16777217 /dev/zero >"$work/prompt.txt"
refuses 'prompt.txt' $words --text-file "$work/prompt.txt"
rm "$work/prompt.txt"
refuses 'give one of them' $words --text a --text-file b
refuses 'give one of them' $words --text-file b --prompt 4
refuses '--special is about a prompt' $words --special --prompt 4
refuses '--special is about a prompt' $tiny --special
accepts quantize tests/models/tiny-llama.yaml "$work/pieces.gguf" --weights q8_0 --random-seed 1 \
    --tokenizer tests/models/sentencepiece.gguf
run run -m "$work/pieces.gguf" --threads 1 --output 1 --special --text '<s>the'
check "two first tokens are said" warns 'begins with the beginning token'

# what is refused
refuses 'run which model?' run
refuses '--text-file: random weights have no tokenizer' $tiny --text-file hello
refuses 'unknown model "no-such-model"' run -m no-such-model
refuses '--text: random weights have no tokenizer' $tiny --text hello
refuses 'give one of them' $tiny --token-ids 1 --prompt 4
refuses 'exceed the positions that gpt2 learned, 1024' run -m gpt2 --prompt 1020 --output 5
refuses '--logits is of one sequence' $tiny --logits "$work/x.npy" --batch 2
refuses '--kv bf16: expected fp32, fp16, q8_0 or q4_0' $tiny --kv bf16
refuses '--weights int4: expected fp32' $tiny --weights int4
for ids in "" , 1, ,1 1,,2 1,x -1 320 99999999999999999999 "1, 2" 1.5; do
    run $tiny --token-ids "$ids" --output 2
    check "--token-ids '$ids' exits with 2" exits 2
    check "--token-ids '$ids' is named" warns "--token-ids: found"
done
for flag in --prompt --output --batch --threads --chunk --top-k; do
    for number in -1 nan 1e30 0x10 abc 0.5; do
        run $tiny --prompt 4 --output 2 "$flag" "$number"
        check "$flag $number exits with 2" exits 2
        check "$flag $number is named in the message" warns "$flag"
    done
done
refuses '--temperature' $tiny --temperature -1
refuses '--top-p' $tiny --top-p 2
refuses '--threads: found 5000' run -m "$work/tiny.yaml" --prompt 4 --threads 5000
refuses 't5-3b has an encoder, which the executor does not run' run -m t5-3b
refuses 'cannot write' $tiny --prompt 4 --output 2 --trace /no/such/folder/trace.json
printf 'GGUF\003\000\000\000' >"$work/short.gguf"
refuses 'short.gguf' run -m "$work/short.gguf"
refuses '' run -m "$work"
printf 'nonsense' >"$work/nonsense.gguf"
run -m "$work/nonsense.gguf"
check "what is neither weights nor a description exits with 2" exits 2

finish
