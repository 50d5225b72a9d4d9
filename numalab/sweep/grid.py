"""Many runs as one labelled Dataset: :func:`grid` runs what is not known yet, and collects."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.fields import InputError, as_plain
from numalab.policy import Policy
from numalab.provenance import model_version
from numalab.sweep import store as folders
from numalab.sweep.design import Values, read_axis
from numalab.sweep.execution import Execution, cores, interruptible, on_cluster, on_threads
from numalab.sweep.plan import Plan, reasons
from numalab.sweep.points import Sweep
from numalab.sweep.results import Measure, Record, joined, name_of
from numalab.sweep.settings import Source
from numalab.totals import totals

_WRITE_S = (0.1, 2.0)
"""Between two files of the store, at first and at most; a tenth of the time so far between.
What is lost when a sweep is killed is the work of that time."""
_EVERY_S = 10.0
"""Between two lines of progress, where there is no terminal."""


def grid(
    workload: Source,
    axes: Mapping[str, Values] | None = None,
    *,
    policy: str | Policy = "linux-7.2",
    measure: Measure | Sequence[Measure] = (totals,),
    replicates: int = 1,
    seed: int = 0,
    fixed: Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
    drop_invalid: bool = False,
    store: str | Path | None = None,
    execution: Execution | None = None,
) -> xr.Dataset:
    """Simulate a workload over every combination of values, and measure each run.

    Replicate ``i`` draws from ``SeedSequence(seed, (i,))`` at every point, so points and
    policies can be compared in pairs; the result depends neither on the number of workers
    nor on the order in which they finish.

    Parameters
    ----------
    workload : Workload, Start, callable or None
        What is simulated; a function takes axes and fixed values of its arguments' names as
        keyword arguments. None where an axis ``workload`` has the workloads.
    axes : mapping
        Name of each dimension to its values: a list; a dict of values by label; a
        :class:`Range`; a pandas.DataFrame whose rows set the fields of its columns together.
        A name that is no argument of ``workload`` is ``policy``, ``remedy``, ``policy.RULE`` or
        a field of the workload (:mod:`numalab.sweep.settings`).
    policy : str or Policy
        Where no axis has one.
    measure : callable or sequence of callables
        Each takes the Dataset of one run (:func:`numalab.engine.simulate_one`) and returns named
        numbers or small arrays, whose labelled dimensions become dimensions of the result.
        With :func:`numalab.totals.totals` alone no Dataset is made of a run.
    replicates : int
        Runs of each point.
    seed : int
        Root of the random streams, where a start has none of its own.
    fixed : mapping
        Values of fields that have one.
    drop : sequence of str
        Comparisons that take a point out: ``"scan_period_min_ms > scan_period_max_ms"``.
    drop_invalid : bool
        Take out points that cannot be built, instead of raising.
    store : path, optional
        Folder that keeps results; the same as ``Execution(store=...)``.
    execution : Execution, optional
        Threads or cluster, store, and where to say how far it is; else all cores, and no store.

    Returns
    -------
    xarray.Dataset
        Variables of all measures over the axes and ``replicate``. Where points were taken out,
        values are NaN, and ``status`` and ``reason`` say why.

    Raises
    ------
    InputError
        If the sweep makes no sense, a point cannot be built, or a run or a measure fails.
    KeyboardInterrupt
        After Ctrl-C, when what was computed is in the store.
    """
    sweep = Sweep(
        source=workload,
        axes=tuple(read_axis(workload, name, given) for name, given in (axes or {}).items()),
        policy=policy,
        measures=tuple([measure] if callable(measure) else measure),
        replicates=replicates,
        seed=seed,
        fixed=fixed or {},
        drop=tuple([drop] if isinstance(drop, str) else drop),
        drop_invalid=drop_invalid,
    )
    where = execution or Execution()
    if store is not None:
        where = replace(where, store=Path(store))
    plan = Plan(sweep, stored=where.store is not None)
    plan.raise_failed()
    found = run(plan, where)
    plan.raise_failed()
    if all(point.status == "done" for point in plan.points):
        found = found.drop_vars(["status", "reason"])
    return found


def run(plan: Plan, where: Execution) -> xr.Dataset:
    """Run what is left of a sweep.

    Returns
    -------
    xarray.Dataset
        As of :func:`grid`; ``status`` is ``done``, ``dropped`` or ``failed``, and ``reason``
        says why.

    Raises
    ------
    InputError
        If the store cannot be written, or the cluster fails.
    KeyboardInterrupt
        After Ctrl-C, when what was computed is in the store; says how many runs that are.
    """
    log = where.log or (lambda line: None)
    if where.store is not None:
        folders.prepare(where.store)
        plan.look_up(where.store, log, set_aside=True)
    if where.log:
        for line in plan.summary():
            log(line)
    threads = where.workers or cores()
    jobs = plan.jobs(threads)
    keeper = _Keeper(where.store)
    with ExitStack() as stack:
        stop = stack.enter_context(interruptible())
        if where.cluster:
            outcomes = on_cluster(jobs, where.cluster, stop, log)
        else:
            outcomes = on_threads(jobs, threads, stop)
        stack.enter_context(closing(outcomes))
        advance = stack.enter_context(_progress(sum(job.count for job in jobs), where.log))
        stack.callback(keeper.keep)
        for job, outcome in outcomes:
            keeper.take(plan.take(job, outcome), outcome.runs)
            advance(job.count if outcome.reason else outcome.runs)
    if stop():
        why = "" if where.store else ": there is no store"
        raise KeyboardInterrupt(f"stopped; {keeper.kept} runs kept{why}")
    return _dataset(plan)


class _Keeper:
    """Puts results into the store every few seconds."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.fresh: list[Record] = []
        self.runs = self.kept = 0
        self.begin = self.last = time.monotonic()

    def take(self, records: Sequence[Record], runs: int) -> None:
        self.fresh += records
        self.runs += runs
        now = time.monotonic()
        if now - self.last >= min(max(_WRITE_S[0], (now - self.begin) / 10), _WRITE_S[1]):
            self.keep()
            self.last = now

    def keep(self) -> None:
        if self.folder is not None and self.runs:
            folders.write(self.folder, self.fresh, model_version())
            self.kept += self.runs
        self.fresh, self.runs = [], 0


@contextmanager
def _progress(total: int, log: Callable[[str], None] | None) -> Iterator[Callable[[int], object]]:
    """Yield a function that takes runs just done, and shows them: a bar on a terminal, or lines."""
    if log is None:
        yield lambda runs: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        speed = TaskProgressColumn(show_speed=True)
        columns = (BarColumn(), MofNCompleteColumn(), speed)
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, *times, console=Console(stderr=True)) as bar:
            task = bar.add_task("runs", total=total)
            yield lambda runs: bar.advance(task, runs)
    else:
        begin = last = time.monotonic()
        done = 0

        def advance(runs: int) -> None:
            nonlocal done, last
            done += runs
            now = time.monotonic()
            if now - last >= _EVERY_S:
                last = now
                rate = max(done, 1) / (now - begin)
                log(
                    f"{done} of {total} runs, {rate:.0f} runs/s, {(total - done) / rate:.0f} s left"
                )

        yield advance


def summary(ds: xr.Dataset) -> Iterator[str]:
    """Yield in lines what became of the points of a sweep."""
    states = [str(state) for state in ds["status"].values.ravel()]
    yield (
        f"{states.count('done')} points done, {states.count('dropped')} dropped, "
        f"{states.count('failed')} failed; {len(ds['replicate'])} runs each"
    )
    why = [str(reason) for reason in ds["reason"].values.ravel()]
    yield from reasons(point for point in zip(states, why, strict=True) if point[0] == "failed")


def _dataset(plan: Plan) -> xr.Dataset:
    sweep, points = plan.sweep, plan.points
    dims = tuple(axis.name for axis in sweep.axes)
    coords: dict[str, Any] = {axis.name: np.array(axis.labels) for axis in sweep.axes}
    for axis in sweep.axes:
        coords |= {name: (axis.name, np.array(along)) for name, along in axis.coords.items()}
    coords["replicate"] = np.arange(sweep.replicates)
    data: dict[str, Any] = {}
    for number, measure in enumerate(sweep.measures):
        of_points = [plan.held.get(plan.key(point, number), []) for point in points]
        flat = joined(of_points, sweep.replicates)
        for name, da in flat.drop_vars("run", errors="ignore").data_vars.items():
            if name in data or name in (*dims, "replicate"):
                raise InputError(f"measure {name_of(measure)}: another one returned {name} too")
            more = [str(dim) for dim in da.dims if dim != "run"]
            for dim in more:
                if coords.setdefault(dim, flat[dim].values) is not flat[dim].values and not (
                    np.array_equal(coords[dim], flat[dim].values)
                ):
                    raise InputError(
                        f"measure {name_of(measure)}: {dim} is also an axis, or has other labels "
                        "in another measure"
                    )
            values = da.transpose("run", *more).values
            shape = (*sweep.shape, sweep.replicates, *values.shape[1:])
            data[str(name)] = ((*dims, "replicate", *more), values.reshape(shape), da.attrs)
    for name in ("status", "reason"):
        texts = np.array([getattr(point, name) for point in points], dtype=str)
        data[name] = (dims, texts.reshape(sweep.shape))
    ds = xr.Dataset(data, coords=coords)
    kernels = {point.policy.name for point in points if point.policy}
    ds.attrs = {
        "source": "simulated",
        "kernel": kernels.pop() if len(kernels) == 1 else "several",
        "provenance": json.dumps(_provenance(sweep), sort_keys=True, default=str),
    }
    return ds


def _provenance(sweep: Sweep) -> dict[str, Any]:
    """Say what a result follows from."""
    source = sweep.source
    axes = {
        axis.name: {"labels": axis.labels, **axis.coords, "sets": [*axis.settings]}
        for axis in sweep.axes
    }
    return {
        "source": "simulated",
        "numalab": __version__,
        "model": model_version(),
        "sweep": {
            "name": sweep.name,
            "about": sweep.about,
            "workload": getattr(source, "__name__", "") if callable(source) else as_plain(source),
            "policy": as_plain(sweep.policy),
            "axes": axes,
            "fixed": {name: as_plain(value) for name, value in sweep.fixed.items()},
            "measures": [name_of(measure) for measure in sweep.measures],
            "seed": sweep.seed,
            "replicates": sweep.replicates,
            "drop": sweep.drop,
            "drop_invalid": sweep.drop_invalid,
        },
    }
