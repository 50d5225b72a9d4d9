"""Where the jobs of a sweep run: on this machine's cores, or on a dask.distributed cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from numalab.fields import InputError
from numalab.sweeps.job import Job, Outcome, model_version, run

_AHEAD = 4
"""Jobs that wait for each worker; more would only take memory."""
_CONNECT_S = 10


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_threads(jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """Run jobs on threads, and yield their outcomes as they come.

    The compiled engine releases the GIL for most of a run, so threads keep the cores busy;
    they need no second import and no second compilation, as processes would.
    """
    todo = iter(jobs)
    with ThreadPoolExecutor(workers) as pool:
        waiting: set[Future[Outcome]] = set()
        try:
            while True:
                while len(waiting) < _AHEAD * workers and (job := next(todo, None)) is not None:
                    waiting.add(pool.submit(run, job))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def on_cluster(jobs: Iterable[Job], address: str) -> Iterator[Outcome]:
    """Run jobs on the workers of a scheduler, and yield their outcomes as they come.

    A job whose worker dies is run again on another one; results do not depend on where.

    Parameters
    ----------
    jobs : iterable of Job
    address : str
        Of the scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    InputError
        If there is no scheduler, or a worker has another version of the model.
    """
    from distributed import Client, as_completed

    try:  # not as default: xarray would then write the store under a lock of the cluster
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cluster {address}: no scheduler answers ({reason})") from None
    with client:
        todo = iter(jobs)
        pending = as_completed([], loop=client.loop, raise_errors=False)
        sent: dict[object, Job] = {}
        room, asked = 0, 0.0
        while True:
            if time.monotonic() - asked >= 1.0:  # workers come and go
                room, asked = _AHEAD * max(1, sum(client.nthreads().values())), time.monotonic()
            while len(sent) < room and (job := next(todo, None)) is not None:
                future = client.submit(run, job, pure=False)
                sent[future.key] = job
                pending.add(future)
            if not sent:
                return
            future = next(pending)
            job = sent.pop(future.key)
            try:  # waits again where the worker died with the result still on it
                outcome = future.result()
            except Exception as lost:
                reason = f"{type(lost).__name__}: {lost}".splitlines()[0]
                yield Outcome(job, None, reason, model_version())
                continue
            if outcome.model != model_version():
                raise InputError(
                    f"cluster {address}: a worker runs model {outcome.model}, this is "
                    f"{model_version()}: install the same numalab, numpy and numba there"
                )
            yield outcome
