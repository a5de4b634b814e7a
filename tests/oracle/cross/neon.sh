#!/bin/sh
# The kernel oracles on NEON: compiled for aarch64 and run under qemu-user. neon.sh SOURCE_ROOT NOUN
#
# CC_AARCH64 and QEMU_AARCH64 name other programs than Debian's; QEMU_AARCH64= (empty) runs on the spot.
set -eu
root=$1
noun=$2
cc=${CC_AARCH64-aarch64-linux-gnu-gcc}
qemu=${QEMU_AARCH64-qemu-aarch64}
for tool in $cc $qemu; do
    command -v "$tool" >/dev/null 2>&1 || { echo "1..0 # SKIP $tool is not installed"; exit 0; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
flags="-std=gnu11 -O2 -Wall -Wextra -ffp-contract=off -fno-math-errno -D_GNU_SOURCE
       -I$root/tests/oracle/cross -I$root/src -I$root/include"
$cc $flags -DKERN_LEVEL=scalar -DKERN_PLAIN -c "$root/src/kern/level.c" -o "$dir/scalar.o"
$cc $flags -DKERN_LEVEL=neon -c "$root/src/kern/level.c" -o "$dir/neon.o"
$cc $flags -static "$root/tests/oracle/test_kern_$noun.c" "$root/src/kern/kern.c" "$root/src/kern/cpu.c" \
    "$dir/scalar.o" "$dir/neon.o" -lm -pthread -o "$dir/test"
$qemu "$dir/test"
