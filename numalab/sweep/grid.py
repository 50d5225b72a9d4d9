"""Many runs as one labelled Dataset: :func:`grid` runs what is not known yet, and collects."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from numalab.engine import Start
from numalab.fields import InputError, shown
from numalab.policy import Policy
from numalab.sweep import store as folders
from numalab.sweep.axes import Values, read_axis
from numalab.sweep.execution import Execution, cores, interruptible, on_cluster, on_threads
from numalab.sweep.labelled import dataset
from numalab.sweep.plan import Plan
from numalab.sweep.points import Sweep
from numalab.sweep.results import Measure
from numalab.sweep.settings import Source
from numalab.totals import totals
from numalab.workload import Workload

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
    nor on the order in which they finish. See docs/sweeps.md. One run is done by
    :func:`numalab.sweep.jobs.run`, which simulates and measures it.

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
    replicates, seed : int
        Runs of each point; root of their random streams, where a start has none of its own.
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
    axes, fixed = {} if axes is None else axes, {} if fixed is None else fixed
    drop = [drop] if isinstance(drop, str) else drop
    measure = [measure] if callable(measure) else measure
    where = Execution() if execution is None else execution
    source = callable(workload) or isinstance(workload, Workload | Start | None)
    _refuse_unless(source, "workload", workload, "a Workload, a Start, a function or None")
    _refuse_unless(isinstance(axes, Mapping), "axes", axes, "a dict of values by name")
    _refuse_unless(isinstance(fixed, Mapping), "fixed", fixed, "a dict of one value by name")
    for name in fixed:
        _refuse_unless(isinstance(name, str), "name of a fixed value", name, "text")
    _refuse_unless(_is_list(measure), "measure", measure, "a function or a list of functions")
    for one in measure:
        _refuse_unless(callable(one), "measure", one, "a function or a list of functions")
    _refuse_unless(_is_list(drop), "drop", drop, "a text or a list of texts")
    _refuse_unless(isinstance(where, Execution), "execution", where, "a sweep.Execution")
    if store is not None:
        if where.store is not None:
            raise InputError(f"store = {store}: execution has a store too: give one of them")
        _refuse_unless(isinstance(store, str | Path), "store", store, "a path")
        where = replace(where, store=store)  # type: ignore[arg-type]
    sweep = Sweep(
        source=workload,
        axes=tuple(read_axis(workload, name, given) for name, given in axes.items()),
        policy=policy,
        measures=tuple(measure),
        replicates=replicates,
        seed=seed,
        fixed=fixed,
        drop=tuple(drop),
        drop_invalid=drop_invalid,
    )
    plan = Plan(sweep, stored=where.store is not None)
    plan.raise_failed()
    found = run(plan, where)
    plan.raise_failed()
    if not any(point.status == "done" for point in plan.points):
        why = plan.points[0].reason if plan.points else "an axis holds no value"
        raise InputError(f"all {len(plan.points)} points are left out: {why}")
    if all(point.status == "done" for point in plan.points):
        found = found.drop_vars(["status", "reason"])
    return found


def _is_list(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _refuse_unless(fits: bool, name: str, value: Any, must: str) -> None:
    if not fits:
        raise InputError(f"{name} = {shown(value)}: must be {must}")


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
    log = where.log or logging.getLogger("numalab").warning
    if where.store is not None:
        folders.prepare(where.store)
        plan.look_up(where.store, log, set_aside=True)
    if where.log:
        for line in plan.summary():
            log(line)
    threads = where.workers or cores()
    jobs = plan.jobs(threads)
    keeper = folders.Keeper(where.store)
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
    if stop.is_set():
        why = "" if where.store else ": there is no store"
        raise KeyboardInterrupt(f"stopped; {keeper.kept} runs kept{why}")
    return dataset(plan)


@contextmanager
def _progress(total: int, log: Callable[[str], None] | None) -> Iterator[Callable[[int], object]]:
    """Yield a function that takes runs just done: shown as a bar on a terminal, else in lines."""
    if log is None:
        yield lambda runs: None
        return
    if sys.stderr.isatty():
        from rich import console, progress

        columns = (progress.MofNCompleteColumn(), progress.TaskProgressColumn(show_speed=True))
        shown = (*progress.Progress.get_default_columns()[1:2], *columns)
        times = (progress.TimeElapsedColumn(), progress.TimeRemainingColumn())
        with progress.Progress(*shown, *times, console=console.Console(stderr=True)) as bar:
            task = bar.add_task("runs", total=total)
            yield lambda runs: bar.advance(task, runs)
        return
    begin = last = time.monotonic()
    done = 0

    def advance(runs: int) -> None:
        nonlocal done, last
        done, now = done + runs, time.monotonic()
        if now - last >= _EVERY_S:
            last, rate = now, max(done, 1) / (now - begin)
            log(f"{done} of {total} runs, {rate:.0f} runs/s, {(total - done) / rate:.0f} s left")

    yield advance
