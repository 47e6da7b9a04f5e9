#!/bin/sh
# What a percent more of each figure changes.
. tests/support/harness.sh
ask="-m llama-3.1-8b -d h100-sxm --batch 8"

accepts sensitivity $ask
for word in "tiers.hbm.bandwidth" "gemm.beta" "+10% tiers.hbm.bandwidth buys" "of decode by memory" "have no effect" \
    "% of decode"; do
    check "the report has $word" says "$word"
done
check "no trailing blanks" sh -c "! grep -q ' \$' '$work/out'"
accepts sensitivity $ask --top 2
check "--top 2 leaves the rest out" says "more have little"
accepts sensitivity $ask --csv
check "a faster memory shortens TPOT" awk -F, \
    '$1 == "tiers.hbm.bandwidth" && $4 < -0.5 && $4 > -1 { found = 1 } END { exit !found }' "$work/out"
check "sorted by effect" awk -F, 'NR > 1 {
    most = 0; for (i = 3; i <= 6; i++) { v = $i < 0 ? -$i : $i; if (v > most) most = v }
    if (NR > 2 && most > last + 1e-12) bad = 1; last = most } END { exit bad }' "$work/out"
accepts sensitivity $ask --json
for key in '"figures"' '"elasticity"' '"buys"' '"decode"' '"tpot_s"'; do
    check "JSON has $key" says "$key"
done
accepts sensitivity $ask --markdown
check "Markdown" says "### Change in percent"
accepts sensitivity -m mixtral-8x7b -d h100-sxm -n 2 --output 1
check "no decode: no share of it" sh -c "! grep -q 'of decode by' '$work/out'"
accepts sensitivity $ask --set hardware.tiers.hbm.bandwidth="2 TB/s"
check "--set is the device's figure" says "2.000 TB/s"
refuses 'did you mean h100-sxm' sensitivity -m llama-3.1-8b -d h100-smx
refuses '--model is missing' sensitivity -d h100-sxm
refuses 'do not divide' sensitivity $ask -n 3
finish
