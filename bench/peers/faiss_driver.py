#!/usr/bin/env python3
"""FAISS, through the newest package there is: the PyPI wheel, which carries no headers.

Speaks the protocol of driver.h. The loop over the queries is FAISS's own, in C++: all queries go into
one call with one thread, and an HNSW or Flat index then answers them one after another. So no time of
Python's is counted, and the table of visited rows is allocated once for all queries, not once for
each. Percentiles come from single calls, with the Python overhead of an empty index taken off.

Spec: an index_factory string, then options after commas: HNSW32,efc=200 | HNSW32_SQ8,efc=200 |
HNSW32_U8,efc=200 (8-bit integers as they are, lossless on byte data) | Flat | IVF256,PQ196x4fs,RFlat,kf=4 (kf: the
k_factor of a refinement). Run parameters: ef, which is nprobe where there are lists;
batch=1 lets Flat use its matrix product, which it is kept from otherwise.
"""
import argparse
import json
import os
import sys
import time

import numpy as np
import faiss

METRICS = {"l2": faiss.METRIC_L2, "ip": faiss.METRIC_INNER_PRODUCT, "cosine": faiss.METRIC_INNER_PRODUCT}


def read_vecs(path, dtype):
    """Map an .fvecs or .ivecs file as rows, without their dimension words."""
    words = np.memmap(path, dtype=np.int32, mode="r")
    return words.reshape(-1, words[0] + 1)[:, 1:].view(dtype)


def unit(rows):
    norms = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return (rows / np.where(norms > 0, norms, 1)).astype(np.float32)


class Truth:
    """Recall by distance, so that ties count; the same rule as recall_of in vecs.c."""

    def __init__(self, base, queries, gt, metric):
        self.base, self.queries, self.gt, self.metric = base, queries, gt, metric

    def dists(self, query, rows):
        x, q = self.base[rows].astype(np.float64), query.astype(np.float64)
        if self.metric == "l2":
            return ((x - q) ** 2).sum(axis=1)
        dots = (x * q).sum(axis=1)
        if self.metric == "ip":
            return -dots
        return 1 - dots / np.sqrt((x * x).sum(axis=1) * (q * q).sum())

    def recall(self, ids):
        k = ids.shape[1]
        ties, exact = np.zeros(len(ids)), 0
        for q, got in enumerate(ids):
            got = np.unique(got[got >= 0])
            want = self.gt[q, :k]
            dist = self.dists(self.queries[q], np.concatenate([want[-1:], got]))
            ties[q] = (dist[1:] <= dist[0] + 1e-9 * abs(dist[0])).sum() / k
            exact += np.isin(got, want).sum()
        return float(ties.mean()), exact / (k * len(ids)), float(np.sort(ties)[len(ties) // 20])


def make_index(spec, dim, metric):
    parts = spec.split(",")
    options = dict(part.split("=") for part in parts if "=" in part)
    name = ",".join(part for part in parts if "=" not in part)
    if name.startswith("HNSW") and name.endswith("_U8"):
        index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit_direct, int(name[4:-3]), METRICS[metric])
    else:
        index = faiss.index_factory(dim, name, METRICS[metric])
    if "kf" in options:
        faiss.downcast_index(index).k_factor = float(options["kf"])
    if "efc" in options:
        faiss.downcast_index(index).hnsw.efConstruction = int(options["efc"])
    return index


class Session:
    def __init__(self, args):
        self.args = args
        base = read_vecs(args.base, np.float32)
        self.raw_queries = np.ascontiguousarray(read_vecs(args.queries, np.float32))
        self.queries = unit(self.raw_queries) if args.metric == "cosine" else self.raw_queries
        self.truth = Truth(base, self.raw_queries, read_vecs(args.gt, np.int32), args.metric)
        self.index, self.note = self.obtain(base)
        faiss.omp_set_num_threads(1)
        self.call_overhead = self.measure_call_overhead()

    def obtain(self, base):
        """Load the index from the cache, or build and save it."""
        args, path = self.args, None
        if args.cache:
            name = f"faiss-{faiss.__version__}-{args.set}-{args.spec}-s{args.seed}.index"
            path = os.path.join(args.cache, name)
        if path and os.path.exists(path + ".cost"):
            cpu, wall = map(float, open(path + ".cost", encoding="ascii").read().split())
            return faiss.read_index(path), {"cached": 1, "build_cpu_s": cpu, "build_wall_s": wall,
                                            "index_bytes": os.path.getsize(path)}
        rows = unit(base) if args.metric == "cosine" else np.ascontiguousarray(base)
        faiss.omp_set_num_threads(args.threads)
        index = make_index(args.spec, rows.shape[1], args.metric)
        cpu, wall = time.process_time(), time.monotonic()
        index.train(rows)
        index.add(rows)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        n_bytes = faiss.serialize_index(index).nbytes
        if path:
            faiss.write_index(index, path)
            with open(path + ".cost", "w", encoding="ascii") as f:
                f.write(f"{cpu:.3f} {wall:.3f}\n")
        return index, {"cached": 0, "build_cpu_s": cpu, "build_wall_s": wall, "index_bytes": n_bytes}

    def measure_call_overhead(self):
        """Seconds of Python and of argument checks in one call: the median over an empty index."""
        empty = faiss.IndexFlat(self.queries.shape[1])
        return float(np.median(self.time_calls(empty, 200)))

    def time_calls(self, index, n):
        out = (np.empty((1, self.args.k), np.float32), np.empty((1, self.args.k), np.int64))
        times = []
        for query in self.queries[:n]:
            before = time.perf_counter()
            index.search(query[None], self.args.k, D=out[0], I=out[1])
            times.append(time.perf_counter() - before)
        return np.array(times)

    def set(self, key, value):
        if key != "ef":
            raise ValueError(f"faiss does not know the parameter {key}")
        effort = "nprobe" if "IVF" in self.args.spec else "efSearch"
        faiss.ParameterSpace().set_index_parameter(self.index, effort, value)

    def run(self, words):
        seconds, n_queries, batch = 0.25, len(self.queries), False
        for word in words:
            key, value = word.split("=")
            if key == "seconds":
                seconds = float(value)
            elif key == "queries":
                n_queries = min(n_queries, int(value))
            elif key == "batch":
                batch = value != "0"
            else:
                self.set(key, float(value))
        faiss.cvar.distance_compute_blas_threshold = 20 if batch else 1 << 30
        queries, k = self.queries[:n_queries], self.args.k
        dist, ids = np.empty((n_queries, k), np.float32), np.empty((n_queries, k), np.int64)
        self.index.search(queries[: n_queries // 10 + 1], k)
        n_passes, cpu, wall = 0, time.process_time(), time.monotonic()
        while not n_passes or time.monotonic() - wall < seconds:
            self.index.search(queries, k, D=dist, I=ids)
            n_passes += 1
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        n = n_passes * n_queries
        calls = np.array([wall / n]) if batch else self.time_calls(self.index, min(n_queries, 300)) - self.call_overhead
        by_ties, by_ids, p5 = self.truth.recall(ids)
        return {"recall": by_ties, "recall_ids": by_ids, "recall_p5": p5, "queries": n, "wall_s": wall, "cpu_s": cpu,
                "p50_us": 1e6 * float(np.median(calls)), "p99_us": 1e6 * float(np.quantile(calls, 0.99)),
                "call_overhead_us": 1e6 * self.call_overhead}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("base", "queries", "gt"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--metric", default="l2", choices=sorted(METRICS))
    parser.add_argument("--spec", default="Flat")
    parser.add_argument("--set", default="set")
    parser.add_argument("--cache")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    session = Session(parser.parse_args())
    args, (rows, dim) = session.args, session.truth.base.shape
    print(json.dumps({"engine": "faiss", "version": faiss.__version__, "spec": args.spec, "set": args.set,
                      "threads": args.threads, **session.note, "rows": rows, "dim": dim,
                      "queries": len(session.queries)}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["quit"]:
            break
        if words[:1] == ["run"]:
            try:
                answer = session.run(words[1:])
            except (ValueError, RuntimeError) as error:
                answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
