"""k-means: CPU seconds and objective of Kith's and of FAISS's, interleaved on one core.

Every repeat has a seed of its own, for each engine: what is compared are medians over starts. One process, FAISS's exact
search, judges the centroids of all."""
import json
import os
import statistics
import subprocess

import suites


class Trainer:
    """A process that is asked "train PATH" or "judge PATH", one line of JSON for each."""

    def __init__(self, engine, kind, rows, options):
        self.label = f"{engine} {kind}"
        command = {"kith": [os.path.join(suites.KITH, "tests", "oracle", "kmeansbench")],
                   "faiss": [suites.PYTHON, os.path.join(suites.HERE, "faiss_kmeans.py")]}[engine]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            ["taskset", "-c", options["cores"], *command, rows, str(options["clusters"]), str(options["iterations"]), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
        self.samples = []

    def ask(self, word, path):
        self.process.stdin.write(f"{word} {path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.label}: exit status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.label}: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(configs, data, options, say):
    """Medians over the repeats: one dictionary a config."""
    path = os.path.join(options["cache"], "centroids.fvecs")
    trainers = [Trainer(engine, kind, data["base"], options) for engine, kind in configs]
    judge = Trainer("faiss", "plain", data["base"], options)
    for repeat in range(options["repeats"]):
        for trainer in trainers:
            sample = trainer.ask("train", path)
            sample["judged"] = judge.ask("judge", path)["objective"]
            trainer.samples.append(sample)
        say(f"k-means repeat {repeat + 1} of {options['repeats']} done")
    runs = []
    for trainer in trainers:
        seconds = [sample["cpu_s"] for sample in trainer.samples]
        runs.append({"label": trainer.label, "clusters": options["clusters"], "iterations": options["iterations"],
                     "cpu_s": statistics.median(seconds), "cpu_s_all": [round(s, 3) for s in seconds],
                     "objective": statistics.median(sample["judged"] for sample in trainer.samples)})
        trainer.close()
    judge.close()
    return runs
