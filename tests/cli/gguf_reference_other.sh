#!/bin/sh
# The same for experts and recurrences.
. tests/support/harness.sh
. tests/support/gguf_logits.sh

logits_agree other

finish
