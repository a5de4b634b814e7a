#!/bin/sh
# Every format: what is written is read back, bit by bit, recognised by content; what is malformed is refused
# with the place and the numbers.
. "$(dirname "$0")/tap.sh"

# ---- round trips -----------------------------------------------------------------------------------
kith gen -n 300 -d 12 --kind clusters --seed 7 -o a.fvecs >/dev/null
kith gen -n 300 -d 12 --kind integral --seed 7 -o b.fvecs >/dev/null

# back FORMAT FILE ORIGINAL: FILE without a telling name, plain and gzip'ed, is ORIGINAL again.
back() {
    cp "$2" nameless && gzip -kf nameless
    kith info --json nameless >info.json
    is "$1 is recognised by content" "\"format\": \"$1\"" "$(grep -o '"format": "[a-z0-9]*"' info.json)"
    kith convert nameless back.fvecs >/dev/null && cmp -s "$3" back.fvecs
    result $? "$1 is read back"
    kith convert - back.fvecs <nameless.gz >/dev/null && cmp -s "$3" back.fvecs
    result $? "$1 gzip'ed is read back from standard input"
}

for format in fvecs npy fbin csv tsv words jsonl; do
    kith convert a.fvecs a.$format >/dev/null
    back $format a.$format a.fvecs
done
for format in ivecs ibin bvecs; do
    kith convert b.fvecs b.$format >/dev/null
    back $format b.$format b.fvecs
done
for format in u8bin bvecs; do
    kith convert b.fvecs b.$format >/dev/null
    ok "$format is read by name" kith convert b.$format back.fvecs
    cmp -s b.fvecs back.fvecs
    result $? "$format is read back"
done
for type in f16 f32 f64 u8 u16 i16 i32 i64; do
    kith convert b.fvecs t.npy --type $type >/dev/null && kith convert t.npy back.fvecs >/dev/null &&
        cmp -s b.fvecs back.fvecs
    result $? "npy of $type is read back"
done
bytes '\002\000\000\000\002\000\000\000\377\001\200\177' >i.i8bin
is "i8bin has signs" "-1,1
-128,127" "$(kith convert i.i8bin - --to csv 2>/dev/null)"

# ---- names -----------------------------------------------------------------------------------------
printf '{"id": 7, "vector": [1, 2]}\n{"id": 3, "embedding": [0.5, -2e-3]}\n' >ids.jsonl
is "ids of jsonl are kept" "id,x0,x1
7,1,2
3,0.5,-0.00200000009" "$(kith convert ids.jsonl - --to csv 2>/dev/null)"
printf 'name\tx\ty\nfoo bar\t1\t2\nbaz\t3\t4\n' >named.tsv
is "words of a table are kept" '{"id":"foo bar","vector":[1,2]}
{"id":"baz","vector":[3,4]}' "$(kith convert named.tsv - --to jsonl 2>/dev/null)"
printf 'new york 1 2\nparis 3 4\n' >glove.txt
is "a word of GloVe may hold spaces" '{"id":"new york","vector":[1,2]}
{"id":"paris","vector":[3,4]}' "$(kith convert glove.txt - --to jsonl 2>/dev/null)"
printf '"a, ""b""",1,2\nc,3,4\n' >quoted.csv
is "quotes of csv" '{"id":"a, \"b\"","vector":[1,2]}
{"id":"c","vector":[3,4]}' "$(kith convert quoted.csv - --to jsonl 2>/dev/null)"
is "quotes are written as they are read" 'id,x0,x1
"a, ""b""",1,2
c,3,4' "$(kith convert quoted.csv - --to csv 2>/dev/null)"
printf '[[1,2],\n[3,4]]\n' >document.json
is "one JSON array" '1,2
3,4' "$(kith convert document.json - --to csv 2>/dev/null)"
printf '0.1 1e-45 3.4028235e38 16777217 0.30000001192092895508 -0\n' >numbers.txt
is "numbers are read to the last bit" "0.100000001,1.40129846e-45,3.40282347e+38,16777216,0.300000012,-0" \
    "$(kith convert numbers.txt - --to csv 2>/dev/null)"
is "a slice" "1" "$(kith convert a.fvecs s.npy --skip 299 --rows 5 --json | grep -o '"rows": [0-9]*' | cut -d' ' -f2)"

bytes '\001\000\000\000\001\000\000\001' >large.ivecs
fails "a whole number that float32 does not hold" 1 \
    "kith: large.ivecs: row 0, column 0: 16777217 is not exact in float32 (KITH_ERANGE)" kith info large.ivecs
kith convert t.npy u.npy >/dev/null
cmp -s t.npy u.npy
result $? "npy keeps the type of its elements"

# ---- refused ---------------------------------------------------------------------------------------
# refuse NAME FILE MESSAGE: kith info does not take it.
refuse() { fails "$1" 1 "kith: $2: $3" kith info "$2"; }

fails "a missing file" 1 "kith: none.npy: cannot be opened: No such file or directory (KITH_EIO)" kith info none.npy
fails "a folder" 1 "kith: .: is a folder, not a file (KITH_EIO)" kith info .
: >empty.fvecs
refuse "an empty file" empty.fvecs "is empty (KITH_EEMPTY)"
head -c 100 a.fvecs >cut.fvecs
refuse "a truncated fvecs" cut.fvecs "row 1 at byte 52 needs 52 bytes, 48 are left (KITH_ETRUNCATED)"
bytes '\001\000\000\000\000\000\200\077\002\000\000\000\000\000\200\077' >mixed.fvecs
refuse "rows of different length" mixed.fvecs \
    "row 1 at byte 8 has dimension 2, the first has 1 (KITH_EFORMAT)"
bytes '\001\000\000\000\000\000\300\177' >nan.fvecs
refuse "NaN" nan.fvecs "row 0, column 0 is NaN (KITH_ENONFINITE)"
bytes '\001\000\000\000\000\000\000\000\001\000\000\000\000\000\200\377' >inf.fvecs
refuse "infinity" inf.fvecs "row 1, column 0 is infinite (KITH_ENONFINITE)"
bytes '\002\000\000\000\003\000\000\000\000' >cut.fbin
refuse "a truncated fbin" cut.fbin \
    "header tells 2 rows of 3 values, 24 bytes; 1 are there (KITH_ETRUNCATED)"
head -c 130 a.npy >cut.npy
refuse "a truncated npy" cut.npy "npy shape (300, 12) of f32 needs 14400 bytes, 2 are there (KITH_ETRUNCATED)"
(cat a.npy; echo) >long.npy
refuse "an npy that goes on" long.npy "1 bytes follow the values of npy shape (300, 12) (KITH_EFORMAT)"
# npy SHAPE TYPE ORDER: a header.
npy() { printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '$2', 'fortran_order': $3, 'shape': $1, }"; }
npy '(4,)' '<f4' False >one.npy
refuse "an npy of one dimension" one.npy \
    "npy array of 1 dimension; rows by columns are needed (KITH_EDIM)"
npy '(2, 2)' '<f4' True >fortran.npy
refuse "an npy in Fortran order" fortran.npy \
    "npy array in Fortran order; C order is needed (numpy.ascontiguousarray) (KITH_EFORMAT)"
npy '(2, 2)' '>f4' False >big.npy
refuse "a big-endian npy" big.npy \
    "npy values of type '>f4'; known are <f4 <f2 <f8 |u1 |i1 and <u2 to <i8 (KITH_EFORMAT)"
npy '(0, 2)' '<f4' False >none.npy
refuse "an npy without rows" none.npy "holds no rows (KITH_EEMPTY)"
npy '(1, 70000)' '|u1' False >wide.npy && head -c 70000 /dev/zero >>wide.npy
refuse "too many dimensions" wide.npy \
    "rows have 70000 dimensions, 1 to 65536 are possible (KITH_EDIM)"
printf '1,2\n3,x\n' >bad.csv
refuse "csv: not a number" bad.csv "line 2, field 2: \"x\" is not a number (KITH_ESYNTAX)"
printf '1,2\n3\n' >short.csv
refuse "csv: a short line" short.csv "line 2 has 1 values, the first row has 2 (KITH_EDIM)"
printf '1,2\n3,nan\n' >nan.csv
refuse "csv: NaN" nan.csv "line 2, field 2: nan is not finite in float32 (KITH_ENONFINITE)"
printf '1,2\n3,1e39\n' >huge.csv
refuse "csv: beyond float32" huge.csv "line 2, field 2: 1e39 is not finite in float32 (KITH_ENONFINITE)"
printf '3 2\na 1 2\nb 3 4\n' >few.txt
refuse "word2vec: too few words" few.txt "line 1 tells 3 words, 2 are there (KITH_ETRUNCATED)"
printf 'a 1 2\nb 3\n' >short.txt
refuse "GloVe: a short line" short.txt "line 2 has 2 fields; a word and 2 values are needed (KITH_EDIM)"
printf '[1, 2]\n[3, 4\n' >bad.jsonl
refuse "jsonl: no end" bad.jsonl "line 2, column 6: the JSON value does not end (KITH_ESYNTAX)"
printf '[1, 2]\n[3, tru]\n' >word.jsonl
refuse "jsonl: malformed" word.jsonl "line 2, column 8: boolean expected (KITH_ESYNTAX)"
printf '{"vector": [1]}\n{"text": "a"}\n' >no.jsonl
refuse "jsonl: no vector" no.jsonl \
    "line 2 is neither an array of numbers nor an object with a \"vector\" array (KITH_ESYNTAX)"
printf '[1, "2"]\n' >string.jsonl
refuse "jsonl: a string" string.jsonl "line 1, value 2: \"2\" is not a number (KITH_ESYNTAX)"
gzip -c a.npy | head -c 900 >cut.npy.gz
refuse "a truncated gzip" cut.npy.gz "gzip data ends early, at byte 900 (KITH_ETRUNCATED)"
bytes '\000\001\002\003\004' >foreign.bin
refuse "a foreign file" foreign.bin \
    "is not a file of vectors that kith knows (5 bytes, first 00 01) (KITH_EFORMAT)"
fails "a value that the format cannot hold" 1 \
    "kith: a.u8bin: row 0, column 0: $(kith convert a.fvecs - --to csv 2>/dev/null | head -n 1 | cut -d, -f1) is not a whole number that u8 holds (KITH_ERANGE)" \
    kith convert a.fvecs a.u8bin
[ ! -e a.u8bin ]
result $? "and leaves no file"
fails "an unknown ending" 1 \
    "kith: a.xyz: is of no format that is written: fvecs ivecs bvecs npy fbin ibin u8bin i8bin csv tsv jsonl words (KITH_EUNSUPPORTED)" \
    kith convert a.fvecs a.xyz
fails "standard output that is full" 1 "kith: standard output: cannot be written: No space left on device (KITH_ENOSPC)" \
    sh -c '"$KITH" convert a.fvecs - --to npy >/dev/full'
finish
