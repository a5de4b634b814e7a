#!/bin/sh
# Files over 2 GiB, and too little memory. The files have holes, so that they take no space.
. "$(dirname "$0")/tap.sh"

# 5,000,000 rows of 128: 2.4 GiB as float32.
printf '\100\113\114\000\200\000\000\000' >big.fbin
truncate -s $((8 + 5000000 * 128 * 4)) big.fbin
kith convert big.fbin t.npy --skip 4999990 >/dev/null
is "the last rows of 2.4 GiB" "10 128" "$(kith info t.npy --json >i.json; grep -oE '"(rows|dim)": [0-9]+' i.json | grep -o '[0-9]*$' | paste -s -d ' ')"
ulimit -v 2800000
fails "no memory for an index" 1 "kith: big.fbin: no memory for * (KITH_ENOMEM)" kith build big.fbin -i Flat -o x.kith
[ ! -e x.kith ]
result $? "and nothing is written"
printf '\100\113\114\000\000\004\000\000' >big.u8bin
truncate -s $((8 + 5000000 * 1024)) big.u8bin
fails "no memory for a file" 1 "kith: big.u8bin: no memory for * (KITH_ENOMEM)" kith info big.u8bin
finish
