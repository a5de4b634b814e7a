#!/bin/sh
# Every command does what its page says, on vectors drawn by chance.
. "$(dirname "$0")/tap.sh"

kith gen -n 2000 -d 16 --kind clusters --clusters 20 --seed 1 -o base.fvecs --queries 50 --queries-out q.npy >/dev/null

# ---- gen -------------------------------------------------------------------------------------------
is "gen is the same everywhere" "-0.201041043,-1.00467741
-0.684311092,-0.15237546" "$(kith gen -n 2 -d 2 -o - --to csv)"
kith gen -n 2050 -d 16 --kind clusters --clusters 20 --seed 1 -o all.npy >/dev/null
kith convert all.npy tail.npy --skip 2000 >/dev/null
cmp -s tail.npy q.npy
result $? "queries of gen are further rows"
for kind in gaussian clusters sphere uniform integral; do
    kith gen -n 500 -d 8 --kind $kind -o k.npy >/dev/null
    case $kind in
        sphere) is "rows of a sphere have length 1" "1.00" "$(printf %.2f "$(kith info --json k.npy | value max_length)")" ;;
        integral) is "integral is whole" "true" "$(kith info --json k.npy | value integral)" ;;
        uniform) is "uniform is below 1" "1" "$(kith info --json k.npy | value max | cut -c1 | tr 0 1)" ;;
        *) is "$kind has both signs" "-" "$(kith info --json k.npy | value min | cut -c1)" ;;
    esac
done

# ---- exact, build, search, eval ----------------------------------------------------------------------
for metric in l2 euclid ip cosine l1; do
    kith exact base.fvecs q.npy -m $metric -k 10 -o gt.ivecs --distances gt.fvecs >/dev/null
    kith build base.fvecs -i HNSW16 -m $metric -o a.kith >/dev/null
    kith search a.kith q.npy -k 10 --ef 400 -o got.ivecs --distances got.fvecs >/dev/null
    kith eval got.ivecs gt.ivecs --got-distances got.fvecs --gt-distances gt.fvecs -k 10 --json >eval.json
    recall=$(value recall_ties <eval.json)
    [ "${recall%%.*}" = 1 ] || expr "$recall" : '0\.9[5-9]' >/dev/null
    result $? "$metric: the graph finds what a scan finds ($recall)"
    kith search a.kith q.npy -k 10 --exact -o exact.ivecs >/dev/null
    cmp -s exact.ivecs gt.ivecs
    result $? "$metric: --exact is exact"
    kith exact base.fvecs base.fvecs -m $metric -k 1 -o self.npy >/dev/null
    [ $metric = ip ] || is "$metric: each row is nearest to itself" "$(seq 0 1999 | cksum)" \
        "$(kith convert self.npy - --to csv 2>/dev/null | cksum)"
done
kith exact base.fvecs q.npy -k 10 -o gt.ivecs >/dev/null
is "eval of the truth itself" '{"queries":50,"k":10,"recall":1,"recall_ties":null,"recall_p5":1,"map":1,"ndcg":1,"mrr":1}' \
    "$(kith eval gt.ivecs gt.ivecs --json | tr -d ' \n')"
is "the same file at one thread and at two" "$(kith build base.fvecs -i HNSW8 --threads 1 -o - 2>/dev/null | cksum)" \
    "$(kith build base.fvecs -i HNSW8 --threads 2 -o - 2>/dev/null | cksum)"
is "another seed, another file" "differs" \
    "$([ "$(kith build base.fvecs -i HNSW8 --seed 1 -o - 2>/dev/null | cksum)" = "$(kith build base.fvecs -i HNSW8 --seed 2 -o - 2>/dev/null | cksum)" ] || echo differs)"

# ---- within a memory limit -----------------------------------------------------------------------------------
for format in fvecs npy fbin bvecs; do
    kith gen -n 3000 -d 24 --kind integral -o limited.$format >/dev/null
    kith build limited.$format -i HNSW8 -o held.kith >/dev/null
    kith build limited.$format -i HNSW8 --memory-limit 64M -o limited.kith >/dev/null
    cmp -s held.kith limited.kith
    result $? "$format: the same file within a limit"
done
kith build base.fvecs -i HNSW8,SQ8,Refine --memory-limit 64M -o limited.kith >/dev/null
for how in read map codes; do
    is "opened by $how" "$(kith search limited.kith q.npy -k 3 | cksum)" \
        "$(kith search limited.kith q.npy -k 3 --open $how | cksum)"
done

# ---- results on standard output ----------------------------------------------------------------------------
printf 'id,x,y\n10,0,0\n11,3,4\n12,6,8\n13,0,1\n' >four.csv
kith build four.csv -i Flat -o four.kith >/dev/null
printf '0,0\n6,8\n' >two.csv
is "a table of results" "   query  rank          id      distance
       0     1          10       0.00000
       0     2          13       1.00000
       1     1          12       0.00000
       1     2          11       25.0000" "$(kith search four.kith two.csv -k 2)"
is "results as JSON" '{"query":0,"ids":[10,13],"distances":[0,1]}
{"query":1,"ids":[12,11],"distances":[0,25]}' "$(kith search four.kith two.csv -k 2 --json)"
is "queries by standard input" '{"query":0,"ids":[10],"distances":[0]}' \
    "$(printf '0,0\n' | kith search four.kith - -k 1 --json)"
is "an index by standard input" '{"query":0,"ids":[10],"distances":[0]}' \
    "$(kith search - two.csv -k 1 --json <four.kith | head -n 1)"
is "a mapped index" '{"query":1,"ids":[12],"distances":[0]}' "$(kith search --map four.kith two.csv -k 1 --json | tail -n 1)"
is "within a radius" '{"query":0,"ids":[10,13,11],"distances":[0,1,25]}
{"query":1,"ids":[12,11],"distances":[0,25]}' "$(kith search four.kith two.csv --radius 25 --json)"
kith search four.kith two.csv --radius 2 -o r.npy >/dev/null
is "rows of a radius are filled up" "10,13
12,-1" "$(kith convert r.npy - --to csv 2>/dev/null)"
is "a filter" '{"query":0,"ids":[11,12],"distances":[25,100]}' \
    "$(echo '11 12' | kith search four.kith two.csv -k 2 --filter-ids - --json | head -n 1)"
is "a filter that passes too few" '{"query":0,"ids":[12],"distances":[100]}' \
    "$(echo 12 | kith search four.kith two.csv -k 2 --filter-ids - --json | head -n 1)"
printf 'id,x,y\n1,0,0\n4000000000000000000,3,4\n' >wide.csv
kith build wide.csv -i Flat -o wide.kith >/dev/null
is "a filter of ids that lie far apart" '{"query":0,"ids":[4000000000000000000],"distances":[25]}' \
    "$(printf '9000000000000000000\n4000000000000000000\n' | kith search wide.kith two.csv -k 1 --filter-ids - --json | head -n 1)"
seq 0 12 | sed 's/^/word /' >words.txt
is "names beside ids" '{"query":0,"ids":[10],"distances":[0],"names":["word 10"]}' \
    "$(kith search four.kith two.csv -k 1 --names words.txt --json | head -n 1)"

# ---- add, remove ------------------------------------------------------------------------------------------
printf 'id,x,y\n13,9,9\n20,1,1\n' >more.csv
is "add" '{"added":1,"replaced":1,"rows":5}' "$(kith add four.kith more.csv --replace --json | tr -d ' \n')"
printf '5,5\n' >one.csv
is "ids go on after the highest" "1 added, 6 rows now" "$(kith add four.kith one.csv)"
is "they are found" '{"query":0,"ids":[21,11,12],"distances":[0,5,10]}' \
    "$(kith search four.kith one.csv -k 3 --json)"
is "remove" "2 removed, 4 rows now" "$(echo 21 | kith remove four.kith - --id 13)"
is "they are gone" '{"query":0,"ids":[11,12,20],"distances":[5,10,32]}' "$(kith search four.kith one.csv -k 3 --json)"
ok "the index is sound" kith check four.kith
is "info of an index" '4 2 l2' \
    "$(kith info four.kith --json >i.json; echo "$(value rows <i.json) $(value dim <i.json) $(value metric <i.json | tr -d '"')")"
kith build base.fvecs -i HNSW8 -o big.kith >/dev/null
kith add big.kith q.npy -o bigger.kith >/dev/null
seq 0 2 1998 >even.txt
kith remove bigger.kith even.txt >/dev/null
ok "a graph after adds and removes is sound" kith check bigger.kith
is "and its rows are counted" "1050" "$(kith info bigger.kith --json | value rows)"
is "repair of a sound index" "nothing to mend" "$(kith repair bigger.kith)"
is "check tells its verdict as JSON" "true KITH_OK" \
    "$(kith check bigger.kith --json >c.json; echo "$(value sound <c.json) $(value code <c.json | tr -d '"')")"

# ---- help --------------------------------------------------------------------------------------------------
is "version" "kith $(kith info --json | value version | tr -d '"')" "$(kith --version)"
is "help of a command and --help are one" "$(kith help gen)" "$(kith gen --help)"
finish
