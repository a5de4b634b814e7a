#!/bin/sh
# kith bench: the shape of its JSON, a table, and a page that needs nothing else.
. "$(dirname "$0")/tap.sh"

kith gen -n 2000 -d 16 --kind clusters --seed 1 -o base.npy --queries 60 --queries-out q.npy >/dev/null
kith exact base.npy q.npy -k 20 -o gt.ivecs >/dev/null
kith bench base.npy q.npy gt.ivecs -i Flat -i HNSW8 --sweep ef=10:40 --repeat 3 --json b.json --html b.html >table.txt
result $? "bench runs"
shape() { grep -o '"[a-z0-9_.]*":' "$1" | awk '!seen[$0]++' | tr -d '":' | paste -s -d ' '; }
is "the members of its JSON" \
    "machine cpu isa cores kernel compiler version setup base rows dim queries metric k batch repeats runs spec threads build_threads build_wall_s build_cpu_s bytes_per_vector points params recall recall_ids recall_p5 qps_wall qps_cpu mean_us min_us max_us sd_us p50_us p95_us p99_us at 0.90 0.95 0.99 0.999 ef" \
    "$(shape b.json)"
is "settings double, with one between" "10 15 20 30 40" "$(grep -o '"ef": *[0-9]*' b.json | grep -o '[0-9]*$' | paste -s -d ' ')"
is "a scan has recall 1" "1" "$(grep -m 1 '"recall"' b.json | grep -o '[0-9.]*' | head -n 1)"
is "the columns of the table" "index setting recall p5 QPS/CPU QPS mean us min max sd p50 p95 p99 build s CPU s bytes/vector" \
    "$(sed -n 4p table.txt | tr -s ' ')"
is "a line for each setting" "6" "$(sed -n '5,/^$/p' table.txt | grep -c '[0-9]')"
is "the page names nothing outside of itself" "" "$(grep -oE '(src|href)=|https?:|@import|url\(' b.html)"
is "a dot for each setting" "6" "$(grep -c '<circle' b.html)"
kith bench base.npy q.npy gt.ivecs -i Flat --batch --threads 2 --repeat 1 --json - >batch.json
is "a batch has no latency of a query" "null" "$(grep '"p99_us"' batch.json | grep -o 'null')"
is "JSON on standard output comes alone" "{" "$(head -c 1 batch.json)"
kith bench base.npy q.npy gt.ivecs -i HNSW8 --sweep ef=16 --threads 3 --repeat 1 --pin 0 >three.txt
result $? "single queries in three threads, pinned"
kith gen -n 70 -d 16 -o more.npy >/dev/null
kith bench base.npy more.npy gt.ivecs -i Flat --repeat 1 >/dev/null 2>note.txt
is "more queries than truth" "kith: note: 70 queries, true ids for 60; the first 60 are used" "$(cat note.txt)"

# Ties: rows that are doubled answer for each other.
printf '0,0\n0,0\n1,0\n1,0\n5,5\n' >twins.csv
printf '0,0.1\n' >near.csv
printf '1,3\n' >gt.csv
kith convert gt.csv gt.ivecs >/dev/null
kith bench twins.csv near.csv gt.ivecs -i Flat -k 1 --repeat 1 --json ties.json >/dev/null
is "a tie is right, though the id is another" "1 0" \
    "$(grep -E '"recall(_ids)?"' ties.json | grep -oE '[0-9.]+,' | tr -d ',' | paste -s -d ' ')"
finish
