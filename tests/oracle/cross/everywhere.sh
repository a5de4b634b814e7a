#!/bin/sh
# The lives of tests/oracle/test_everywhere.c on NEON, under qemu-user, against those of this machine.
# everywhere.sh SOURCE_ROOT TEST_EVERYWHERE
#
# CC_AARCH64 and QEMU_AARCH64 name other programs than Debian's; QEMU_AARCH64= (empty) runs on the spot.
set -eu
root=$1
here=$2
cc=${CC_AARCH64-aarch64-linux-gnu-gcc}
qemu=${QEMU_AARCH64-qemu-aarch64}
for tool in $cc $qemu; do
    command -v "$tool" >/dev/null 2>&1 || { echo "1..0 # SKIP $tool is not installed"; exit 0; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
flags="-std=gnu11 -O2 -ffp-contract=off -fno-math-errno -D_GNU_SOURCE -DKITH_VERSION=\"0\"
       -I$root/tests/oracle/cross -I$root/src -I$root/include"
$cc $flags -DKERN_LEVEL=scalar -DKERN_PLAIN -c "$root/src/kern/level.c" -o "$dir/scalar.o"
$cc $flags -DKERN_LEVEL=neon -c "$root/src/kern/level.c" -o "$dir/neon.o"
sources=$(find "$root/src" -name '*.c' ! -path '*/kern/*' ! -name '*_tmpl.c')
$cc $flags -static "$root/tests/oracle/test_everywhere.c" $sources "$root/src/kern/kern.c" \
    "$root/src/kern/cpu.c" "$dir/scalar.o" "$dir/neon.o" -lm -pthread -o "$dir/test"
echo 1..2
"$here" lives 1 >"$dir/here"
number=0
for level in scalar neon; do
    number=$((number + 1))
    KITH_ISA=$level $qemu "$dir/test" lives 2 >"$dir/there"
    if diff "$dir/here" "$dir/there" >&2; then
        echo "ok $number - $level of aarch64"
    else
        echo "not ok $number - $level of aarch64"
    fi
done
