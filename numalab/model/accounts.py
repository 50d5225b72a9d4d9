"""Where the time of each task went: a check that every run makes."""

from __future__ import annotations

import numpy as np

from numalab.model.world import World

_PER_TICK_NS = 10
"""Rounding to whole ns, a few times a tick."""


def time_spent(world: World) -> np.ndarray:
    """Add up what each task spent: its touches, its faults, its scans; float64[n_task] [ns]."""
    tasks, accesses = world.tasks, world.accesses
    spent = tasks["fault_ns"] + tasks["scan_ns"] - tasks["debt_ns"]
    np.add.at(spent, accesses["task"], accesses["touches"] * accesses["touch_ns"])
    return spent


def check_time(world: World, spent_before: np.ndarray, ticks: int) -> None:
    """Raise unless each task ran as long as what it did takes.

    Of a task that spins, what it did may take less. In each part of a tick time for less
    than one touch of each access may be left over.

    Parameters
    ----------
    spent_before : ndarray, float64[n_task] [ns]
        Of :func:`time_spent`, at the start of the run.
    ticks : int
        Ticks that were run.

    Raises
    ------
    RuntimeError
        Naming the task, by number, and both times.
    """
    tasks, accesses = world.tasks, world.accesses
    spent = time_spent(world) - spent_before
    slack = np.full(len(tasks), float(_PER_TICK_NS))
    np.add.at(slack, accesses["task"], accesses["touch_ns"])
    idle = np.where(tasks["spins"] == 1, np.maximum(tasks["ran_ns"] - spent, 0.0), 0.0)
    off = np.abs(tasks["ran_ns"] - spent - idle)
    for t in np.flatnonzero(off > slack * (4 * ticks + 4) + 1e-6 * spent):
        raise RuntimeError(
            f"task {t} ran {tasks['ran_ns'][t] / 1e6:g} ms, and what it did takes "
            f"{spent[t] / 1e6:g} ms: a fault of the model"
        )
