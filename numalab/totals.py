"""What a run comes to at its end: totals, from a Dataset or straight from many runs.

The second way builds no Dataset for a run, and lays the world out once for all replicates
whose draws agree; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from numalab.dataset import COUNTERS, REASONS, SCHEMA, SECONDARY, WHYS
from numalab.engine import Start, run_one, touches_of
from numalab.model.build import ScanLog
from numalab.model.image import Image, draw_image
from numalab.model.layout import Setup, default_setup
from numalab.model.world import Assembly, draw_lru_added, lay_out
from numalab.policy import Policy
from numalab.workload import Workload

_LABELS = {"why": WHYS, "reason": REASONS}


def _columns(name: str) -> list[str]:
    """Names of the totals of a variable: one, or one for each cause."""
    dims = SCHEMA[name][0]
    if dims in (("vma", "why"), ("vma", "reason")):
        labels = _LABELS[dims[1]]
        return [name if label == "scan" else f"{name}_{label}" for label in labels]
    if dims == ("vma",) or dims == ("time",) or name == "touches":
        return [name]
    return []


_LOGGED = (*ScanLog._fields, *SECONDARY, "touches")
_COUNTED = [n for n in SCHEMA if n in COUNTERS or n in _LOGGED]
NAMES = tuple(column for name in _COUNTED for column in _columns(name))
"""Totals of a simulated run, in the order of their columns."""


def attributes() -> dict[str, dict[str, str]]:
    """Return unit, meaning and kernel counterpart of each total."""
    return {
        column: dict(zip(("units", "long_name", "kernel"), SCHEMA[name][1:], strict=True))
        for name in _COUNTED
        for column in _columns(name)
    }


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
    for name in (n for n in SCHEMA if n in ds and _columns(n)):
        if "time" in ds[name].dims:
            found[name] = ds[name].isel(time=-1, drop=True)
            continue
        at = {"vma": own} if "vma" in ds[name].dims else {}
        over = "vma" if at else "task"
        summed = ds[name].sel(at).sum(over, keep_attrs=True)
        label = next((d for d in _LABELS if d in summed.dims), None)
        for i, column in enumerate(_columns(name)):
            found[column] = summed.isel({label: i}, drop=True) if label else summed
    return xr.Dataset(found).drop_vars([c for c in ds.coords if c != "replicate"], errors="ignore")


def row_of(run: xr.Dataset) -> np.ndarray:
    """Return the totals of one simulated run; int64[n_total], columns as in :data:`NAMES`."""
    own = sum(not str(name).startswith("image:") for name in run["vma"].values)
    row: list[Any] = []
    for name in _COUNTED:
        values = run.variables[name].values
        if name in COUNTERS:
            row.append(values[-1])
        else:
            row.extend(np.atleast_1d(values.sum() if name == "touches" else values[:own].sum(0)))
    return np.array(row, np.int64)


def _row(a: Assembly, samples: np.ndarray, own: int) -> Iterator[Any]:
    for name in _COUNTED:
        if name in COUNTERS:
            yield samples[-1, COUNTERS.index(name)]
        elif name == "touches":
            yield touches_of(a).astype(np.int64).sum()
        elif name in SECONDARY:
            yield a.world.log.secondary[:own, SECONDARY.index(name)].sum()
        else:
            yield from np.atleast_1d(getattr(a.world.log, name)[:own].sum(axis=0))


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

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], tuple[Assembly, list[tuple[np.ndarray, np.ndarray]]]] = {}

    def assemble(
        self, w: Workload, policy: Policy, setup: Setup, room: int, draws: np.random.Generator
    ) -> Assembly:
        """As :func:`numalab.model.world.assemble`, from memory where it is known."""
        image: Image = draw_image(w, setup, draws)
        lru_added = draw_lru_added(w, policy, draws)
        key = (room, *image.values())
        if key not in self.known:
            made = lay_out(w, policy, setup, room, image, np.zeros_like(lru_added))
            changing = (*_arrays(made.world), *_arrays(made.churns))
            self.known[key] = made, [(array, array.copy()) for array in changing]
        again, arrays = self.known[key]
        for now, then in arrays:
            now[...] = then
        again.world.pop.lru_added[:] += lru_added
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
    workload, seed = start.workload, seed if start.seed is None else start.seed
    place = start.setup or default_setup(workload)
    layouts = Layouts()
    own = len(workload.vmas) + len(workload.churns)
    found = np.zeros((len(replicates), len(NAMES)), np.int64)
    for done, (row, index) in enumerate(zip(found, replicates, strict=True)):
        if stop is not None and stop():
            return found[:done]
        a, samples, _ = run_one(workload, policy, place, seed, index, layouts.assemble)
        row[:] = list(_row(a, samples, own))
    return found
