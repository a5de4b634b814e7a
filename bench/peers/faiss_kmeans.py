#!/usr/bin/env python3
"""FAISS's k-means beside Kith's, and the judge of both.

    faiss_kmeans.py ROWS.fvecs K ITERATIONS [plain|super]

Answers "train PATH" as tests/oracle/kmeansbench.c does, and "judge PATH": the sum of squared distances of all rows from
the nearest of the centroids in PATH, by an exact search. `super` asks for its pruning of partial dimensions
(use_super_kmeans). All rows are trained on, on one thread.
"""
import json
import sys
import time

import numpy as np
import faiss

from faiss_driver import read_vecs


def write_fvecs(path, rows):
    head = np.full((len(rows), 1), rows.shape[1], dtype=np.int32)
    np.hstack([head, rows.astype(np.float32).view(np.int32)]).tofile(path)


def train(rows, n_clusters, n_iterations, kind, seed):
    n_most = len(rows) // n_clusters + 1
    more = {"use_super_kmeans": True} if kind == "super" else {}
    kmeans = faiss.Kmeans(rows.shape[1], n_clusters, niter=n_iterations, seed=seed, max_points_per_centroid=n_most, **more)
    begin = time.process_time()
    kmeans.train(rows)
    return kmeans, time.process_time() - begin


def judge(rows, path):
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(np.ascontiguousarray(read_vecs(path, np.float32)))
    return float(index.search(rows, 1)[0].astype(np.float64).sum())


def main():
    faiss.omp_set_num_threads(1)
    rows = np.ascontiguousarray(read_vecs(sys.argv[1], np.float32))
    n_clusters, n_iterations, kind = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "plain"
    for seed, line in enumerate(sys.stdin):
        word, path = line.split()
        if word == "train":
            kmeans, cpu_s = train(rows, n_clusters, n_iterations, kind, seed + 1)
            write_fvecs(path, kmeans.centroids)
            answer = {"cpu_s": cpu_s, "objective": float(kmeans.obj[-1]), "iterations": len(kmeans.obj),
                      "version": faiss.__version__}
        else:
            answer = {"objective": judge(rows, path)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
