# TAP for the scripts of this folder, which source this file: . "$(dirname "$0")/tap.sh"
#
#   is NAME EXPECTED ACTUAL          the texts are equal
#   ok NAME COMMAND...               the command succeeds, with nothing on standard error
#   fails NAME CODE TEXT COMMAND...  it ends with CODE, prints nothing, and TEXT, a shell pattern, is the first
#                                    line on standard error
#
# $KITH is the program. Each script runs in a folder of its own, which is removed at the end.
set -u
: "${KITH:?KITH is the path of the program to test}"
SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/kith-test.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
LC_ALL=C.UTF-8
export LC_ALL
n_tests=0

kith() { "$KITH" "$@"; }

# result STATUS NAME: one line of TAP.
result() {
    n_tests=$((n_tests + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n_tests - $2"; else echo "not ok $n_tests - $2"; fi
}

# show TITLE TEXT: a comment, line by line.
show() { printf '%s\n' "$2" | sed "s/^/# $1: /"; }

is() {
    [ "$2" = "$3" ]
    status=$?
    result $status "$1"
    [ $status -eq 0 ] || { show expected "$2"; show actual "$3"; }
}

ok() {
    name=$1
    shift
    "$@" >stdout.log 2>stderr.log
    code=$?
    [ $code -eq 0 ] && [ ! -s stderr.log ]
    status=$?
    result $status "$name"
    [ $status -eq 0 ] || { show "exit code" $code; show stderr "$(cat stderr.log)"; }
}

fails() {
    name=$1
    expected_code=$2
    expected=$3
    shift 3
    "$@" >stdout.log 2>stderr.log
    code=$?
    actual=$(head -n 1 stderr.log)
    status=1
    case $actual in
        # A pattern, so not quoted.
        $expected) [ $code -eq "$expected_code" ] && [ ! -s stdout.log ] && status=0 ;;
    esac
    result $status "$name"
    [ $status -eq 0 ] && return
    show "exit code" "$code, expected $expected_code"
    show expected "$expected"
    show actual "$(cat stderr.log)"
    [ ! -s stdout.log ] || show stdout "$(head -n 5 stdout.log)"
}

# bytes ESCAPES...: octal escapes to standard output.
bytes() { printf "$@"; }

# value KEY: of a JSON text on standard input, laid out or not.
value() { tr -d ' \n' | grep -o "\"$1\":[^,}]*" | head -n 1 | cut -d: -f2-; }

finish() { echo "1..$n_tests"; }
