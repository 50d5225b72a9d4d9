"""Measure how fast KVM guests on the emulated machine are: their fields of Speed, in one boot.

Refaults: a helper thread makes the kernel notify the whole memory of a guest at known times,
by a change of PROT_EXEC with mprotect(); the touches and the CPU time of the vCPU, and the
faults that KVM counted, give the cost of one. NUMA balancing is off for that, so that no
policy of the kernel decides what is measured. Notifications: real scans of pinned memory,
with a guest that has mapped all of it and without a guest; of four pages, of many, and of
2 MiB folios. As in every recording, the trace is on, and its cost is in the numbers.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from statistics import median
from typing import Any

from numalab.captures import runlog
from numalab.captures.scan_times import chunk_times
from numalab.fields import as_plain
from numalab.machine import Machine, Speed
from numalab.record import guest
from numalab.record.initramfs import RecordError, compiled, initramfs, modules_of
from numalab.record.program import program
from numalab.tunables import Tunables
from numalab.units import PMD_PAGES
from numalab.workload import Access, Task, Vma, Workload

REPEATS = 3
_MB, _HUGE_MB, _SMALL_PAGES = 32, 128, 4
_PAGES, _FOLIOS = _MB * 256, _HUGE_MB * 256 // PMD_PAGES
_QUIET_MS, _MS, _SAMPLE_MS = 1500, 3000, 250
_HELPER = "zapper"
_OFF = Tunables(numa_balancing=0)
_SCANS = {"": (750, 100, 5), "_page": (1500, 600, 3), "_huge": (1500, 600, 3)}
"""Duration [ms], period of the scans [ms], and runs: memory that never faults is scanned
twice, then the PID filter leaves it out. A guest has a period's time to map all again."""
_SLACK_MS = 50


def _workload(
    machine: Machine,
    name: str,
    vma: Vma,
    access: tuple[Access, ...] = (Access(vma="ram"),),
    *,
    ms: int = _MS,
    vcpus: int,
    tunables: Tunables = _OFF,
) -> Workload:
    return Workload(
        name=name,
        duration_ms=ms,
        sample_ms=_SAMPLE_MS,
        machine=machine,
        tunables=tunables,
        vmas=(vma,),
        tasks=tuple(Task(name=f"v{cpu}", cpu=cpu, access=access) for cpu in range(vcpus)),
    )


def _zapping(machine: Machine, name: str, vma: Vma, pattern: str, period_ms: int) -> str:
    """The program of one vCPU and, on the last CPU, the helper thread, from half time on."""
    access = (Access(vma="ram", pattern=pattern),)
    lines = program(_workload(machine, name, vma, access, vcpus=1)).splitlines()
    helper = [
        f"thread {_HELPER} {machine.cpus - 1}",
        f"zap 0 {_QUIET_MS * 1_000_000} {period_ms * 1_000_000}",
    ]
    return "\n".join([*lines[:-1], *helper, lines[-1], ""])


def _scanned(machine: Machine, size: str, vma: Vma) -> list[str]:
    """Programs in which pinned memory is scanned, with a guest (told) and without (alone)."""
    ms, period, runs = _SCANS[size]
    knobs = Tunables(scan_delay_ms=period, scan_period_min_ms=period, scan_period_max_ms=period)
    programs = []
    for name, subscriber in (("told", "kvm"), ("alone", "none")):
        pinned = dataclasses.replace(vma, subscriber=subscriber, pinned_fraction=1.0)
        workload = _workload(
            machine, name + size, pinned, ms=ms, vcpus=machine.cpus, tunables=knobs
        )
        programs.append(program(workload))
    return programs * runs


def calibration_program(machine: Machine, repeats: int = REPEATS) -> str:
    """Return the program of the boot: every experiment, ``repeats`` times."""
    ram = Vma(name="ram", size_mb=_MB, subscriber="kvm")
    huge = dataclasses.replace(ram, size_mb=_HUGE_MB, thp=True)
    small = dataclasses.replace(ram, size_mb=_SMALL_PAGES / 256)
    # a walk maps the memory, then it is touched at random
    rand = (
        Access(vma="ram", stop_ms=_QUIET_MS),
        Access(vma="ram", pattern="rand", start_ms=_QUIET_MS),
    )
    parts = [
        program(_workload(machine, "walk", ram, vcpus=machine.cpus)),
        program(_workload(machine, "rand", ram, rand, vcpus=machine.cpus)),
        *_scanned(machine, "", small),
        *_scanned(machine, "_page", ram),
        *_scanned(machine, "_huge", huge),
        _zapping(machine, "refault", ram, "walk", 300),
        # at random: soon after each zap all folios are touched, and little else is
        _zapping(machine, "refault_huge", huge, "rand", 6),
    ]
    return "".join(parts * repeats)


def _touch_ns(facts: dict[str, str], from_ms: int, to_ms: int) -> list[float]:
    """Nanoseconds a touch of each vCPU between two samples, if they touched anything."""
    threads = [line.split()[0] for line in facts["threads end"].splitlines()]
    rows = [[int(w) for w in line.split()] for line in facts["samples"].splitlines()[1:]]
    first, last = rows[from_ms // _SAMPLE_MS], rows[to_ms // _SAMPLE_MS]
    touches = sum(last[-len(threads) :]) - sum(first[-len(threads) :])
    vcpus = sum(name != _HELPER for name in threads)
    return [(last[0] - first[0]) * vcpus / touches] if touches > 0 else []


def _refault_ns(facts: dict[str, str]) -> list[float]:
    """What a fault that KVM counted took: the vCPU's CPU time without touches and stalls.

    While the memory is being notified the vCPU can map nothing: it stands still.
    """
    faults = int(facts["guests"].split()[1])
    spent = touches = 0
    for sign, when in ((-1, "start"), (1, "end")):
        line = next(x for x in facts[f"threads {when}"].splitlines() if x.startswith("v0 "))
        spent += sign * int(line.split()[4])
        touches += sign * int(line.split()[3])
    stalled = sum(int(line.split()[1]) for line in facts["zaps"].splitlines())
    return [
        (spent - stalled - touches * touch_ns) / faults
        for touch_ns in _touch_ns(facts, _QUIET_MS // 2, _QUIET_MS)
        if faults > 0
    ]


def _chunks_ns(facts: runlog.RunLog, size: str) -> list[float]:
    """Times of the chunks before which a guest had the time to map all its memory."""
    wait_ms = _SCANS[size][1] - _SLACK_MS
    found, last_ms = [], 0.0
    for ms, ns in chunk_times(facts, "ram"):
        if ms - last_ms >= wait_ms:
            found.append(ns)
        last_ms = max(ms, 0.0)
    return found


def _measure(facts: runlog.RunLog) -> tuple[str, list[float]]:
    """Name and values that a run gave."""
    name = facts["run"]
    if name in ("walk", "rand"):
        return f"vcpu_touch_{name}_ns", _touch_ns(facts, _QUIET_MS + 500, _MS)
    if name.startswith("refault"):
        return f"{name}_ns", _refault_ns(facts)
    return name, _chunks_ns(facts, name.removeprefix("told").removeprefix("alone"))


def _costs(found: dict[str, float]) -> dict[str, float]:
    """Costs of a notification in its sender: what chunks took longer because of the guest."""
    few, many, folios = (found[f"told{size}"] - found[f"alone{size}"] for size in _SCANS)
    page = (many - few) / (_PAGES - _SMALL_PAGES)
    notify = few - _SMALL_PAGES * page
    return {
        "zap_page_ns": page,
        "zap_huge_ns": (folios - notify) / _FOLIOS,
        "notify_ns": notify,
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
    for facts in runlog.read(text):
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
