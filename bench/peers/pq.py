#!/usr/bin/env python3
"""FAISS's product quantizers on the sets that tests/oracle/pqbench measures Kith's on.

    pq.py [SET [MxBITS ...]]

A line per quantizer: parts and bits, CPU seconds of training on one thread, microseconds of coding a row, mean
|x - r~|^2. Run it with the Python that bench/peers/setup prepared; KITH_DATA is where the sets are.
"""
import os
import sys
import time

import faiss
import numpy as np

from data import SETS, open_npy


def read(name):
    _, metric, base, _, _ = SETS[name]
    root = os.environ.get("KITH_DATA", os.path.join(os.path.dirname(__file__), "../../../shared/data"))
    stream, kind, n, dim = open_npy(os.path.join(root, name, base))
    rows = np.frombuffer(stream.read(), dtype=kind).reshape(n, dim).astype(np.float32)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "mnist-784"
    rows = read(name)
    faiss.omp_set_num_threads(1)
    dim = rows.shape[1]
    wanted = [tuple(map(int, word.split("x"))) for word in sys.argv[2:]] or [
        (dim // part, bits) for bits in (4, 8) for part in (8, 4, 2) if dim % part == 0]
    print(f"FAISS {faiss.__version__}, {name}: {rows.shape[0]} x {dim}")
    for m, bits in wanted:
        pq = faiss.ProductQuantizer(dim, m, bits)
        start = time.process_time()
        pq.train(rows)
        trained = time.process_time() - start
        start = time.process_time()
        codes = pq.compute_codes(rows)
        coded = time.process_time() - start
        error = float(np.mean(np.sum((rows - pq.decode(codes)) ** 2, axis=1, dtype=np.float64)))
        print(f"{m:4d} x{bits} {trained:8.1f} {coded / len(rows) * 1e6:8.2f} {error:10.6g}", flush=True)


if __name__ == "__main__":
    main()
