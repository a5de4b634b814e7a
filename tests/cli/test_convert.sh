#!/bin/sh
# Indexes of one engine become another's: what is printed, what comes back, and what is refused.
. "$(dirname "$0")/tap.sh"
golden=$SOURCE/tests/golden/foreign

is "an index of FAISS becomes one of Kith" "a.kith: IVF4,Flat of Kith, 50 rows of 8, from FAISS, IVF-Flat
  vectors: vectors are kept
  lists: centres and rows of lists are kept" "$(kith convert "$golden/faiss/ivf-flat.faiss" a.kith)"
ok "it is sound" kith check a.kith
is "one of Kith becomes one of FAISS" "a.faiss: IVF4,Flat of FAISS, 50 rows of 8, from Kith
  lists: centres and rows of lists are kept" "$(kith convert a.kith a.faiss)"
ok "which comes back" kith convert a.faiss b.kith --to kith
cmp -s a.kith b.kith
result $? "as it was"

is "JSON" '"from": "usearch", "to": "Kith", "links": "kept", "lists": "none"' \
    "$(kith convert "$golden/usearch/cos-f16.usearch" u.kith --json | grep -E '"(from|to|links|lists)"' | tr -d '\n' |
        sed 's/^ *//; s/,  */, /g; s/,$//')"
ok "hnswlib, told its metric" kith convert "$golden/hnswlib/l2.hnswlib" h.kith -m l2
fails "hnswlib, not told" 1 "kith: h.bin: hnswlib's files do not tell their metric: it has to be given (KITH_EINVAL)" \
    sh -c 'cp "$0" h.bin && "$KITH" convert h.bin h.kith' "$golden/hnswlib/l2.hnswlib"
fails "an index of Kith to Kith" 1 "kith: a.kith: an index of Kith already (KITH_EINVAL)" kith convert a.kith c.kith --to kith
fails "vectors as an index" 1 "kith: v.csv: no index file of FAISS, hnswlib or usearch (KITH_EFORMAT)" \
    sh -c 'echo 1,2 >v.csv && "$KITH" convert v.csv v.kith --to kith'
fails "a foreign file is named where it is opened" 1 \
    "kith: a.faiss: an index file of FAISS: kith_index_import reads it, and so does kith convert (KITH_EFORMAT)" kith check a.faiss
fails "what FAISS has no code for" 1 "kith: b.faiss: FAISS has no code as Kith's binary (KITH_EUNSUPPORTED)" \
    sh -c '"$KITH" gen -n 5000 -d 8 -o g.fvecs >/dev/null && "$KITH" build g.fvecs -i Binary -o g.kith >/dev/null 2>&1 &&
        "$KITH" convert g.kith b.faiss'
finish
