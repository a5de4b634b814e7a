#!/usr/bin/env python3
"""FAISS reads what Kith writes, and finds what Kith finds.

    tests/oracle/faiss_reads.py TEST_EXPORT ROOT

TEST_EXPORT writes one file an index, with queries and Kith's answers; FAISS opens each, searches, and must agree: the same
distance at each place within the tolerance beside it, and the same ids where distances are apart. Wants faiss-cpu from PyPI,
in this Python or in ROOT/build-peers/venv (bench/peers/setup); skips without.
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

N_Q, DIM, K = 20, 24, 10
EUCLID = 1  # kith_metric


def cores(index):
    """The index and all that it is made of."""
    while index is not None:
        index = faiss.downcast_index(index)
        yield index
        for name in ("index", "base_index"):
            if hasattr(index, name):
                index = getattr(index, name)
                break
        else:
            index = None


def search(path, queries):
    index = faiss.read_index(str(path))
    for part in cores(index):
        if isinstance(part, faiss.IndexIVF):
            part.nprobe = part.nlist
        if isinstance(part, faiss.IndexHNSW):
            part.hnsw.efSearch = 256
        if isinstance(part, faiss.IndexRefine):
            part.k_factor = 8
    return index.search(queries, K)


def compare(want_ids, want, ids, dists, tolerance):
    """What is wrong, or None."""
    for q in range(N_Q):
        room = tolerance * max(1, abs(want[q, -1]))
        for place in range(K):
            if abs(dists[q, place] - want[q, place]) > room:
                return f"query {q}, place {place}: {want[q, place]} in Kith, {dists[q, place]} in FAISS"
            last = abs(want[q, place] - want[q, -1]) <= 2 * room
            if want_ids[q, place] not in ids[q] and not last:
                return f"query {q}: FAISS lacks {want_ids[q, place]}"
    return None


def compare_graph(want_ids, want, ids, dists, tolerance):
    """The same of a graph, which each engine walks in its own way: one row in 50 may be missed."""
    missed = 0
    for q in range(N_Q):
        found = dict(zip(ids[q], dists[q]))
        for row, dist in zip(want_ids[q], want[q]):
            if row not in found:
                missed += 1
            elif abs(found[row] - dist) > tolerance * max(1, abs(want[q, -1])):
                return f"query {q}, id {row}: {dist} in Kith, {found[row]} in FAISS"
    return f"FAISS misses {missed} of {N_Q * K} rows" if missed * 50 > N_Q * K else None


def main():
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = subprocess.run([sys.argv[1]], env={**os.environ, "KITH_EXPORT_DIR": name}, capture_output=True, text=True)
        if made.returncode != 0:
            print(f"Bail out! {sys.argv[1]} failed\n" + made.stdout + made.stderr)
            sys.exit(1)
        queries = np.fromfile(folder / "queries.f32", np.float32).reshape(N_Q, DIM)
        lines = (folder / "manifest.tsv").read_text().splitlines()
        print(f"1..{len(lines)}")
        for number, line in enumerate(lines, 1):
            file, spec, metric, tolerance, found = line.split("\t")
            ids, dists = (np.array(part.split(), dtype).reshape(N_Q, K)
                          for part, dtype in zip(found.split("|"), (np.int64, np.float32)))
            got, got_ids = search(folder / file, queries)
            if int(metric) == EUCLID:
                got = np.sqrt(got)
            judge = compare_graph if spec.startswith("HNSW") else compare
            wrong = judge(ids, dists, got_ids, got, float(tolerance))
            print(f"{'not ok' if wrong else 'ok'} {number} - {spec}, metric {metric}" + (f" # {wrong}" if wrong else ""))


if __name__ == "__main__":
    main()
