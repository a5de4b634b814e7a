#!/usr/bin/env python3
"""Make the small files of other engines that lie here, and manifest.tsv, which says what each engine finds in its own.

    tests/golden/foreign/make.py HNSWLIB_HEADERS

Wants faiss-cpu and usearch from PyPI (bench/peers/setup installs both) and, as the argument, the folder that hnswlib's
headers lie in; hnswlib is asked through make_hnswlib.cpp. Data are ours: N rows and 3 queries of small multiples of
1/8, from a generator of 32 bits. The conventions are those of a manifest of FAISS files: a bare IVF is asked with
nprobe = nlist, one inside another index with nprobe = 1, HNSW with efSearch = 16; k is 5.

Files of old families are made from new ones by hand, as old versions of FAISS wrote them, and FAISS reads each back.
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

import faiss
import numpy as np
from usearch.index import Index

# Runs give the same bytes, but for l2sq-f32.usearch, whose unused places for links hold whatever was in memory.
HERE = pathlib.Path(__file__).resolve().parent
N, D, N_Q, K = 50, 8, 3, 5
N_TRAIN = 300  # OPQ wants more rows than are added
L2, IP, L1 = faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L1

FAISS_FILES = [
    ("flat-ip", "Flat", IP), ("flat-l1", "Flat", L1), ("idmap2", "IDMap2,Flat", L2),
    ("sq8", "SQ8", L2), ("sq6", "SQ6", IP), ("sqbf16", "SQbf16", L2), ("pq", "PQ4x4np", L2), ("pq-3-bit", "PQ4x3np", IP),
    ("hnsw-flat", "HNSW4", L2), ("hnsw-sq8", "HNSW4,SQ8", IP), ("hnsw-pq", "HNSW4,PQ4x4", L2),
    ("ivf-flat", "IVF4,Flat", L2), ("ivf-pq", "IVF4,PQ4x4np", L2), ("ivf-sq8", "IVF4,SQ8", IP),
    ("ivf-hnsw-sq4", "IVF4_HNSW4,SQ4", L2), ("pq-fast", "PQ3x4fs", L2), ("ivf-pq-fast", "IVF4,PQ4x4fs", L2),
    ("rabitq", "RaBitQ", L2), ("rabitq-ip", "RaBitQ", IP), ("rabitq-4-bit", "RaBitQ4", L2),
    ("ivf-rabitq", "IVF4,RaBitQ", L2), ("ivf-rabitq-3-bit", "IVF4,RaBitQ3", IP),
    ("opq-ivf-pq", "OPQ2,IVF4,PQ2x4np", L2), ("pca", "PCAR4,Flat", L2), ("rotation", "RR8,SQ8", IP),
    ("hadamard", "HR7,Flat", L2), ("pad", "Pad11,Flat", L2), ("norm", "L2norm,Flat", IP),
    ("refine", "PQ4x4np,RFlat", L2), ("refine-sq", "SQ4,Refine(SQfp16)", L2),
]

SQ = faiss.ScalarQuantizer
BUILT = [  # what the factory has no word for, and what rows are multiplied by
    ("centre", lambda: faiss.IndexPreTransform(faiss.CenteringTransform(D), faiss.IndexFlatL2(D)), 1),
    ("sq8-uniform", lambda: faiss.IndexScalarQuantizer(D, SQ.QT_8bit_uniform), 1),
    ("sq4-uniform", lambda: faiss.IndexScalarQuantizer(D, SQ.QT_4bit_uniform), 1),
    ("sq8-signed", lambda: faiss.IndexScalarQuantizer(D, SQ.QT_8bit_direct_signed), 8),
]


def data():
    state, out = 20261122, []
    for _ in range((N_TRAIN + N_Q) * (D + 1)):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((state >> 26) / 8.0 - 4)
    values = np.array(out, np.float32).reshape(N_TRAIN + N_Q, D + 1)
    return values[:N_TRAIN], values[N_TRAIN:]


def row(name, spec, metric, n, ids, dists):
    texts = [" ".join(map(str, np.ravel(ids))), " ".join(f"{x:.7g}" for x in np.ravel(dists))]
    return "\t".join([name, spec, str(metric), str(n), " | ".join(texts)])


def ask(index, queries):
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexIVF):
        inner.nprobe = inner.nlist
    dists, ids = inner.search(queries, K)
    return ids, dists


def make_faiss(base, queries):
    for name, spec, metric in FAISS_FILES:
        d = D + 1 if spec.startswith("PQ3") or spec.startswith("Pad") else D
        learnt, asked = np.ascontiguousarray(base[:, :d]), np.ascontiguousarray(queries[:, :d])
        index = faiss.index_factory(d, spec, metric)
        index.train(learnt)
        if "RaBitQ" in spec:
            faiss.downcast_index(index).qb = 0
        if spec.startswith("IDMap"):
            index.add_with_ids(learnt[:N], np.arange(N, dtype=np.int64) * 7 + 1000)
        else:
            index.add(learnt[:N])
        if name == "ivf-flat":
            faiss.downcast_index(index).make_direct_map()
        faiss.write_index(index, str(HERE / "faiss" / f"{name}.faiss"))
        yield row(f"faiss/{name}.faiss", spec, metric, N, *ask(index, asked))

    for name, make, scale in BUILT:
        index, learnt = make(), np.ascontiguousarray(base[:, :D]) * scale
        index.train(learnt)
        index.add(learnt[:N])
        faiss.write_index(index, str(HERE / "faiss" / f"{name}.faiss"))
        yield row(f"faiss/{name}.faiss", name, L2, N, *ask(index, np.ascontiguousarray(queries[:, :D])))


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def old_lists(data, end_of_quantizer, fields, unit):
    """An IwXX file as the IvXX that came before: ids, map, fields of the code, codes; data ends with ilar lists."""
    fields_at, fields_end = fields
    at = fields_end
    assert data[at:at + 4] == b"ilar" and data[at + 20:at + 24] == b"full"
    nlist, code_size, at = u64(data, at + 4), u64(data, at + 12), at + 32
    sizes = struct.unpack_from(f"<{nlist}Q", data, at)
    at += 8 * nlist
    ids, codes = b"", b""
    for n in sizes:
        codes += struct.pack("<Q", n * code_size // unit) + data[at:at + n * code_size]
        at += n * code_size
        ids += struct.pack("<Q", n) + data[at:at + 8 * n]
        at += 8 * n
    assert at == len(data)
    return data[4:end_of_quantizer] + ids + data[end_of_quantizer:fields_end] + codes


def make_old(base, queries):
    read = {name: (HERE / "faiss" / f"{name}.faiss").read_bytes() for name in ("pq", "ivf-flat", "ivf-pq", "ivf-sq8", "pca")}
    quantizer_end = 4 + 33 + 16 + 4 + 33 + 8 + 4 * D * 4  # tag, header, nlist, nprobe, a Flat of 4 rows
    lists_at = {name: data.rfind(b"ilar") for name, data in read.items()}
    sq = read["ivf-sq8"]
    flat_bytes = read["ivf-flat"]
    map_end = quantizer_end + 1 + 8 + 8 * N
    pca = read["pca"]
    pca_at = pca.find(b"Pcam")
    assert lists_at["ivf-flat"] == map_end
    old = {
        "old-pq": b"IxPQ" + read["pq"][4:-9],
        "old-pq-search": b"IxPo" + read["pq"][4:],
        "old-ivf-flat": b"IvFL" + old_lists(flat_bytes, quantizer_end, (map_end, map_end), 1),
        "old-ivf-flat-words": b"IvFl" + old_lists(flat_bytes, quantizer_end, (map_end, map_end), 4),
        "old-ivf-pq": b"IvPQ" + old_lists(read["ivf-pq"], quantizer_end, (quantizer_end + 9, lists_at["ivf-pq"]), 1),
        "old-pca": pca[:pca_at] + b"PcAm" + pca[pca_at + 4:pca_at + 8] + pca[pca_at + 12:],
        "old-pca-older": pca[:pca_at] + b"PCAm" + pca[pca_at + 4:pca_at + 8] + pca[pca_at + 12:pca_at + 13]
                         + pca[pca_at + 17:],
    }
    residual_at = lists_at["ivf-sq8"] - 1
    without = sq[:residual_at] + sq[residual_at + 1:]
    old["old-ivf-sq"] = b"IwSQ" + without[4:]
    old["old-ivf-sq-older"] = b"IvSQ" + old_lists(without, quantizer_end, (quantizer_end + 9, residual_at), 1)
    for name, data in old.items():
        path = HERE / "faiss" / f"{name}.faiss"
        path.write_bytes(data)
        index = faiss.read_index(str(path))
        yield row(f"faiss/{path.name}", name, index.metric_type, N, *ask(index, np.ascontiguousarray(queries[:, :D])))


def make_usearch(base, queries):
    for name, metric, scalar in (("l2sq-f32", "l2sq", "f32"), ("cos-f16", "cos", "f16"), ("ip-i8", "ip", "i8")):
        scale = 32 if scalar == "i8" else 1  # usearch stores x * 127 as i8
        index = Index(ndim=D, metric=metric, dtype=scalar, connectivity=4, expansion_add=64, expansion_search=64)
        index.add(np.arange(N, dtype=np.uint64) * 3 + 5, base[:N, :D] / scale)
        for key in (5, 8, 29):
            index.remove(key)
        index.save(str(HERE / "usearch" / f"{name}.usearch"))
        found = index.search(queries[:, :D] / scale, K)
        yield row(f"usearch/{name}.usearch", scalar, metric, N, found.keys, found.distances)


def make_hnswlib(base, queries, headers):
    with tempfile.TemporaryDirectory() as folder:
        program, input_file = pathlib.Path(folder) / "make", pathlib.Path(folder) / "data"
        subprocess.run(["g++", "-O1", "-std=c++17", f"-I{headers}", str(HERE / "make_hnswlib.cpp"), "-o", str(program)],
                       check=True)
        np.ascontiguousarray(np.concatenate([base[:N], queries])[:, :D]).tofile(input_file)
        for name, metric in (("l2", L2), ("ip", IP)):
            out = subprocess.run([program, input_file, HERE / "hnswlib" / f"{name}.hnswlib", name, str(N), str(D)], check=True,
                                 capture_output=True, text=True).stdout.split()
            ids, dists = out[:N_Q * K], [float(x) for x in out[N_Q * K:]]
            yield row(f"hnswlib/{name}.hnswlib", name, metric, N, np.array(ids), dists)


def main():
    faiss.omp_set_num_threads(1)
    for engine in ("faiss", "hnswlib", "usearch"):
        (HERE / engine).mkdir(exist_ok=True)
    base, queries = data()
    base[:N].tofile(HERE / "base.f32")
    queries.tofile(HERE / "queries.f32")
    rows = ["file\twhat\tmetric\tntotal\tids_then_distances_for_3_queries_k5"]
    rows += [*make_faiss(base, queries), *make_old(base, queries), *make_usearch(base, queries),
             *make_hnswlib(base, queries, sys.argv[1])]
    (HERE / "manifest.tsv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
