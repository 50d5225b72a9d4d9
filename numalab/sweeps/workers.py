"""Where the jobs of a sweep run: on this machine's cores, or on a dask.distributed cluster."""

from __future__ import annotations

import logging
import math
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from numalab.fields import InputError
from numalab.sweeps.job import Job, Outcome, model_version, run

if TYPE_CHECKING:
    from distributed import Client

_AHEAD = 4
"""Jobs that wait for each worker; more would only take memory."""
_LOOK_S = 0.2
"""Between two looks at whether to stop, while no outcome comes."""
_PATIENCE_S = 3.0
"""How long jobs that are under way may take to end once the sweep is to stop."""
_CONNECT_S = 10
_WORKERS_S = 600.0
"""How long a cluster may be without any worker."""
_VERSION = "__import__('numalab.sweeps.job', fromlist=['job']).model_version()"
_CALL = "__import__('pickle').loads(packed)()"
"""What workers evaluate: a scheduler or worker that had to unpickle a job as soon as it
arrives would need numalab for that, and go down without it."""


class Stop:
    """Says whether a sweep was asked to stop."""

    asked = False

    def __call__(self) -> bool:
        """Say so."""
        return self.asked


def never() -> bool:
    """Say no."""
    return False


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
    jobs: Iterable[Job], workers: int, stop: Callable[[], bool] = never
) -> Generator[Outcome, None, None]:
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


def on_cluster(
    jobs: Iterable[Job],
    address: str,
    stop: Callable[[], bool] = never,
    say: Callable[[str], None] = print,
) -> Generator[Outcome, None, None]:
    """Run jobs on the workers of a scheduler, and yield their outcomes as they come.

    A job whose worker dies is run again on another one; results do not depend on where.

    Parameters
    ----------
    jobs : iterable of Job
    address : str
        Of the scheduler, such as ``tcp://127.0.0.1:8786``.
    stop : callable
        Once it says so, only jobs that end within seconds are waited for.
    say : callable
        Takes a line of text.

    Raises
    ------
    InputError
        If there is no scheduler or none any more, no worker comes, or a worker has no numalab
        or another version of the model.
    """
    from distributed import Client

    try:  # not as default: xarray would then write under a lock of the cluster
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except Exception as error:  # each protocol fails in its own way where it is not installed
        reason = str(error) or type(error).__name__
        raise InputError(f"cluster {address}: no scheduler answers ({reason})") from None
    with _quiet("distributed", "distributed.client", "tornado.application"), client:
        pool = client.get_executor(pure=False)
        room = _Room(client, address, say)
        try:
            for outcome in _outcomes(jobs, lambda job: _sent(pool, job), room, stop):
                room.check(outcome.model)
                yield outcome
        except CancelledError:
            raise room.gone() from None


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep loggers quiet: what they have to say is raised, as one line."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _sent(pool: Executor, job: Job) -> Future[Outcome]:
    return pool.submit(eval, _CALL, {"packed": pickle.dumps(partial(run, job))})


def _outcomes(
    jobs: Iterable[Job],
    submit: Callable[[Job], Future[Outcome]],
    room: Callable[[], int],
    stop: Callable[[], bool],
) -> Generator[Outcome, None, None]:
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
            yield _outcome(waiting.pop(future), future)
        if stop():
            until = min(until, time.monotonic() + _PATIENCE_S)


def _outcome(job: Job, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except CancelledError:
        raise
    except Exception as lost:  # a cluster gives up a job that takes worker after worker down
        reason = f"{type(lost).__name__}: {lost}".splitlines()[0]
        return Outcome(job, None, reason, model_version())


class _Room:
    """How many jobs the workers of a cluster may be sent; each is looked at before its first."""

    def __init__(self, client: Client, address: str, say: Callable[[str], None]) -> None:
        self.client, self.say, self.where = client, say, f"cluster {address}"
        self.known: set[str] = set()
        self.size = 0
        self.asked, self.seen = -math.inf, time.monotonic()
        self.told = False

    def __call__(self) -> int:
        if time.monotonic() - self.asked >= 1.0:  # workers come and go
            self._look()
            self.asked = time.monotonic()
        return self.size

    def _look(self) -> None:
        try:
            threads = self.client.nthreads()
            new = [worker for worker in threads if worker not in self.known]
            said = self.client.run(eval, _VERSION, workers=new, on_error="return") if new else {}
        except Exception:  # of many kinds; the scheduler does not answer
            raise self.gone() from None
        for worker, model in said.items():
            if isinstance(model, OSError):
                continue  # died just now, or is asked again
            if isinstance(model, Exception):
                raise InputError(
                    f"{self.where}: worker {worker} cannot load numalab ({model}): install the "
                    "same numalab, numpy and numba there"
                )
            self.check(model)
            self.known.add(worker)
        self.size = _AHEAD * sum(n for worker, n in threads.items() if worker in self.known)
        self._wait(self.size > 0)

    def _wait(self, any_worker: bool) -> None:
        now = time.monotonic()
        if any_worker:
            self.seen, self.told = now, False
        elif now - self.seen > _WORKERS_S:
            raise InputError(
                f"{self.where}: no worker for {_WORKERS_S:g} s: start one, such as with "
                f"'dask worker {self.where.removeprefix('cluster ')}'"
            )
        elif not self.told:
            self.say(f"{self.where}: has no worker; waiting for one, {_WORKERS_S:g} s at most")
            self.told = True

    def check(self, model: str) -> None:
        """Refuse a worker with another version of the model."""
        if model != model_version():
            raise InputError(
                f"{self.where}: a worker runs model {model}, this is {model_version()}: install "
                "the same numalab, numpy and numba there"
            )

    def gone(self) -> InputError:
        """Return the error of a scheduler that was there before."""
        return InputError(f"{self.where}: the scheduler is gone; a store has what came back")
