"""Is a difference more than chance? Replicates are the units; several tests are corrected."""

from __future__ import annotations

import warnings

import numpy as np
import scipy  # loads scipy.stats when it is first used
import xarray as xr

from numalab.fields import InputError
from numalab.stats.intervals import check_finite, count_runs, identical, mean_interval

_ROUNDING = 1e-12
"""Differences of shares and of logarithms that are this small are none."""


def p_value(differences: xr.DataArray) -> xr.DataArray:
    """Two-sided p values of a t test over ``replicate`` that the mean is zero.

    For paired differences this is the paired t test. Identical replicates leave nothing to
    chance: p is 0 if they differ from zero and 1 if they do not; :func:`paired` marks them.
    """
    n = count_runs(differences)
    if n < 3:
        raise InputError(f"replicates = {n}: a test needs at least 3")
    check_finite(differences)

    def of(values: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of identical runs
            p = scipy.stats.ttest_1samp(values, 0.0, axis=-1).pvalue
        none = np.abs(values).max(axis=-1) < _ROUNDING
        return np.where(none, 1.0, np.where(identical(values), 0.0, p))

    floats = differences.astype(np.float64)
    return xr.apply_ufunc(of, floats, input_core_dims=[["replicate"]])


def holm(p: xr.DataArray) -> xr.DataArray:
    """Return p values corrected by Holm's step-down method, over the whole array.

    scipy.stats.false_discovery_control knows Benjamini-Hochberg and -Yekutieli only, which
    bound the share of false finds in a table and not the chance of one.

    >>> holm(xr.DataArray([0.01, 0.04, 0.03], dims="test")).values.round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    flat = p.values.ravel()
    if not ((flat >= 0) & (flat <= 1)).all():
        raise InputError("a p value is missing or not in [0, 1]: the table cannot be corrected")
    order = np.argsort(flat, kind="stable")
    stepped = flat[order] * (flat.size - np.arange(flat.size))
    corrected = np.empty_like(flat)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return p.copy(data=corrected.reshape(p.shape))


def paired(da: xr.DataArray, along: str, baseline: object, *, level: float = 0.95) -> xr.Dataset:
    """Differences from a baseline, replicate by replicate.

    Replicate ``i`` of all simulations with one seed draws from the same streams, which makes
    them pairs. Recorded runs are not pairs.

    Parameters
    ----------
    da : xarray.DataArray
        Over ``along``, ``replicate`` and anything else; of logarithms for factors.
    along, baseline : str, object
        Dimension, and its label with which all others are compared.

    Returns
    -------
    xarray.Dataset
        Over the rest and ``along`` without the baseline: ``mean``, ``low``, ``high`` of the
        difference from it (:func:`numalab.stats.mean_interval`); ``p`` of the paired t test,
        ``p_holm`` corrected for all tests of this Dataset; ``identical``: bool, whether
        the difference is the same in every replicate, so that p says nothing.
    """
    if along not in da.dims or baseline not in da[along].values:
        raise InputError(f"no baseline {baseline!r} along {along!r}")
    floats = da.astype(np.float64)
    differences = floats.drop_sel({along: baseline}) - floats.sel({along: baseline}, drop=True)
    if not differences.sizes[along]:
        raise InputError(f"{along} holds {baseline!r} alone: nothing to compare it with")
    p = p_value(differences)
    ends = mean_interval(differences, level=level)
    return xr.Dataset(
        {
            "mean": differences.mean("replicate"),
            "low": ends.sel(statistic="low", drop=True),
            "high": ends.sel(statistic="high", drop=True),
            "p": p,
            "p_holm": holm(p),
            "identical": differences.reduce(identical, "replicate")
            | (abs(differences).max("replicate") < _ROUNDING),
        },
        attrs={"baseline": str(baseline), "replicates": da.sizes["replicate"]},
    )
