"""Statistics over replicates, by dimension name; scipy's where it has them.

Intervals go over ``replicate`` only, never over time samples, which are correlated.
What cannot be said honestly from the data raises.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import scipy  # loads scipy.stats when it is first used: half a second that most commands save
import xarray as xr

from numalab.fields import InputError

Statistic = Callable[..., np.ndarray]
FEWEST = 20
"""Runs from which on a BCa interval is given. With fewer it covers too little: a nominal 95 %
interval of the mean covers 83 % at 5 runs and 92 % at 12 (normal draws, 2000 samples of scipy
1.17's), Student's 95 % at both; at 30 both cover 94 %."""
_NOT_REPLICATED = {
    "time": "take one sample (.isel(time=-1)) or drop a warm-up (stats.since)",
    "chunk": "count or summarise the chunks of each run first",
    "notify": "count or summarise the notifications of each run first",
}


def runs_of(da: xr.DataArray) -> int:
    """Return the number of replicates of data that holds nothing else repeated.

    Raises
    ------
    InputError
        Without a dimension ``replicate``; or with one whose entries are not independent
        (time samples) or do not belong together from run to run (tables of events).
    """
    if "replicate" not in da.dims:
        raise InputError(f"dimensions {tuple(da.dims)}: statistics go over 'replicate'")
    for dim, remedy in _NOT_REPLICATED.items():
        if dim in da.dims:
            raise InputError(f"dimension {dim!r}: statistics go over 'replicate' only; {remedy}")
    return int(da.sizes["replicate"])


def alike(values: np.ndarray) -> bool:
    """Say whether values differ by no more than their rounding, in whatever unit."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def prediction_interval(da: xr.DataArray, level: float = 0.95) -> xr.DataArray:
    """Interval in which one more run falls with probability ``level``.

    Parameters
    ----------
    da : xarray.DataArray
        With dimension ``replicate``.
    level : float

    Returns
    -------
    xarray.DataArray
        ``replicate`` disappears, ``bound`` (low, high) appears: quantiles of the runs, of
        type 6, for a run more lies below the k-th of n with probability k / (n + 1) on
        average (Hyndman & Fan, Am. Stat. 50, 1996); numpy's own type 7 covers 90 % at 40.

    Raises
    ------
    InputError
        With fewer replicates than the quantiles need, 2 / (1 - level) - 1; with a value that
        is not finite; or with a dimension that is not replicated (see :func:`runs_of`).
    """
    check_level(level)
    need = math.ceil(round(2 / (1 - level) - 1, 9))
    n = runs_of(da)
    if n < need:
        raise InputError(
            f"replicates = {n}: a {level:.0%} prediction interval needs at least {need}"
        )
    check_finite(da.values)
    tail = (1 - level) / 2
    found = da.quantile([tail, 1 - tail], dim="replicate", method="weibull", keep_attrs=True)
    return found.rename(quantile="bound").assign_coords(bound=["low", "high"])


def _over_runs(da: xr.DataArray, one: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    result = xr.apply_ufunc(
        one,
        da.astype(np.float64),
        input_core_dims=[["replicate"]],
        output_core_dims=[["bound"]],
        vectorize=True,
        keep_attrs=True,
    )
    return result.assign_coords(bound=["low", "high"])


def bootstrap_interval(da: xr.DataArray, level: float = 0.95, seed: int = 0) -> xr.DataArray:
    """BCa bootstrap interval of the mean over replicates (scipy.stats.bootstrap).

    Returns
    -------
    xarray.DataArray
        ``replicate`` disappears, ``bound`` (low, high) appears. A constant sample has an
        interval of zero width (BCa is undefined there).

    Raises
    ------
    InputError
        With fewer replicates than :data:`FEWEST`, with a value that is not finite, or with a
        dimension that is not replicated (see :func:`runs_of`).
    """
    enough_for_bootstrap(runs_of(da))
    return _over_runs(da, lambda values: bca((values,), np.mean, level, seed))


def enough_for_bootstrap(n: int) -> None:
    """Raise unless there are :data:`FEWEST` replicates."""
    if n < FEWEST:
        raise InputError(
            f"replicates = {n}: a bootstrap interval needs at least {FEWEST}; with fewer, "
            "take Student's (mean_interval)"
        )


def mean_interval(da: xr.DataArray, level: float = 0.95, seed: int = 0) -> xr.DataArray:
    """Interval of the mean over replicates: BCa, and Student's where there are few of them.

    Returns
    -------
    xarray.DataArray
        As of :func:`bootstrap_interval`. With fewer replicates than :data:`FEWEST` it is
        Student's (scipy.stats.t), which keeps its coverage then, but may reach beyond what
        the data can be (a share above 1).

    Raises
    ------
    InputError
        With fewer than 3 replicates, with a value that is not finite, or with a dimension
        that is not replicated (see :func:`runs_of`).
    """
    n = runs_of(da)
    if n >= FEWEST:
        return bootstrap_interval(da, level, seed)
    if n < 3:
        raise InputError(f"replicates = {n}: an interval needs at least 3")
    check_level(level)

    def student(values: np.ndarray) -> np.ndarray:
        check_finite(values)
        if alike(values):
            return np.repeat(values.mean(), 2)
        return np.array(scipy.stats.ttest_1samp(values, 0.0).confidence_interval(level))

    return _over_runs(da, student)


def check_finite(*samples: np.ndarray) -> None:
    """Raise unless every value is finite."""
    bad = sum(int((~np.isfinite(values)).sum()) for values in samples)
    if bad:
        raise InputError(f"{bad} values are missing or not finite: nothing is said without them")


def check_level(level: float, name: str = "level") -> None:
    """Raise unless a level lies between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"{name} = {level:g}: must lie between 0 and 1")


def bca(
    samples: tuple[np.ndarray, ...], statistic: Statistic, level: float, seed: int
) -> np.ndarray:
    """BCa interval of a statistic of paired samples (scipy.stats.bootstrap); float64[2].

    scipy warns and returns nan for samples in which nothing differs; here these have an
    interval of zero width.

    Raises
    ------
    InputError
        If a value is not finite, or the interval is undefined.
    """
    check_level(level)
    check_finite(*samples)
    if all(alike(values) for values in samples):
        return np.repeat(np.float64(statistic(*samples, axis=-1)), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # said below, in one line
        bounds = scipy.stats.bootstrap(
            samples, statistic, paired=True, confidence_level=level, method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
    if not np.isfinite(bounds).all():
        raise InputError("the BCa interval is undefined for these runs: use more replicates")
    return np.array(bounds)


def paired_difference(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Differences ``a - b`` replicate by replicate; both must hold the same ones.

    Replicate ``i`` of two simulations with one seed draws from the same streams, which makes
    them a pair. Recorded runs are not pairs.

    Raises
    ------
    InputError
        If the replicates or the labels of another dimension differ.
    """
    check_paired(a, b)
    return a - b


def check_paired(a: xr.DataArray, b: xr.DataArray) -> int:
    """Return the number of pairs; raise unless two sets hold the same labels throughout.

    Raises
    ------
    InputError
        If the replicates or the labels of another dimension differ.
    """
    n = runs_of(a)
    runs_of(b)
    if not np.array_equal(a["replicate"], b["replicate"]):
        raise InputError("the two sets hold different replicates: they cannot be paired")
    try:
        xr.align(a, b, join="exact")
    except ValueError:
        raise InputError("the two sets hold different labels: they cannot be paired") from None
    return n


def since(ds: xr.Dataset, ms: float) -> xr.Dataset:
    """Drop a warm-up: what the cumulative counters counted after ``ms``.

    Parameters
    ----------
    ds : xarray.Dataset
        Of the schema of :mod:`numalab.dataset`.
    ms : float [ms]
        End of the warm-up; the first sample at or after it is the new zero.

    Returns
    -------
    xarray.Dataset
        The variables over ``time``, from the cut on, less their value there; ``time`` stays
        the time since the start. Totals of a whole run cannot be cut and are left out.

    Raises
    ------
    InputError
        If the cut lies before the start, or leaves less than two samples.
    """
    times = ds["time"].values
    first = int(np.searchsorted(times, ms))
    if ms < 0 or first > len(times) - 2:
        raise InputError(
            f"warm-up = {ms:g} ms: must lie between 0 and the last sample but one "
            f"({times[max(len(times) - 2, 0)]:g} ms)"
        )
    counted = ds[[name for name in ds.data_vars if "time" in ds[name].dims]]
    with xr.set_options(keep_attrs=True):
        return counted.isel(time=slice(first, None)) - counted.isel(time=first, drop=True)


def autonuma_cost(ds: xr.Dataset) -> xr.DataArray:
    """Return the "AutoNUMA cost" as mmtests prints it (an arbitrary unit).

    (7 * PTE updates + 5000 * hint faults + 19 * pages migrated) / 1e6, from the counters;
    source: gormanm/mmtests, MonitorMmtestsvmstat.pm.

    Examples
    --------
    The published row of RFC V1 (autonumabench, base):

    >>> row = xr.Dataset({"numa_pte_updates": 97494921, "numa_hint_faults": 98707853,
    ...                   "numa_pages_migrated": 7552783})
    >>> round(float(autonuma_cost(row)), 2)
    494365.23
    """
    cost = (
        7 * ds["numa_pte_updates"] + 5000 * ds["numa_hint_faults"] + 19 * ds["numa_pages_migrated"]
    ) / 1e6
    cost.attrs = {"units": "1", "long_name": "AutoNUMA cost", "kernel": "none: mmtests"}
    return cost
