#!/bin/sh
# The links of the pages: [text](file) leads to a file of the repository, [text](file#heading) to a heading of it. Links to
# other hosts are not followed; what stands in a fenced block is no link. And each mechanism has its page.
. tests/support/harness.sh

# Each link of a page, one a line.
links_of() { # PAGE
    awk '
        /^ *```/ { fenced = !fenced; next }
        fenced { next }
        {
            gsub(/`[^`]*`/, "") # code is no link; its text within [ ] is not needed
            while (match($0, /\]\([^)]*\)/)) {
                print substr($0, RSTART + 2, RLENGTH - 3)
                $0 = substr($0, RSTART + RLENGTH)
            }
        }' "$1"
}

# The headings of a page as links name them: lower case, spaces to dashes, punctuation left out.
headings_of() { # PAGE
    awk '/^ *```/ { fenced = !fenced } !fenced && /^#+ / { sub(/^#+ +/, ""); print }' "$1" |
        tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

resolves() { # PAGE LINK
    file=${2%%#*}
    case $file in
    '') file=$1 ;;
    *) file=$(dirname "$1")/$file ;;
    esac
    [ -e "$file" ] || return 1
    case $2 in
    *'#'*) headings_of "$file" | grep -qxF "${2#*#}" ;;
    esac
}

status=0
: >"$work/out"
: >"$work/err"
for page in README.md CONTRIBUTING.md docs/*.md docs/*/*.md; do
    links_of "$page" >"$work/links"
    while read -r link; do
        case $link in
        *://* | mailto:*) continue ;;
        esac
        check "$page: $link" resolves "$page" "$link"
    done <"$work/links"
done
run list mechanisms --csv
sed -n '2,$s/,.*//p' "$work/out" >"$work/names"
check "there are mechanisms" test -s "$work/names"
while read -r name; do
    check "docs/mechanisms/$name.md is there" grep -q "^# $name" "docs/mechanisms/$name.md"
done <"$work/names"
check "a link that leads nowhere is found" test "$(resolves README.md docs/none.md || echo no)" = no
check "a heading that is not there is found" test "$(resolves README.md CONTRIBUTING.md#none || echo no)" = no
finish
