"""What a wait is worth in q04: time that it saves and loses, and the best of the waits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.fields import InputError, distinct
from numalab.questions.waiting import NONE_MS
from numalab.stats.intervals import enough_for_bootstrap, runs_of

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
    n = runs_of(lost)
    enough_for_bootstrap(n)
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    ends = [(1 - level) / 2, (1 + level) / 2]

    def one(saved: np.ndarray, lost: np.ndarray) -> tuple[str, np.ndarray]:
        means = saved[drawn].mean(axis=-1), lost[drawn].mean(axis=-1)
        signs = np.sign([np.quantile(x, ends) for x in means])
        if (signs == 1).all(axis=1).any() or not signs.any():
            pays, sign = UP_TO, 1
        elif (signs == -1).all(axis=1).any():
            pays, sign = FROM, -1
        else:
            return UNKNOWN, np.full(3, np.nan)
        rates = _rates(sign * means[0], sign * means[1])
        low, high = np.quantile(rates, ends, method="closest_observation")
        return pays, np.array([*_rates(sign * saved.mean(), sign * lost.mean()), low, high])

    pays, rate = xr.apply_ufunc(
        one,
        saved,
        lost,
        input_core_dims=[["replicate"], ["replicate"]],
        output_core_dims=[[], ["at"]],
        vectorize=True,
        output_dtypes=[object, np.float64],
    )
    return xr.Dataset(
        {"pays": pays.astype(str), "rate": rate.assign_coords(at=["rate", "low", "high"])}
    )


def _rates(gain: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Rates up to which a gain exceeds a loss a miss: 0 without a gain, ``inf`` without a loss."""
    gain, loss = np.atleast_1d(gain, loss)
    rate = np.divide(gain, loss, out=np.full(gain.shape, np.inf), where=loss > 0)
    return np.where(gain > 0, rate, 0.0)


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
