"""Trials: a replicate that also draws what a user does not choose, and many at once.

In the model little is random when every thread is bound and busy: repeats with the same
pids and the same moment of the event would repeat each other. So a trial draws both, as
they would fall on a real machine; every policy sees the same draws, which makes pairs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import xarray as xr

from numalab.engine import simulate
from numalab.model.layout import Setup, default_setup
from numalab.policy import Policy
from numalab.workload import Workload

Shape = Callable[[int, float, float], Workload]
"""A workload of a number of threads, the moment of its event and its length [ms]."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_PIDS = (300, 30_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One replicate of a workload, to be run under any number of policies."""

    workload: Workload
    event_ms: float
    setup: Setup
    seed: int

    def run(self, policy: Policy) -> xr.Dataset:
        """Simulate it under a policy; one replicate."""
        return simulate(self.workload, policy, seed=self.seed, setup=self.setup)


def draw(
    shape: Shape, tasks: int, *, seed: int, replicate: int, event_ms: float, after_ms: float
) -> Trial:
    """Draw a trial.

    Parameters
    ----------
    shape : Shape
    tasks : int
    seed, replicate : int
        The draw depends on these two and on nothing else.
    event_ms : float [ms]
        The event falls between this and 4/3 of it, uniformly.
    after_ms : float [ms]
        How long the run goes on after the event.
    """
    stream, rng = np.random.SeedSequence(seed, spawn_key=(replicate,)).spawn(2)
    draws = np.random.default_rng(rng)
    event = float(draws.uniform(event_ms, event_ms * 4 / 3))
    first_pid = int(draws.integers(*_PIDS))
    workload = shape(tasks, event, event + after_ms)
    place = default_setup(workload)
    processes = tuple(
        replace(p, pids=tuple(pid - place.processes[0].pids[0] + first_pid for pid in p.pids))
        for p in place.processes
    )
    return Trial(
        workload=workload,
        event_ms=event,
        setup=replace(place, processes=processes),
        seed=int(stream.generate_state(1)[0]),
    )


def each(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Apply a function to all items, on all CPUs; the first one alone, which compiles."""
    todo = list(items)
    if not todo:
        return []
    first = function(todo[0])
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return [first, *pool.map(function, todo[1:])]
