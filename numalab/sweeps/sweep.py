"""Many runs as one labelled Dataset: run what the store does not hold, and collect."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.fields import InputError, as_plain
from numalab.sweeps import progress, store, workers
from numalab.sweeps.axes import Axis
from numalab.sweeps.cases import Case, Plan, plan, quiet, reasons
from numalab.sweeps.design import Sweep
from numalab.sweeps.job import Outcome, model_version
from numalab.sweeps.settings import policy_name
from numalab.sweeps.store import Record
from numalab.totals import NAMES, attributes
from numalab.workload import Workload

_WRITE_S = (0.1, 2.0)
"""Between two files of the store, at first and at most; a tenth of the time so far between.
What is lost when a sweep is killed is the work of that time."""
_MOST_WORKERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a sweep runs and what it keeps."""

    store: Path | None = None
    """Folder of results; without one nothing is kept."""
    workers: int = 0
    """Threads on this machine; 0: as many as it has cores."""
    cluster: str = ""
    """Address of a dask.distributed scheduler; empty: on this machine."""

    def __post_init__(self) -> None:
        if self.store is not None:
            object.__setattr__(self, "store", Path(self.store))
        if not 0 <= self.workers <= _MOST_WORKERS:
            raise InputError(f"workers = {self.workers}: must be from 0 to {_MOST_WORKERS}")


def run(sweep: Sweep, where: Where | None = None, say: Callable[[str], None] = quiet) -> xr.Dataset:
    """Run a sweep, or what is left of it.

    Replicate ``i`` draws from ``SeedSequence(seed, (i,))`` at every point, so points and
    policies can be compared in pairs; the result depends neither on the number of workers
    nor on the order in which they finish.

    Parameters
    ----------
    sweep : Sweep
    where : Where, optional
        Cores or cluster, and the store; else all cores and no store.
    say : callable
        Takes lines about the work; with none of them nothing is shown at all.

    Returns
    -------
    xarray.Dataset
        Totals (:func:`numalab.totals.totals`) over the axes of the sweep and ``replicate``;
        the points of a sample lie along ``point``. ``status`` is ``done``, ``dropped`` or
        ``failed`` and ``reason`` says why. Where there is no result, totals are NaN.

    Raises
    ------
    InputError
        If the sweep makes no sense, the store cannot be written, or the cluster fails.
    KeyboardInterrupt
        After Ctrl-C, when what was computed is in the store; says how many runs that are.
    """
    where = where or Where()
    if where.store is not None:
        store.prepare(where.store)
    planned = plan(sweep, where.store, say, set_aside=True)
    for line in planned.told():
        say(line)
    threads = where.workers or workers.cores()
    jobs = planned.jobs(threads)
    with ExitStack() as stack:
        stop = stack.enter_context(workers.interruptible())
        if where.cluster:
            outcomes = workers.on_cluster(jobs, where.cluster, stop, say)
        else:
            outcomes = workers.on_threads(jobs, threads, stop)
        runs = sum(job.count for job in jobs)
        advance = stack.enter_context(
            nullcontext(_nothing) if say is quiet else progress.shown(runs, say)
        )
        kept = _collect(planned, stack.enter_context(closing(outcomes)), where.store, advance)
    if stop():
        why = "" if where.store else ": there is no store"
        raise KeyboardInterrupt(f"stopped; {kept} runs kept{why}")
    return _dataset(planned)


def _nothing(runs: int) -> None:
    """Show nothing."""


class _Keeper:
    """Puts results into the store every few seconds."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.fresh: list[Record] = []
        self.kept = 0
        self.begin = self.last = time.monotonic()

    def take(self, record: Record) -> None:
        self.fresh.append(record)
        now = time.monotonic()
        if now - self.last >= min(max(_WRITE_S[0], (now - self.begin) / 10), _WRITE_S[1]):
            self.keep()
            self.last = now

    def keep(self) -> None:
        if self.folder is not None and self.fresh:
            store.write(self.folder, self.fresh, model_version())
            self.kept += sum(len(record.totals) for record in self.fresh)
        self.fresh.clear()


def _collect(
    planned: Plan,
    outcomes: Iterator[Outcome],
    folder: Path | None,
    advance: Callable[[int], None],
) -> int:
    """Take outcomes as they come; return how many runs the store has kept of them."""
    equal: dict[bytes, list[Case]] = {}
    for case in planned.cases:
        equal.setdefault(case.key, []).append(case)
    keeper = _Keeper(folder)
    try:
        for job, totals, reason, _ in outcomes:
            key = planned.cases[job.number].key
            if totals is None:
                for case in equal[key]:
                    case.status, case.reason = "failed", reason
            elif len(totals):
                record = Record(key, job.first, totals)
                planned.held.setdefault(key, []).append(record)
                keeper.take(record)
            advance(job.count if totals is None else len(totals))
    finally:
        keeper.keep()
    return keeper.kept


def _dataset(planned: Plan) -> xr.Dataset:
    sweep, layout = planned.sweep, planned.layout
    shape = (len(planned.cases), sweep.replicates)
    values = np.zeros((*shape, len(NAMES)), np.int64)
    held = np.zeros(shape, bool)
    for i, case in enumerate(planned.cases):
        for record in planned.held.get(case.key, []):
            last = min(record.first + len(record.totals), sweep.replicates)
            values[i, record.first : last] = record.totals[: max(0, last - record.first)]
            held[i, record.first : last] = True
    dims = (*layout.coords, "replicate")
    sizes = (*layout.shape, sweep.replicates)
    said = attributes()
    data: dict[str, Any] = {}
    for i, name in enumerate(NAMES):
        column = values[..., i] if held.all() else np.where(held, values[..., i], np.nan)
        data[name] = (dims, column.reshape(sizes), said[name])
    for name in ("status", "reason"):
        words = np.array([getattr(case, name) for case in planned.cases], dtype=str)
        data[name] = (dims[:-1], words.reshape(layout.shape))
    coords: dict[str, Any] = dict(layout.coords)
    coords |= {name: ("point", along) for name, along in layout.along_point.items()}
    coords["replicate"] = np.arange(sweep.replicates)
    ds = xr.Dataset(data, coords=coords)
    kernels = {policy_name(point.values) for point in layout.points}
    ds.attrs = {
        "source": "simulated",
        "kernel": kernels.pop() if len(kernels) == 1 else "several",
        "provenance": json.dumps(_birth(sweep), sort_keys=True, default=str),
    }
    return ds


def told(ds: xr.Dataset) -> Iterator[str]:
    """Say in lines what became of the points of a sweep."""
    states = [str(state) for state in ds["status"].values.ravel()]
    yield (
        f"{states.count('done')} points done, {states.count('dropped')} dropped, "
        f"{states.count('failed')} failed; {len(ds['replicate'])} runs each"
    )
    why = [str(reason) for reason in ds["reason"].values.ravel()]
    yield from reasons(point for point in zip(states, why, strict=True) if point[0] == "failed")


def _birth(sweep: Sweep) -> dict[str, Any]:
    base = sweep.base
    named = as_plain(base) if isinstance(base, Workload) else getattr(base, "__name__", str(base))
    said = {name: as_plain(getattr(sweep, name)) for name in Sweep.__dataclass_fields__}
    return {
        "source": "simulated",
        "numalab": __version__,
        "model": model_version(),
        "sweep": {**said, "base": named},
    }


def over(
    along: str,
    values: Sequence[float],
    workload_at: Callable[[float], Workload],
    policies: Sequence[str],
    *,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate a workload for each value of a parameter, under each policy.

    Parameters
    ----------
    along : str
        Name of the parameter; becomes a dimension.
    values : sequence of float
    workload_at : callable
        The workload for a value.
    policies : sequence of str
    replicates, seed : int

    Returns
    -------
    xarray.Dataset
        Final values and totals over VMAs, over (policy, ``along``, replicate).

    Raises
    ------
    InputError
        If a point cannot be built or fails.
    """

    def base(**given: Any) -> Workload:
        return workload_at(given[along])

    axes = (Axis(name="policy", values=tuple(policies)), Axis(name=along, values=tuple(values)))
    ds = run(Sweep(base=base, axes=axes, seed=seed, replicates=replicates))
    failed = ds["reason"].values[ds["status"].values != "done"]
    if failed.size:
        raise InputError(str(failed[0]))
    return ds.drop_vars(["status", "reason"])
