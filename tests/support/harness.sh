# shellcheck shell=sh
# Harness of the command line's suites: . tests/support/harness.sh, then calls of the functions below, then `finish`.
# $RAFTER is the program; $work a folder that goes when the suite ends.
passed=0 failed=0
: "${RAFTER:=$PWD/rafter}" "${RAFTER_PATH:=$PWD}" "${NO_COLOR:=1}"
export RAFTER_PATH NO_COLOR
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

pass() { passed=$((passed + 1)); }
fail() { # WHAT
    failed=$((failed + 1))
    printf "FAILED: %.300s\n" "$1"
    echo "  status $status"
    sed 's/^/  out: /' "$work/out" | head -n 20 | cut -c 1-300
    sed 's/^/  err: /' "$work/err" | head -n 20 | cut -c 1-300
}

run() { # ARGUMENT...: runs the program; its status in $status, its output in $work/out and $work/err
    "$RAFTER" "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

# Sanitizers exit with 99, signals with 128 and more: never an answer.
check() { # WHAT COMMAND...: passes when the command succeeds
    what=$1
    shift
    if [ "$status" -le 2 ] && "$@" >/dev/null; then pass; else fail "$what"; fi
}

says() { grep -qF -- "$1" "$work/out"; }    # TEXT: standard output holds it
warns() { grep -qF -- "$1" "$work/err"; }   # TEXT: standard error holds it
silent() { ! [ -s "$work/out" ]; }          # nothing on standard output
quiet() { ! [ -s "$work/err" ]; }           # nothing on standard error
exits() { [ "$status" = "$1" ]; }

accepts() { # ARGUMENT...: exits with 0, says nothing on standard error
    run "$@"
    check "rafter $* exits with 0" exits 0
    check "rafter $* has no messages" quiet
}

refuses() { # MESSAGE ARGUMENT...: exits with 2, prints nothing, the message on standard error
    message=$1
    shift
    run "$@"
    check "rafter $* exits with 2" exits 2
    check "rafter $* prints no answer" silent
    check "rafter $* says: $message" warns "$message"
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
