# shellcheck shell=sh
# What the suites of logits of GGUF files share: . tests/support/gguf_logits.sh, after the harness.

# within FILE: nowhere further than 1e-4 deviations: fp32 sums over a few hundred values, in a few layers
within() { python3 tests/support/gguf_reference.py compare "$1" "$work/logits.npy" >"$work/far" && python3 -c 'import sys; sys.exit(not float(open(sys.argv[1]).read()) < 1e-4)' "$work/far"; }

logits_agree() { # dense|other
  python3 tests/support/gguf_reference.py write "$work" "$1"
  for file in "$work"/*.gguf; do
    accepts run -m "$file" --token-ids 1,2,3,4,5,6,7,8,9,10,11,12 --output 1 --threads 1 --kv fp32 --logits "$work/logits.npy"
    check "logits of $(basename "$file")" within "$file"
  done
}
