#!/bin/sh
# Logits of GGUF files of every architecture of attention and MLPs that runs, against formulas written for
# themselves in Python.
. tests/support/harness.sh
. tests/support/gguf_logits.sh

logits_agree dense

finish
