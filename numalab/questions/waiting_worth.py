"""What a wait is worth in q04: time that it saves and loses, and the best of the waits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.fields import InputError, distinct
from numalab.questions.waiting import NONE_MS
from numalab.stats.intervals import enough_for_bootstrap, runs_of


def _remote() -> xr.DataArray:
    return xr.DataArray(
        [getattr(REMOTE, b) for b in BOUNDS], dims="bound", coords={"bound": [*BOUNDS]}
    )


def _scanning(found: xr.Dataset, costs: Costs) -> xr.DataArray:
    """Time that scans, hint faults and migrations take; over ``bound`` too [ms/min]."""
    time = time_of(found, costs, vcpus=0)
    return time["scan"] + time["faults"]


def paid(found: xr.Dataset, costs: Costs, misses_per_s: Sequence[float]) -> xr.DataArray:
    """Time that scanning takes together with remote misses in far pages [ms/min].

    Parameters
    ----------
    misses_per_s : sequence of float [1/s]
        Cache misses of the thread that uses the far mapping, in that mapping: no count of the
        model says how many, so the result is over them, as ``misses_per_s``.

    Raises
    ------
    InputError
        For a rate that is not positive or twice in the list.
    """
    distinct("misses_per_s", misses_per_s)
    if not all(0 < x < np.inf for x in misses_per_s):
        raise InputError(f"misses_per_s = {list(misses_per_s)}: must be above 0, and finite")
    rates = xr.DataArray(
        list(misses_per_s), dims="misses_per_s", coords={"misses_per_s": list(misses_per_s)}
    )
    return _scanning(found, costs) + found["far"] * rates * _remote() / 1e6


def break_even(found: xr.Dataset, costs: Costs, delay_ms: int) -> xr.DataArray:
    """Remote misses a second at which a delay takes as much time as it saves.

    Returns
    -------
    xarray.DataArray
        [1/s], of the mean over replicates; ``bound`` (low, typical, high) takes the costs so
        that the rate is lowest, typical, highest. ``inf`` where no page is far for longer; 0
        where nothing is saved.
    """
    none, delay = (found.sel(vma_delay_ms=d, drop=True) for d in (NONE_MS, delay_ms))
    saved = (_scanning(none, costs) - _scanning(delay, costs)).mean("replicate")
    longer = (delay["far"] - none["far"]).mean("replicate")
    dearest_first = _remote()[::-1].assign_coords(bound=[*BOUNDS])
    rate = saved * 1e6 / (longer * dearest_first)
    return xr.where(saved <= 0, 0.0, xr.where(longer <= 0, np.inf, rate))


def best_delay(
    time: xr.DataArray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> xr.DataArray:
    """Find the delay of least mean time, with its percentile bootstrap interval.

    Whole replicates are drawn with replacement, so that the delays of one stay together; a
    delay between those of the grid is never named. The interval holds every delay that ties
    with the best one; ``best`` is the shortest of them.

    Parameters
    ----------
    time : xarray.DataArray
        Over ``vma_delay_ms``, ``replicate`` and anything else.

    Returns
    -------
    xarray.DataArray
        [ms], over the rest and ``at``: best, low, high.

    Raises
    ------
    InputError
        For fewer replicates than :data:`numalab.stats.intervals.FEWEST`, or a time that is
        not finite.
    """
    n = runs_of(time)
    enough_for_bootstrap(n)
    if not np.isfinite(time).all():
        raise InputError("a time is missing or not finite: no best delay can be given")
    time = time.sortby("vma_delay_ms")
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    delays = time["vma_delay_ms"].values
    tail = (1 - level) / 2

    def tied(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least = means <= means.min(axis=0) * (1 + 1e-12)
        return delays[least.argmax(axis=0)], delays[::-1][least[::-1].argmax(axis=0)]

    def one(values: np.ndarray) -> np.ndarray:
        first, last = tied(values.mean(axis=-1))
        firsts, lasts = tied(values[:, drawn].mean(axis=-1))
        low = np.quantile(firsts, tail, method="closest_observation")
        high = np.quantile(lasts, 1 - tail, method="closest_observation")
        return np.array([first, min(first, low), max(last, high)], np.float64)

    best = xr.apply_ufunc(
        one,
        time,
        input_core_dims=[["vma_delay_ms", "replicate"]],
        output_core_dims=[["at"]],
        vectorize=True,
    )
    return best.assign_coords(at=["best", "low", "high"])
