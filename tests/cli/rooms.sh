#!/bin/sh
# A room of src/ includes only rooms to its left, and the check that says so can say no.
passed=0 failed=0
check() { # WHAT EXPECTED-STATUS SOURCE-DIR
    scripts/check-rooms "$3" >"$work/out" 2>&1
    if [ $? = "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
        cat "$work/out"
    fi
}
file() { # PATH INCLUDE...: a source in a fresh tree
    rm -rf "$work/src"
    mkdir -p "$work/src/$(dirname "$1")"
    path=$work/src/$1
    shift
    for header; do echo "#include \"$header\""; done >"$path"
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

check "the sources keep to their rooms" 0 src

file cost/gemm.c cost/cost.h graph/op.h base/arena.h
check "left is allowed" 0 "$work/src"
file graph/op.c cost/cost.h
check "right is refused" 1 "$work/src"
file cost/deep/gemm.c estimate/plan.h
check "right is refused in a sub-folder" 1 "$work/src"
file fit/fit.c analyse/solve.h
check "a neighbour in the same column is refused" 1 "$work/src"
file exec/run.c spec/model.h graph/op_names.h mechanism/params.h
check "exec may use names and parameters" 0 "$work/src"
file exec/run.c graph/op.h
check "exec may not use the graph" 1 "$work/src"
file exec/run.c cost/cost.h
check "exec may not use costs" 1 "$work/src"
file cost/gemm.c exec/run.h
check "a cost may not use measurements" 1 "$work/src"
file estimate/plan.c rafter.h
check "the public header is not for inside" 1 "$work/src"
file base/arena.c arena.h
check "headers are named from src/" 1 "$work/src"
file pricing/a.c base/arena.h
check "an unknown room is refused" 1 "$work/src"
mkdir -p "$work/empty"
check "no sources is not a pass" 1 "$work/empty"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
