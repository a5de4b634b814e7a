#!/usr/bin/env python3
"""Turn the benchmark sets into the files that every driver reads.

    data.py SET [--from DIR] [--to DIR]

Each set becomes three files in DIR: <short>_base.fvecs, <short>_queries.fvecs and <short>_gt.ivecs,
where row i of the ground truth belongs to query i. Only the standard library is used, so that the
data does not depend on any peer's requirements.
"""
import argparse
import array
import ast
import gzip
import os
import shutil
import struct
import sys

# name -> short name, metric, base file, query file, ground truth
SETS = {
    "mnist-784": ("mnist", "l2", "base.u8.npy.gz", "queries.u8.npy.gz", "gt_l2_top100.ivecs"),
    "wordnet-sg-100": ("wn", "cosine", "base.f32.npy", "queries.f32.npy", "gt_cosine_top100.ivecs"),
}


def open_npy(path):
    """Open a NumPy 1.x/2.x file, plain or gzipped; return (stream at the first row, dtype, rows, dim)."""
    stream = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise ValueError(f"{path}: not a NumPy file")
    width, form = (2, "<H") if magic[6] == 1 else (4, "<I")
    (n_header,) = struct.unpack(form, stream.read(width))
    header = ast.literal_eval(stream.read(n_header).decode("latin-1"))
    if header["fortran_order"] or len(header["shape"]) != 2:
        raise ValueError(f"{path}: wanted a two-dimensional array in C order, got {header}")
    return stream, header["descr"], *header["shape"]


def npy_to_fvecs(source, target, limit):
    """Write the first `limit` rows of a u1 or f4 NumPy file as .fvecs; return the number of rows."""
    stream, dtype, n_rows, dim = open_npy(source)
    if dtype not in ("|u1", "<f4"):
        raise ValueError(f"{source}: dtype {dtype}; wanted u1 or f4")
    row_bytes = dim if dtype == "|u1" else 4 * dim
    n_rows = min(n_rows, limit) if limit else n_rows
    head = struct.pack("<i", dim)
    with stream, open(target + ".part", "wb") as out:
        for row in range(n_rows):
            raw = stream.read(row_bytes)
            if len(raw) != row_bytes:
                raise ValueError(f"{source}: ends within row {row} of {n_rows}")
            out.write(head)
            out.write(array.array("f", list(raw)).tobytes() if dtype == "|u1" else raw)
    os.replace(target + ".part", target)
    return n_rows


def count_vecs(path):
    """Rows of an .ivecs or .fvecs file."""
    with open(path, "rb") as f:
        (dim,) = struct.unpack("<i", f.read(4))
    return os.path.getsize(path) // (4 + 4 * dim)


def convert(name, source_dir, target_dir):
    """Convert one set; skip files that are there. Return {metric, base, queries, gt}."""
    short, metric, base, queries, gt = SETS[name]
    paths = {
        "metric": metric,
        "base": os.path.join(target_dir, f"{short}_base.fvecs"),
        "queries": os.path.join(target_dir, f"{short}_queries.fvecs"),
        "gt": os.path.join(target_dir, f"{short}_gt.ivecs"),
    }
    os.makedirs(target_dir, exist_ok=True)
    folder = os.path.join(source_dir, name)
    if not os.path.exists(paths["gt"]):
        shutil.copyfile(os.path.join(folder, gt), paths["gt"])
    if not os.path.exists(paths["queries"]):
        npy_to_fvecs(os.path.join(folder, queries), paths["queries"], count_vecs(paths["gt"]))
    if not os.path.exists(paths["base"]):
        npy_to_fvecs(os.path.join(folder, base), paths["base"], None)
    return paths


def main():
    root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", choices=sorted(SETS), metavar="SET")
    parser.add_argument("--from", dest="source",
                        default=os.environ.get("KITH_DATA", os.path.join(root, "..", "shared", "data")))
    parser.add_argument("--to", default=os.path.join(root, "build-peers", "data"))
    args = parser.parse_args()
    for name in args.sets:
        try:
            paths = convert(name, args.source, args.to)
        except (OSError, ValueError) as error:
            sys.exit(f"data.py: {name}: {error}")
        print(name, *paths.values())


if __name__ == "__main__":
    main()
