#!/bin/sh
# Bad input: each kind gives its own code and sentence with the numbers in it, and changes nothing.
. "$(dirname "$0")/tap.sh"

kith gen -n 500 -d 8 --seed 1 -o base.fvecs --queries 4 --queries-out q.fvecs >/dev/null
kith build base.fvecs -i HNSW8 -o a.kith >/dev/null
before=$(cksum <a.kith)
unchanged() { is "$1" "$before" "$(cksum <a.kith)"; }

# ---- asked wrongly: 2 ----------------------------------------------------------------------------
fails "no such command" 2 'kith: there is no command "serch"; the commands are build search add remove exact eval bench tune info calibrate check repair convert gen db import query delete export' kith serch
fails "build without a base" 2 "kith build: BASE is missing: the file of vectors to index" kith build
fails "build without a place to write to" 2 "kith build: -o FILE is missing: where to write the index" kith build base.fvecs
fails "search without queries" 2 "kith search: QUERIES is missing: the vectors to search for" kith search a.kith
fails "one argument too many" 2 'kith check: "b.kith" is one argument too many' kith check a.kith b.kith
fails "an unknown option" 2 "kith check: unrecognized option '--fast'" kith check a.kith --fast
fails "a metric that is none" 2 'kith build: --metric: metric "hamming" *l2 * euclid * ip * cosine * l1 *' \
    kith build base.fvecs -m hamming -o x.kith
fails "k of 0" 2 'kith search: -k: "0" is not a whole number from 1 to 4294967295' kith search a.kith q.fvecs -k 0
fails "k that is no number" 2 'kith search: -k: "ten" is not a whole number from 1 to 4294967295' kith search a.kith q.fvecs -k ten
fails "threads of 0" 2 'kith build: --threads: "0" is not a whole number from 1 to 4096' kith build base.fvecs -o x.kith --threads 0
fails "a limit that is no size" 2 'kith build: --memory-limit: "lots" is not a number of bytes, such as 500M or 2G' \
    kith build base.fvecs -o x.kith --memory-limit lots
fails "a limit and a stream" 2 'kith build: --memory-limit needs a file to write, not -o -' \
    kith build base.fvecs -o - --memory-limit 1G
fails "a limit below the program" 1 'kith: --memory-limit is 1.0 MiB, the program and its input have *' \
    kith build base.fvecs -o x.kith --memory-limit 1M
fails "a way to open that is none" 2 'kith search: --open: "disk" is not read, map or codes' kith search a.kith q.fvecs --open disk
fails "an alpha below 1" 2 'kith build: --alpha: "0.5" is not a number from 1 to 2' kith build base.fvecs -o x.kith --alpha 0.5
fails "a format that is none" 2 'kith info: --from: "xvecs" is no format that kith knows' kith info base.fvecs --from xvecs
fails "a sweep that is none" 2 'kith bench: --sweep: "probes=1:2" does not begin with ef= or nprobe=' kith bench base.fvecs q.fvecs q.fvecs --sweep probes=1:2
fails "a sweep that falls" 2 "kith bench: --sweep: settings must rise" kith bench base.fvecs q.fvecs q.fvecs --sweep ef=20,10
fails "both from standard input" 2 "kith search: FILE and QUERIES cannot both be standard input" kith search - -
fails "half of the distances" 2 "kith eval: --got-distances and --gt-distances belong together" kith eval a b --got-distances c
fails "nothing to remove" 2 "kith remove: nothing to remove: name a file of IDS, or --id ID" kith remove a.kith

# ---- failed: 1 -----------------------------------------------------------------------------------------
fails "a bad description" 1 'kith: description "HNSW16,SQ9": *known*SQ8 * at offset 7 (KITH_ESPEC)' \
    kith build base.fvecs -i HNSW16,SQ9 -o x.kith
[ ! -e x.kith ]
result $? "and nothing is written"
kith gen -n 3 -d 9 -o nine.fvecs >/dev/null
fails "queries of another dimension" 1 "kith: nine.fvecs: 9 dimensions, the index has 8 (KITH_EDIM)" kith search a.kith nine.fvecs
fails "rows of another dimension" 1 "kith: nine.fvecs: 9 dimensions, the index has 8 (KITH_EDIM)" kith add a.kith nine.fvecs
unchanged "the index is unchanged"
fails "k over the rows" 1 "kith: a.kith: k of 501; the index has 500 rows (KITH_EK)" kith search a.kith q.fvecs -k 501
fails "k over the rows, exact" 1 "kith: base.fvecs: k of 501; there are 500 rows (KITH_EK)" kith exact base.fvecs q.fvecs -k 501
seq 0 499 >all.txt
kith remove a.kith all.txt -o none.kith >/dev/null
fails "an empty index" 1 "kith: none.kith: *(KITH_EEMPTY)" kith search none.kith q.fvecs -k 1
printf '1 2 3 4 4 5 6 7\n' >twice.txt
kith gen -n 8 -d 8 -o eight.fvecs >/dev/null
fails "an id twice" 1 "kith: eight.fvecs: *id 1 * (KITH_EDUPLICATE)" kith add a.kith eight.fvecs --ids twice.txt
fails "an id twice in a new index" 1 "kith: eight.fvecs: id 4 * (KITH_EDUPLICATE)" kith build eight.fvecs --ids twice.txt -o x.kith
fails "too few ids" 1 "kith: all.txt: 500 ids for 8 rows (KITH_EINVAL)" kith add a.kith eight.fvecs --ids all.txt
fails "an id that is not there" 1 "kith: a.kith: *id 777* (KITH_ENOTFOUND)" kith remove a.kith --id 777
fails "ids that are no numbers" 1 'kith: standard input: line 2: "x" is not an id (KITH_ESYNTAX)' sh -c 'printf "1\nx\n" | "$KITH" remove a.kith -'
fails "a filter of a negative id" 1 "kith: standard input: id -5 is negative (KITH_EFILTER)" sh -c 'echo 3 -5 | "$KITH" search a.kith q.fvecs --filter-ids -'
printf '\010\0\0\0\0\0\0\0\0\0\0\0\0\0\300\177\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >nan.fvecs
fails "NaN in queries" 1 "kith: nan.fvecs: row 0, column 2 is NaN (KITH_ENONFINITE)" kith search a.kith nan.fvecs
fails "NaN in rows" 1 "kith: nan.fvecs: row 0, column 2 is NaN (KITH_ENONFINITE)" kith add a.kith nan.fvecs
fails "a deadline" 1 "deadline" sh -c '"$KITH" search a.kith base.fvecs --exact --deadline 0.001 2>&1 >/dev/null | grep -o deadline >&2; exit 1'
unchanged "the index is still unchanged"

# ---- files -------------------------------------------------------------------------------------------------
fails "no index" 1 "kith: none: *No such file or directory (KITH_EIO)" kith search none q.fvecs
fails "a foreign file" 1 "kith: base.fvecs: *(KITH_EFORMAT)" kith search base.fvecs q.fvecs
fails "an index where vectors are wanted" 1 "kith: a.kith: is a Kith index; a file of vectors is needed here (KITH_EFORMAT)" kith build a.kith -o x.kith
size=$(wc -c <a.kith)
head -c 5000 a.kith >cut.kith
fails "a truncated index" 1 "kith: cut.kith: *5000*$size*(KITH_ETRUNCATED)" kith check cut.kith
# Every byte of a file matters: a flipped bit at many places is found.
found=0
places=0
for at in $(seq 3 $((size / 40)) $((size - 1))); do
    cp a.kith bad.kith
    byte=$(od -An -tu1 -j "$at" -N 1 a.kith | tr -d ' ')
    printf "\\$(printf %o $((byte ^ 16)))" | dd of=bad.kith bs=1 seek="$at" conv=notrunc 2>/dev/null
    places=$((places + 1))
    kith check bad.kith >/dev/null 2>&1 || found=$((found + 1))
done
is "flipped bits are found" $places $found
fails "a folder that is not there" 1 "kith: no/x.kith: cannot create (KITH_EIO)" \
    sh -c '"$KITH" build base.fvecs -o no/x.kith 2>&1 | sed "s/cannot create .*: No such file or directory/cannot create/" >&2; exit 1'
fails "no space" 1 "kith: standard output: cannot be written: No space left on device (KITH_ENOSPC)" sh -c '"$KITH" build base.fvecs -o - >/dev/full'
fails "no space for ids" 1 "kith: standard output: cannot be written: No space left on device (KITH_ENOSPC)" sh -c '"$KITH" convert base.fvecs - --to fvecs >/dev/full'
fails "true ids for another base" 1 "kith: gt.csv.ivecs: row 0, column 0: id 500; the base has 500 rows (KITH_ERANGE)" \
    sh -c 'echo 500 >gt.csv && "$KITH" convert gt.csv gt.csv.ivecs >/dev/null && "$KITH" bench base.fvecs q.fvecs gt.csv.ivecs -k 1'
fails "too few true ids" 1 "kith: gt.csv.ivecs: k of 10; a row has 1 true ids (KITH_EK)" kith bench base.fvecs q.fvecs gt.csv.ivecs
fails "text where rows of ids are wanted" 1 "kith: all.txt: is text; rows of ids come as ivecs, npy, ibin or hdf5 (KITH_EFORMAT)" kith eval all.txt all.txt
fails "floats where ids are wanted" 1 "kith: q.fvecs: holds f32 values; ids are whole numbers (KITH_EFORMAT)" kith eval q.fvecs q.fvecs
unchanged "the index is unchanged to the end"
finish
