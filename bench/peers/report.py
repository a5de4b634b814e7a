"""The markdown tables: absolute speed at equal recall, and ratios against the peers of the same run."""
import suites

# The columns of the ratio table: what a run is divided by, the fastest of these at each recall.
RIVALS = (
    ("hnswlib", lambda run: run["engine"] == "hnswlib"),
    ("FAISS f32", lambda run: run["engine"] == "faiss" and run["full"]),
    ("better of the two", lambda run: run["engine"] in ("hnswlib", "faiss") and run["full"]),
    ("any peer, any code", lambda run: run["engine"] != "kith"),
)


def grid(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def cell(found):
    if not found:
        return "-"
    spread = (found["max"] - found["min"]) / found["qps"] / 2
    return f"{'>=' if found['bound'] else ''}{found['qps']:,.0f} ±{spread:.0%}"


def p99_at(run, target):
    """p99 of the slowest setting that is needed for the target: the first point at or above it."""
    over = [point for point in run["points"] if point["recall"] >= target]
    return f"{min(over, key=lambda p: p['p99_us'])['p99_us']:,.0f}" if over else "-"


def speeds(runs):
    head = ["engine and spec", "version", *(f"QPS@{t:g}" for t in suites.TARGETS), "best recall", "p99 us @0.99",
            "build CPU s", "bytes/vector"]
    rows = []
    for run in runs:
        best = max(point["recall"] for point in run["points"])
        rows.append([run["label"], run["version"], *(cell(run["at"][f"{t:g}"]) for t in suites.TARGETS),
                     f"{best:.4f}", p99_at(run, 0.99), f"{run['build_cpu_s']:.1f}", f"{run['bytes_per_vector']:,.0f}"])
    return grid(head, rows)


def fastest(runs, belongs, target):
    """The fastest of a group of rivals at a recall, or None if none of them reaches it."""
    found = [run["at"][target] for run in runs if belongs(run) and run["at"][target]]
    return max(found, key=lambda at: at["qps"]) if found else None


def ratio(own, rival):
    """"2.50"; "~2.50" where one of the two is only a bound; "-" where one never gets there."""
    if not own or not rival:
        return "-"
    return f"{'~' if own['bound'] or rival['bound'] else ''}{own['qps'] / rival['qps']:.2f}"


def ratios(runs):
    """Every run over the fastest of each group of rivals, target by target."""
    keys = [f"{target:g}" for target in suites.TARGETS]
    head = ["engine and spec", *(f"/ {name}" for name, _ in RIVALS)]
    rows = []
    for run in runs:
        groups = [" ".join(ratio(run["at"][key], fastest(runs, belongs, key)) for key in keys)
                  for _, belongs in RIVALS]
        rows.append([run["label"], *groups])
    return grid(head, rows)


def flats(runs):
    base = next((run for run in runs if run["engine"] == "faiss"), None)
    head = ["engine and spec", "single QPS", "batch QPS", "recall", "single /faiss", "batch /faiss", "bytes/vector"]
    rows = []
    for run in runs:
        single, batch = run["single"]["qps_cpu"], run["batch"]["qps_cpu"]
        rows.append([run["label"], f"{single:,.1f}", f"{batch:,.0f}", f"{run['batch']['recall']:.4f}",
                     f"{single / base['single']['qps_cpu']:.2f}" if base else "-",
                     f"{batch / base['batch']['qps_cpu']:.2f}" if base else "-", f"{run['bytes_per_vector']:,.0f}"])
    return grid(head, rows)


def builds(runs):
    rows = []
    for run in runs:
        one, two = run["threads"].get("1"), run["threads"].get("2")
        rows.append([run["label"], *(f"{t[key]:.1f}" if t else "-" for t in (one, two)
                                     for key in ("build_cpu_s", "build_wall_s")),
                     f"{one['build_wall_s'] / two['build_wall_s']:.2f}" if one and two else "-"])
    return grid(["engine and spec", "1 thread CPU s", "wall s", "2 threads CPU s", "wall s", "speed-up"], rows)


def kmeans(runs):
    base = next((run for run in runs if run["label"] == "faiss plain"), None)
    rows = [[run["label"], str(run["clusters"]), str(run["iterations"]), f"{run['cpu_s']:.2f}",
             f"{min(run['cpu_s_all']):.2f}..{max(run['cpu_s_all']):.2f}", f"{run['objective']:.6g}",
             f"{base['cpu_s'] / run['cpu_s']:.2f}" if base else "-",
             f"{run['objective'] / base['objective']:.4f}" if base else "-"] for run in runs]
    return grid(["k-means", "clusters", "iterations", "CPU s", "spread", "objective", "speed /faiss",
                 "objective /faiss"], rows)


def markdown(results):
    machine = results["machine"]
    out = [f"# Peers: {results['set']} ({results['metric']}, k={results['k']})", "",
           f"{machine['cpu']}, core {machine['core']} of {machine['n_cores']}, huge pages {machine['huge_pages']}, "
           f"{results['date']}, commit {results['commit']}.",
           f"Queries per second of CPU time, one thread; medians of {results['repeats']} interleaved repeats, "
           "± half the spread. `>=`: the fastest setting already had more recall; `-`: never reached; `~`: a ratio of bounds.", ""]
    if results.get("graphs"):
        out += ["## Graphs", "", speeds(results["graphs"]), "",
                f"## Ratios at recall {', '.join(f'{t:g}' for t in suites.TARGETS)}", "",
                ratios(results["graphs"]), ""]
    for how, runs in results.get("lists", {}).items():
        out += [f"## Inverted lists, {how}", "", speeds(runs), "",
                f"Ratios at recall {', '.join(f'{t:g}' for t in suites.TARGETS)}:", "", ratios(runs), ""]
    if results.get("flats"):
        out += ["## Exact scans", "", flats(results["flats"]), ""]
    if results.get("builds"):
        out += ["## Builds", "", builds(results["builds"]), ""]
    if results.get("kmeans"):
        out += ["## k-means", "", kmeans(results["kmeans"]), ""]
    return "\n".join(out)
