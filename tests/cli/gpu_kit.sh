#!/bin/sh
# validation/gpu/measure.py, without a GPU: its plans, its refusals, and that its files are what rafter reads.
. tests/support/harness.sh

kit=validation/gpu/measure.py
python() { # ARGUMENT...
    PYTHONDONTWRITEBYTECODE=1 python3 -W error "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

python $kit --plan --rows 5
check "it plans without a GPU" exits 0
check "without messages" quiet
for family in gemm attention moe mla linear_attention; do
    check "$family is planned" test "$(grep -c "^$family," "$work/out")" = 5
done
cp "$work/out" "$work/first"
python $kit --plan --rows 5
check "a seed is a plan" cmp "$work/first" "$work/out"
python $kit --plan nonsense
check "an unknown family is refused" exits 2
check "with the known ones" warns linear_attention

# Files as the kit writes them, with made-up times: every row is one that rafter predicts.
PYTHONPATH=validation/gpu python -c '
import os, sys, measure
folder = sys.argv[1]
os.environ["WORLD_SIZE"] = "8"
for family in measure.COLUMNS:
    rows = [dict(row, source="torch 2.9.0", time_us=100) for row in measure.plan(family, 1, 40)]
    for row in rows:
        row.setdefault("kernel_source", "kernel")
    measure.write_csv(os.path.join(folder, family + ".csv"), family, "H100-80GB-HBM3", rows)
' "$work"
check "the files are written" exits 0
for family in gemm attention moe mla linear_attention collective; do
    run validate samples "$work/$family.csv" -d h100-sxm --json
    check "$family is read" exits 0
    check "$family: no row is passed over" sh -c "! grep -q '\"skipped\": [1-9]' '$work/out'"
done

# No run without PyTorch or a GPU ends well, nor leaves files.
mkdir "$work/none"
python $kit -o "$work/none" gemm
if [ "$status" = 0 ]; then
    echo "skipped: this machine has a GPU with PyTorch"
else
    check "without a GPU it says so" exits 2
    check "in a line" test "$(wc -l <"$work/err")" = 1
    check "and writes nothing" test -z "$(ls "$work/none")"
fi

finish
