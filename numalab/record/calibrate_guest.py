"""Measure how fast KVM guests on the emulated machine are: their fields of Speed, in one boot.

A helper thread makes the kernel notify the whole memory of a guest at known times, by a
change of PROT_EXEC with mprotect(), twice in a row: the first call finds entries of the
guest to zap, the second finds (nearly) none and otherwise does the same. The touches and
the CPU time of the vCPU, and the faults that KVM counted, give the cost of a refault. NUMA
balancing is off for that, so that no policy of the kernel decides what is measured. What a
notification takes beside its entries is seen in real scans of four pinned pages, with a
guest and without. As in every recording, the trace is on, and its cost is in the numbers.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from statistics import median
from typing import Any

from numalab import runlog
from numalab.fields import as_plain
from numalab.machine import Machine, Speed
from numalab.record import guest
from numalab.record.initramfs import RecordError, compiled, initramfs, modules_of
from numalab.record.program import program
from numalab.scan_times import chunk_times
from numalab.tunables import Tunables
from numalab.units import PMD_PAGES
from numalab.workload import Access, Task, Vma, Workload

REPEATS = 3
_MB, _HUGE_MB, _SMALL_PAGES = 32, 128, 4
_PAGES, _HUGE_PAGES = _MB * 256, _HUGE_MB * 256
_BATCH = 4096
"""A vCPU counts its touches in batches (GUEST_BATCH of workload.c)."""
_QUIET_MS, _REFAULT_MS, _SAMPLE_MS = 1500, 3000, 250
_HELPER = "zapper"
_SCANNED_MS, _SCANNED = 750, 5
"""Memory that never faults is scanned twice, then the PID filter leaves it out: many runs."""
_FAST = Tunables(scan_delay_ms=50, scan_period_min_ms=100, scan_period_max_ms=100)


@dataclasses.dataclass(frozen=True, slots=True)
class _Zaps:
    """Every ``period_ms`` from ``start_ms`` the memory is notified twice."""

    start_ms: int
    period_ms: int


def _workload(
    machine: Machine, name: str, ms: int, vma: Vma, accesses: tuple[Access, ...], vcpus: int
) -> Workload:
    tasks = [Task(name=f"v{cpu}", cpu=cpu, access=accesses) for cpu in range(vcpus)]
    return Workload(
        name=name,
        duration_ms=ms,
        sample_ms=_SAMPLE_MS,
        machine=machine,
        tunables=_FAST if vma.pinned_fraction else Tunables(numa_balancing=0),
        vmas=(vma,),
        tasks=tuple(tasks),
    )


def _zapping(workload: Workload, zaps: _Zaps) -> str:
    """The program of a workload with the helper thread, on the last CPU."""
    lines = program(workload).splitlines()
    helper = [
        f"thread {_HELPER} {workload.machine.cpus - 1}",
        f"zap 0 {zaps.start_ms * 1_000_000} {zaps.period_ms * 1_000_000}",
    ]
    return "\n".join([*lines[:-1], *helper, lines[-1], ""])


def calibration_program(machine: Machine, repeats: int = REPEATS) -> str:
    """Return the program of the boot: every experiment, ``repeats`` times."""
    ram = Vma(name="ram", size_mb=_MB, subscriber="kvm")
    huge = dataclasses.replace(ram, size_mb=_HUGE_MB, thp=True)
    small = dataclasses.replace(ram, size_mb=_SMALL_PAGES / 256)
    walk = Access(vma="ram")
    # a walk maps the memory, then it is touched at random
    then = (
        dataclasses.replace(walk, stop_ms=_QUIET_MS),
        Access(vma="ram", pattern="rand", start_ms=_QUIET_MS),
    )
    pinned = dataclasses.replace(small, pinned_fraction=1.0)
    plain = dataclasses.replace(pinned, subscriber="none")
    zapped = (
        ("refault", _REFAULT_MS, ram, _Zaps(_QUIET_MS, 300)),
        ("refault_huge", _REFAULT_MS, huge, _Zaps(_QUIET_MS, 12)),
        ("zap", 4200, ram, _Zaps(1000, 1000)),
        ("zap_huge", 1500, huge, _Zaps(300, 40)),
        ("small", 1000, small, _Zaps(300, 7)),
    )
    parts = []
    for _ in range(repeats):
        for name, ms, vma, accesses in (
            ("walk", _REFAULT_MS, ram, (walk,)),
            ("rand", _REFAULT_MS, ram, then),
            *(("told", _SCANNED_MS, pinned, (walk,)), ("alone", _SCANNED_MS, plain, (walk,)))
            * _SCANNED,
        ):
            parts.append(program(_workload(machine, name, ms, vma, accesses, machine.cpus)))
        for name, ms, vma, zaps in zapped:
            parts.append(_zapping(_workload(machine, name, ms, vma, (walk,), 1), zaps))
    return "".join(parts)


def _touch_ns(facts: dict[str, str], from_ms: int, to_ms: int) -> list[float]:
    """Nanoseconds a touch of each vCPU between two samples, if they touched anything."""
    threads = [line.split()[0] for line in facts["threads end"].splitlines()]
    rows = [[int(w) for w in line.split()] for line in facts["samples"].splitlines()[1:]]
    first, last = rows[from_ms // _SAMPLE_MS], rows[to_ms // _SAMPLE_MS]
    touches = sum(last[-len(threads) :]) - sum(first[-len(threads) :])
    vcpus = sum(name != _HELPER for name in threads)
    return [(last[0] - first[0]) * vcpus / touches] if touches > 0 else []


def _zaps(facts: dict[str, str]) -> list[tuple[int, int, int, int]]:
    """(when, first call, second call [ns], touches until then) of each pair."""
    found = []
    for line in facts["zaps"].splitlines():
        at, first, second, touches = (int(word) for word in line.split())
        found.append((at, first, second, touches))
    return found


def _refault_ns(facts: dict[str, str]) -> list[float]:
    """What a fault that KVM counted took: the vCPU's CPU time without touches and stalls."""
    faults = int(facts["guests"].split()[1])
    spent = touches = 0
    for sign, when in ((-1, "start"), (1, "end")):
        line = next(x for x in facts[f"threads {when}"].splitlines() if x.startswith("v0 "))
        spent += sign * int(line.split()[4])
        touches += sign * int(line.split()[3])
    stalled = sum(first + second for _, first, second, _ in _zaps(facts))
    return [
        (spent - stalled - touches * touch_ns) / faults
        for touch_ns in _touch_ns(facts, _QUIET_MS // 2, _QUIET_MS)
        if faults > 0
    ]


def _first_takes_ns(facts: dict[str, str], pages: int) -> list[float]:
    """Extra time of the first call of each pair, where the guest had mapped all again."""
    extra: list[float] = []
    before = 0
    for _, first, second, touches in _zaps(facts):
        if touches - before >= pages + 2 * _BATCH:
            extra.append(first - second)
        before = touches
    return extra


def _measure(facts: dict[str, str]) -> tuple[str, list[float]]:
    """Name and values that a run gave."""
    name = facts["run"]
    if name in ("walk", "rand"):
        return f"vcpu_touch_{name}_ns", _touch_ns(facts, _QUIET_MS + 500, _REFAULT_MS)
    if name.startswith("refault"):
        return f"{name}_ns", _refault_ns(facts)
    if name in ("told", "alone"):  # once the guest has mapped its pages
        return name, [ns for ms, ns in chunk_times(facts, "ram") if ms > 0]
    pages = {"zap": _PAGES, "zap_huge": _HUGE_PAGES, "small": _SMALL_PAGES}[name]
    return name, _first_takes_ns(facts, pages)


def _costs(found: dict[str, float]) -> dict[str, float]:
    """Costs of a notification in its sender.

    The first call of a pair pays for the flush and the entries; the flush is the same for
    a guest of four pages.
    """
    page = (found["zap"] - found["small"]) / (_PAGES - _SMALL_PAGES)
    flush = found["small"] - _SMALL_PAGES * page
    return {
        "zap_page_ns": page,
        "zap_huge_ns": (found["zap_huge"] - flush) / (_HUGE_PAGES // PMD_PAGES),
        "notify_ns": found["told"] - found["alone"] - _SMALL_PAGES * page,
    }


def evaluate(text: str) -> dict[str, Any]:
    """Turn the log of a guest's calibration boot into fields of Speed and what is behind them.

    Returns
    -------
    dict
        ``speed``: the fields that were measured; ``raw``: every repetition.

    Raises
    ------
    RecordError
        If an experiment gave nothing to measure.
    """
    raw: dict[str, list[float]] = {}
    for facts in runlog.runs(text):
        name, values = _measure(facts)
        raw.setdefault(name, []).extend(float(f"{value:.4g}") for value in values)
    missing = [name for name, values in raw.items() if not values]
    if missing:
        raise RecordError(f"the guest's calibration gave no {', '.join(missing)}; record it again")
    found = {name: median(values) for name, values in raw.items()}
    known = {field.name for field in dataclasses.fields(Speed)}
    costs = {name: value for name, value in found.items() if name in known} | _costs(found)
    return {"speed": {n: max(0.0, float(f"{v:.4g}")) for n, v in costs.items()}, "raw": raw}


def calibrate_guest(machine: Machine, kernel: Path, repeats: int = REPEATS) -> dict[str, Any]:
    """Boot a kernel with its KVM modules once and measure how fast its guests are.

    Returns
    -------
    dict
        ``speed``: the fields of Speed that concern a guest; ``raw``: every repetition.

    Raises
    ------
    RecordError
        If the machine's boot fails, the kernel has no KVM, or an experiment gave nothing.
    """
    image = initramfs(compiled(), calibration_program(machine, repeats), modules_of(kernel))
    limit_s = guest.BOOT_S + 80 * repeats
    return evaluate(guest.boot(machine, kernel, image, limit_s=limit_s, accel=guest.TCG).text)


def merged(calibration: dict[str, Any], guests: dict[str, Any]) -> dict[str, Any]:
    """Return a calibration with the fields of another that measured guests."""
    speed = as_plain(Speed(**(calibration["speed"] | guests["speed"])))
    assumed = sorted(set(calibration["assumed"]) - set(guests["speed"]))
    raw = calibration["raw"] | {f"guest {name}": found for name, found in guests["raw"].items()}
    return calibration | {"speed": speed, "raw": raw, "assumed": assumed}
