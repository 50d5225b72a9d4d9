"""Where the runs of a sweep happen: on this machine's cores, or on a dask.distributed cluster."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np
import xarray as xr

from numalab.engine import Start, simulate_one
from numalab.fields import InputError
from numalab.policy import Policy
from numalab.sweep.results import TOTALS_HEADER, Measure, pack
from numalab.totals import Layouts, row_of, run_totals, totals

_AHEAD = 4
"""Jobs that wait for each worker; more would only take memory."""
_LOOK_S = 0.2
"""Between two looks at whether to stop, while no outcome comes."""
_PATIENCE_S = 3.0
"""How long jobs that are under way may take to end once the sweep is to stop."""
_MOST_WORKERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Where a sweep runs, what it keeps, and to whom it says how far it is."""

    store: Path | None = None
    """Folder of results; without one nothing is kept."""
    workers: int = 0
    """Threads on this machine; 0: as many as it has cores."""
    cluster: str = ""
    """Address of a dask.distributed scheduler; empty: on this machine."""
    log: Callable[[str], None] | None = None
    """Takes lines about the work; None: nothing is shown."""

    def __post_init__(self) -> None:
        if self.store is not None:
            object.__setattr__(self, "store", Path(self.store))
        if not 0 <= self.workers <= _MOST_WORKERS:
            raise InputError(f"workers = {self.workers}: must be from 0 to {_MOST_WORKERS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Replicates ``first`` to ``first + count - 1`` of a point, and what to measure of them."""

    number: int
    """Of the point, within its sweep."""
    start: Start
    policy: Policy
    seed: int
    first: int
    count: int
    measures: Mapping[int, Measure]
    """By their number within the sweep."""


class Outcome(NamedTuple):
    """What became of a job; ``reason`` is empty unless it failed."""

    results: Mapping[int, list[tuple[str, np.ndarray]]]
    """Of each measure, header and rows of one replicate after the other; stopped: of fewer."""
    reason: str


def run(job: Job, stop: Callable[[], bool] | None = None) -> Outcome:
    """Run a job; an error is an outcome too, so that it does not stop the others.

    Parameters
    ----------
    job : Job
    stop : callable, optional
        Asked before each replicate; once it says so, the outcome holds those so far.
    """
    replicates = range(job.first, job.first + job.count)
    try:
        if [*job.measures.values()] == [totals]:
            rows = run_totals(
                job.start, job.policy, seed=job.seed, replicates=replicates, stop=stop
            )
            return Outcome({number: [(TOTALS_HEADER, rows)] for number in job.measures}, "")
        return Outcome(_measured(job, replicates, stop), "")
    except InputError as error:
        return Outcome({}, str(error))
    except Exception as error:
        return Outcome({}, f"{type(error).__name__}: {error}".splitlines()[0])


def _measured(
    job: Job, replicates: range, stop: Callable[[], bool] | None
) -> dict[int, list[tuple[str, np.ndarray]]]:
    found: dict[int, list[tuple[str, np.ndarray]]] = {number: [] for number in job.measures}
    layouts = Layouts()
    for index in replicates:
        if stop is not None and stop():
            break
        ds = simulate_one(job.start, job.policy, job.seed, index, layouts.assemble)
        for number, measure in job.measures.items():
            header, row = _pack(measure, ds)
            found[number].append((header, row[None]))
    return {number: _merged(results) for number, results in found.items()}


def _merged(results: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """Join the rows of consecutive replicates under one header."""
    found: list[tuple[str, list[np.ndarray]]] = []
    for header, row in results:
        if not found or found[-1][0] != header:
            found.append((header, []))
        found[-1][1].append(row)
    return [(header, np.concatenate(rows)) for header, rows in found]


def _pack(measure: Measure, ds: xr.Dataset) -> tuple[str, np.ndarray]:
    name = name_of(measure)
    if measure is totals:
        return TOTALS_HEADER, row_of(ds)
    try:
        return pack(measure(ds))
    except InputError as error:
        raise InputError(f"measure {name}: {error}") from None
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"measure {name}: {type(error).__name__}: {error} (line {at.lineno} of {at.name})"
        ) from None


def name_of(measure: Measure) -> str:
    """Name of a measure, for messages."""
    inner = getattr(measure, "func", measure)
    return str(getattr(inner, "__name__", type(inner).__name__))


class Stop:
    """Says whether a sweep was asked to stop."""

    asked = False

    def __call__(self) -> bool:
        """Say so."""
        return self.asked


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Yield what the first Ctrl-C sets, instead of interrupting whatever runs just then.

    A second one interrupts as always. Only in the main thread, and where nobody else has
    a handler of his own.
    """
    stop = Stop()
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or before is not signal.default_int_handler:
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_threads(
    jobs: Iterable[Job], workers: int, stop: Callable[[], bool]
) -> Generator[tuple[Job, Outcome], None, None]:
    """Run jobs on threads, and yield their outcomes as they come.

    The compiled engine releases the GIL for most of a run, so threads keep the cores busy;
    they need no second import and no second compilation, as processes would.

    Parameters
    ----------
    jobs : iterable of Job
    workers : int
        Threads.
    stop : callable
        Once it says so, jobs end after the replicate that they are at.
    """
    left = Stop()
    pool = ThreadPoolExecutor(workers)
    try:
        yield from _outcomes(
            jobs,
            lambda job: pool.submit(run, job, lambda: stop() or left()),
            lambda: _AHEAD * workers,
            stop,
        )
    finally:
        left.asked = True
        pool.shutdown(wait=False, cancel_futures=True)


def _outcomes(
    jobs: Iterable[Job],
    submit: Callable[[Job], Future[Outcome]],
    room: Callable[[], int],
    stop: Callable[[], bool],
) -> Generator[tuple[Job, Outcome], None, None]:
    """Keep as many jobs under way as there is room for, and yield outcomes as they come."""
    todo = iter(jobs)
    job = next(todo, None)
    waiting: dict[Future[Outcome], Job] = {}
    until = math.inf
    while (waiting or (job and not stop())) and time.monotonic() < until:
        most = room()
        while job and not stop() and len(waiting) < most:
            waiting[submit(job)] = job
            job = next(todo, None)
        if not waiting:
            time.sleep(_LOOK_S)
        done, _ = wait(waiting, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()
        if stop():
            until = min(until, time.monotonic() + _PATIENCE_S)
