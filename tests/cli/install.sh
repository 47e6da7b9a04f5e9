#!/bin/sh
# make install and uninstall, staged by DESTDIR and straight into a PREFIX; what lies there works from elsewhere, with
# nothing of the checkout in reach. Of the build only what knows its place is built again, beside the one under test.
. tests/support/harness.sh

: "${CC:=gcc}" "${RAFTER_BUILD:=build}" "${EXAMPLE_FLAGS:=-Wall -Wextra -Wpedantic}"
mkdir "$work/build" "$work/elsewhere" "$work/config"
cp -a "$RAFTER_BUILD/src" "$RAFTER_BUILD/flags" "$work/build/"

in_make() { # ARGUMENT...
    make -s BUILD="$work/build" PROGRAM="$work/rafter" LIBRARY="$work/librafter.a" SHARED="$work/librafter.so" "$@" \
        >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

run_in() { # COMMAND...: away from the checkout, the environment nearly empty
    (cd "$work/elsewhere" && env -i PATH=/usr/bin:/bin HOME="$work/home" XDG_CONFIG_HOME="$work/config" \
        ASAN_OPTIONS="${ASAN_OPTIONS-}" UBSAN_OPTIONS="${UBSAN_OPTIONS-}" LSAN_OPTIONS="${LSAN_OPTIONS-}" \
        "$@") >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

ask="-m llama-3.1-8b -d h100-sxm --batch 8 --prompt 1024 --output 256"

# Staged, as packagers do. The program finds its descriptions from where it lies.
stage=$work/stage
in_make install DESTDIR="$stage" PREFIX=/usr LIBDIR=/usr/lib/multiarch
check "make install with DESTDIR" exits 0
for file in bin/rafter lib/multiarch/librafter.a lib/multiarch/librafter.so lib/multiarch/librafter.so.1 \
    lib/multiarch/pkgconfig/rafter.pc include/rafter.h share/man/man1/rafter.1 share/man/man3/rafter.3 \
    share/bash-completion/completions/rafter share/rafter/hardware/h100-sxm.yaml \
    share/rafter/models/llama-3.1-8b.yaml share/rafter/workloads/chat.yaml share/rafter/software/vllm.yaml \
    share/rafter/techniques/kv8.yaml; do
    check "$file is there" test -s "$stage/usr/$file"
done
check "nothing lies outside the prefix" test "$(ls "$stage")" = usr
for kind in hardware software models techniques workloads; do
    check "all of $kind/ is there" test "$(ls "$kind"/*.yaml | wc -l)" = "$(ls "$stage/usr/share/rafter/$kind" | wc -l)"
done
check "no file tells where it was staged" test -z "$(grep -lrF "$stage" "$stage")"
# shellcheck disable=SC2086 # a list of words
run_in "$stage/usr/bin/rafter" estimate $ask --json
check "the staged program answers" exits 0
check "without messages" quiet
cp "$work/out" "$work/staged.json"
# shellcheck disable=SC2086
run estimate $ask --json
check "as the one in the checkout does" cmp "$work/staged.json" "$work/out"

# Your own descriptions go before those that came along; RAFTER_PATH before both.
mkdir -p "$work/config/rafter/hardware" "$work/path/hardware" "$work/home/.config/rafter/hardware"
for place in config/rafter path home/.config/rafter; do
    { echo "name: From $place"; sed '/^name:/d; /^aliases:/d' hardware/l40s.yaml; } >"$work/$place/hardware/l40s.yaml"
done
run_in "$stage/usr/bin/rafter" show hardware l40s
check "XDG_CONFIG_HOME goes before share/rafter" says "From config/rafter"
run_in env RAFTER_PATH="$work/path" "$stage/usr/bin/rafter" show hardware l40s
check "RAFTER_PATH goes before XDG_CONFIG_HOME" says "From path"
run_in env -u XDG_CONFIG_HOME "$stage/usr/bin/rafter" show hardware l40s
check "~/.config without XDG_CONFIG_HOME" says "From home/.config/rafter"
run_in "$stage/usr/bin/rafter" list hardware --csv
check "the others are still found" says "h100-sxm,"
check "an id is listed once" test "$(grep -c '^l40s,' "$work/out")" = 1

in_make uninstall DESTDIR="$stage" PREFIX=/usr LIBDIR=/usr/lib/multiarch
check "make uninstall with DESTDIR" exits 0
find "$stage" ! -type d >"$work/out"
check "leaves no file" silent
check "nor a folder of its own" test -z "$(find "$stage" -name 'rafter*')"
in_make uninstall DESTDIR="$stage" PREFIX=/usr
check "a second time: nothing to remove" exits 2
check "which it says" warns "there is no $stage/usr/share/rafter/installed"
in_make install PREFIX=relative
check "a relative prefix is refused" warns "'relative' is not an absolute path"

# Straight into a prefix: the library has no place of its own, so it knows the one that it was installed to.
prefix=$work/prefix
in_make install PREFIX="$prefix"
check "make install with PREFIX" exits 0
echo mine >"$prefix/share/rafter/hardware/mine.yaml"
in_make install PREFIX="$prefix"
check "a second time, over the first" exits 0
check "does not take what is not rafter's" test -f "$prefix/share/rafter/hardware/mine.yaml"
rm -f "$prefix/share/rafter/hardware/mine.yaml"
run_in "$prefix/bin/rafter" list
check "the installed program runs" exits 0

readelf -d "$prefix/lib/librafter.so" >"$work/out" 2>"$work/err"
status=$?
abi=$(sed -n 's/^#define RAFTER_ABI_VERSION //p' include/rafter.h)
check "its SONAME is that of the header" says "soname: [librafter.so.$abi]"
check "librafter.so is a link to it" test "$(readlink "$prefix/lib/librafter.so")" = "librafter.so.$abi"
sed -n 's/^RAFTER_API.*[ *]\(rafter_[a-z_]*\)(.*/\1/p' include/rafter.h | LC_ALL=C sort >"$work/declared"
nm -D --defined-only "$prefix/lib/librafter.so" 2>"$work/err" | awk '{ print $3 }' | grep -v '^__\(odr_\)\?asan' |
    LC_ALL=C sort >"$work/out"
status=0
check "the header declares functions" test "$(wc -l <"$work/declared")" -ge 10
check "librafter.so exports these and nothing else" cmp "$work/declared" "$work/out"

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
check "pkg-config knows the version" test "rafter $(pkg-config --modversion rafter) (ABI $abi)" = "$("$RAFTER" version)"
static=$(pkg-config --static --libs rafter | sed 's/-lrafter /-l:librafter.a /')
for kind in shared static; do
    flags=$(pkg-config --cflags --libs rafter)
    [ $kind = static ] && flags="$(pkg-config --cflags rafter) $static"
    # shellcheck disable=SC2086 # lists of words
    $CC -std=c17 $EXAMPLE_FLAGS -Werror -o "$work/elsewhere/$kind" examples/estimate.c $flags >"$work/out" 2>"$work/err"
    status=$?
    check "the example builds against the $kind library" exits 0
    readelf -d "$work/elsewhere/$kind" >"$work/out" 2>"$work/err"
    if [ $kind = shared ]; then
        check "and needs it by its SONAME" says "[librafter.so.$abi]"
    else
        check "and does not need librafter.so" test "$(grep -c librafter "$work/out")" = 0
    fi
    run_in env LD_LIBRARY_PATH="$prefix/lib" "./$kind"
    check "the $kind example runs" exits 0
    check "the $kind example finds its descriptions" says "batch 8:"
    cp "$work/out" "$work/$kind.out"
done
check "both give the same figures" cmp "$work/shared.out" "$work/static.out"

# The manual: every command has a page; pages are valid; they say what the help says.
"$RAFTER" help | awk '/^examples:/ { exit } /^  [a-z]/ { print $1 }' >"$work/commands"
check "the overview names commands" test "$(wc -l <"$work/commands")" -ge 8
while read -r command; do
    check "rafter-$command.1 is there" test -s "$prefix/share/man/man1/rafter-$command.1"
    check "rafter.1 names rafter-$command" grep -q "rafter.-$command (1)" "$prefix/share/man/man1/rafter.1"
done <"$work/commands"
for page in "$prefix"/share/man/man[13]/*; do
    LC_ALL=C.UTF-8 MANWIDTH=200 groff -ww -man -Tutf8 -K utf8 -P-cbou -rLL=200n "$page" >"$work/out" 2>"$work/err"
    status=$?
    check "${page##*/} renders" exits 0
    check "${page##*/} has no roff mistakes" quiet
    case $page in
    *.1) sections="NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES EXIT.STATUS ENVIRONMENT FILES" ;;
    *.3) sections="NAME SYNOPSIS DESCRIPTION INTERFACE RETURN.VALUE ENVIRONMENT FILES" ;;
    esac
    for section in $sections; do
        check "${page##*/} has $section, and something in it" awk -v section="$section" '
            found { exit }
            $0 ~ "^" section "$" { found = 1 }
            END { exit !found || $0 !~ /^ / }' "$work/out"
    done
    check "${page##*/} knows where the catalogues are" says "$prefix/share/rafter"
    case $page in
    */rafter-*.1)
        command=${page##*/rafter-} command=${command%.1}
        "$RAFTER" "$command" --help | grep -o '^ *-.*' | sed 's/^ *//; s/  .*//' >"$work/options"
        check "${page##*/} has the options of the help, each on a line" awk '
            FNR == NR { option[$0]; next }
            { sub(/^ +/, ""); for (o in option) if (index($0, o) == 1) delete option[o] }
            END { for (o in option) exit 1 }' "$work/options" "$work/out"
        ;;
    */rafter.3)
        while read -r name; do
            check "rafter(3) has $name" says "$name("
        done <"$work/declared"
        ;;
    esac
done

# Completion.
cat >"$work/complete.bash" <<'BASH'
set -eu
. "$1"
complete -p rafter >/dev/null
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _rafter || :; echo "${COMPREPLY[*]-}"; }
complete_line rafter esti
complete_line rafter estimate --device h100-sx
BASH
run_in bash -c "PATH='$prefix/bin':\$PATH; . '$work/complete.bash'" bash "$prefix/share/bash-completion/completions/rafter"
check "bash reads the completion" exits 0
check "without complaint" quiet
check "it completes commands" says estimate
check "and names from the installed catalogue" says h100-sxm
if "$RAFTER" completion zsh >/dev/null 2>&1; then
    check "the zsh completion is there" test -s "$prefix/share/zsh/site-functions/_rafter"
    check "and says what it completes" test "$(head -n 1 "$prefix/share/zsh/site-functions/_rafter")" = "#compdef rafter"
    if command -v zsh >/dev/null; then
        zsh -n "$prefix/share/zsh/site-functions/_rafter" >"$work/out" 2>"$work/err"
        status=$?
        check "zsh reads it" exits 0
    fi
fi

in_make uninstall PREFIX="$prefix"
check "make uninstall with PREFIX" exits 0
find "$prefix" ! -type d >"$work/out"
check "leaves no file in the prefix" silent

finish
