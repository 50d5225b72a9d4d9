"""Write the tables of docs/performance.md from the JSON of one run of the benchmarks.

python benchmarks/table.py BENCH.json docs/performance.md
"""

import json
import sys
from pathlib import Path

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"


def duration(seconds):
    """Print a time with two or three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size or unit == "us":
            return f"{seconds / size:.3g} {unit}"
    raise AssertionError


def ratio(value):
    """Print a ratio with two digits, in full."""
    return f"{value:.2g}" if value < 100 else f"{round(value, 1 - len(str(int(value)))):,.0f}"


def _seconds(one):
    info = one["extra_info"]
    return info.get("seconds", one["stats"]["median"])


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def _against(found):
    words = {
        "engine": "numalab",
        "simpy": "SimPy, an event a hint fault",
        "reference": "page by page (tests/second_opinion)",
        "kernel": "Linux 6.1 in QEMU",
    }
    rows = []
    for group, about in (
        ("small", "16 MiB, 2 s, slow touches"),
        ("converge", "192 MiB, 12 s"),
        ("recorded", "the same, with the program around them"),
    ):
        mine = {b["name"].split("_")[1]: b for b in found if b["group"] == group}
        if "engine" not in mine:
            continue
        base = mine["engine"]["extra_info"]["engine_s"]
        for who in (w for w in words if w in mine):
            info = mine[who]["extra_info"]
            seconds = info.get("engine_s") or _seconds(mine[who])
            how = f" ({info['how']})" if "how" in info else ""
            rows.append(
                [about, words[who] + how, f"{info['hint_faults']:,}", duration(seconds),
                 f"{ratio(seconds / base)} x"]
            )  # fmt: skip
    return _table(["two walkers over", "done by", "hint faults", "median", "engine = 1"], rows)


def _growth(found):
    rows = []
    for group in ("memory [GiB]", "tasks", "VMAs", "nodes", "replicates"):
        sizes = [b for b in found if b["group"] == group]
        first = None
        for one in sorted(sizes, key=lambda b: b["params"]["size"]):
            info, size = one["extra_info"], f"{one['params']['size']:,}"
            if "refused" in info:
                rows.append([f"{group} {size}", "refused", info["refused"], "", ""])
                continue
            times = [info["engine_s"], info["layout_s"], _seconds(one)]
            words = [duration(t) for t in times]
            if group == "replicates":  # several threads at once: only the whole can be said
                words[:2] = ["", ""]
                first = first or times[2]
            first = first or times[0]
            grown = (times[2] if group == "replicates" else times[0]) / first
            rows.append([f"{group} {size}", words[0], *words[1:], f"{ratio(grown)} x"])
    head = ["60 s of walkers", "engine", "layout", "`simulate()`", "first = 1"]
    return _table(head, rows)


def _process(found):
    rows = []
    for one in found:
        info = one["extra_info"]
        if one["group"] == "start-up":
            words = {"help": "`numalab --help`", "simulate": "`numalab simulate`, 20 replicates"}
            rows.append([words[one["param"]], duration(_seconds(one))])
        if one["group"] == "sweep":
            each = _seconds(one) / info["runs"]
            rows.append(["sweep of 40 runs of 60 s", f"{duration(_seconds(one))}, "
                         f"{duration(each)} a run"])  # fmt: skip
        if one["group"] == "peak memory":
            more = info["peak_mib"] - info["bare_mib"]
            rows.append([
                f"peak memory of a {one['params']['gib']} GiB run, above the bare interpreter",
                f"{more:.0f} MiB, {info['peak_mib'] - info['loaded_mib']:.0f} of them the run's",
            ])  # fmt: skip
    return _table(["what", "median"], rows)


def text(bench):
    """Return the lines between the markers."""
    found = bench["benchmarks"]
    cpu = bench["machine_info"].get("cpu", {}).get("brand_raw", "unknown CPU")
    about = (
        f"`make bench` on {bench['datetime'][:10]}: one run, {cpu}, medians; compiled before. "
        "`first = 1` is of the engine; of `simulate()` for replicates, which share the cores."
    )
    parts = [_against(found), _growth(found), _process(found)]
    return "\n".join([about, "", "\n\n".join("\n".join(part) for part in parts)])


def main(source, target):
    """Replace what stands between the markers of ``target``."""
    readme = Path(target).read_text(encoding="utf-8")
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise SystemExit(f"{target}: needs one line {BEGIN} and one line {END}")
    head, rest = readme.split(BEGIN)
    tail = rest.split(END)[1]
    body = text(json.loads(Path(source).read_text(encoding="utf-8")))
    Path(target).write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
