#!/usr/bin/env python3
"""Measure Kith and its peers in one interleaved run, and print one table of ratios.

    run.py [SET ...] [--only graphs,lists,flats,builds,kmeans] [--engines kith,faiss,...] [--spec ENGINE:SPEC ...]

All drivers of a set are started, pinned to one core; then, repeat by repeat, each engine is asked for
each ef in turn, so that whatever else the machine does falls on all of them. See README.md.
"""
import argparse
import datetime
import json
import os
import subprocess
import sys

import data as datasets
import kmeans
import measure
import report
import suites


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown processor"


def commit():
    done = subprocess.run(["git", "-C", suites.ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def choose(configs, args):
    """The specs of the command line for their engines, else the suite's, of the engines asked for."""
    own = [tuple(text.split(":", 1)) for text in args.spec]
    named = {engine for engine, _ in own}
    chosen = [c for c in configs if c[0] not in named and (not args.engines or c[0] in args.engines)]
    return own + chosen


def measure_set(name, args):
    paths = datasets.convert(name, args.data, os.path.join(suites.BUILD, "data"))
    options = {"set": name, "k": args.k, "threads": 1, "cores": args.core, "all_cores": args.all_cores,
               "cache": os.path.join(suites.BUILD, "cache"), "huge": args.huge, "seconds": args.seconds,
               "repeats": args.repeats, "efs": args.efs, "clusters": args.clusters,
               "iterations": args.iterations, "build_threads": (1, 2), "build_repeats": args.build_repeats}
    os.makedirs(options["cache"], exist_ok=True)
    results = {"set": name, "metric": paths["metric"], "k": args.k, "repeats": args.repeats, "commit": commit(),
               "date": datetime.date.today().isoformat(),
               "machine": {"cpu": cpu_name(), "core": args.core, "n_cores": os.cpu_count(),
                           "huge_pages": "for all (glibc.malloc.hugetlb=1)" if args.huge else "as each engine asks"}}
    graph_specs = choose(suites.GRAPHS[name], args)
    if "graphs" in args.only:
        results["graphs"] = measure.graphs(graph_specs, paths, options, say)
    if "lists" in args.only:
        results["lists"] = measure.lists(choose(suites.LISTS[name], args), paths, options, say)
    if "flats" in args.only:
        flat = [c for c in suites.FLATS if not args.engines or c[0] in args.engines]
        results["flats"] = measure.flats(flat, paths, options, say)
    if "builds" in args.only:
        results["builds"] = measure.builds(graph_specs, paths, options, say)
    if "kmeans" in args.only:
        configs = [c for c in suites.KMEANS if not args.engines or c[0] in args.engines]
        results["kmeans"] = kmeans.measure(configs, paths, options, say)
    return results


def write(results, folder):
    os.makedirs(folder, exist_ok=True)
    text = report.markdown(results)
    for ending, content in (("json", json.dumps(results, indent=1)), ("md", text)):
        with open(os.path.join(folder, f"{results['set']}.{ending}"), "w", encoding="utf-8") as f:
            f.write(content + "\n")
    print(text)


def read_arguments():
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    comma_list = lambda text: [word for word in text.split(",") if word]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=sorted(suites.GRAPHS), metavar="SET")
    parser.add_argument("--only", type=comma_list, default=["graphs", "flats"], help="graphs,lists,flats,builds,kmeans")
    parser.add_argument("--engines", type=comma_list, default=[], help="of " + ",".join(suites.DRIVERS))
    parser.add_argument("--spec", action="append", default=[], metavar="ENGINE:SPEC",
                        help="measure this instead of the suite's specs of ENGINE; may be repeated")
    parser.add_argument("--efs", type=lambda text: [int(word) for word in text.split(",")], default=suites.EFS)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clusters", type=int, default=1024, help="of k-means")
    parser.add_argument("--iterations", type=int, default=10, help="of k-means")
    parser.add_argument("--build-repeats", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.2, help="least time of one measurement")
    parser.add_argument("--core", default=cores[-1])
    parser.add_argument("--huge", action="store_true", help="let malloc take huge pages in every engine")
    parser.add_argument("--data", default=os.environ.get("KITH_DATA", os.path.join(suites.ROOT, "..", "shared", "data")))
    parser.add_argument("--out", default=os.path.join(suites.BUILD, "results"))
    args = parser.parse_args()
    args.all_cores = cores
    for name in args.sets:
        if name not in suites.GRAPHS:
            parser.error(f"no set {name}; there are {', '.join(sorted(suites.GRAPHS))}")
    return args


def main():
    args = read_arguments()
    for name in args.sets:
        write(measure_set(name, args), args.out)


if __name__ == "__main__":
    main()
