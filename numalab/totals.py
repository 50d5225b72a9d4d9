"""What a run comes to at its end: totals, from a Dataset or straight from many runs.

The second way builds no Dataset for a run, and lays the world out once for all replicates
whose draws agree; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from numalab.engine import Finished, Start, run_one, touches_of
from numalab.model.initial import Drawn, lay_out
from numalab.model.layout import Setup
from numalab.model.world import MAX_EVENTS, World
from numalab.policy import Policy
from numalab.schema import COUNTERS, LABELS, PER_VMA, SCHEMA, Variable
from numalab.workload import Workload

_COUNTED = [*(SCHEMA[name] for name in COUNTERS), *PER_VMA, SCHEMA["touches"]]


def _columns(one: Variable) -> list[str]:
    """Names of the totals of a variable: one, or one for each cause."""
    labels = [label for dim in one.dims[1:] for label in LABELS.get(dim, ())] or ["scan"]
    return [one.name if label == "scan" else f"{one.name}_{label}" for label in labels]


NAMES = tuple(column for one in _COUNTED for column in _columns(one))
"""Totals of a simulated run, in the order of their columns."""


def attributes() -> dict[str, dict[str, str]]:
    """Return unit, meaning and kernel counterpart of each total."""
    return {column: one.attrs for one in _COUNTED for column in _columns(one)}


def totals(ds: xr.Dataset) -> xr.Dataset:
    """Final counters, touches, and per-VMA counts summed over the workload's own VMAs.

    Returns
    -------
    xarray.Dataset
        Over ``replicate``, if the runs are. What a notifier was sent for stands behind its
        name, except for ``scan``; reasons of skips likewise.
    """
    own = [str(v) for v in ds["vma"].values if not str(v).startswith("image:")]
    found = {}
    for one in (v for v in _COUNTED if v.name in ds):
        da = ds[one.name]
        if "vma" in da.dims:
            da = da.sel(vma=own)
        over = one.dims[0]
        last = over == "time"
        summed = da.isel(time=-1, drop=True) if last else da.sum(over, keep_attrs=True)
        for i, column in enumerate(_columns(one)):
            found[column] = summed.isel(dict.fromkeys(one.dims[1:], i), drop=True)
    return xr.Dataset(found).drop_vars([c for c in ds.coords if c != "replicate"], errors="ignore")


def row_of(run: xr.Dataset) -> np.ndarray:
    """Return the totals of one simulated run; int64[n_total], columns as in :data:`NAMES`."""
    own = sum(not str(name).startswith("image:") for name in run["vma"].values)
    row: list[Any] = []
    for one in _COUNTED:
        values = run.variables[one.name].values
        first = {"time": values[-1:], "vma": values[:own]}.get(one.dims[0], values)
        row.extend(np.atleast_1d(first.sum(axis=0)))
    return np.array(row, np.int64)


def _row(done: Finished, own: int) -> np.ndarray:
    """Return the totals of a run whose first ``own`` VMAs are the workload's."""
    counts = done.world.log.counts[:own].view(np.ndarray).view(np.int64).reshape(own, -1)
    touches = touches_of(done.world).astype(np.int64).sum()
    return np.concatenate([[*done.samples[-1]], counts.sum(axis=0), [touches]])


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """Yield the arrays of a world as bytes, but not its tables of events, which may stay."""
    if isinstance(value, tuple):
        for name, one in zip(value._fields, value, strict=True):  # type: ignore[attr-defined]
            if name not in ("chunks", "notices"):
                yield from _arrays(one)
    elif isinstance(value, np.ndarray):
        yield value.view(np.ndarray).view(np.uint8)  # records would be copied field by field


class Layouts:
    """Worlds of one workload under one policy, laid out once for each outcome of the draws.

    The world of a run is overwritten by the next one: memory that is used again costs a
    tenth of memory that the system has to hand out.
    """

    def __init__(self, events: int = MAX_EVENTS) -> None:
        self.events = events
        """Rows of the tables of events; totals need none."""
        self.known: dict[tuple[Any, ...], tuple[World, list[tuple[np.ndarray, np.ndarray]]]] = {}

    def assemble(
        self, w: Workload, policy: Policy, setup: Setup, room: int, draws: np.random.Generator
    ) -> World:
        """As :func:`numalab.model.initial.assemble`, from memory where it is known."""
        drawn = Drawn.before(w, policy, setup, draws)
        key = (room, *drawn.program.values())
        if key not in self.known:
            still = drawn._replace(lru_added=np.zeros_like(drawn.lru_added))
            made = lay_out(w, policy, setup, room, still, self.events)
            self.known[key] = made, [(array, array.copy()) for array in _arrays(made)]
        else:
            for now, then in self.known[key][1]:
                now[...] = then
        again = self.known[key][0]
        again.pop.lru_added[:] += drawn.lru_added
        return again


def run_totals(
    start: Start,
    policy: Policy,
    *,
    seed: int,
    replicates: range,
    stop: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Run replicates of a start and keep their totals only.

    Parameters
    ----------
    start : Start
    policy : Policy
    seed : int
        Root of the random streams, unless the start has its own; replicate ``i`` is the same run
        as of :func:`numalab.engine.simulate`.
    replicates : range
        Numbers of the replicates.
    stop : callable, optional
        Asked before each replicate; once it says so, no further one is run.

    Returns
    -------
    numpy.ndarray, int64[n_replicate, n_total]
        Columns as in :data:`NAMES`; of fewer replicates if it was stopped.

    Raises
    ------
    InputError
        If the workload cannot be laid out, or needs more memory than the engine has.
    """
    start = start.complete(seed)
    layouts = Layouts(events=0)
    own = len(start.workload.vmas) + len(start.workload.churns)
    found = np.zeros((len(replicates), len(NAMES)), np.int64)
    for done, (row, index) in enumerate(zip(found, replicates, strict=True)):
        if stop is not None and stop():
            return found[:done]
        row[:] = _row(run_one(start, policy, index, layouts.assemble), own)
    return found
