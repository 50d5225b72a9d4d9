"""Is a difference more than chance? Replicates are the units; several tests are corrected."""

from __future__ import annotations

import numpy as np
import scipy  # loads scipy.stats when it is first used
import xarray as xr

from numalab.fields import InputError
from numalab.stats.intervals import alike, check_finite, check_level, check_paired, runs_of

_RESAMPLES = 9999


def differs_from_zero(da: xr.DataArray) -> xr.DataArray:
    """Two-sided p values of a t test over ``replicate`` that the mean is zero.

    For paired differences this is the paired t test. Replicates that are all alike and
    not zero, a difference in which nothing is random, have p = 0; all zero (1e-12: the
    rounding of differences of shares and logarithms) have p = 1.

    Raises
    ------
    InputError
        With fewer than 3 replicates, with a value that is not finite, or with a dimension
        that is not replicated.
    """
    n = runs_of(da)
    if n < 3:
        raise InputError(f"replicates = {n}: a test needs at least 3")

    check_finite(da.values)

    def p_value(values: np.ndarray) -> float:
        if alike(values):
            return 1.0 if abs(float(values[0])) < 1e-12 else 0.0
        return float(scipy.stats.ttest_1samp(values, 0.0).pvalue)

    return xr.apply_ufunc(
        p_value, da.astype(np.float64), input_core_dims=[["replicate"]], vectorize=True
    )


def permutation(
    a: xr.DataArray, b: xr.DataArray, *, alpha: float = 0.05, seed: int = 0
) -> xr.DataArray:
    """Two-sided p values that the mean of ``a - b`` is zero, by swapping within pairs.

    scipy.stats.permutation_test with ``permutation_type="samples"``: exact up to 13 pairs,
    9999 random swaps above. Needs no distribution, only pairs.

    Parameters
    ----------
    a, b : xarray.DataArray
        With the same ``replicate``; every other dimension is tested for itself.
    alpha : float
        The level that p will be held against.
    seed : int

    Returns
    -------
    xarray.DataArray
        float64; ``replicate`` disappears. For several tests, give it to :func:`holm`.

    Raises
    ------
    InputError
        If the replicates are no pairs, or so few that p cannot reach ``alpha``; if a value is
        not finite.
    """
    check_level(alpha, "alpha")
    check_finite(a.values, b.values)
    n = check_paired(a, b)
    if 2.0 ** (1 - n) > alpha:
        raise InputError(
            f"replicates = {n}: a permutation test of {n} pairs cannot give p below "
            f"{2.0 ** (1 - n):.3g}; p < {alpha:g} needs at least {int(np.ceil(1 - np.log2(alpha)))}"
        )

    def p_value(x: np.ndarray, y: np.ndarray) -> float:
        found = scipy.stats.permutation_test(
            (x, y), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
            vectorized=True, n_resamples=_RESAMPLES, rng=np.random.default_rng(seed),
        )  # fmt: skip
        return float(found.pvalue)

    return xr.apply_ufunc(
        p_value,
        a.astype(np.float64),
        b.astype(np.float64),
        input_core_dims=[["replicate"], ["replicate"]],
        vectorize=True,
    )


def holm(p: xr.DataArray) -> xr.DataArray:
    """Return p values corrected by Holm's step-down method, over the whole array.

    scipy.stats.false_discovery_control knows Benjamini-Hochberg and -Yekutieli only, which
    bound the share of false finds in a table and not the chance of one.

    Raises
    ------
    InputError
        If a p value is missing: a table is corrected for all its tests or for none.

    Examples
    --------
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
