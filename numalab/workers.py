"""Run the jobs of a sweep on this machine's cores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from numalab.job import Job, Outcome, run

_AHEAD = 4
"""Jobs that wait for each worker; more would only take memory."""


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
