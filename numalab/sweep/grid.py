"""Many runs as one labelled Dataset: :func:`grid` runs what is not known yet, and collects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.fields import InputError, as_plain
from numalab.policy import Policy
from numalab.provenance import model_version
from numalab.sweep.design import Values, read_axis
from numalab.sweep.execution import Execution, Job, cores, interruptible, name_of, on_threads
from numalab.sweep.points import Point, Sweep, missing, points_of
from numalab.sweep.results import Measure, Record, joined
from numalab.sweep.settings import Source
from numalab.totals import totals

_MOST_REPLICATES = 32
"""Replicates in a job: enough to share a layout, few enough to be no great loss."""


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
    points = points_of(sweep)
    _refuse_failed(sweep, points)
    found = _run(sweep, points, where)
    _refuse_failed(sweep, points)
    if all(point.status == "done" for point in points):
        found = found.drop_vars(["status", "reason"])
    return found


def _refuse_failed(sweep: Sweep, points: list[Point]) -> None:
    failed = next((i for i, point in enumerate(points) if point.status == "failed"), None)
    if failed is None:
        return
    index = np.unravel_index(failed, sweep.shape)
    at = [f"{a.name} = {a.labels[i]}" for i, a in zip(index, sweep.axes, strict=True)]
    raise InputError(f"{', '.join(at) or 'sweep'}: {points[failed].reason}")


def _run(sweep: Sweep, points: list[Point], where: Execution) -> xr.Dataset:
    keys = [f"measure {i}".encode() for i in range(len(sweep.measures))]
    held: dict[bytes, list[Record]] = {}
    threads = where.workers or cores()
    equal: dict[bytes, list[Point]] = {}
    for point in points:
        equal.setdefault(point.key, []).append(point)
    with ExitStack() as stack:
        stop = stack.enter_context(interruptible())
        jobs = _jobs(sweep, points, keys, held, threads)
        for job, outcome in stack.enter_context(closing(on_threads(jobs, threads, stop))):
            key = points[job.number].key
            if outcome.reason:
                for point in equal[key]:
                    point.status, point.reason = "failed", outcome.reason
            for number, results in outcome.results.items():
                first = job.first
                for header, rows in results:
                    record = Record(key + keys[number], first, header, rows)
                    held.setdefault(record.key, []).append(record)
                    first += len(rows)
    if stop():
        raise KeyboardInterrupt("stopped")
    return _dataset(sweep, points, keys, held)


def _jobs(
    sweep: Sweep,
    points: list[Point],
    keys: Sequence[bytes],
    held: Mapping[bytes, list[Record]],
    workers: int,
) -> list[Job]:
    """Return what is left to run; points that are equal are run once."""
    todo = {point.key: i for i, point in reversed([*enumerate(points)]) if point.start}
    lacking = []
    for key, i in sorted(todo.items(), key=lambda item: item[1]):
        there = np.zeros((len(keys), sweep.replicates), bool)
        for one, of_measure in zip(there, keys, strict=True):
            for record in held.get(key + of_measure, ()):
                one[record.first : record.first + len(record.rows)] = True
        lacking += [(i, *stretch) for stretch in missing(there)]
    runs = sum(count for _, _, count, _ in lacking)
    most = max(1, min(_MOST_REPLICATES, runs // (4 * workers)))
    return [
        Job(
            number=i,
            start=points[i].start,  # type: ignore[arg-type]
            policy=points[i].policy,  # type: ignore[arg-type]
            seed=sweep.seed,
            first=at,
            count=min(most, first + count - at),
            measures={number: sweep.measures[number] for number in numbers},
        )
        for i, first, count, numbers in lacking
        for at in range(first, first + count, most)
    ]


def _dataset(
    sweep: Sweep,
    points: list[Point],
    keys: Sequence[bytes],
    held: Mapping[bytes, list[Record]],
) -> xr.Dataset:
    dims = tuple(axis.name for axis in sweep.axes)
    coords: dict[str, Any] = {axis.name: np.array(axis.labels) for axis in sweep.axes}
    for axis in sweep.axes:
        coords |= {name: (axis.name, np.array(along)) for name, along in axis.coords.items()}
    coords["replicate"] = np.arange(sweep.replicates)
    data: dict[str, Any] = {}
    for measure, key in zip(sweep.measures, keys, strict=True):
        of_points = [held.get(point.key + key, []) for point in points]
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
