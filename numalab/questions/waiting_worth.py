"""What a wait is worth in q04: time that it saves and loses, and the best of the waits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from numalab import stats
from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.fields import InputError, distinct
from numalab.questions.waiting import NONE_MS

UP_TO, FROM, UNKNOWN = "up to", "from", "unknown"
"""Where a wait pays: up to a rate of misses, from one on, or the runs do not tell which."""


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


def break_even(
    found: xr.Dataset,
    costs: Costs,
    delay_ms: int,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """Remote misses a second at which a delay takes as much time as it saves.

    Returns
    -------
    xarray.Dataset
        ``rate`` [1/s], ``at`` the mean over replicates and the ends of its percentile bootstrap
        interval (rate, low, high); ``bound`` (low, typical, high) takes the costs so that the
        rate is lowest, typical, highest. ``pays`` is :data:`UP_TO` that rate where the delay
        saves time or leaves pages far for longer: ``inf`` is any rate, 0 none. It is
        :data:`FROM` it on where the delay costs time or brings pages home sooner: 0 is any,
        ``inf`` none. Where the interval tells neither, :data:`UNKNOWN`, and ``rate`` is nan.

    Raises
    ------
    InputError
        For fewer replicates than :data:`numalab.stats.intervals.FEWEST`.
    """
    none, delay = (found.sel(vma_delay_ms=d, drop=True) for d in (NONE_MS, delay_ms))
    dearest_first = _remote()[::-1].assign_coords(bound=[*BOUNDS])
    saved = (_scanning(none, costs) - _scanning(delay, costs)) * 1e6
    lost = (delay["far"] - none["far"]) * dearest_first
    resample = partial(
        stats.bootstrap, level=level, method="percentile", resamples=resamples, seed=seed
    )
    signs = [
        np.sign(resample(lambda x: x, x).sel(statistic=["low", "high"])) for x in (saved, lost)
    ]
    up_to, onwards = (
        (signs[0] == sign).all("statistic") | (signs[1] == sign).all("statistic")
        for sign in (1, -1)
    )
    up_to |= ((signs[0] == 0) & (signs[1] == 0)).all("statistic")
    rate = xr.where(
        up_to,
        resample(_rates, saved, lost),
        resample(_rates, -saved, -lost).where(onwards),
    )
    pays = xr.where(up_to, UP_TO, xr.where(onwards, FROM, UNKNOWN))
    at = rate.rename(statistic="at").assign_coords(at=["rate", "low", "high"])
    return xr.Dataset({"pays": pays, "rate": at})


def _rates(gain: xr.DataArray, loss: xr.DataArray) -> xr.DataArray:
    """Rates up to which a gain exceeds a loss a miss: 0 without a gain, ``inf`` without a loss."""
    return (gain / loss.where(loss > 0)).fillna(np.inf).where(gain > 0, 0.0)


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
    time = time.sortby("vma_delay_ms")
    resample = partial(
        stats.bootstrap, level=level, method="percentile", resamples=resamples, seed=seed
    )
    first, last = (
        resample(_least, time),
        resample(_least, time[{"vma_delay_ms": slice(None, None, -1)}]),
    )
    ends = [
        first.sel(statistic="value", drop=True),
        first.sel(statistic=["value", "low"]).min("statistic"),
        last.sel(statistic=["value", "high"]).max("statistic"),
    ]
    return xr.concat(ends, "at").transpose(..., "at").assign_coords(at=["best", "low", "high"])


def _least(time: xr.DataArray) -> xr.DataArray:
    """Return the first of the delays that tie for the least time."""
    tied = time <= time.min("vma_delay_ms") * (1 + 1e-12)
    delays: xr.DataArray = time["vma_delay_ms"][tied.argmax("vma_delay_ms")]
    return delays.drop_vars("vma_delay_ms").astype(np.float64)
