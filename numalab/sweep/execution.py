"""Where the runs of a sweep happen: on this machine's cores, or on a dask.distributed cluster."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

from numalab.fields import InputError, validate
from numalab.sweep.jobs import Job, Outcome, run
from numalab.versions import model_version

if TYPE_CHECKING:
    from distributed import Client

_AHEAD = 4
"""Jobs that wait for each worker; more would only take memory."""
_LOOK_S = 0.2
"""Between two looks at whether to stop, while no outcome comes."""
_PATIENCE_S = 3.0
"""How long jobs that are under way may take to end once the sweep is to stop."""
_MOST_WORKERS = 1024
_CONNECT_S = 10
_WORKERS_S = 600.0
"""How long a cluster may be without any worker."""
_CALL = "__import__('numalab.sweep.execution', fromlist=['run']).run_packed(packed, model)"
"""What workers evaluate: a scheduler or worker that had to unpickle a job as soon as it
arrives would need numalab for that, and go down without it."""
Outcomes: TypeAlias = Generator[tuple[Job, Outcome], None, None]
_SAME = "install the same numalab, numpy and numba there"


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
        if isinstance(self.store, str):
            if not self.store:
                raise InputError("store is empty: name a folder, or give None")
            object.__setattr__(self, "store", Path(self.store))
        validate(self)
        if not 0 <= self.workers <= _MOST_WORKERS:
            raise InputError(f"workers = {self.workers}: must be from 0 to {_MOST_WORKERS}")


@contextmanager
def interruptible() -> Iterator[Event]:
    """Yield what the first Ctrl-C sets, instead of interrupting whatever runs just then.

    A second one interrupts as always. Only in the main thread, and where nobody else has
    a handler of his own.
    """
    stop = Event()
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or before is not signal.default_int_handler:
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_threads(jobs: Iterable[Job], workers: int, stop: Event) -> Outcomes:
    """Run jobs on threads, and yield them with their outcomes as they come.

    The compiled engine releases the GIL for most of a run, so threads keep the cores busy;
    they need no second import and no second compilation, as processes would. Once ``stop`` is
    set, jobs end after the replicate that they are at.
    """
    left = Event()
    pool = ThreadPoolExecutor(workers)

    def submit(job: Job) -> Future[Outcome]:
        return pool.submit(run, job, lambda: stop.is_set() or left.is_set())

    try:
        yield from _outcomes(jobs, submit, lambda: _AHEAD * workers, stop)
    finally:
        left.set()
        pool.shutdown(wait=False, cancel_futures=True)


def on_cluster(
    jobs: Iterable[Job], address: str, stop: Event, log: Callable[[str], None]
) -> Outcomes:
    """Run jobs on the workers of a scheduler, and yield them with their outcomes as they come.

    A job whose worker dies is run again on another one; results do not depend on where. Once
    ``stop`` is set, only jobs that end within seconds are waited for.

    Raises
    ------
    InputError
        If there is no scheduler or none any more, no worker comes, or a worker has no numalab
        or another version of the model.
    """
    import cloudpickle

    where, version = f"cluster {address}", model_version()
    gone = InputError(f"{where}: the scheduler is gone; a store has what came back")
    with _client(address) as client:
        pool = client.get_executor(pure=False)
        room = _room(client, where, log)

        def submit(job: Job) -> Future[Outcome]:
            return pool.submit(eval, _CALL, {"packed": cloudpickle.dumps(job), "model": version})

        def looked() -> int:
            try:
                return next(room)
            except InputError:
                raise
            except Exception:  # of many kinds: the scheduler does not answer
                raise gone from None

        try:
            for job, outcome in _outcomes(jobs, submit, looked, stop):
                if isinstance(outcome, str):
                    reason = f"a worker runs model {outcome}, this is {version}"
                    raise InputError(f"{where}: {reason}: {_SAME}")
                yield job, outcome
        except (ImportError, AttributeError) as error:
            raise InputError(f"{where}: a worker cannot load numalab ({error}): {_SAME}") from None
        except CancelledError:
            raise gone from None


def run_packed(packed: bytes, model: str) -> Outcome | str:
    """Run a job on a worker; where the model is another one, only return its version."""
    return run(pickle.loads(packed)) if model == model_version() else model_version()


@contextmanager
def _client(address: str) -> Iterator[Client]:
    """Yield a client that is closed at the end, whatever happens.

    One is made only if a scheduler answers: what failed to connect could only be closed by
    the garbage collector, at any time. The limit of ``connect`` is not one for the greeting.
    """
    from distributed import Client
    from distributed.core import connect

    async def answers() -> None:
        await (await connect(address, timeout=_CONNECT_S)).close()

    with _silenced("distributed", "distributed.client", "tornado.application"):
        try:
            with ThreadPoolExecutor(1) as pool:  # of its own: a notebook runs in a loop
                pool.submit(asyncio.run, asyncio.wait_for(answers(), _CONNECT_S)).result()
            # not as default: xarray would then write under a lock of the cluster
            client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except Exception as error:  # each protocol fails in its own way where it is not installed
            silent = f"silent for {_CONNECT_S} s" * isinstance(error, TimeoutError)
            reason = str(error) or silent or type(error).__name__
            raise InputError(f"cluster {address}: no scheduler answers ({reason})") from None
        with client:
            yield client


@contextmanager
def _silenced(*names: str) -> Iterator[None]:
    """Silence loggers: what they would say is raised, as one line."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _room(client: Client, where: str, log: Callable[[str], None]) -> Iterator[int]:
    """Yield how many jobs the workers of a cluster may be sent; they come and go.

    Raises
    ------
    InputError
        If there was no worker for long.
    """
    seen, announced = time.monotonic(), False
    while True:
        size = _AHEAD * sum(client.nthreads().values())
        asked = time.monotonic()
        if size:
            seen, announced = asked, False
        elif asked - seen > _WORKERS_S:
            raise InputError(
                f"{where}: no worker for {_WORKERS_S:g} s: start one, such as with "
                f"'dask worker {where.removeprefix('cluster ')}'"
            )
        elif not announced:
            log(f"{where}: has no worker; waiting for one, {_WORKERS_S:g} s at most")
            announced = True
        while time.monotonic() - asked < 1.0:
            yield size


def _outcomes(
    jobs: Iterable[Job],
    submit: Callable[[Job], Future[Outcome]],
    room: Callable[[], int],
    stop: Event,
) -> Outcomes:
    """Keep as many jobs under way as there is room for, and yield outcomes as they come."""
    todo = iter(jobs)
    job = next(todo, None)
    waiting: dict[Future[Outcome], Job] = {}
    until = math.inf
    while (waiting or (job and not stop.is_set())) and time.monotonic() < until:
        most = room()
        while job and not stop.is_set() and len(waiting) < most:
            waiting[submit(job)] = job
            job = next(todo, None)
        if not waiting:
            time.sleep(_LOOK_S)
        done, _ = wait(waiting, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), _result(future)
        if stop.is_set():
            until = min(until, time.monotonic() + _PATIENCE_S)


def _result(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except (CancelledError, ImportError, AttributeError):
        raise
    except Exception as lost:  # a cluster gives up a job that takes worker after worker down
        return Outcome({}, f"{type(lost).__name__}: {lost}".splitlines()[0])
