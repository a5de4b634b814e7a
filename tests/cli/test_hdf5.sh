#!/bin/sh
# HDF5 as ann-benchmarks writes it. $MAKE_HDF5 makes such a file; without it, kith was built without HDF5.
. "$(dirname "$0")/tap.sh"
[ -n "${MAKE_HDF5:-}" ] || { echo "1..0 # SKIP built without HDF5"; exit 0; }

"$MAKE_HDF5" a.hdf5
is "train is the base" '{"format":"hdf5","type":"f32","rows":6,"dim":2,' "$(kith info a.hdf5 --json | tr -d ' \n' | cut -c 1-47)"
is "another data set by name" "0.100000001,0
4.9000001,0" "$(kith convert a.hdf5:test - --to csv 2>/dev/null)"
kith exact a.hdf5 a.hdf5 -k 3 -o gt.ivecs >/dev/null
is "test is the queries, neighbors the truth" "1" "$(kith eval gt.ivecs a.hdf5 --json | grep '"recall"' | grep -o '[0-9.]*')"
kith bench a.hdf5 -i Flat -k 2 --repeat 1 --json - >b.json
is "bench takes all from one file" '"recall":1,' "$(tr -d ' ' <b.json | grep '"recall":')"
gzip -k a.hdf5
is "gzip'ed, from standard input" "6" "$(kith info - <a.hdf5.gz | sed -n 's/^rows *//p')"
fails "a data set that is not there" 1 \
    'kith: a.hdf5:base: has no data set "base"; it has: distances, neighbors, test, train, words (KITH_ENOTFOUND)' kith info a.hdf5:base
fails "a data set of text" 1 "kith: a.hdf5:words: data set does not hold numbers (KITH_EFORMAT)" kith info a.hdf5:words
fails "floats where ids are wanted" 1 "kith: a.hdf5:train: data set does not hold whole numbers (KITH_EFORMAT)" kith eval a.hdf5:train a.hdf5:train
head -c 900 a.hdf5 >cut.hdf5
fails "a truncated file" 1 "kith: cut.hdf5: cannot be opened: the HDF5 file is damaged (KITH_ECORRUPT)" kith info cut.hdf5
finish
