#!/bin/sh
# Collections: what the commands print, what they refuse, and that nothing is lost in between.
. "$(dirname "$0")/tap.sh"

# Bytes on disk and in memory are the store's business.
sizes() { sed 's/"\(disk\|memory\)_bytes":[0-9]*/"\1_bytes":0/g'; }
flat() { tr -d ' \n' | sizes; }
articles='{"name":"articles","points":0,"batches":1,"disk_bytes":0,"memory_bytes":0,"fields":[{"name":"","dim":2,"metric":"l2","vectors":0,"indexed":0}]}'
photos='{"name":"photos","points":0,"batches":1,"disk_bytes":0,"memory_bytes":0,"fields":[{"name":"a:b","dim":4,"metric":"ip","vectors":0,"indexed":0},{"name":"","dim":3,"metric":"cosine","vectors":0,"indexed":0}]}'

# ---- db --------------------------------------------------------------------------------------------------
is "create" "$articles" "$(kith db create shop/articles --dim 2 --json | flat)"
is "create for people" 'points 0
batches 1

field dimensions metric vectors indexed
a:b 4 ip 0 0
(unnamed) 3 cosine 0 0' "$(kith db create shop/photos --field a:b:4:ip --dim 3 -m cosine | grep -v '^on disk\|^in memory' | sed 's/  */ /g')"
is "list" "collection points fields
articles 0 1
photos 0 2" "$(kith db list shop | sed 's/  */ /g; s/ on disk$//; s/ [0-9.]* [KMi]*B$//')"
is "list as JSON" "[$articles,$photos]" "$(kith db list shop --json | flat)"
is "info" "$photos" "$(kith db info --json shop/photos | flat)"
is "drop" "photos dropped, 0 points" "$(kith db drop shop/photos)"
is "it is gone" "[$articles]" "$(kith db list shop --json | flat)"
kith db create shop/photos --field image:5:l1 >/dev/null
is "drop as JSON" '{"dropped":"photos","points":0}' "$(kith db drop shop/photos --json | flat)"

fails "nothing to do" 2 "kith db: what to do is missing: create, list, info or drop" kith db
fails "an action that is none" 2 'kith db: "make" is not create, list, info or drop' kith db make shop/x
fails "no collection named" 2 "kith db: create: DIR/NAME is missing" kith db create
fails "no folder" 2 "kith db: list: DIR is missing" kith db list
fails "a folder alone" 2 "kith db: \"shop\" is not DIR/NAME, a database's folder and a collection in it" kith db info shop
fails "a name that is empty" 2 'kith db: "shop/" is not DIR/NAME*' kith db drop shop/
fails "no field" 2 "kith db: create: --dim N is missing, or --field NAME:DIM:METRIC" kith db create shop/x
fails "a metric alone" 2 "kith db: --metric goes with --dim; a --field has its own" kith db create shop/x -m ip --field a:2:l2
fails "half a field" 2 'kith db: --field: "a:2" is not NAME:DIM:METRIC, such as image:512:cosine' kith db create shop/x --field a:2
fails "a field of no dimension" 2 'kith db: --field: "0" is not a whole number from 1 to 65536' kith db create shop/x --field a:0:l2
fails "a field of no metric" 2 'kith db: --field: metric "cubic" is not one of:*' kith db create shop/x --field a:2:cubic
fails "dimensions of a list" 2 "kith db: --dim, --metric and --field are for create" kith db list shop --dim 2
fails "a field twice" 1 "kith: shop/x: * (KITH_EINVAL)" kith db create shop/x --field a:2:l2 --field a:3:l2
fails "a name that is taken" 1 'kith: shop/articles: there is a collection named "articles" already (KITH_EDUPLICATE)' kith db create shop/articles --dim 2
fails "a collection that is not there" 1 'kith: shop/x: there is no collection named "x" (KITH_ENOTFOUND)' kith db info shop/x
fails "nothing to drop" 1 'kith: shop/x: there is no collection named "x" (KITH_ENOTFOUND)' kith db drop shop/x
fails "no database" 1 "kith: none: *holds no database (KITH_EFORMAT)" kith db list none
[ ! -e none ]
result $? "and none is made"
is "what failed changed nothing" "[$articles]" "$(kith db list shop --json | flat)"

# ---- import ----------------------------------------------------------------------------------------------
counts() { kith db info "$1" --json >i.json; echo "$(value points <i.json) $(value batches <i.json)"; }
cat >a.jsonl <<'END'
{"id": 1, "vector": [0, 0], "payload": {"topic": "cats", "year": 2020}}
{"id": "b", "vector": [3, 4.5], "payload": {"topic": "dogs"}}

{"id": 18446744073709551615, "vector": [1e1, 0]}
{"id": "550E8400E29B41D4A716446655440000"}
END
is "import of lines" "4 imported, 4 points now" "$(kith import shop/articles a.jsonl)"
is "the same ids again replace" '{"imported":4,"points":4}' "$(gzip -c a.jsonl | kith import shop/articles - --json | flat)"
gzip -k a.jsonl
is "a gzip'ed file" "4 imported, 4 points now" "$(kith import shop/articles a.jsonl.gz)"
is "a batch each" "4 4" "$(counts shop/articles)"
is "vectors that lack are not counted" "3" "$(kith db info shop/articles --json | value vectors)"

# One line that is bad, after others: its number, its code, and nothing written.
bad() {
    printf '{"id": 90, "vector": [1, 2]}\n\n%s\n' "$2" >bad.jsonl
    fails "$1" 1 "kith: bad.jsonl: line 3$3" kith import shop/articles bad.jsonl
}
bad "a line that is no JSON" '{"id": 1, "vector": [1, 2}' ', column 26: * (KITH_ESYNTAX)'
bad "a line that is cut" '{"id": 1, "vector": [1, 2' ', column 26: the JSON value does not end (KITH_ESYNTAX)'
bad "a line that is null" 'null' ' is null (KITH_ESYNTAX)'
bad "a line that is an array" '[1, 2]' ': is no object (KITH_ESYNTAX)'
bad "a line without an id" '{"vector": [1, 2]}' ': has no "id" (KITH_ESYNTAX)'
bad "a negative id" '{"id": -1}' ': id -1 is neither a string nor a whole number from 0 on (KITH_ESYNTAX)'
bad "an id with a fraction" '{"id": 1.5}' ': id 1.5 is neither *(KITH_ESYNTAX)'
bad "an id that is empty" '{"id": ""}' ': *(KITH_EINVAL)'
bad "a wrong dimension" '{"id": 1, "vector": [1, 2, 3]}' ': 3 values, the field has 2 dimensions (KITH_EDIM)'
bad "a value that is no number" '{"id": 1, "vector": [1, "2"]}' ': value 2: "2" is not a number (KITH_ESYNTAX)'
bad "a value that is not finite" '{"id": 1, "vector": [1, 1e39]}' ': value 2: 1e39 is not finite in float32 (KITH_ENONFINITE)'
bad "a vector that is none" '{"id": 1, "vector": 7}' ': a vector is no array of numbers (KITH_ESYNTAX)'
bad "a field that is not there" '{"id": 1, "vector": {"image": [1]}}' ': the collection has no field "image" (KITH_ENOTFOUND)'
bad "a payload that is none" '{"id": 1, "payload": 7}' ': the payload is no object (KITH_ESYNTAX)'
bad "a member that is unknown" '{"id": 1, "payloads": {}}' ': "payloads" is not id, vector or payload (KITH_ESYNTAX)'
printf '{"id": 90, "vector": [1, 2]}\n{"id": 1, "vector": [3e19, 1]}\n' >far.jsonl
fails "what the store refuses" 1 "kith: far.jsonl: lines 1 to 2: a vector of length 3e+19; at most * (KITH_ERANGE)" kith import shop/articles far.jsonl
is "nothing of these is written" "4 4" "$(counts shop/articles)"

awk 'BEGIN { for (i = 1; i <= 2500; i++) printf "{\"id\": %d, \"vector\": [%d, 1]}\n", 1000 + i, i; print "{\"id\": 0" }' >long.jsonl
fails "an end in the third batch" 1 "kith: long.jsonl: line 2501, column *(KITH_ESYNTAX)" kith import shop/articles long.jsonl
is "what was written is told" "kith: note: 2000 points before were imported" "$(kith import shop/articles long.jsonl 2>&1 | tail -n 1)"
is "and stays" "2004 8" "$(counts shop/articles)"

kith db create shop/photos --field image:3:cosine --field size:2:l1 >/dev/null
printf '{"id": 1, "vector": {"size": [1, 2], "image": [0, 3, 4]}}\n{"id": 2, "vector": {"size": [1, 2]}}\n' |
    kith import shop/photos - >/dev/null
is "vectors of fields" "1 2" "$(echo $(kith db info shop/photos --json | grep -o '"vectors": *[0-9]*' | tr -dc '0-9\n'))"
kith gen -n 1500 -d 2 -o v.fvecs >/dev/null
is "a file of vectors" "1,500 imported, 1,500 points now" "$(kith import shop/photos v.fvecs --field size)"
awk 'BEGIN { for (i = 0; i < 1500; i++) printf "{\"id\": \"p%d\", \"n\": %d}\n", i, i }' >p.jsonl
is "with payloads and their ids" "1,500 imported, 3,000 points now" "$(kith import shop/photos v.fvecs --field size --payloads p.jsonl)"
printf 'word,x,y\nred,0,1\nblue,1,0\n' >w.csv
is "words are ids" "2 imported, 3,002 points now" "$(kith import shop/photos w.csv --field size)"
is "rows by standard input" "2 imported, 3,002 points now" "$(kith import shop/photos - --from csv --field size <w.csv)"
fails "vectors for the wrong field" 1 'kith: v.fvecs: 2 dimensions, field "image" has 3 (KITH_EDIM)' kith import shop/photos v.fvecs --field image
fails "vectors for no field" 1 'kith: shop/photos: the collection has no field without a name (KITH_ENOTFOUND)' kith import shop/photos v.fvecs
head -n 1499 p.jsonl >few.jsonl
fails "too few payloads" 1 "kith: few.jsonl: ends before the payload of row 1499 (KITH_EINVAL)" kith import shop/photos v.fvecs --field size --payloads few.jsonl
(cat p.jsonl; echo '{}') >many.jsonl
fails "too many payloads" 1 "kith: many.jsonl: line 1501: there are 1500 rows (KITH_EINVAL)" kith import shop/photos v.fvecs --field size --payloads many.jsonl
echo '7' >seven.jsonl
fails "a payload that is no object" 1 "kith: seven.jsonl: line 1: is no object (KITH_ESYNTAX)" kith import shop/photos w.csv --field size --payloads seven.jsonl
fails "payloads beside lines" 1 "kith: a.jsonl: is JSON lines, *(KITH_EINVAL)" kith import shop/articles a.jsonl --payloads p.jsonl
fails "no file" 2 "kith import: FILE is missing: the points" kith import shop/articles
fails "a file that is not there" 1 "kith: no.jsonl: cannot be opened: No such file or directory (KITH_EIO)" kith import shop/articles no.jsonl
fails "a collection that is not there" 1 'kith: shop/x: there is no collection named "x" (KITH_ENOTFOUND)' kith import shop/x a.jsonl

# ---- query, delete, export -------------------------------------------------------------------------------------
kith db create zoo/animals --dim 2 >/dev/null
cat >zoo.jsonl <<'END'
{"id": 1, "vector": [0, 0], "payload": {"topic": "cats", "year": 2020}}
{"id": "b", "vector": [3, 4.5], "payload": {"topic": "dogs/wolves", "deep": {"x": 1.5}}}
{"id": 18446744073709551615, "vector": [1e1, 0]}
{"id": "550E8400E29B41D4A716446655440000"}
END
kith import zoo/animals zoo.jsonl >/dev/null
all='{"id":1,"vector":[0,0],"payload":{"topic":"cats","year":2020}}
{"id":18446744073709551615,"vector":[10,0],"payload":{}}
{"id":"550e8400-e29b-41d4-a716-446655440000","payload":{}}
{"id":"b","vector":[3,4.5],"payload":{"topic":"dogs/wolves","deep":{"x":1.5}}}'
is "export" "$all" "$(kith export zoo/animals)"
cats='{"must": {"key": "topic", "match": {"value": "cats"}}}'
is "export of some" "$(echo "$all" | head -n 1)" "$(kith export zoo/animals --filter "$cats")"
kith db create zoo/copy --dim 2 >/dev/null
kith export zoo/animals >copy.jsonl
kith import zoo/copy copy.jsonl >/dev/null
is "and what import makes of it is the same" "$all" "$(kith export zoo/copy)"
awk 'BEGIN { for (i = 1; i <= 2500; i++) printf "{\"id\":\"n%04d\",\"payload\":{\"n\":%d}}\n", i, i }' >pages.jsonl
kith db create zoo/pages --dim 2 >/dev/null
kith import zoo/pages pages.jsonl >/dev/null
is "pages of strings follow one another" "$(cksum <pages.jsonl)" "$(kith export zoo/pages | cksum)"
is "vectors of fields are exported as such" '{"id":1,"vector":{"image":[0,0.600000024,0.800000012],"size":[1,2]},"payload":{}}' \
    "$(kith db create zoo/two --field image:3:cosine --field size:2:l1 >/dev/null
    echo '{"id": 1, "vector": {"size": [1, 2], "image": [0, 3, 4]}}' | kith import zoo/two - >/dev/null; kith export zoo/two)"

is "query" 'query  rank  id                    score  payload
    0     1  1                         1  {"topic":"cats","year":2020}
    0     2  b                     21.25  {"topic":"dogs/wolves","deep":{"x":1.5}}
    0     3  18446744073709551615    101  {}' "$(kith query zoo/animals --vector '[0, 1]')"
is "query as JSON, k, offset" '{"query":0,"hits":[{"id":"b","score":21.25,"payload":{"topic":"dogs/wolves","deep":{"x":1.5}}}]}' \
    "$(kith query zoo/animals --vector '[0, 1]' -k 1 --offset 1 --json)"
is "ranks begin behind the offset" "0 2 b 21.25" "$(echo $(kith query zoo/animals --vector '[0, 1]' -k 1 --offset 1 --payload false | tail -n 1))"
is "like a string" '{"query":0,"hits":[{"id":1,"score":29.25,"payload":{"topic":"cats"}},{"id":18446744073709551615,"score":69.25,"payload":{}}]}' \
    "$(kith query zoo/animals --like b --payload '["topic"]' --json)"
is "like a number, filtered" '{"query":0,"hits":[]}' "$(kith query zoo/animals --like 1 --filter "$cats" --json)"
is "filtered, no payload" '{"query":0,"hits":[{"id":1,"score":162}]}' \
    "$(kith query zoo/animals --vector '[9, 9]' --filter "$cats" --payload false --json)"
printf '0,0\n3,5\n' >two.csv
is "each row of a file" '{"query":0,"hits":[{"id":1,"score":0}]}
{"query":1,"hits":[{"id":"b","score":0.25}]}' "$(kith query zoo/animals --vector @two.csv -k 1 --payload false --json)"
is "a field" '{"query":0,"hits":[{"id":1,"score":3}]}' "$(kith query zoo/two --vector '[0, 0]' --field size --payload false --json)"
fails "neither vector nor like" 2 "kith query: one of --vector and --like is wanted" kith query zoo/animals
fails "both" 2 "kith query: one of --vector and --like is wanted" kith query zoo/animals --vector '[1]' --like 1
fails "a vector that is cut" 1 "kith: --vector: line 1, column 6: the JSON value does not end (KITH_ESYNTAX)" kith query zoo/animals --vector '[0, 1'
fails "a query of another dimension" 1 'kith: zoo/animals: *3*2 (KITH_EDIM)' kith query zoo/animals --vector '[0, 1, 2]'
fails "like nothing" 1 "kith: zoo/animals: there is no point with id 77 (KITH_ENOTFOUND)" kith query zoo/animals --like 77
fails "a field that is not there" 1 "kith: zoo/animals: *nose* (KITH_ENOTFOUND)" kith query zoo/animals --like 1 --field nose
fails "a filter that is none" 1 "kith: zoo/animals: filter, mus: *(KITH_EFILTER)" kith query zoo/animals --like 1 --filter '{"mus": 1}'
fails "a filter that is no JSON" 1 "kith: zoo/animals: filter: JSON, byte 1: a name is missing (KITH_EFILTER)" kith export zoo/animals --filter '{'

is "delete by id" "2 deleted, 2 points now" "$(kith delete zoo/animals --id b --id 18446744073709551615 --id nobody)"
fails "an id beyond 64 bits" 2 "kith delete: --id: id 99999999999999999999 is over 2^64 - 1" kith delete zoo/animals --id 99999999999999999999
fails "nothing to delete" 2 "kith delete: one of --id and --filter is wanted" kith delete zoo/animals
is "delete by filter" '{"deleted":1,"points":1}' "$(kith delete zoo/animals --filter "$cats" --json | flat)"
is "what is left" '{"id":"550e8400-e29b-41d4-a716-446655440000","payload":{}}' "$(kith export zoo/animals)"
is "a UUID in another spelling" "1 deleted, 0 points now" "$(kith delete zoo/animals --id 550E8400-E29B-41D4-A716-446655440000)"
is "nothing is left" "" "$(kith export zoo/animals; kith query zoo/animals --vector '[0, 0]')"
finish
