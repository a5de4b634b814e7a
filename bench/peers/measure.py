"""The three measurements: graphs at equal recall, exact scans, and builds. Each returns plain dictionaries."""
import statistics

import hull
import suites
from drivers import Driver, DriverError

ENOUGH = 0.9995  # a sweep needs no larger ef once this recall is passed


def start_all(configs, data, options, say):
    """Start a driver for every spec; those whose engine is missing or fails are left out, and said so."""
    drivers = []
    for engine, spec in configs:
        name = suites.label(engine, spec)
        if not suites.available(engine):
            say(f"left out: {name}: its driver is not built")
            continue
        try:  # Kith changes from day to day, so its indexes are never taken from the cache
            driver = Driver(engine, spec, data, {**options, "cache": None} if engine == "kith" else options)
        except DriverError as error:
            say(f"left out: {error}")
            continue
        about = driver.about
        say(f"ready: {name} {about['version']}, build {about['build_cpu_s']:.1f} CPU s"
            f"{' (from the cache)' if about['cached'] else ''}")
        drivers.append(driver)
    return drivers


def middle(samples, key):
    return statistics.median(sample[key] for sample in samples)


def sweep_point(parameters, samples):
    first = samples[0]
    return {
        "params": parameters,
        "recall": first["recall"], "recall_ids": first["recall_ids"], "recall_p5": first["recall_p5"],
        "qps_cpu": middle(samples, "qps_cpu"), "qps_wall": middle(samples, "qps_wall"),
        "p50_us": middle(samples, "p50_us"), "p99_us": middle(samples, "p99_us"),
        "qps_cpu_all": [round(sample["qps_cpu"], 1) for sample in samples],
    }


def at_targets(points):
    """For each target: speed on the hull of the medians, and the spread over the repeats."""
    out = {}
    n_repeats = min(len(point["qps_cpu_all"]) for point in points)
    for target in suites.TARGETS:
        found = hull.at([(p["recall"], p["qps_cpu"]) for p in points], target)
        if not found:
            out[f"{target:g}"] = None
            continue
        each = [hull.at([(p["recall"], p["qps_cpu_all"][i]) for p in points], target)[0] for i in range(n_repeats)]
        out[f"{target:g}"] = {"qps": found[0], "bound": not found[1], "min": min(each), "max": max(each)}
    return out


def graphs(configs, data, options, say, **words):
    """Interleaved: every repeat asks every engine for every ef before the next repeat begins."""
    drivers = start_all(configs, data, options, say)
    efs = {id(driver): list(options["efs"]) for driver in drivers}
    samples = {id(driver): {} for driver in drivers}
    for repeat in range(options["repeats"]):
        for driver in drivers:
            seen = samples[id(driver)]
            for ef in efs[id(driver)]:
                seen.setdefault(ef, []).append(driver.run(ef=ef, seconds=options["seconds"], **words))
                if repeat == 0 and seen[ef][0]["recall"] >= ENOUGH:
                    break
            efs[id(driver)] = list(seen)
        say(f"repeat {repeat + 1} of {options['repeats']} done")
    runs = []
    for driver in drivers:
        points = [sweep_point({"ef": ef}, got) for ef, got in samples[id(driver)].items()]
        runs.append({"label": suites.label(driver.engine, driver.spec), **about(driver),
                     "points": points, "at": at_targets(points)})
        driver.close()
    return runs


def lists(configs, data, options, say):
    """The same over nprobe: single queries, and all of them in one call."""
    options = {**options, "efs": suites.PROBES}
    return {"single": graphs(configs, data, options, say), "batch": graphs(configs, data, options, say, batch=1)}


def about(driver):
    known = dict(driver.about)
    known["bytes_per_vector"] = known["index_bytes"] / known["rows"]
    known["full"] = suites.full_precision(driver.engine, driver.spec)
    return known


def flats(configs, data, options, say):
    """Exact scans: one query a call, and all queries in one call."""
    drivers = start_all(configs, data, {**options, "cache": None}, say)
    samples = {id(driver): {"single": [], "batch": []} for driver in drivers}
    for repeat in range(options["repeats"]):
        for driver in drivers:
            seen = samples[id(driver)]
            seen["single"].append(driver.run(queries=100, seconds=options["seconds"]))
            seen["batch"].append(driver.run(batch=1, seconds=options["seconds"]))
        say(f"flat repeat {repeat + 1} of {options['repeats']} done")
    runs = []
    for driver in drivers:
        seen = samples[id(driver)]
        runs.append({"label": suites.label(driver.engine, driver.spec), **about(driver),
                     "single": sweep_point({}, seen["single"]), "batch": sweep_point({"batch": 1}, seen["batch"])})
        driver.close()
    return runs


def builds(configs, data, options, say):
    """Build each spec anew with one thread and with two, alone on its cores; medians over the repeats."""
    runs = []
    for engine, spec in configs:
        if not suites.available(engine):
            continue
        run = {"label": suites.label(engine, spec), "threads": {}}
        for n_threads in options["build_threads"]:
            cores = ",".join(options["all_cores"][-n_threads:])
            got = []
            for _ in range(options["build_repeats"]):
                try:
                    driver = Driver(engine, spec, data,
                                    {**options, "cache": None, "threads": n_threads, "cores": cores})
                except DriverError as error:
                    say(f"left out: {error}")
                    break
                got.append(driver.about)
                driver.close()
            if got:
                run["version"] = got[0]["version"]
                run["threads"][str(n_threads)] = {key: middle(got, key) for key in ("build_cpu_s", "build_wall_s")}
        say(f"built: {run['label']}: {run['threads']}")
        runs.append(run)
    return runs
