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
fails "no database" 1 "kith: none: *No such file or directory (KITH_EIO)" kith db list none
[ ! -e none ]
result $? "and none is made"
is "what failed changed nothing" "[$articles]" "$(kith db list shop --json | flat)"
finish
