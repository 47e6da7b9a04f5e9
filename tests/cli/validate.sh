#!/bin/sh
# Predictions against measured times: statistics, splits, suites.
. tests/support/harness.sh

make_gemms() { # DEVICE SOURCE FACTOR
    awk -v device="$1" -v from="$2" -v factor="$3" 'BEGIN {
        print "device,source,dtype,m,n,k,time_us"
        for (m = 1; m < 20000; m *= 4) for (n = 512; n <= 8192; n *= 2) for (k = 1024; k <= 16384; k *= 2) {
            work = 2 * m * n * k / 700e6; moved = 2 * (m * k + n * k + m * n) / 2.5e6
            printf "%s,%s,bfloat16,%d,%d,%d,%.3f\n", device, from, m, n, k, factor * (6 + (work > moved ? work : moved)) } }'
}
make_gemms h100_sxm "vllm 0.14.0" 1 >"$work/gemm.csv"
make_gemms a100_sxm "vllm 0.14.0" 2.5 >"$work/a100.csv"

# as the device is calibrated
accepts validate samples "$work/gemm.csv" -d h100-sxm
for word in "200 samples" "fitted" "Worst rows" "< 10 us" "k 1024"; do
    check "the report has $word" says "$word"
done
accepts validate samples "$work/gemm.csv" -d h100-sxm --json --rows-out "$work/rows.csv"
for key in '"families"' '"family": "gemm"' '"dtype": "bfloat16"' '"source": "vllm 0.14.0"' \
    '"calibration": "fitted"' '"n": 200' '"mape": 0.' '"median": 0.' '"p90": 0.' '"bias":' '"coverage":' \
    '"skipped": 0' '"above_100us"'; do
    check "JSON has $key" says "$key"
done
check "--rows-out: its columns" grep -qx 'line,family,source,dtype,measured_s,predicted_s,ratio,low,high,variant,fold,file' \
    "$work/rows.csv"
check "--rows-out: every row" sh -c "[ \"\$(wc -l <'$work/rows.csv')\" = 201 ]"
mape=$(awk -F, 'NR > 1 { e = $6 / $5 - 1; s += e < 0 ? -e : e } END { printf "%.9f", s / (NR - 1) }' "$work/rows.csv")
check "the MAPE is that of the rows" awk -v want="$mape" \
    '/"mape":/ && !found { sub(/.*: /, ""); found = 1; d = $0 - want; exit !(d < 1e-8 && d > -1e-8) }' "$work/out"
check "ratio is predicted by measured" awk -F, 'NR > 1 { d = $6 / $5 / $7 - 1; if (d > 1e-9 || d < -1e-9) exit 1 }' "$work/rows.csv"
check "the interval is around the prediction" awk -F, 'NR > 1 && !($8 < $6 && $6 < $9) { exit 1 }' "$work/rows.csv"
accepts validate samples "$work/gemm.csv" -d h100-sxm --csv
check "CSV has fractions" grep -q '^gemm,vllm 0.14.0,bfloat16,,fitted,200,0\.' "$work/out"
accepts validate samples "$work/gemm.csv" -d h100-sxm --markdown
check "Markdown" says "### Worst rows"
accepts validate samples "$work/gemm.csv" "$work/a100.csv" -d h100-sxm
check "rows of other devices are counted" says "200 of other devices"

# an answer of yes or no
accepts validate samples "$work/gemm.csv" -d h100-sxm --max-mape 100%
for limit in 0.001 0.1%; do
    run validate samples "$work/gemm.csv" -d h100-sxm --max-mape $limit
    check "--max-mape $limit: 1" exits 1
    check "--max-mape $limit: says which" warns "gemm, bfloat16 of vllm 0.14.0: MAPE"
    check "--max-mape $limit: and the report is there" says "Worst rows"
done
refuses '--max-mape' validate samples "$work/gemm.csv" -d h100-sxm --max-mape 8.5
refuses 'no row is of l40s; there are rows of h100_sxm (200)' validate samples "$work/gemm.csv" -d l40s
cat >"$work/eager.csv" <<'ROWS'
device,source,mode,op,dtype,num_gpus,bytes,time_us
h100_sxm,nccl 2.27.3,eager,all_reduce,half,8,1024,30
ROWS
refuses 'no row could be predicted' validate samples "$work/eager.csv" -d h100-sxm
check "and why" warns "eager.csv:2:1: error: launched by the host"
run validate samples "$work/gemm.csv" "$work/eager.csv" -d h100-sxm --json
check "skipped rows are counted with their reason" says '"reason": "launched by the host'

# fits of this run
accepts validate samples "$work/gemm.csv" -d h100-sxm --folds --json --rows-out "$work/folds.csv"
check "--folds: fitted" says '"calibration": "fitted"'
check "--folds: each row four times" says '"n": 800'
check "--folds: rows say which" awk -F, 'NR > 1 && $11 !~ /^[0-4]$/ { exit 1 }' "$work/folds.csv"
accepts validate samples "$work/gemm.csv" -d h100-sxm --hold-out shapes --json
check "--hold-out: each row once" says '"n": 200'
accepts validate samples "$work/gemm.csv" -d h100-sxm --fit-rows 50 --json
check "--fit-rows: the others are tested" says '"n": 150'
accepts validate samples "$work/gemm.csv" "$work/a100.csv" -d h100-sxm --fit-on a100-80gb-sxm --json
check "--fit-on: inherited" says '"calibration": "inherited"'
refuses 'no row is of l40s' validate samples "$work/gemm.csv" -d h100-sxm --fit-on l40s
refuses 'only one can be tested' validate samples "$work/gemm.csv" -d h100-sxm --folds --fit-rows 50
refuses '--hold-out: found rows, expected shapes' validate samples "$work/gemm.csv" -d h100-sxm --hold-out rows
refuses '5 samples are too few' validate samples "$work/gemm.csv" -d h100-sxm --fit-rows 5
refuses 'did you mean vllm?' validate samples "$work/gemm.csv" -d h100-sxm --source vlm

# suites
cat >"$work/suite.yaml" <<'SUITE'
name: Made up
checks:
  - {name: good, samples: gemm.csv, device: h100-sxm, mode: folds, max_mape: 40%}
  - {name: as it is, samples: gemm.csv, device: h100-sxm, max_mape: 100%, max_mape_above_100us: 100%}
  - {name: held out, samples: gemm.csv, device: h100-sxm, mode: shapes, max_above_folds: 50%}
  - {name: absent, samples: nonesuch.csv, device: h100-sxm, max_mape: 40%}
  - {name: no rows, samples: gemm.csv, device: l40s, max_mape: 40%}
  - {name: no types, samples: gemm.csv, device: h100-sxm, dtype: fp8, max_mape: 40%}
SUITE
accepts validate suite "$work/suite.yaml"
check "what is absent is said" says "nonesuch.csv is not here: skipped"
check "and counted" says "3 of 6 checks passed, 0 failed, 1 not here: skipped, 2 without rows"
accepts validate suite "$work/suite.yaml" --json
check "JSON of a suite" says '"verdict": "passed"'
sed 's/max_mape: 40%}/max_mape: 0.1%}/' "$work/suite.yaml" >"$work/strict.yaml"
run validate suite "$work/suite.yaml" "$work/strict.yaml"
check "a failed check: 1" exits 1
check "a failed check: what failed" says "MAPE of vllm 0.14.0 bfloat16 is"
grep -v 'good\|as it is\|held out' "$work/suite.yaml" >"$work/empty.yaml"
refuses '0 of 3 checks passed, 0 failed, 1 not here: skipped, 2 without rows' validate suite "$work/empty.yaml"
printf 'name: x\nchecks: [{name: y, samples: a.csv, device: d, max_mpae: 3%%}]\n' >"$work/bad.yaml"
refuses 'max_mape' validate suite "$work/bad.yaml"
refuses 'No such file' validate suite "$work/nonesuch.yaml"
refuses 'which suites?' validate suite
refuses "--device is for \`rafter validate samples\`" validate suite "$work/suite.yaml" -d h100-sxm

# words
refuses 'validate what?' validate
refuses 'cannot validate "sampels"; did you mean samples?' validate sampels "$work/gemm.csv"
refuses 'which samples?' validate samples -d h100-sxm

# the shipped suites are sound; they run in `make validate`
mkdir -p "$work/far/from/suites" # where no ../../shared can be
cp validation/*.yaml "$work/far/from/suites"
run validate suite "$work"/far/from/suites/*.yaml
check "shipped suites without their samples: 2" exits 2
check "shipped suites without their samples: said" warns "is not here: skipped"
measured=../shared/measured
if [ -f $measured/linear_attention.csv ]; then
    accepts validate samples $measured/linear_attention.csv -d h100_sxm --json
    check "kernels are variants" says '"variant": "causal_conv1d_fn"'
    accepts validate samples $measured/mla.csv -d a100_sxm --folds
else
    echo "no $measured: it is not validated against"
fi
finish
