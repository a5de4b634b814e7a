#!/usr/bin/env python3
"""Kith reads what FAISS writes now, and finds what FAISS finds.

    tests/oracle/faiss_writes.py KITH ROOT

FAISS makes an index of each description, over 3,000 rows of dimension 32, and answers 50 queries; `kith convert` makes it one of
Kith's, and `kith search` answers them with the same settings: the same ids but for those that are equally far, and the same
distances within the tolerance beside the description. Wants faiss-cpu as faiss_reads.py does; skips without.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import faiss
    import numpy as np
except ImportError:
    venv = Path(sys.argv[2]) / "build-peers" / "venv" / "bin" / "python"
    if venv.exists() and Path(sys.executable) != venv:
        os.execv(venv, [str(venv), *sys.argv])
    print("1..0 # SKIP no faiss in this Python: bench/peers/setup installs it")
    sys.exit(0)

N, DIM, N_Q, K, NPROBE, EF, FACTOR = 3000, 32, 50, 10, 8, 256, 4
IP, L2 = faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2
SUMS, STEPS, TABLES = 5e-5, 1e-3, 1e-1  # sums in another order; steps cut to 16 bits; tables of 8 bits
SPECS = [
    ("Flat", L2, SUMS), ("IDMap2,Flat", IP, SUMS), ("SQ8", L2, STEPS), ("SQfp16", IP, SUMS), ("PQ8np", L2, SUMS),
    ("PQ8x10np", L2, SUMS), ("HNSW16", L2, SUMS), ("HNSW16,SQ8", L2, STEPS), ("IVF32,Flat", IP, SUMS),
    ("IVF32,PQ8np", L2, SUMS), ("IVF32,PQ8np", IP, SUMS), ("IVF32,PQ8x5np", L2, SUMS), ("IVF32,SQ8", L2, STEPS),
    ("IVF32,SQ6", IP, STEPS), ("IVF32,PQ16x4fs", L2, TABLES), ("IVF32,RaBitQ", L2, SUMS), ("IVF32,RaBitQ4", IP, SUMS),
    ("IVF32_HNSW8,PQ8np,RFlat", L2, SUMS), ("OPQ8_16,IVF32,PQ8np", L2, STEPS), ("PCA16,IVF32,SQ4", L2, STEPS),
    ("RR32,Flat", L2, SUMS), ("L2norm,Flat", IP, SUMS), ("HR,HNSW16", L2, SUMS),
]


def settle(index):
    """Settings of every part, those that are asked of Kith."""
    while index is not None:
        index = faiss.downcast_index(index)
        if isinstance(index, faiss.IndexIVF):
            index.nprobe = NPROBE
        if hasattr(index, "qb"):
            index.qb = 0
        if isinstance(index, faiss.IndexHNSW):
            index.hnsw.efSearch = EF
        if isinstance(index, faiss.IndexRefine):
            index.k_factor = FACTOR
        index = next((getattr(index, name) for name in ("index", "base_index") if hasattr(index, name)), None)


def ask_faiss(spec, metric, base, queries, path):
    index = faiss.index_factory(DIM, spec, metric)
    index.train(base)
    if spec.startswith("IDMap"):
        index.add_with_ids(base, np.arange(N, dtype=np.int64) * 3 + 17)
    else:
        index.add(base)
    settle(index)
    faiss.write_index(index, str(path))
    dists, ids = index.search(queries, K)
    return ids, dists


def ask_kith(kith, folder):
    run = lambda *args: subprocess.run([kith, *map(str, args)], check=True, capture_output=True, text=True)
    run("convert", folder / "a.faiss", folder / "a.kith")
    run("search", folder / "a.kith", folder / "q.npy", "-k", K, "--nprobe", NPROBE, "--ef", EF, "--oversample", FACTOR,
        "-o", folder / "i.ivecs", "--distances", folder / "d.fvecs")
    return (np.fromfile(folder / "i.ivecs", np.int32).reshape(N_Q, K + 1)[:, 1:],
            np.fromfile(folder / "d.fvecs", np.float32).reshape(N_Q, K + 1)[:, 1:])


def compare(want_ids, want, ids, dists, tolerance, graph):
    """What is wrong, or None. A graph is walked from another entry: one row in 50 may differ."""
    missed = 0
    for q in range(N_Q):
        room = tolerance * np.maximum(1, np.abs(want[q, -1]))
        found = dict(zip(ids[q], dists[q]))
        for row, dist in zip(want_ids[q], want[q]):
            if row in found and abs(found[row] - dist) > room:
                return f"query {q}, id {row}: {dist} in FAISS, {found[row]} in Kith"
            missed += row not in found and abs(dist - want[q, -1]) > 2 * room
    return f"Kith misses {missed} of {N_Q * K} rows" if missed > (N_Q * K // 50 if graph else 0) else None


def main():
    kith = sys.argv[1]
    faiss.omp_set_num_threads(1)
    random = np.random.default_rng(20261122)
    base = random.standard_normal((N, 8)) @ random.standard_normal((8, DIM)) + 0.3 * random.standard_normal((N, DIM))
    base = base.astype(np.float32)
    queries = (1.5 * random.standard_normal((N_Q, DIM))).astype(np.float32)
    print(f"1..{len(SPECS)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "q.npy", queries)
        for number, (spec, metric, tolerance) in enumerate(SPECS, 1):
            want_ids, want = ask_faiss(spec, metric, base, queries, folder / "a.faiss")
            try:
                ids, dists = ask_kith(kith, folder)
                wrong = compare(want_ids, want, ids, dists, tolerance, "HNSW16" in spec)
            except subprocess.CalledProcessError as failed:
                wrong = failed.stderr.strip()
            metric_name = "IP" if metric == IP else "L2"
            print(f"{'not ok' if wrong else 'ok'} {number} - {spec}, {metric_name}" + (f" # {wrong}" if wrong else ""))


if __name__ == "__main__":
    main()
