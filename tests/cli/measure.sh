#!/bin/sh
# This machine as a device: what is written, that it is a device, what is refused before any time is spent.
. tests/support/harness.sh

yaml=$work/local.yaml
SOURCE_DATE_EPOCH=1795219200
export SOURCE_DATE_EPOCH

# refused at once
refuses 'ends in .yaml' measure --quick -o "$work/local.txt"
refuses 'is no folder that can be written to' measure --quick -o "$work/nowhere/local.yaml"
refuses 'unknown option' measure --fast
printf 'name: Kept\n' >"$yaml"
refuses 'takes only options' measure extra words -o "$yaml"
check "what was there is still there" grep -qx 'name: Kept' "$yaml"

# a quick measurement
run measure --quick --samples "$work/samples" -o "$yaml"
check "it measures" exits 0
check "what is fitted is told" says 'rafter-exec'
check "where it went" says "wrote $yaml: "
check "the date" grep -q '^# Measured on 2026-11-21' "$yaml"
check "rates by threads" grep -q '^# threads' "$yaml"
check "peaks" grep -q '^vector: {fp32: [0-9.e+]* GFLOP/s' "$yaml"
check "memory" grep -q '{name: dram, capacity: .* bandwidth: .* unit_bandwidth: ' "$yaml"
check "products are calibrated" grep -q '^    family: gemm' "$yaml"
check "attention is calibrated" grep -q '^    family: attention-decode' "$yaml"
check "with errors" grep -q 'standard_errors: ' "$yaml"
check "and the samples' number" grep -q '    samples: [1-9]' "$yaml"
for kind in gemm attention mla elementwise moe linear_attention; do
    check "samples of $kind are kept" grep -q '^local,rafter-exec,' "$work/samples/$kind.csv"
done

# it is a device
accepts show "$yaml"
check "its sources are named" says 'measured on 2026-11-21 by rafter measure'
run estimate -m tinyllama-1.1b -d "$yaml" -s rafter-exec --weights q8_0 --prompt 64 --output 16 --json
check "estimates take it" exits 0
check "they are calibrated" grep -q '"calibration": "fitted"' "$work/out"
grep '"tpot_s"' "$work/out" | head -n 1 >"$work/all"
run estimate -m tinyllama-1.1b -d "$yaml" -s rafter-exec --weights q8_0 --prompt 64 --output 16 --threads 1 --json
check "and a number of threads" exits 0
refuses 'expected 1 to' estimate -m tinyllama-1.1b -d "$yaml" -s rafter-exec --threads 1000
run validate samples "$work/samples/attention.csv" -d "$yaml"
check "its samples are samples" exits 0
run fit "$work/samples/gemm.csv" -d "$yaml"
check "which fit takes" exits 0

finish
