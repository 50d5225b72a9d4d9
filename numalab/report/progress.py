"""How far a report is, in whole lines, and its notebooks on threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from numalab.report import preflight
from numalab.report.questions import Job

_EVERY_S = 60.0
"""Between two lines while nothing ends."""


class Progress:
    """Says what begins and ends, and how long it will take still.

    Parameters
    ----------
    jobs : sequence of Job
        All runs of the report, also those that are not run.
    say : function
        Takes a line.
    """

    def __init__(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        self.done: list[str] = []
        self.failed: list[str] = []
        self._order = [job.name for job in jobs]
        self._say, self._lock = say, threading.Lock()
        self._left_s: dict[str, float | None] = {}
        self._begun: dict[str, float] = {}
        self._workers = 1

    def say(self, line: str) -> None:
        """Write a line as a whole, whichever thread it is of."""
        with self._lock:
            self._say(line)

    def unchanged(self, job: Job) -> None:
        """Say that a report stays as it is."""
        self.done.append(job.name)
        self.say(
            f"{job.name}: unchanged (parameters, notebook, code, data), not run; --again runs it"
        )

    def begins(self, jobs: Sequence[Job], root: Path, workers: int) -> None:
        """Say how long these runs will take."""
        here = preflight.speed()
        self._workers = workers
        self._left_s = {job.name: preflight.expected_s(job, root, here) for job in jobs}
        unknown = [name for name, seconds in self._left_s.items() if seconds is None]
        runs = f"{len(jobs)} notebook{'s' * (len(jobs) > 1)}, {workers} at once"
        if len(unknown) == len(jobs):
            self.say(f"{runs}; how long that takes is not known: no earlier run is kept here")
            return
        beside = f", beside {', '.join(unknown)}, of which no run is kept" if unknown else ""
        self.say(f"{runs}: about {preflight.in_words(self._remaining_s())} here{beside}")

    def _remaining_s(self) -> float:
        """Return the time left, from earlier runs and what these have taken so far."""
        now = time.monotonic()
        left = {
            name: max(0.0, seconds - (now - self._begun.get(name, now)))
            for name, seconds in {**self._left_s}.items()
            if seconds is not None
        }
        return max([sum(left.values()) / self._workers, *left.values()], default=0.0)

    def run(
        self,
        jobs: Sequence[Job],
        workers: int,
        stop: threading.Event,
        start: Callable[[Job], str],
    ) -> None:
        """Run jobs on threads; ``start`` runs one and returns why it failed.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, when all have ended.
        """

        def one(job: Job) -> None:
            if not stop.is_set():
                self._begun[job.name] = begun = time.monotonic()
                self.say(f"{job.name}: {job.notebook.stem}")
                reason = start(job)
                self.ended(job, reason, time.monotonic() - begun)

        with ThreadPoolExecutor(workers) as pool:
            running = {pool.submit(one, job) for job in jobs}
            try:
                while running:
                    ended, running = wait(running, _EVERY_S, return_when="FIRST_COMPLETED")
                    for future in ended:
                        future.result()
                    if not ended:
                        self._still()
            except BaseException:
                stop.set()
                raise

    def ended(self, job: Job, reason: str, seconds: float = 0.0) -> None:
        """Say how a run ended, and how long the others take."""
        with self._lock:
            self._left_s.pop(job.name, None)
            self._begun.pop(job.name, None)
            (self.failed if reason else self.done).append(job.name)
            how = f"failed: {reason}" if reason else f"done in {preflight.in_words(seconds)}"
            self._say(f"{job.name}: {how}{self._left()}")

    def _still(self) -> None:
        now = time.monotonic()
        for name, begun in sorted({**self._begun}.items()):
            self.say(f"{name}: at work for {preflight.in_words(now - begun)}{self._left()}")

    def _left(self) -> str:
        if not self._left_s:
            return ""
        known = any(self._left_s.values())
        about = f", about {preflight.in_words(self._remaining_s())}" if known else ""
        return f"; {len(self._left_s)} left{about}"

    def stopped(self, index: Path) -> str:
        """Return the line for a report that was stopped."""
        at = [name for name in self._order if name in self._begun]
        parts = {"done": self.done, "failed": self.failed}
        ended = [f"{word}: {', '.join(names)}" for word, names in parts.items() if names]
        where = f"; {', '.join(ended)}; see {index}" if ended else "; none is done"
        return f"stopped{' at ' * bool(at)}{', '.join(at)}{where}"
