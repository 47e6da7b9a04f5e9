#!/bin/sh
# Calibration from measured times: what is fitted, what is written, what is refused.
. tests/support/harness.sh

# GEMMs as a roofline with a fixed cost would run them: 6 us + max(at 700 TFLOP/s, at 2.5 TB/s).
make_gemms() { # DEVICE SOURCE DTYPE
    awk -v device="$1" -v from="$2" -v dtype="$3" 'BEGIN {
        print "device,source,dtype,m,n,k,time_us"
        for (m = 1; m < 20000; m *= 4) for (n = 512; n <= 8192; n *= 4) for (k = 1024; k <= 16384; k *= 4) {
            work = 2 * m * n * k / 700e6; moved = 2 * (m * k + n * k + m * n) / 2.5e6
            printf "%s,%s,%s,%d,%d,%d,%.3f\n", device, from, dtype, m, n, k, 6 + (work > moved ? work : moved) } }'
}
make_gemms h100_sxm "vllm 0.14.0" bfloat16 >"$work/gemm.csv"
make_gemms h100_sxm "trtllm 1.0.0" bfloat16 | head -n 6 >"$work/few.csv"
make_gemms a100_sxm "vllm 0.14.0" bfloat16 >"$work/other.csv"
yaml=$work/mine.yaml
SOURCE_DATE_EPOCH=1795219200
export SOURCE_DATE_EPOCH

# a fit and what it writes
accepts fit "$work/gemm.csv" -d h100-sxm -o "$yaml"
check "before, after and the scalars" says "MAPE before"
check "a standard error" says "±"
check "where it went" says "wrote $yaml: 1 block of calibration"
check "the device's text is kept" grep -qF '# 128 B a clock and SM' "$yaml"
check "its aliases too" grep -qF 'h100_sxm' "$yaml"
for line in '  - software: "vllm"' '    version: "0.14.0"' '    family: gemm' '    format: bf16' '    operand: bf16' \
    '    provenance: fitted' '    samples: 72' '    date: "2026-11-21"'; do
    check "the file has: $line" grep -qxF "$line" "$yaml"
done
check "the source is told" grep -q 'source: "gemm.csv: vllm 0.14.0 bfloat16, 72 samples, MAPE ' "$yaml"
check "units are written" grep -q 'values: {t0: [0-9.]* us, beta: ' "$yaml"

# it is a device
accepts show "$yaml"
check "the page has the block" says "vllm 0.14.0"
run estimate -m llama-3.1-8b -d "$yaml" --batch 4
check "estimates take it" exits 0
run estimate -m llama-3.1-8b -d h100-sxm --batch 4 --json
grep tpot_s "$work/out" | head -n 1 >"$work/before"
run estimate -m llama-3.1-8b -d "$yaml" --batch 4 --json
check "and answer otherwise" sh -c "! grep -qxF \"\$(cat '$work/before')\" '$work/out'"
accepts validate samples "$work/gemm.csv" -d "$yaml" --json
check "validation sees the fit" says '"calibration": "fitted"'

# again: the blocks are replaced, the file is the same
cp "$yaml" "$work/once.yaml"
accepts fit "$work/gemm.csv" -d "$yaml" -o "$yaml"
check "a second fit replaces its block" sh -c "[ \"\$(grep -c '72 samples' '$yaml')\" = 1 ]"
check "and leaves the file as it was" cmp -s "$work/once.yaml" "$yaml"
printf 'name: Lab\nextends: h100-sxm\naliases: [lab]\n' >"$work/lab.yaml"
sed 's/^h100_sxm/lab/' "$work/gemm.csv" >"$work/lab.csv"
accepts fit "$work/lab.csv" -d "$work/lab.yaml" -o "$work/lab.yaml"
check "a device that only extends" grep -qx 'extends: h100-sxm' "$work/lab.yaml"
accepts validate samples "$work/lab.csv" -d "$work/lab.yaml" --max-mape 20%
printf 'name: Child\nextends: lab.yaml\naliases: [lab]\n' >"$work/child.yaml"
mkdir "$work/elsewhere"
refuses 'beside itself' fit "$work/lab.csv" -d "$work/child.yaml" -o "$work/elsewhere/child.yaml"
accepts fit "$work/lab.csv" -d "$work/child.yaml" -o "$work/child2.yaml"

# blocks that cannot be fitted: warnings beside others, the reason alone
run fit "$work/gemm.csv" "$work/few.csv" -d h100-sxm -o "$work/two.yaml"
check "one of two: 0" exits 0
check "one of two: the other's reason" warns "trtllm 1.0.0, gemm of bfloat16: 5 samples are too few for"
check "one of two: only one is written" sh -c "[ \"\$(grep -c '72 samples' '$work/two.yaml')\" = 1 ]"
refuses 'samples are too few' fit "$work/few.csv" -d h100-sxm -o "$work/none.yaml"
check "nothing is written then" test ! -e "$work/none.yaml"
awk -F, -v OFS=, 'NR == 1 { print; next } { $4 = $5 = $6 = 1024; print }' "$work/gemm.csv" >"$work/same.csv"
refuses '72 samples of 1 different sizes cannot tell' fit "$work/same.csv" -d h100-sxm

awk -F, -v OFS=, 'NR == 1 { print; next } { $7 = $7 * 1e9; print }' "$work/gemm.csv" >"$work/slow.csv"
refuses 'are they in microseconds' fit "$work/slow.csv" -d h100-sxm

# filters and formats
accepts fit "$work/gemm.csv" -d h100-sxm --source vllm --family gemm --dtype bfloat16
check "no -o: said" says "nothing is written"
refuses 'no sample has the source vlm; did you mean vllm?' fit "$work/gemm.csv" -d h100-sxm --source vlm
refuses 'unknown family "gem"; did you mean gemm?' fit "$work/gemm.csv" -d h100-sxm --family gem
refuses 'no sample has the dtype fp8' fit "$work/gemm.csv" -d h100-sxm --dtype fp8
accepts fit "$work/gemm.csv" -d h100-sxm --json
for key in '"mape_before"' '"mape_after"' '"standard_error"' '"refused": []' '"written": null'; do
    check "JSON has $key" says "$key"
done
accepts fit "$work/gemm.csv" -d h100-sxm --csv
check "CSV has numbers" grep -q '^gemm,vllm 0.14.0,bfloat16,72,0\.' "$work/out"

# what is refused
refuses 'which samples?' fit -d h100-sxm
refuses '--device is missing' fit "$work/gemm.csv"
refuses 'did you mean h100-sxm' fit "$work/gemm.csv" -d h100-smx
refuses 'no row is of h100-sxm; there are rows of a100_sxm (72)' fit "$work/other.csv" -d h100-sxm
refuses 'expected a name that ends in .yaml' fit "$work/gemm.csv" -d h100-sxm -o "$work/mine.txt"
refuses 'cannot' fit "$work/gemm.csv" -d h100-sxm -o "$work/no/such.yaml"
refuses 'No such file' fit "$work/nonesuch.csv" -d h100-sxm
refuses 'expected 1 as in the header' fit hardware/h100-sxm.yaml -d h100-sxm
printf 'a,b\n1,2\n' >"$work/ab.csv"
refuses 'no known kind of samples' fit "$work/ab.csv" -d h100-sxm
refuses 'is a system' fit "$work/gemm.csv" -d 8xh100
echo 'h100_sxm,vllm 0.14.0,bfloat16,1,2,x,3' >>"$work/gemm.csv"
refuses 'gemm.csv:74:35: error: k: found "x", expected a number' fit "$work/gemm.csv" -d h100-sxm
(SOURCE_DATE_EPOCH=yesterday; export SOURCE_DATE_EPOCH
    "$RAFTER" fit "$work/lab.csv" -d "$work/lab.yaml" >"$work/out" 2>"$work/err")
status=$?
check "a date that is none" warns 'SOURCE_DATE_EPOCH: found "yesterday"'

# measured times, where they are
measured=../shared/measured
if [ -f $measured/collective.csv ]; then
    run fit $measured/collective.csv -d a100-80gb-sxm -o "$work/nccl.yaml"
    check "NCCL on an A100" exits 0
    accepts validate samples $measured/collective.csv -d "$work/nccl.yaml" --source nccl
else
    echo "no $measured: its fits are not tested"
fi
finish
