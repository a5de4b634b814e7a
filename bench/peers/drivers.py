"""A driver process: started pinned to its cores, asked one command a line, answering one line of JSON."""
import json
import os
import subprocess

import suites


class DriverError(RuntimeError):
    """The driver died, or answered with an error."""


class Driver:
    def __init__(self, engine, spec, data, options):
        """Start it and wait until its index is there. `options`: cores, threads, cache, k, huge, name of the set."""
        self.engine, self.spec = engine, spec
        command = ["taskset", "-c", options["cores"], *suites.DRIVERS[engine],
                   "--base", data["base"], "--queries", data["queries"], "--gt", data["gt"],
                   "--metric", data["metric"], "--spec", spec, "--set", options["set"],
                   "--k", str(options["k"]), "--threads", str(options["threads"])]
        if options.get("cache"):
            command += ["--cache", options["cache"]]
        env = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            env[name] = str(options["threads"])
        env["OMP_WAIT_POLICY"] = "PASSIVE"
        if options.get("huge"):
            env["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise DriverError(f"{self.engine} {self.spec}: exit status {self.process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise DriverError(f"{self.engine} {self.spec}: {reply['error']}")
        return reply

    def run(self, **parameters):
        words = " ".join(f"{key}={value}" for key, value in parameters.items())
        self.process.stdin.write(f"run {words}\n")
        self.process.stdin.flush()
        reply = self.answer()
        reply["qps_cpu"] = reply["queries"] / max(reply["cpu_s"], 1e-9)
        reply["qps_wall"] = reply["queries"] / max(reply["wall_s"], 1e-9)
        return reply

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()
