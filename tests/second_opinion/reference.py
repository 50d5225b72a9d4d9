"""The second opinion on a whole run: same inputs as the engine, plain dictionaries out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from numalab.model.default_start import default_setup
from numalab.model.layout import Setup
from numalab.policy import Policy
from numalab.workload import Workload
from tests.second_opinion.machine import folios, machine
from tests.second_opinion.objects import Sim
from tests.second_opinion.running import run

COUNTERS = (
    "numa_pte_updates",
    "numa_huge_pte_updates",
    "numa_hint_faults",
    "numa_hint_faults_local",
    "numa_pages_migrated",
    "pgmigrate_success",
    "pgmigrate_fail",
)


def phase_of(w: Workload, seed: int, replicate: int = 0) -> int:
    """Time of the first tick in the engine's run of a seed [ns]."""
    before, _ = np.random.SeedSequence(seed, spawn_key=(replicate,)).spawn(2)
    tick_ns = (1_000_000_000 + w.machine.hz // 2) // w.machine.hz
    return int(np.random.default_rng(before).integers(1, tick_ns))


def bare_setup(w: Workload) -> Setup:
    """The default setup without any page of the program, reset just before the start.

    Nothing random is then touched, and no tick lies between the reset and the start.
    """
    known = {v.name for v in w.vmas}
    return Setup(
        processes=tuple(
            dataclasses.replace(
                process,
                reset_ms=-1e-6,
                mappings=tuple(
                    m if m.owner in known else dataclasses.replace(m, present=())
                    for m in process.mappings
                ),
            )
            for process in default_setup(w).processes
        )
    )


def engine_end_ns(w: Workload, phase_ns: int) -> int:
    """When the engine ends a run: after as many ticks as the duration holds, the first short."""
    tick_ns = (1_000_000_000 + w.machine.hz // 2) // w.machine.hz
    return phase_ns + (int(w.duration_ms * 1e6) // tick_ns - 1) * tick_ns


def simulate(
    w: Workload,
    policy: Policy,
    *,
    phase_ns: int,
    seed: int = 0,
    setup: Setup | None = None,
    until_ns: float | None = None,
) -> dict[str, Any]:
    """Run a workload page by page, to its end or to another time."""
    sim = machine(w, policy, setup or default_setup(w), phase_ns, seed)
    run(sim, w.duration_ms * 1e6 if until_ns is None else until_ns)
    return result(sim)


def result(sim: Sim) -> dict[str, Any]:
    """What a run left behind."""
    on_node: Counter = Counter()
    for mm in sim.mms:
        for vma in mm.vmas:
            for page in folios(vma.pages):
                if page.present:
                    on_node[vma.owner, page.node] += page.nr
    threads = [t for mm in sim.mms for t in mm.tasks]
    return {
        **{name: sim.count[name] for name in COUNTERS},
        "numa_scan_seq": {mm.name: mm.numa_scan_seq for mm in sim.mms},
        "skips": {key: n for key, n in sim.skips.items() if n},
        "scan_calls": dict(sim.scan_calls),
        "scan_pages": dict(sim.scan_pages),
        "notifier_calls": dict(sim.notifier_calls),
        "notifier_pages": dict(sim.notifier_pages),
        "pages_on_node": dict(on_node),
        "touches": {t.name: t.touches for t in threads},
        "sum_exec_runtime": {t.name: t.sum_exec_runtime for t in threads},
        "total_numa_faults": {t.name: t.total_numa_faults for t in threads},
        "numa_preferred_nid": {t.name: t.numa_preferred_nid for t in threads},
        "numa_scan_period": {t.name: t.numa_scan_period for t in threads},
        "chunks": sim.chunks,
    }
