"""What is measured: the engines, the command that starts each driver, and the specs by default."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("KITH_PEERS_BUILD", os.path.join(ROOT, "build-peers"))
KITH = os.environ.get("KITH_BUILD", os.path.join(ROOT, "build"))
PYTHON = os.path.join(BUILD, "venv", "bin", "python")

DRIVERS = {
    "kith": [os.path.join(BUILD, "bin", "kith_driver")],
    "hnswlib": [os.path.join(BUILD, "bin", "hnswlib_driver")],
    "faiss": [PYTHON, os.path.join(HERE, "faiss_driver.py")],
    "usearch": [PYTHON, os.path.join(HERE, "usearch_driver.py"), os.path.join(BUILD, "bin", "usearch_driver.so")],
}

# Graph specs by set; byte types only where the data is bytes (lossless) or the metric is cosine.
GRAPHS = {
    "mnist-784": [
        ("kith", "HNSW16,SQ8,Refine,efc=128"),
        ("kith", "HNSW32,SQ8,Refine,efc=128"),
        ("hnswlib", "M=16,efc=200"),
        ("hnswlib", "M=32,efc=200"),
        ("faiss", "HNSW16,efc=200"),
        ("faiss", "HNSW32,efc=200"),
        ("faiss", "HNSW32_SQ8,efc=200"),
        ("faiss", "HNSW32_U8,efc=200"),
        ("usearch", "M=16,efc=200,type=f32"),
        ("usearch", "M=16,efc=200,type=u8"),
        ("usearch", "M=32,efc=200,type=u8"),
    ],
    "wordnet-sg-100": [
        ("kith", "HNSW16,SQ8,Refine,efc=128"),
        ("kith", "HNSW32,SQ8,Refine,efc=128"),
        ("hnswlib", "M=16,efc=200"),
        ("hnswlib", "M=32,efc=200"),
        ("faiss", "HNSW16,efc=200"),
        ("faiss", "HNSW32,efc=200"),
        ("usearch", "M=16,efc=200,type=f32"),
        ("usearch", "M=32,efc=200,type=f32"),
        ("usearch", "M=16,efc=200,type=i8"),
    ],
}

KMEANS = [("kith", "random"), ("kith", "++"), ("faiss", "plain"), ("faiss", "super")]

# Inverted lists: the sweep is over nprobe. `kf` is FAISS's k_factor, `over` Kith's oversample.
LISTS = {
    "mnist-784": [
        ("kith", "IVF512,Flat"),
        ("kith", "IVF256,SQ4,Refine"),
        ("kith", "IVF256,RaBitQ,Refine"),
        ("kith", "IVF256,PQ196x4fs,Refine,over=4"),
        ("kith", "IVF256,RaBitQ7"),
        ("faiss", "IVF256,Flat"),
        ("faiss", "IVF256,PQ196x4fs,RFlat,kf=4"),
        ("faiss", "RR,IVF256,RaBitQ,RFlat,kf=16"),
    ],
    "wordnet-sg-100": [
        ("kith", "IVF1024,SQ8"),
        ("kith", "IVF1024,SQ8,Refine"),
        ("kith", "IVF1024,SQ4,Refine"),
        ("kith", "IVF1024,PQ50x4fs,Refine"),
        ("kith", "IVF1024,RaBitQ4,Refine"),
        ("faiss", "IVF1024,Flat"),
        ("faiss", "IVF1024,PQ50x4fs,RFlat,kf=8"),
        ("faiss", "RR,IVF1024,RaBitQ,RFlat,kf=16"),
    ],
}
PROBES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192]

FLATS = [("kith", "Flat"), ("kith", "Flat,SQ8"), ("faiss", "Flat")]

EFS = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512,
       640, 768]

TARGETS = (0.90, 0.95, 0.99, 0.999)


def label(engine, spec):
    return f"{engine} {spec}"


def full_precision(engine, spec):
    """Whether the peer walks over float32 vectors: the class that Kith's targets are stated against."""
    return {"hnswlib": True, "faiss": "_" not in spec, "usearch": "type=f32" in spec}.get(engine, False)


def available(engine):
    """Whether the driver has been built."""
    return all(os.path.exists(word) for word in DRIVERS[engine])
