"""What a calibration boot runs: threads that touch, regions that are scanned, timed faults."""

from __future__ import annotations

import dataclasses

from numalab.machine import Machine
from numalab.record.program import TIMED, program
from numalab.tunables import Tunables
from numalab.units import PAGE_BYTES, PMD_PAGES
from numalab.workload import Access, Task, Vma, Workload

REPEATS = 3
BALANCING_OFF = Tunables(numa_balancing=0)
MB = 64
"""Size of the regions."""
_SCAN_OFTEN = Tunables(scan_delay_ms=50, scan_period_min_ms=100, scan_period_max_ms=100)


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
            Vma(name=f"v{cpu}", size_mb=MB, first_touch_node=cpu // machine.cpus_per_node)
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
        Vma(name="marked", size_mb=MB),
        Vma(name="pinned", size_mb=MB, pinned_fraction=1.0),
        Vma(name="small", size_mb=4 * PAGE_BYTES / (1 << 20), count=16),
    )
    return [
        _on_cpu_0(machine, "scan", vmas),
        _on_cpu_0(machine, "shared", vmas, others=(Access(vma="marked"),)),
    ]


def _timed_faults(machine: Machine) -> list[str]:
    """Programs in which CPU 0 times its touches of one region."""
    small = Vma(name="v", size_mb=MB)
    huge = Vma(name="v", size_mb=2 * MB, thp=True)
    half = dataclasses.replace(small, size_mb=MB / 2, populated=0.0)
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
