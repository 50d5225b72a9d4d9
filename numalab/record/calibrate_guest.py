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

from numalab.captures import runlog, start
from numalab.captures.runlog import RunLog
from numalab.captures.scan_times import chunk_times
from numalab.machine import Machine, Speed
from numalab.plain import as_plain
from numalab.record import guest
from numalab.record.calibrate import measured, touch_ns
from numalab.record.experiments import BALANCING_OFF, REPEATS
from numalab.record.initramfs import RecordError, compiled, initramfs, modules_of
from numalab.record.program import program
from numalab.tunables import Tunables
from numalab.units import PAGES_PER_MB, PMD_PAGES
from numalab.workload import Access, Task, Vma, Workload

_MB, _HUGE_MB, _SMALL_PAGES = 32, 128, 4
_PAGES, _FOLIOS = _MB * PAGES_PER_MB, _HUGE_MB * PAGES_PER_MB // PMD_PAGES
_MS, _SAMPLE_MS = 3000, 250
_STEADY_MS = 1500
"""When the second half of an experiment begins: touches at random, or the helper's work."""
_HELPER = "zapper"
_SCANS = {"": (750, 100, 5), "_page": (1500, 600, 3), "_huge": (1500, 600, 3)}
"""Duration [ms], period of the scans [ms], and runs: memory that never faults is scanned
twice, then the PID filter leaves it out. A guest has a period's time to map all again."""
_SLACK_MS = 50
_NOTIFIED, _ALONE = "notified", "alone"
"""Scans of memory that a guest has mapped, and of memory without a guest."""


def _workload(
    name: str, vma: Vma, machine: Machine, *, vcpus: int, access: tuple[Access, ...] = ()
) -> Workload:
    tasks = (
        Task(name=f"v{cpu}", cpu=cpu, access=access or (Access(vma="ram"),)) for cpu in range(vcpus)
    )
    return Workload(
        name=name,
        duration_ms=_MS,
        sample_ms=_SAMPLE_MS,
        machine=machine,
        tunables=BALANCING_OFF,
        vmas=(vma,),
        tasks=tuple(tasks),
    )


def _zapped(machine: Machine, name: str, vma: Vma, pattern: str, period_ms: int) -> str:
    """The program of one vCPU and, on the last CPU, the helper thread, from half time on."""
    access = (Access(vma="ram", pattern=pattern),)
    lines = program(_workload(name, vma, machine, vcpus=1, access=access)).splitlines()
    helper = [
        f"thread {_HELPER} {machine.cpus - 1}",
        f"zap 0 {_STEADY_MS * 1_000_000} {period_ms * 1_000_000}",
    ]
    return "\n".join([*lines[:-1], *helper, lines[-1], ""])


def _scanned(machine: Machine, size: str, vma: Vma) -> str:
    """Programs in which pinned memory is scanned, with a guest and without."""
    ms, period, _ = _SCANS[size]
    knobs = Tunables(scan_delay_ms=period, scan_period_min_ms=period, scan_period_max_ms=period)
    programs = ""
    for name, subscriber in ((_NOTIFIED, "kvm"), (_ALONE, "none")):
        pinned = dataclasses.replace(vma, subscriber=subscriber, pinned_fraction=1.0)
        workload = _workload(name + size, pinned, machine, vcpus=machine.cpus)
        programs += program(dataclasses.replace(workload, duration_ms=ms, tunables=knobs))
    return programs


def experiments(machine: Machine) -> list[tuple[str, int]]:
    """Return the program of every experiment, and how often it runs in each repetition."""
    ram = Vma(name="ram", size_mb=_MB, subscriber="kvm")
    huge = dataclasses.replace(ram, size_mb=_HUGE_MB, thp=True)
    small = dataclasses.replace(ram, size_mb=_SMALL_PAGES / PAGES_PER_MB)
    # a walk maps the memory, then it is touched at random
    rand = (
        Access(vma="ram", stop_ms=_STEADY_MS),
        Access(vma="ram", pattern="rand", start_ms=_STEADY_MS),
    )
    return [
        (program(_workload("walk", ram, machine, vcpus=machine.cpus)), 1),
        (program(_workload("rand", ram, machine, vcpus=machine.cpus, access=rand)), 1),
        *(
            (_scanned(machine, size, vma), _SCANS[size][2])
            for size, vma in (("", small), ("_page", ram), ("_huge", huge))
        ),
        (_zapped(machine, "refault", ram, "walk", 300), 1),
        # at random: soon after each zap all folios are touched, and little else is
        (_zapped(machine, "refault_huge", huge, "rand", 6), 1),
    ]


def _vcpu_touch_ns(run: RunLog, from_ms: int, to_ms: int) -> list[float]:
    vcpus = sum(name != _HELPER for name in start.threads(run, "end"))
    return touch_ns(run, from_ms // _SAMPLE_MS, to_ms // _SAMPLE_MS, vcpus)


def _refault_ns(run: RunLog) -> list[float]:
    """What a fault that KVM counted took: the vCPU's CPU time without touches and stalls.

    While the memory is being notified the vCPU can map nothing: it stands still.
    """
    faults = int(run["guests"].split()[1])
    before, after = (start.threads(run, when)["v0"] for when in ("start", "end"))
    spent = after.sum_exec_runtime_ns - before.sum_exec_runtime_ns
    touches = after.touches - before.touches
    stalled = sum(int(line.split()[1]) for line in run["zaps"].splitlines())
    return [
        (spent - stalled - touches * touch_ns) / faults
        for touch_ns in _vcpu_touch_ns(run, _STEADY_MS // 2, _STEADY_MS)
        if faults > 0
    ]


def _chunks_ns(run: RunLog, size: str) -> list[float]:
    """Times of the chunks before which a guest had the time to map all its memory."""
    wait_ms = _SCANS[size][1] - _SLACK_MS
    found, last_ms = [], 0.0
    for ms, ns in chunk_times(run, "ram"):
        if ms - last_ms >= wait_ms:
            found.append(ns)
        last_ms = max(ms, 0.0)
    return found


def _measure(run: RunLog) -> dict[str, list[float]]:
    name = run["run"]
    if name in ("walk", "rand"):
        return {f"vcpu_touch_{name}_ns": _vcpu_touch_ns(run, _STEADY_MS + 500, _MS)}
    if name.startswith("refault"):
        return {f"{name}_ns": _refault_ns(run)}
    return {name: _chunks_ns(run, name.removeprefix(_NOTIFIED).removeprefix(_ALONE))}


def _costs(found: dict[str, float]) -> dict[str, float]:
    """Costs of a notification in its sender: what chunks took longer because of the guest."""
    few, many, folios = (found[_NOTIFIED + size] - found[_ALONE + size] for size in _SCANS)
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
    raw = measured(runlog.read(text), _measure)
    if missing := [name for name, values in raw.items() if not values]:
        raise RecordError(f"the guest's calibration gave no {', '.join(missing)}; record it again")
    found = {name: median(values) for name, values in raw.items()}
    known = {field.name for field in dataclasses.fields(Speed)}
    costs = {name: value for name, value in found.items() if name in known} | _costs(found)
    return {"speed": {n: max(0.0, float(f"{v:.4g}")) for n, v in costs.items()}, "raw": raw}


def calibrate_guest(machine: Machine, kernel: Path) -> dict[str, Any]:
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
    text = "".join(part * runs for part, runs in experiments(machine)) * REPEATS
    image = initramfs(compiled(), text, modules_of(kernel))
    limit_s = guest.BOOT_S + 80 * REPEATS
    return evaluate(guest.boot(machine, kernel, image, limit_s=limit_s, accel=guest.TCG).text)


def merged(calibration: dict[str, Any], guests: dict[str, Any]) -> dict[str, Any]:
    """Return a calibration with the fields of another that measured guests."""
    speed = as_plain(Speed(**(calibration["speed"] | guests["speed"])))
    assumed = sorted(set(calibration["assumed"]) - set(guests["speed"]))
    raw = calibration["raw"] | {f"guest {name}": found for name, found in guests["raw"].items()}
    return calibration | {"speed": speed, "raw": raw, "assumed": assumed}
