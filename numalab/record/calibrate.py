"""Measure how fast the emulated machine is: the fields of Speed, in one boot.

Every number comes from the program that runs the workloads: touch rates from flat-out
threads, costs of faults from touches that are timed one by one (the slowest N of them
are the N faults that vmstat counted), costs of scanning from the times of the probes on
``change_prot_numa()``, which include the probes' own cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from numalab.captures import runlog, start
from numalab.captures.runlog import RunLog
from numalab.captures.scan_times import (
    first_scan,
    flush_waits,
    late_flushes,
    scan_costs,
    scan_spread,
)
from numalab.machine import Machine, Speed
from numalab.plain import as_plain
from numalab.record import guest
from numalab.record.experiments import MB, calibration_program
from numalab.record.initramfs import RecordError, compiled, initramfs
from numalab.units import NR_MAX_MIGRATE_PAGES_RETRY, PAGES_PER_MB, PMD_PAGES

_TIMED = {
    "first": "first_touch_ns",
    "first_huge": "first_touch_huge_ns",
    "hint": "hint_fault_ns",
    "hint_huge": "hint_fault_huge_ns",
    "migrate": "migrate_page_ns",
    "migrate_huge": "migrate_huge_ns",
    "fail_huge": "failed_pass_huge_ns",
}
"""Experiments with timed touches, and the field of Speed that each gives."""
_NEEDED = ("touch_walk_ns", "touch_rand_ns", "hint_fault_ns")


def touch_ns(run: RunLog, first: int, last: int, busy: int) -> list[float]:
    """Nanoseconds a touch of ``busy`` threads between two samples; none if nothing was touched."""
    rows = [[int(word) for word in line.split()] for line in run["samples"].splitlines()[1:]]
    threads = len(start.threads(run, "end"))
    touches = sum(rows[last][-threads:]) - sum(rows[first][-threads:])
    return [(rows[last][0] - rows[first][0]) * busy / touches] if touches else []


def _last_half_ns(run: RunLog) -> list[float]:
    """Nanoseconds a touch while the guest runs at a steady pace."""
    samples = len(run["samples"].splitlines()) - 1
    return touch_ns(run, samples // 2 - 1, samples - 1, len(start.threads(run, "end")))


def _lost_share(run: RunLog) -> float:
    """Share of the run that the busy threads did not have a CPU."""
    before, after = start.threads(run, "start"), start.threads(run, "end")
    used = sum(after[name].sum_exec_runtime_ns - before[name].sum_exec_runtime_ns for name in after)
    span = int(run["samples"].splitlines()[-1].split()[0])
    return min(0.9, max(0.0, 1 - used / (span * len(after))))


def _slowest(run: RunLog, count: int) -> list[float]:
    """Median extra time of the ``count`` slowest timed touches over the usual touch."""
    head, *rows = run["latency"].splitlines()
    kept = int(head.split()[1])
    ranks = [(int(rank), int(ns)) for rank, ns in (row.split() for row in rows)]

    def at(rank: float) -> int:
        return min(ranks, key=lambda pair: abs(pair[0] - rank))[1]

    return [at(count / 2) - at((count + kept) / 2)] if 0 < count < kept // 2 else []


def _faults(run: RunLog, name: str) -> int:
    """Return how many of the timed touches of an experiment were slow."""
    if name.startswith("first"):
        return 2 * MB * PAGES_PER_MB // PMD_PAGES if "huge" in name else MB * PAGES_PER_MB // 2
    head, *rows = run["samples"].splitlines()
    last = dict(zip(head.split(), rows[-1].split(), strict=False))
    if name.startswith("fail"):
        return int(last["pgmigrate_fail"]) // PMD_PAGES
    if name.startswith("hint"):
        return int(last["numa_hint_faults"])
    return int(last["numa_pages_migrated"]) // (PMD_PAGES if "huge" in name else 1)


def _measure(run: RunLog) -> dict[str, list[float]]:
    name = run["run"]
    if name in ("walk", "rand"):
        return {f"touch_{name}_ns": _last_half_ns(run), "lost_share": [_lost_share(run)]}
    if name in _TIMED:
        return {_TIMED[name]: _slowest(run, _faults(run, name))}
    return {key: [ns] for key, ns in scan_costs(run).items()} if name == "scan" else {}


def measured(
    runs: list[RunLog], measure: Callable[[RunLog], Mapping[str, list[float]]]
) -> dict[str, list[float]]:
    """Collect the values of all runs by name, with four digits."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, values in measure(run).items():
            found.setdefault(name, []).extend(_rounded(value) for value in values)
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def evaluate(text: str) -> dict[str, Any]:
    """Turn the log of a calibration boot into a Speed and the numbers behind it.

    Raises
    ------
    RecordError
        If an experiment gave nothing to measure.
    """
    runs = runlog.read(text)
    raw = measured(runs, _measure)
    values = {name: median(found) for name, found in raw.items() if found}
    if missing := [name for name in _NEEDED if name not in values]:
        raise RecordError(f"the calibration gave no {', '.join(missing)}; record it again")
    if "scan_call_ns" in values:
        # A scan that loses its CPU in a call measures the other task: take the quickest.
        values["scan_call_ns"] = min(raw["scan_call_ns"])
    scanning = [run for run in runs if run["run"] in ("scan", "shared")]
    waits = [ns for run in runs for ns in flush_waits(run)]
    found = late_flushes(waits) | scan_spread(scanning) | first_scan(scanning[0])
    values |= {name: _rounded(value) for name, value in found.items()}
    for fault, migration in (("hint", "migrate"), ("hint_huge", "migrate_huge")):
        if _TIMED[migration] in values and _TIMED[fault] in values:
            values[_TIMED[migration]] -= values[_TIMED[fault]]
    if {"failed_pass_huge_ns", "hint_fault_huge_ns"} <= values.keys():  # 7.2 marks none that fails
        failed_ns = values["failed_pass_huge_ns"] - values["hint_fault_huge_ns"]
        values["failed_pass_huge_ns"] = failed_ns / NR_MAX_MIGRATE_PAGES_RETRY
    known = {field.name for field in dataclasses.fields(Speed)}
    speed = Speed(**{name: max(0.0, v) for name, v in values.items() if name in known})
    return {
        "speed": as_plain(speed),
        "raw": {name: found for name, found in raw.items() if found},
        "assumed": sorted(known - set(values)),
        "clocksource": runs[-1].get("clocksource", "").strip(),
    }


def pooled(calibrations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join calibrations of one machine and kernel, such as before and after a batch of runs.

    Parameters
    ----------
    calibrations : sequence of dict
        At least one; each as :func:`calibrate` returns it.

    Returns
    -------
    dict
        As :func:`calibrate`: of each field of Speed the median of those calibrations that measured
        it, every repetition, and what none of them measured.

    Raises
    ------
    RecordError
        Without a calibration.
    """
    if not calibrations:
        raise RecordError("no calibrations to join")
    assumed = set.intersection(*(set(one["assumed"]) for one in calibrations))
    speed = {}
    for name in calibrations[0]["speed"]:
        measured = [one for one in calibrations if name not in one["assumed"] or name in assumed]
        speed[name] = _rounded(median(one["speed"][name] for one in measured))
    raw: dict[str, list[float]] = {}
    for one in calibrations:
        for name, values in one["raw"].items():
            raw.setdefault(name, []).extend(values)
    clocks = sorted({one["clocksource"] for one in calibrations})
    return {
        "speed": speed,
        "raw": raw,
        "assumed": sorted(assumed),
        "clocksource": ", ".join(clocks),
    }


def calibrate(machine: Machine, kernel: Path) -> dict[str, Any]:
    """Boot a kernel on a machine once and measure its speed.

    Returns
    -------
    dict
        ``speed``: the fields of Speed; ``raw``: every repetition (``migrate_*`` there with
        the fault itself); ``assumed``: fields left at their defaults.

    Raises
    ------
    RecordError
        If the guest fails or an experiment gave nothing.
    """
    image = initramfs(compiled(), calibration_program(machine))
    boot = guest.boot(machine, kernel, image, limit_s=guest.BOOT_S + 180)
    return evaluate(boot.text)
