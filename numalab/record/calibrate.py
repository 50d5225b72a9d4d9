"""Measure how fast the emulated machine is: the fields of Speed, in one boot.

Every number comes from the program that runs the workloads: touch rates from flat-out
threads, costs of faults from touches that are timed one by one (the slowest N of them
are the N faults that vmstat counted), costs of scanning from the times of the probes on
``change_prot_numa()``, which include the probes' own cost.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from statistics import median
from typing import Any

from numalab.captures import runlog
from numalab.captures.scan_times import (
    first_scan,
    flush_waits,
    late_flushes,
    scan_costs,
    scan_spread,
)
from numalab.fields import as_plain
from numalab.machine import Machine, Speed
from numalab.record import guest
from numalab.record.initramfs import RecordError, compiled, initramfs
from numalab.record.program import TIMED, program
from numalab.tunables import Tunables
from numalab.units import PAGE_BYTES, PMD_PAGES
from numalab.workload import Access, Task, Vma, Workload

REPEATS = 3
_MB = 64
_OFF = Tunables(numa_balancing=0)
_FAST = Tunables(scan_delay_ms=50, scan_period_min_ms=100, scan_period_max_ms=100)


def _touching(machine: Machine, name: str, pattern: str) -> Workload:
    """Every CPU busy with a region of its own, no balancing."""
    vmas = tuple(
        Vma(name=f"v{cpu}", size_mb=_MB, first_touch_node=cpu // machine.cpus_per_node)
        for cpu in range(machine.cpus)
    )
    tasks = tuple(
        Task(name=f"t{cpu}", cpu=cpu, access=(Access(vma=f"v{cpu}", pattern=pattern),))
        for cpu in range(machine.cpus)
    )
    return Workload(
        name=name,
        duration_ms=1500,
        sample_ms=250,
        machine=machine,
        tunables=_OFF,
        vmas=vmas,
        tasks=tasks,
    )


def _timing(machine: Machine, name: str, vma: Vma, tunables: Tunables, ms: int) -> Workload:
    """CPU 0 times its touches of one region; the other CPUs spin, in the same process."""
    spinners = tuple(Task(name=f"t{cpu}", cpu=cpu) for cpu in range(1, machine.cpus))
    return Workload(
        name=name,
        duration_ms=ms,
        machine=machine,
        tunables=tunables,
        vmas=(vma,),
        tasks=(Task(name="t0", cpu=0, access=(Access(vma=vma.name),)), *spinners),
    )


def _scanning(machine: Machine, name: str) -> Workload:
    """A region that is marked in full, one whose pages are pinned, and small ones.

    In "shared" the other CPUs touch the first region too, and a scan meets the faults of
    other tasks on the page tables that it walks; in "scan" they spin.
    """
    vmas = (
        Vma(name="marked", size_mb=_MB),
        Vma(name="pinned", size_mb=_MB, pinned_fraction=1.0),
        Vma(name="small", size_mb=4 * PAGE_BYTES / (1 << 20), count=16),
    )
    accesses = tuple(Access(vma=v.name) for v in vmas)
    return Workload(
        name=name,
        duration_ms=1500,
        machine=machine,
        tunables=_FAST,
        vmas=vmas,
        tasks=(
            Task(name="t0", cpu=0, access=accesses),
            *(
                Task(
                    name=f"t{cpu}",
                    cpu=cpu,
                    access=(Access(vma="marked"),) if name == "shared" else (),
                )
                for cpu in range(1, machine.cpus)
            ),
        ),
    )


def _timed(text: str, stride: int) -> str:
    """Turn the accesses of a program into timed walks, a touch every ``stride`` pages."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "access":
            words[4], words[7] = str(TIMED), str(stride)
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def calibration_program(machine: Machine) -> str:
    """Return the program of the calibration boot: every experiment, ``REPEATS`` times."""
    far = machine.nodes - 1
    small = Vma(name="v", size_mb=_MB)
    huge = Vma(name="v", size_mb=2 * _MB, thp=True)
    timed = [
        ("first", dataclasses.replace(small, size_mb=_MB / 2, populated=0.0), _OFF, 600, 1),
        ("first_huge", dataclasses.replace(huge, populated=0.0), _OFF, 1000, PMD_PAGES),
        ("hint", small, _FAST, 600, 1),
        ("hint_huge", huge, _FAST, 600, PMD_PAGES),
    ]
    if far:
        small = dataclasses.replace(small, first_touch_node=far)
        huge = dataclasses.replace(huge, first_touch_node=far)
        timed += [
            ("migrate", small, _FAST, 1500, 1),
            ("migrate_huge", huge, _FAST, 1500, PMD_PAGES),
        ]
    parts = []
    for _ in range(REPEATS):
        parts += [program(_touching(machine, name, name)) for name in ("walk", "rand")]
        parts += [program(_scanning(machine, name)) for name in ("scan", "shared")]
        for name, vma, tunables, ms, stride in timed:
            parts.append(_timed(program(_timing(machine, name, vma, tunables, ms)), stride))
    return "".join(parts)


def _counter(facts: dict[str, str], name: str) -> int:
    head, *rows = facts["samples"].splitlines()
    return int(rows[-1].split()[head.split().index(name)])


def _touch_ns(facts: dict[str, str]) -> float:
    """Nanoseconds a touch, while the guest runs at a steady pace: from its last half."""
    rows = [[int(w) for w in line.split()] for line in facts["samples"].splitlines()[1:]]
    threads = len(facts["threads end"].splitlines())
    first, last = rows[len(rows) // 2 - 1], rows[-1]
    touches = [b - a for a, b in zip(first[-threads:], last[-threads:], strict=True)]
    return (last[0] - first[0]) * threads / sum(touches)


def _lost_share(facts: dict[str, str]) -> float:
    """Share of the run that the busy threads did not have a CPU."""
    used, threads = 0, facts["threads end"].splitlines()
    for sign, when in ((-1, "start"), (1, "end")):
        used += sign * sum(int(line.split()[4]) for line in facts[f"threads {when}"].splitlines())
    span = int(facts["samples"].splitlines()[-1].split()[0])
    return min(0.9, max(0.0, 1 - used / (span * len(threads))))


def _slowest(facts: dict[str, str], count: int) -> float | None:
    """Median extra time of the ``count`` slowest timed touches over the usual touch."""
    head, *rows = facts["latency"].splitlines()
    kept = int(head.split()[1])
    ranks = [(int(rank), int(ns)) for rank, ns in (row.split() for row in rows)]
    if not 0 < count < kept // 2:
        return None

    def at(rank: float) -> int:
        return min(ranks, key=lambda pair: abs(pair[0] - rank))[1]

    return float(at(count / 2) - at((count + kept) / 2))


def _measure(facts: runlog.RunLog) -> dict[str, float]:
    name = facts["run"]
    if name in ("walk", "rand"):
        return {f"touch_{name}_ns": _touch_ns(facts), "lost_share": _lost_share(facts)}
    if name == "scan":
        return scan_costs(facts)
    if name == "shared":
        return {}
    unit = PMD_PAGES if name.endswith("huge") else 1
    counts = {
        "first": _MB * 256 // 2,
        "first_huge": 2 * _MB * 256 // PMD_PAGES,
        "hint": _counter(facts, "numa_hint_faults"),
        "hint_huge": _counter(facts, "numa_hint_faults"),
        "migrate": _counter(facts, "numa_pages_migrated"),
        "migrate_huge": _counter(facts, "numa_pages_migrated") // unit,
    }
    value = _slowest(facts, counts[name])
    return {} if value is None else {name: value}


_FIELDS = {
    "first": "first_touch_ns",
    "first_huge": "first_touch_huge_ns",
    "hint": "hint_fault_ns",
    "hint_huge": "hint_fault_huge_ns",
    "migrate": "migrate_page_ns",
    "migrate_huge": "migrate_huge_ns",
}


def evaluate(text: str) -> dict[str, Any]:
    """Turn the log of a calibration boot into a Speed and the numbers behind it.

    Raises
    ------
    RecordError
        If an experiment gave nothing to measure.
    """
    raw: dict[str, list[float]] = {}
    runs = runlog.read(text)
    for facts in runs:
        for name, value in _measure(facts).items():
            raw.setdefault(_FIELDS.get(name, name), []).append(float(f"{value:.4g}"))
    values = {name: median(found) for name, found in raw.items()}
    if "scan_call_ns" in raw:
        # A scan that loses its CPU in a call measures the other task: take the quickest.
        values["scan_call_ns"] = min(raw["scan_call_ns"])
    scanning = [facts for facts in runs if facts["run"] in ("scan", "shared")]
    waits = [ns for run in runs for ns in flush_waits(run)]
    found = late_flushes(waits) | scan_spread(scanning) | first_scan(scanning[0])
    values |= {name: float(f"{value:.4g}") for name, value in found.items()}
    for fault, migration in (("hint_fault", "migrate_page"), ("hint_fault_huge", "migrate_huge")):
        if f"{migration}_ns" in values and f"{fault}_ns" in values:
            values[f"{migration}_ns"] -= values[f"{fault}_ns"]
    known = {field.name for field in dataclasses.fields(Speed)}
    missing = [n for n in ("touch_walk_ns", "touch_rand_ns", "hint_fault_ns") if n not in values]
    if missing:
        raise RecordError(f"the calibration gave no {', '.join(missing)}; record it again")
    speed = Speed(**{name: max(0.0, v) for name, v in values.items() if name in known})
    clock = re.sub(r"\s+", "", runs[-1].get("clocksource", ""))
    return {
        "speed": as_plain(speed),
        "raw": raw,
        "assumed": sorted(known - set(values)),
        "clocksource": clock,
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
