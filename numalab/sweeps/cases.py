"""The points of a sweep before it starts: what each of them runs, or why it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numalab.fields import InputError
from numalab.policy import Policy
from numalab.sweeps import store
from numalab.sweeps.design import Layout, Sweep, lay_out
from numalab.sweeps.job import Job, key_of
from numalab.sweeps.settings import ClashError, of_policy, policy_at, workload_at
from numalab.sweeps.store import Record
from numalab.workload import Workload

_MOST_REPLICATES = 32
"""Replicates in a job: enough to share a layout, few enough to be no great loss."""

_REASONS = 10
"""Of why points have no result, in lines; the result itself has all of them."""
_MANY = 5000
"""Points whose planning takes seconds, so that it is said first."""


def quiet(line: str) -> None:
    """Say nothing."""


@dataclass(slots=True, kw_only=True)
class Case:
    """A point with what it runs, or why it does not."""

    status: str = "done"
    reason: str = ""
    key: bytes = b""
    run: tuple[Workload, Policy] | None = None


@dataclass(slots=True, kw_only=True)
class Plan:
    """All points of a sweep, and what is known of them before it starts."""

    sweep: Sweep
    layout: Layout
    cases: list[Case]
    held: dict[bytes, list[Record]]

    def jobs(self, workers: int) -> list[Job]:
        """Return what is left to run; points that are equal are run once."""
        todo = {case.key: i for i, case in reversed([*enumerate(self.cases)]) if case.run}
        missing = {
            i: store.gaps(self.held.get(key, []), self.sweep.replicates)
            for key, i in sorted(todo.items(), key=lambda item: item[1])
        }
        runs = sum(count for gaps in missing.values() for _, count in gaps)
        most = max(1, min(_MOST_REPLICATES, runs // (4 * workers)))
        return [
            Job(
                number=i,
                workload=self.cases[i].run[0],  # type: ignore[index]
                policy=self.cases[i].run[1],  # type: ignore[index]
                seed=self.sweep.seed,
                first=at,
                count=min(most, first + count - at),
            )
            for i, gaps in missing.items()
            for first, count in gaps
            for at in range(first, first + count, most)
        ]

    def told(self) -> Iterator[str]:
        """Say in lines how much work the sweep is."""
        replicates = self.sweep.replicates
        cases = [case for case in self.cases if case.run]
        distinct = {case.key for case in cases}
        todo = sum(n for k in distinct for _, n in store.gaps(self.held.get(k, []), replicates))
        yield (
            f'sweep "{self.sweep.name}": {len(cases)} points x {replicates} replicates = '
            f"{len(cases) * replicates} runs, of which {todo} are to be computed"
        )
        if len(distinct) < len(cases):
            yield f"points equal to another one, and run once: {len(cases) - len(distinct)}"
        for name in self._without_effect():
            yield f'axis "{name}" changes nothing: all points along it are equal'
        yield from reasons((case.status, case.reason) for case in self.cases if not case.run)

    def _without_effect(self) -> list[str]:
        """Return the axes along which no point differs from another: is a field set elsewhere?"""
        number: dict[bytes, int] = {}
        keys = [number.setdefault(case.key, len(number)) for case in self.cases]
        if not any(case.run for case in self.cases):
            return []
        cube = np.array(keys).reshape(self.layout.shape)
        axes = enumerate(self.layout.coords.items())
        return [
            name
            for i, (name, labels) in axes
            if len(labels) > 1 and bool((cube == cube.take([0], axis=i)).all())
        ]


def reasons(points: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say in lines why points have no result, the most frequent reasons first.

    Parameters
    ----------
    points : iterable of (str, str)
        Status and reason of each point without a result.
    """
    counts = Counter(points)
    for (status, reason), count in counts.most_common(_REASONS):
        yield f"{count} point{'s' * (count > 1)} {status}: {reason}"
    if len(counts) > _REASONS:
        rest = sum(n for _, n in counts.most_common()[_REASONS:])
        yield f"{rest} more points without a result, for {len(counts) - _REASONS} other reasons"


def plan(
    sweep: Sweep,
    folder: Path | None = None,
    say: Callable[[str], None] = quiet,
    *,
    set_aside: bool = False,
) -> Plan:
    """Lay out a sweep, and look up in the store what is known of it.

    Parameters
    ----------
    sweep : Sweep
    folder : Path, optional
        The store; it is only read, unless damaged files are to be set aside.
    say : callable
        Takes a line of text.
    set_aside : bool
        As of :func:`numalab.sweeps.store.read`.

    Raises
    ------
    InputError
        If a field of the sweep does not exist, or the store cannot be read; not if a single
        point cannot be built.
    """
    layout = lay_out(sweep)
    if len(layout.points) >= _MANY:
        say(f"planning {len(layout.points)} points")
    built: dict[str, Workload | str] = {}
    cases = [_case(sweep, p.values, p.dropped, built) for p in layout.points]
    held: dict[bytes, list[Record]] = {}
    if folder is not None:
        wanted = {case.key for case in cases if case.run}
        held = store.read(folder, wanted, say, set_aside=set_aside)
    return Plan(sweep=sweep, layout=layout, cases=cases, held=held)


def _case(
    sweep: Sweep, values: dict[str, Any], dropped: str, built: dict[str, Workload | str]
) -> Case:
    if dropped:
        return Case(status="dropped", reason=dropped)
    name = repr([(k, v) for k, v in values.items() if not of_policy(k)])
    try:
        policy = policy_at(values)
        if name not in built:
            try:
                built[name] = workload_at(sweep.base, values)
            except ClashError:
                raise
            except InputError as error:
                built[name] = str(error)
        workload = built[name]
        if isinstance(workload, str):
            raise InputError(workload)
    except ClashError:
        raise
    except InputError as error:
        return Case(status="dropped" if sweep.drop_invalid else "failed", reason=str(error))
    except Exception as error:
        return Case(status="failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])
    return Case(key=key_of(workload, policy, sweep.seed), run=(workload, policy))
