"""Jobs: some replicates of a point and what is measured of them, run anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from numalab.engine import Start, simulate_one
from numalab.fields import InputError
from numalab.policy import Policy
from numalab.sweep.calls import CallError, called, name_of
from numalab.sweep.results import TOTALS_HEADER, Measure, pack
from numalab.totals import Layouts, row_of, run_totals, totals


class MeasureError(InputError):
    """What is wrong with a measure: it would be at other points too."""


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
    by_measure: bool = False
    """A measure is the reason: the sweep need not go on."""

    @property
    def runs(self) -> int:
        """How many replicates were run."""
        return max((sum(len(rows) for _, rows in one) for one in self.results.values()), default=0)


def run(job: Job, stop: Callable[[], bool] | None = None) -> Outcome:
    """Run a job; an error is an outcome too, so that it does not stop the others.

    ``stop`` is asked before each replicate; once it says so, the outcome holds those so far.
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
        return Outcome({}, str(error), isinstance(error, MeasureError))
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
            header, row = _pack(measure, ds, index)
            found[number].append((header, row[None]))
    return found


def _pack(measure: Measure, ds: xr.Dataset, index: int) -> tuple[str, np.ndarray]:
    if measure is totals:
        return TOTALS_HEADER, row_of(ds)
    try:
        return pack(called(measure, ds))
    except InputError as error:
        at = f" in replicate {index}" * isinstance(error, CallError)
        raise MeasureError(f"measure {name_of(measure)}: {error}{at}") from None
