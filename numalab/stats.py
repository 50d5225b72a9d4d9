"""Statistics over replicates, by dimension name; scipy's where it has them.

Intervals go over ``replicate`` only, never over time samples, which are correlated.
What cannot be said honestly from the data raises.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy import stats as sp

from numalab.fields import InputError


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
        ``replicate`` disappears, ``bound`` (low, high) appears: quantiles of the runs.

    Raises
    ------
    InputError
        With fewer replicates than the quantiles need, 2 / (1 - level).
    """
    need = math.ceil(round(2 / (1 - level), 9))
    n = da.sizes["replicate"]
    if n < need:
        raise InputError(
            f"replicates = {n}: a {level:.0%} prediction interval needs at least {need}"
        )
    tail = (1 - level) / 2
    found = da.quantile([tail, 1 - tail], dim="replicate", keep_attrs=True)
    return found.rename(quantile="bound").assign_coords(bound=["low", "high"])


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
        With fewer than 3 replicates.
    """
    n = da.sizes["replicate"]
    if n < 3:
        raise InputError(f"replicates = {n}: a bootstrap interval needs at least 3")

    def interval(values: np.ndarray) -> np.ndarray:
        if np.ptp(values) == 0:
            return np.array([values[0], values[0]], dtype=np.float64)
        found = sp.bootstrap(
            (values,), np.mean, confidence_level=level, method="BCa",
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        return np.array(found.confidence_interval)

    result = xr.apply_ufunc(
        interval,
        da.astype(np.float64),
        input_core_dims=[["replicate"]],
        output_core_dims=[["bound"]],
        vectorize=True,
        keep_attrs=True,
    )
    return result.assign_coords(bound=["low", "high"])


def paired_difference(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Differences ``a - b`` replicate by replicate; both must hold the same ones.

    Raises
    ------
    InputError
        If the replicates differ.
    """
    if not np.array_equal(a["replicate"], b["replicate"]):
        raise InputError("the two sets hold different replicates: they cannot be paired")
    return a - b


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
