#!/bin/sh
# Each command of docs/gallery.md draws a chart, in each format; each picture of the page is there, and has a command.
. tests/support/harness.sh
: >"$work/out"
: >"$work/err"
status=0
sed -n 's/^\.\/rafter plot //p' docs/gallery.md >"$work/commands"
check "the gallery shows commands" test "$(wc -l <"$work/commands")" -ge 5
for chart in roofline breakdown memory pareto; do
    check "the gallery shows $chart" grep -q "^$chart " "$work/commands"
done

is_picture() { # FILE: whole, of the format that its name says
    case $1 in
    *.svg) head -c 200 "$1" | grep -q '<svg' && tail -c 20 "$1" | grep -q '</svg>' ;;
    *.png) head -c 8 "$1" | grep -q PNG && tail -c 12 "$1" | grep -q IEND ;;
    *.pdf) head -c 8 "$1" | grep -q '^%PDF-' && tail -c 20 "$1" | grep -q '%%EOF' ;;
    *) false ;;
    esac
}

while read -r command; do
    arguments=${command% -o *}
    picture=${command##* -o }
    status=0
    check "$picture is in the page" grep -qF "(${picture#docs/})" docs/gallery.md
    check "$picture is a picture" is_picture "$picture"
    for extension in svg png pdf; do
        file=$work/$(basename "$picture" .svg).$extension
        # shellcheck disable=SC2086 # words
        accepts plot $arguments -o "$file"
        check "plot $arguments draws .$extension" is_picture "$file"
    done
done <"$work/commands"

status=0
pictures=$(grep -c '^!\[' docs/gallery.md)
check "each picture has its command" test "$pictures" = "$(wc -l <"$work/commands")"
check "no picture is left over" test "$pictures" = "$(find docs/gallery -type f | wc -l)"
check "the pictures are below 1.5 MB" test "$(cat docs/gallery/* | wc -c)" -lt 1500000

# what a chart refuses
ask="-m llama-3.1-8b -d h100-sxm"
for chart in roofline breakdown memory pareto; do
    refuses '.svg, .png or .pdf' plot $chart $ask -o "$work/a.gif"
    refuses '-o FILE is missing' plot $chart $ask
    refuses 'variants: at most' plot $chart $ask --prompt 1,2,3,4,5,6 --output 1,2,3,4,5,6 -o "$work/a.svg"
    refuses 'unknown device' plot $chart -m llama-3.1-8b -d h100-sxm,nonesuch -o "$work/a.svg"
done
refuses 'which chart?' plot donut $ask -o "$work/a.svg"
refuses 'fits' plot pareto -m llama-3-70b -d rtx-4090 -o "$work/a.svg"
refuses 'give -n' plot pareto $ask --tp 2 -o "$work/a.svg"
check "a refused chart leaves no file" test ! -e "$work/a.svg"
finish
