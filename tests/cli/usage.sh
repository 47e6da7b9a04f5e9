#!/bin/sh
# What the command line refuses, and how it says so.
. tests/support/harness.sh

ask="estimate -m llama-3.1-8b -d h100-sxm"

# commands
run
check "no command: the overview" says "usage: rafter COMMAND"
accepts --help
accepts help
accepts -h
accepts version
check "a version" says "rafter 0."
accepts --version
refuses 'unknown command "estimat"; did you mean estimate?' estimat
refuses 'unknown command "xyzzy"' xyzzy
refuses 'unknown command ""' ""
refuses 'did you mean compare?' help compair

# every command has a page with examples
for command in estimate ops compare solve sensitivity fit run validate diff plot list show explain completion help version; do
    accepts "$command" --help
    check "$command --help has a usage line" says "usage: rafter $command"
    check "$command --help has examples" says "examples:"
done
accepts estimate --help --no-such-flag
accepts help estimate

# flags
refuses 'unknown option --modle; did you mean --model?' estimate --modle llama-3.1-8b
refuses 'unknown option --outptu; did you mean --output?' $ask --outptu 5
refuses 'unknown option --batchsize' $ask --batchsize=5
refuses 'unknown option -x' $ask -x
refuses 'unknown option -model; did you mean --model?' estimate -model llama-3.1-8b
refuses 'unknown option --phase' $ask --phase decode
refuses '--model needs a value' estimate --model
refuses '--model needs a value' estimate --model --device h100-sxm
refuses '--device needs a value' estimate -m llama-3.1-8b -d
refuses '--model: found nothing' estimate --model= -d h100-sxm
refuses '--model: found nothing' estimate -m "" -d h100-sxm
refuses '--json takes no value' $ask --json=yes
refuses '--batch is given twice: 4 and 8' $ask --batch 4 --batch 8
refuses 'rafter compare' $ask --batch 4 --batch 8
refuses 'only one can be printed' $ask --json --csv
refuses 'unexpected "stray"' $ask stray
refuses 'unexpected "--json"' $ask -- --json
refuses '--set: found "tdp", expected KEY=VALUE' $ask --set tdp
refuses '--set: found "=5"' $ask --set =5
accepts $ask --batch=4 -n 1 --json
accepts $ask -n1 -b 4
accepts $ask --set hardware.power.tdp=600W --set site.pue=1.2

# every bad number, in every kind of flag that takes one
for number in nan NaN -nan inf -inf INF 1e400 -1 0 0.5 1e30 99999999999999999999 0x10 abc 1,5 "1 2" 1e 5parsecs ٣; do
    for flag in --batch --prompt --output --devices --tp --pp --ep --dp --micro-batches; do
        run $ask "$flag" "$number"
        check "$flag $number exits with 2" exits 2
        check "$flag $number is named in the message" warns "$flag"
        check "$flag $number prints no answer" silent
    done
done
for number in nan inf -1 1e400 abc; do
    refuses --expert-skew $ask --expert-skew "$number"
done
for flag in --batch --prompt --output --expert-skew; do
    refuses "$flag: found nothing" $ask "$flag="
done
refuses '128000' $ask --prompt 128k
refuses '131072' $ask --prompt 128k
refuses 'context' $ask --prompt 200000

# no catalogue at all
mkdir -p "$work/bare"
cp "$RAFTER" "$work/bare/rafter"
(unset RAFTER_PATH XDG_CONFIG_HOME; HOME=$work "$work/bare/rafter" $ask >"$work/out" 2>"$work/err")
status=$?
if [ ! -d /usr/local/share/rafter ]; then
    check "without a catalogue: 2" exits 2
    check "it says that none was found, and where it looked" warns "no catalogue with hardware/ was found; looked in: $work/bare"
fi

# names
refuses 'unknown model "llama-3.1-8B-x"' estimate -m llama-3.1-8B-x -d h100-sxm
refuses 'did you mean llama-3.1-8b' estimate -m lama-3.1-8b -d h100-sxm
refuses 'did you mean h100-sxm' estimate -m llama-3.1-8b -d h100-smx
refuses 'unknown software profile "vlm"; did you mean vllm?' $ask -s vlm
refuses 'unknown workload "chta"; did you mean chat?' $ask -w chta
refuses 'unknown technique "kv88"; did you mean kv8?' $ask --with kv88
refuses 'unknown element type "fp88"' $ask --weights fp88
refuses '--activations: unknown element type "bf17"; did you mean "bf16"?' $ask --activations bf17
refuses 'extends cannot be set' $ask --set model.extends=llama-2-7b
refuses 'has no compute rate' sensitivity -m llama-3.1-8b -d samsung-pm9a3-3.84tb
refuses '--model is missing' estimate -d h100-sxm
refuses '--device is missing' estimate -m llama-3.1-8b
refuses 'error' estimate -m ../../../etc/passwd -d h100-sxm
refuses 'error' estimate -m / -d h100-sxm
refuses 'No such file' estimate -m ./missing.yaml -d h100-sxm
refuses '.' estimate -m /dev/null.yaml -d h100-sxm
long=$(printf '%09000d' 0)
refuses 'unknown model' estimate -m "$long" -d h100-sxm
refuses 'unknown option' "estimate" "--$long"
run estimate -m "$(printf 'a\033[31mb')" -d h100-sxm
check "an escape sequence in a name: refused" exits 2

# subjects of the other commands
refuses 'unknown kind "hardwear"; did you mean hardware?' list hardwear
refuses 'did you mean h100-sxm?' show h100-sxn
refuses 'nothing is called "qqqqqqqqqq"' show qqqqqqqqqq
refuses 'show what?' show
refuses 'which figure?' explain
refuses 'ttft_s' explain ttft -m llama-3.1-8b -d h100-sxm
refuses 'nothing to compare' compare -m llama-3.1-8b -d h100-sxm
refuses 'variant "nonesuch"' compare -m llama-3.1-8b -d h100-sxm,nonesuch
refuses 'found nothing' compare -m llama-3.1-8b -d h100-sxm,
refuses '--phase: there is no decod; did you mean decode?' ops -m llama-3.1-8b -d h100-sxm --phase decod
refuses 'which chart?' plot -m llama-3.1-8b -d h100-sxm -o x.svg
refuses '-o FILE is missing' plot roofline -m llama-3.1-8b -d h100-sxm

finish
