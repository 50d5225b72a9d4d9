"""Workloads drawn at random: nobody chose them because the model is good at them.

Each number is one workload, for ever: draw, record, and report what comes out. Sizes and
rates are uniform in their logarithm, everything else is drawn from the short lists below.
Two nodes with a CPU each, so that two vCPUs of any laptop run it in real time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Move, Process, Task, Vma, Workload

DURATION_MS = 20_000
MEMORY_MB = 960
LARGEST_MB = 192
KINDS = ("anon", "anon", "anon", "anon", "shmem")
PINNED = (0.0, 0.0, 0.0, 0.5, 1.0)
SCAN_DELAYS_MS = (250, 1000, 1000, 4000)
SCAN_PERIODS_MS = (100, 1000, 1000)
SCAN_SIZES_MB = (16, 64, 256, 256)
PATTERNS = ("walk", "rand", "hot")
RATES_PER_S = (1e3, 1e6)


def _log_uniform(draws: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(draws.uniform(np.log(low), np.log(high))))


def _of(draws: np.random.Generator, values: Any) -> Any:
    return values[int(draws.integers(len(values)))]


def _vma(draws: np.random.Generator, name: str) -> Vma:
    thp = bool(draws.random() < 0.3)
    return Vma(
        name=name,
        size_mb=2 * round(_log_uniform(draws, 8, LARGEST_MB) / 2),
        kind=_of(draws, KINDS),
        thp=thp,
        first_touch_node=int(draws.integers(2)),
        pinned_fraction=_of(draws, PINNED),
    )


def _access(draws: np.random.Generator, vma: str) -> Access:
    flat_out = draws.random() < 0.5
    return Access(
        vma=vma,
        lo=_of(draws, (0.0, 0.0, 0.25)),
        pattern=_of(draws, PATTERNS),
        pages_per_s=0.0 if flat_out else round(_log_uniform(draws, *RATES_PER_S)),
        write=bool(draws.random() < 0.75),
        start_ms=_of(draws, (0, 0, 0, 5000)),
    )


def _task(draws: np.random.Generator, name: str, vmas: tuple[Vma, ...]) -> Task:
    number = min(len(vmas), int(draws.integers(1, 3)))
    touched = draws.choice(len(vmas), number, replace=False)
    cpu = int(draws.integers(2))
    moves = (Move(at_ms=DURATION_MS / 2, cpu=1 - cpu),) if draws.random() < 0.2 else ()
    return Task(
        name=name,
        cpu=cpu,
        busy=bool(draws.random() < 0.5),
        access=tuple(_access(draws, vmas[i].name) for i in touched),
        move=moves,
    )


def _churn(draws: np.random.Generator) -> Churn:
    return Churn(
        name="churn",
        size_mb=2 * round(_log_uniform(draws, 4, 32) / 2),
        lifetime_ms=round(_log_uniform(draws, 200, 4000)),
        lifetime=_of(draws, ("fixed", "exponential")),
        cpu=int(draws.integers(2)),
        thp=bool(draws.random() < 0.3),
        pattern=_of(draws, ("walk", "rand")),
        pages_per_s=_of(draws, (0.0, 20_000.0)),
        pinned_fraction=_of(draws, PINNED),
    )


def drawn(number: int, churns: bool = True) -> Workload:
    """Draw a workload.

    Parameters
    ----------
    number : int
        Which one.
    churns : bool
        A third of them has a thread that maps and unmaps; the foreign program has none.

    Returns
    -------
    Workload
        Named ``drawn-NUMBER``: a main thread that waits, one to four mappings of 8 to 192 MB, one
        to three threads on two CPUs, perhaps a churn.
    """
    draws = np.random.default_rng(number)
    vmas = tuple(_vma(draws, f"v{i}") for i in range(int(draws.integers(1, 5))))
    tasks = tuple(_task(draws, f"t{i}", vmas) for i in range(int(draws.integers(1, 4))))
    tunables = Tunables(
        scan_delay_ms=_of(draws, SCAN_DELAYS_MS),
        scan_period_min_ms=_of(draws, SCAN_PERIODS_MS),
        scan_size_mb=_of(draws, SCAN_SIZES_MB),
    )
    churn = (_churn(draws),) if draws.random() < 1 / 3 and churns else ()
    return Workload(
        name=f"drawn-{number}",
        about="drawn at random; see numalab.catalog.drawn",
        duration_ms=DURATION_MS,
        sample_ms=1000,
        machine=Machine(memory_mb=MEMORY_MB),
        tunables=tunables,
        processes=(Process(name="main", stack_kb=8192),),
        vmas=vmas,
        tasks=(Task(name="main", waits=True), *tasks),
        churns=churn,
    )
