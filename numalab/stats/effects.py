"""How large is a difference? Sizes of effects between paired runs, each with its interval."""

from __future__ import annotations

import numpy as np
import scipy  # loads scipy.stats when it is first used
import xarray as xr

from numalab.fields import InputError
from numalab.stats.intervals import (
    Statistic,
    alike,
    bca,
    check_finite,
    check_level,
    check_paired,
    enough_for_bootstrap,
)

_BOUNDS = ["effect", "low", "high"]


def _each(a: xr.DataArray, b: xr.DataArray, size_of: Statistic) -> xr.DataArray:
    found = xr.apply_ufunc(
        size_of,
        a.astype(np.float64),
        b.astype(np.float64),
        input_core_dims=[["replicate"], ["replicate"]],
        output_core_dims=[["bound"]],
        vectorize=True,
    )
    return found.assign_coords(bound=_BOUNDS)


def _ratio(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(x, axis=axis) / np.mean(y, axis=axis) - 1.0


def relative_change(
    a: xr.DataArray, base: xr.DataArray, level: float = 0.95, seed: int = 0
) -> xr.DataArray:
    """Change of the mean against a base, mean(a) / mean(base) - 1, with its BCa interval.

    Pairs are resampled whole (scipy.stats.bootstrap, ``paired=True``).

    Returns
    -------
    xarray.DataArray
        ``replicate`` disappears, ``bound`` (effect, low, high) appears; 0.05 is 5 % more.

    Raises
    ------
    InputError
        If the replicates are no pairs or too few, or a base is zero or below in some run:
        the change against nothing is not a number. If a value is not finite.
    """
    check_level(level)
    enough_for_bootstrap(check_paired(a, base))
    check_finite(a.values, base.values)
    if not bool((base > 0).all()):
        raise InputError("the base is not above zero in every run: give the difference instead")

    def size_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if alike(x / y):  # a fixed ratio: x and y may vary, but nothing about it does
            return np.full(3, float(_ratio(x, y)))
        return np.array([float(_ratio(x, y)), *bca((x, y), _ratio, level, seed)])

    return _each(a, base, size_of)


def hedges_g(a: xr.DataArray, b: xr.DataArray, level: float = 0.95) -> xr.DataArray:
    """Hedges' g of paired runs: mean difference in standard deviations of the difference.

    With the small-sample correction (Hedges, J. Educ. Stat. 6, 1981, eq. 6e); the interval is
    that of the size itself, exact for normal differences, from the noncentral t distribution
    (scipy.stats.nct).

    Returns
    -------
    xarray.DataArray
        ``replicate`` disappears, ``bound`` (effect, low, high) appears.

    Raises
    ------
    InputError
        If the replicates are no pairs, fewer than 3, not finite, or their differences are
        alike, or so nearly that scipy's distribution ends (thousands of their deviations).
    """
    n = check_paired(a, b)
    if not 0.5 <= level <= 0.999:
        raise InputError(f"level = {level:g}: must lie between 0.5 and 0.999")
    if n < 3:
        raise InputError(f"replicates = {n}: a standardised effect needs at least 3")
    check_finite(a.values, b.values)
    df = n - 1
    correction = np.exp(
        scipy.special.gammaln(df / 2) - scipy.special.gammaln((df - 1) / 2)
    ) / np.sqrt(df / 2)
    tail = (1 - level) / 2

    def size_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        d = x - y
        if alike(d):
            raise InputError(
                "the differences have no spread, so none to measure them in: "
                "give the difference itself"
            )
        t = float(scipy.stats.ttest_rel(x, y).statistic)
        size = abs(t)  # scipy's distribution is sound on this side only
        least = -scipy.stats.norm.isf(tail) - 0.1  # just below the lower end of a size of 0

        def where(q: float) -> float:
            cdf = scipy.stats.nct.cdf
            return float(
                scipy.optimize.brentq(lambda nc: cdf(size, df, nc) - q, least, 10 + 4 * size)
            )

        try:
            ends = [where(1 - tail), where(tail)]
        except ValueError:
            raise InputError(
                f"effect = {t / np.sqrt(n):.3g} standard deviations: too large for an interval; "
                "give the difference itself"
            ) from None
        if t < 0:
            ends = [-ends[1], -ends[0]]
        return np.array([correction * t, *ends]) / np.sqrt(n)

    return _each(a, b, size_of)
