#!/bin/sh
# The manual: a page for every command, with every option of its --help, and examples that run; and completions
# that know all of them.
. "$(dirname "$0")/tap.sh"
ln -s "$SOURCE/samples" samples
mkdir bin
ln -s "$KITH" bin/kith
PATH=$WORK/bin:$PATH
man=$SOURCE/docs/man
unset -f kith

commands=$(kith --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
is "the commands" "build search add remove exact eval bench tune info calibrate check repair convert gen db import query delete export" "$(echo $commands)"

for command in $commands; do
    missing=
    options=$(kith help "$command" | grep -oE '^ +(-[a-z], )?--[-a-z]+' | grep -oE '[-]-[-a-z]+$' |
        grep -vE '^--(help|usage|version)$')
    for option in $options; do
        grep -qF -- "Fl Fl ${option#--}" "$man/kith-$command.1" || missing="$missing page:$option"
        grep -qF -- "$option" "$SOURCE/completions/_kith" || missing="$missing zsh:$option"
    done
    is "every option of $command is in its page and in zsh's completion" "" "$missing"
    grep -q "'$command:" "$SOURCE/completions/_kith" && grep -qw "$command" "$SOURCE/completions/kith.bash" &&
        grep -q "kith-$command 1" "$man/kith.1"
    result $? "$command is in kith(1) and in the completions"
done

if [ -d "$SOURCE/samples" ]; then
    for page in "$man"/*.1; do
        name=$(basename "$page" .1)
        mkdir "run-$name"
        ln -s "$SOURCE/samples" "run-$name/samples"
        sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^\$ //p' "$page" | sed 's/\\\\/\\/g; s/\\-/-/g' >examples.sh
        [ -s examples.sh ] && (cd "run-$name" && sh -e ../examples.sh >../examples.log 2>&1)
        status=$?
        result $status "the examples of $name run"
        [ $status -eq 0 ] || show "$name" "$(cat examples.sh examples.log)"
    done
fi

if command -v mandoc >/dev/null; then
    is "mandoc has nothing to say" "" "$(mandoc -T lint -W warning "$man"/*.1 2>&1 | grep -v 'outdated mandoc.db')"
fi
if command -v bash >/dev/null; then
    is "bash completes" "build bench|l2 euclid ip cosine l1|gen" "$(bash -c '
        source "$0/completions/kith.bash"
        try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kith; echo "${COMPREPLY[*]}"; }
        try kith b; try kith build -m ""; try kith help g' "$SOURCE" | paste -s -d '|')"
fi
command -v zsh >/dev/null && ok "zsh reads its completion" zsh -n "$SOURCE/completions/_kith"
finish
