"""Measure how fast the emulated machine is: the fields of Speed, in one boot.

Every number comes from the program that runs the workloads: touch rates from flat-out
threads, costs of faults from touches that are timed one by one (the slowest N of them
are the N faults that vmstat counted), costs of scanning from the times of the probes on
``change_prot_numa()``, which include the probes' own cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
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
from numalab.record.initramfs import RecordError, compiled, initramfs
from numalab.record.program import TIMED, program
from numalab.tunables import Tunables
from numalab.units import NR_MAX_MIGRATE_PAGES_RETRY, PAGE_BYTES, PAGES_PER_MB, PMD_PAGES
from numalab.workload import Access, Task, Vma, Workload

REPEATS = 3
BALANCING_OFF = Tunables(numa_balancing=0)
_MB = 64
_SCAN_OFTEN = Tunables(scan_delay_ms=50, scan_period_min_ms=100, scan_period_max_ms=100)
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


def _touching(machine: Machine, pattern: str) -> Workload:
    """Every CPU busy with a region of its own, no balancing."""
    cpus = range(machine.cpus)
    return Workload(
        name=pattern,
        duration_ms=1500,
        sample_ms=250,
        machine=machine,
        tunables=BALANCING_OFF,
        vmas=tuple(
            Vma(name=f"v{cpu}", size_mb=_MB, first_touch_node=cpu // machine.cpus_per_node)
            for cpu in cpus
        ),
        tasks=tuple(
            Task(name=f"t{cpu}", cpu=cpu, access=(Access(vma=f"v{cpu}", pattern=pattern),))
            for cpu in cpus
        ),
    )


def _on_cpu_0(
    machine: Machine,
    name: str,
    vmas: tuple[Vma, ...],
    tunables: Tunables = _SCAN_OFTEN,
    *,
    ms: int = 1500,
    others: tuple[Access, ...] = (),
) -> Workload:
    """CPU 0 touches all regions; the other CPUs, in the same process, spin or touch ``others``."""
    own = tuple(Access(vma=v.name) for v in vmas)
    return Workload(
        name=name,
        duration_ms=ms,
        machine=machine,
        tunables=tunables,
        vmas=vmas,
        tasks=tuple(
            Task(name=f"t{cpu}", cpu=cpu, access=others if cpu else own)
            for cpu in range(machine.cpus)
        ),
    )


def _scanned(machine: Machine) -> list[Workload]:
    """A region that is marked in full, one whose pages are pinned, and small ones.

    In "shared" the other CPUs touch the first region too, and a scan meets the faults of
    other tasks on the page tables that it walks; in "scan" they spin.
    """
    vmas = (
        Vma(name="marked", size_mb=_MB),
        Vma(name="pinned", size_mb=_MB, pinned_fraction=1.0),
        Vma(name="small", size_mb=4 * PAGE_BYTES / (1 << 20), count=16),
    )
    return [
        _on_cpu_0(machine, "scan", vmas),
        _on_cpu_0(machine, "shared", vmas, others=(Access(vma="marked"),)),
    ]


def _timed_faults(machine: Machine) -> list[str]:
    """Programs in which CPU 0 times its touches of one region."""
    small = Vma(name="v", size_mb=_MB)
    huge = Vma(name="v", size_mb=2 * _MB, thp=True)
    half = dataclasses.replace(small, size_mb=_MB / 2, populated=0.0)
    empty = dataclasses.replace(huge, populated=0.0)
    found = [
        (_on_cpu_0(machine, "first", (half,), BALANCING_OFF, ms=600), 1),
        (_on_cpu_0(machine, "first_huge", (empty,), BALANCING_OFF, ms=1000), PMD_PAGES),
        (_on_cpu_0(machine, "hint", (small,), ms=600), 1),
        (_on_cpu_0(machine, "hint_huge", (huge,), ms=600), PMD_PAGES),
    ]
    if last_node := machine.nodes - 1:
        small = dataclasses.replace(small, first_touch_node=last_node)
        huge = dataclasses.replace(huge, first_touch_node=last_node)
        pinned = dataclasses.replace(huge, pinned_fraction=1.0)
        found += [
            (_on_cpu_0(machine, "migrate", (small,)), 1),
            (_on_cpu_0(machine, "migrate_huge", (huge,)), PMD_PAGES),
            (_on_cpu_0(machine, "fail_huge", (pinned,), ms=3000), PMD_PAGES),
        ]
    return [_timed(program(workload), stride) for workload, stride in found]


def _timed(text: str, stride: int) -> str:
    """Turn the accesses of a program into timed walks, a touch every ``stride`` pages."""
    lines = [line.split() for line in text.splitlines()]
    for parts in lines:
        if parts[0] == "access":
            parts[4], parts[7] = str(TIMED), str(stride)
    return "".join(" ".join(parts) + "\n" for parts in lines)


def calibration_program(machine: Machine, repeats: int = REPEATS) -> str:
    """Return the program of the calibration boot: every experiment, ``repeats`` times."""
    touching = [_touching(machine, pattern) for pattern in ("walk", "rand")]
    parts = [program(workload) for workload in (*touching, *_scanned(machine))]
    return "".join([*parts, *_timed_faults(machine)] * repeats)


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
        return 2 * _MB * PAGES_PER_MB // PMD_PAGES if "huge" in name else _MB * PAGES_PER_MB // 2
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
