"""What of a sweep is known, and what is left to run."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from numalab.fields import InputError
from numalab.provenance import function_version
from numalab.sweep import store
from numalab.sweep.calls import name_of
from numalab.sweep.jobs import Job, Outcome
from numalab.sweep.points import Point, Sweep, points_of
from numalab.sweep.results import Forms, Record

_MOST_REPLICATES = 32
"""Replicates in a job: enough to share a layout, few enough to be no great loss."""
_REASONS = 10
"""Of why points have no result, in lines; the result itself has all of them."""


class Plan:
    """The points of a sweep and their results: those of a store, then those of its jobs."""

    def __init__(self, sweep: Sweep, *, stored: bool = False) -> None:
        """Build the points; ``stored``: the results are those of a store."""
        self.sweep = sweep
        self.versions = [
            _version(measure) if stored else f"measure {i}".encode()
            for i, measure in enumerate(sweep.measures)
        ]
        self.points = points_of(sweep)
        self.held: dict[bytes, list[Record]] = {}
        names = [name for axis in sweep.axes for name in (axis.name, *axis.coords)]
        self.forms = Forms(sweep.measures, names)
        self._equal: dict[bytes, list[Point]] = {}
        for point in self.points:
            self._equal.setdefault(point.key, []).append(point)

    def key(self, point: Point, measure: int) -> bytes:
        """Return what the results of a measure at a point are found by."""
        return hashlib.sha256(point.key + self.versions[measure]).digest()

    def look_up(self, folder: Path, log: Callable[[str], None], *, set_aside: bool = False) -> None:
        """Take what a store holds; see :func:`numalab.sweep.store.read`."""
        numbers = range(len(self.versions))
        wanted = {self.key(point, i): i for point in self.points if point.start for i in numbers}
        self.held = store.read(folder, wanted, log, set_aside=set_aside)
        for key, records in self.held.items():
            for record in records:
                self.forms.check(wanted[key], record.header)

    def lacking(self) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
        """Yield what is to run: number of the point, first replicate, how many, measures."""
        first = {point.key: i for i, point in reversed([*enumerate(self.points)]) if point.start}
        for i in sorted(first.values()):
            there = np.zeros((len(self.versions), self.sweep.replicates), bool)
            for measure, row in enumerate(there):
                for record in self.held.get(self.key(self.points[i], measure), ()):
                    row[record.first : record.first + len(record.rows)] = True
            edges = np.flatnonzero((there[:, 1:] != there[:, :-1]).any(axis=0)) + 1
            for begin, end in itertools.pairwise([0, *edges.tolist(), self.sweep.replicates]):
                measures = tuple(np.flatnonzero(~there[:, begin]).tolist())
                if measures:
                    yield i, begin, end - begin, measures

    def jobs(self, workers: int) -> list[Job]:
        """Return what is to run; points that are equal are run once.

        The first job is a single run: what is wrong with a measure shows after it.
        """
        lacking = [*self.lacking()]
        if lacking and lacking[0][2] > 1:
            i, first, count, measures = lacking[0]
            lacking[:1] = [(i, first, 1, measures), (i, first + 1, count - 1, measures)]
        runs = sum(count for _, _, count, _ in lacking)
        most = max(1, min(_MOST_REPLICATES, runs // (4 * workers)))
        return [
            Job(
                number=i,
                start=self.points[i].start,  # type: ignore[arg-type]
                policy=self.points[i].policy,  # type: ignore[arg-type]
                seed=self.sweep.seed,
                first=at,
                count=min(most, first + count - at),
                measures={number: self.sweep.measures[number] for number in measures},
            )
            for i, first, count, measures in lacking
            for at in range(first, first + count, most)
        ]

    def take(self, job: Job, outcome: Outcome) -> list[Record]:
        """Take what became of a job; return what a store can keep of it.

        Raises
        ------
        InputError
            If a measure fails, or returned what no result can hold: it would at other points too.
        """
        if outcome.by_measure:
            raise InputError(f"{self._at(job.number)}: {outcome.reason}")
        if outcome.reason:
            for point in self._equal[self.points[job.number].key]:
                point.status, point.reason = "failed", outcome.reason
        found = []
        for measure, results in outcome.results.items():
            key, first = self.key(self.points[job.number], measure), job.first
            for header, rows in results:
                self._check_form(job, measure, header)
                record = Record(key, first, header, rows)
                self.held.setdefault(key, []).append(record)
                found.append(record)
                first += len(rows)
        return found

    def _check_form(self, job: Job, measure: int, header: str) -> None:
        try:
            self.forms.check(measure, header)
        except InputError as error:
            raise InputError(f"{self._at(job.number)}: {error}") from None

    def raise_failed(self) -> None:
        """Raise why the first of the points that failed did.

        Raises
        ------
        InputError
            With the labels of the point.
        """
        for number, point in enumerate(self.points):
            if point.status == "failed":
                raise InputError(f"{self._at(number)}: {point.reason}")

    def _at(self, number: int) -> str:
        """Name a point by its labels."""
        index = np.unravel_index(number, self.sweep.shape) if self.sweep.axes else ()
        axes = zip(index, self.sweep.axes, strict=True)
        return ", ".join(f"{axis.name} = {axis.labels[i]}" for i, axis in axes) or "sweep"

    def summary(self) -> Iterator[str]:
        """Yield in lines how much work the sweep is."""
        replicates = self.sweep.replicates
        ready = [point for point in self.points if point.start]
        todo = sum(count for _, _, count, _ in self.lacking())
        yield (
            f'sweep "{self.sweep.name}": {len(ready)} points x {replicates} replicates = '
            f"{len(ready) * replicates} runs, of which {todo} are to be computed"
        )
        if equal := len(ready) - len({point.key for point in ready}):
            yield f"points equal to another one, and run once: {equal}"
        cube = np.array([point.key.hex() for point in self.points]).reshape(self.sweep.shape)
        for i, axis in enumerate(self.sweep.axes if ready else ()):
            if len(axis.labels) > 1 and bool((cube == cube.take([0], axis=i)).all()):
                yield f'axis "{axis.name}" changes nothing: all points along it are equal'
        yield from self._reasons("dropped", "failed")

    def outcome(self) -> Iterator[str]:
        """Yield in lines what became of the points."""
        states = Counter(point.status for point in self.points)
        yield (
            f"{states['done']} points done, {states['dropped']} dropped, "
            f"{states['failed']} failed; {self.sweep.replicates} runs each"
        )
        yield from self._reasons("failed")

    def _reasons(self, *states: str) -> Iterator[str]:
        """Yield in lines why points have no result, the most frequent reasons first."""
        counts = Counter((p.status, p.reason) for p in self.points if p.status in states)
        for (status, reason), count in counts.most_common(_REASONS):
            yield f"{count} point{'s' * (count > 1)} {status}: {reason}"
        if len(counts) > _REASONS:
            rest = sum(n for _, n in counts.most_common()[_REASONS:])
            yield f"{rest} more points without a result, for {len(counts) - _REASONS} other reasons"


def _version(measure: Callable[..., object]) -> bytes:
    try:
        return function_version(measure).encode()
    except InputError as error:
        raise InputError(f"measure {name_of(measure)}: {error}") from None
