"""Does a headline hold when a run is longer, drawn again, or repeated less often?

A headline that depends on how long a run happened to be is no answer. So a notebook computes its
headline again, three times, and prints a verdict only where all three agree.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from numalab.fields import InputError
from numalab.stats.formatting import format_summary
from numalab.stats.intervals import summary
from numalab.stats.significance import holm, p_value

ASKED = "as asked"
VARIATIONS = ("at twice the duration", "with another seed", "at half the replicates")
Headline = Callable[[int, int, int], xr.DataArray]
"""Of duration, replicates and seed: a summary over ``statistic``, or labels without it."""


def again(headline: Headline, duration: int, replicates: int, seed: int) -> xr.DataArray:
    """Compute a headline as asked, and once with each of :data:`VARIATIONS`.

    Parameters
    ----------
    headline : callable
        Takes a duration, a number of replicates and a seed; returns numbers over ``statistic``
        (value or mean, low, high), as :func:`numalab.stats.summary` does, or verdicts without
        that dimension; over any other dimensions.
    duration : int
        In the unit of ``headline``.
    replicates : int
        6 or more: an interval needs 3.
    seed : int

    Returns
    -------
    xarray.DataArray
        With a first dimension ``variation``: :data:`ASKED`, then :data:`VARIATIONS`.

    Examples
    --------
    >>> def growth(duration, replicates, seed):
    ...     return xr.DataArray([duration, duration - 2.0, duration + 2.0], dims="statistic")
    >>> found = again(growth, 10, 6, 1)
    >>> changes(found, "s")
    ['at twice the duration 20.0 s [18.0, 22.0]']
    """
    if replicates < 6:
        raise InputError(f"replicates = {replicates}: must be at least 6, an interval of half of")
    given = (
        (duration, replicates, seed),
        (2 * duration, replicates, seed),
        (duration, replicates, seed + 1),
        (duration, replicates // 2, seed),
    )
    labels = xr.Variable("variation", [ASKED, *VARIATIONS])
    return xr.concat([headline(*one) for one in given], labels, join="exact")


def holds(found: xr.DataArray, least: float = 0.0) -> xr.DataArray:
    """Say which headlines are the same in every variation.

    Numbers are, if the change is not beyond chance: at most the half width of its 95 % interval,
    that is the root of the sum of the squares of the half widths (towards each other) of the two
    intervals. With independent runs a headline that does not change is held to in 95 % of the
    cases. Verdicts must be equal.

    Parameters
    ----------
    found : xarray.DataArray
        From :func:`again`.
    least : float
        A change of no more than this does not matter, in the unit of the headline.

    Returns
    -------
    xarray.DataArray
        bool over ``variation`` (:data:`VARIATIONS`) and the other dimensions.
    """
    asked, others = found.isel(variation=0, drop=True), found.isel(variation=slice(1, None))
    if "statistic" not in found.dims:
        return others == asked
    (one, one_low, one_high), (two, two_low, two_high) = (
        [ends.isel(statistic=i, drop=True) for i in range(3)] for ends in (asked, others)
    )
    with np.errstate(invalid="ignore"):
        up = np.hypot(one_high - one, two - two_low)
        down = np.hypot(one - one_low, two_high - two)
        change = two - one
        return (two == one) | (abs(change) <= xr.where(change > 0, up, down).clip(min=least))


def changes(found: xr.DataArray, unit: str = "", *, least: float = 0.0) -> list[str]:
    """Say what was found instead, for each variation in which one headline does not hold.

    Parameters
    ----------
    found : xarray.DataArray
        From :func:`again`, of one headline: no dimension but ``variation`` and ``statistic``.
    unit, least : str, float
        Of the headline; see :func:`holds`.

    Returns
    -------
    list of str
        ``at twice the duration 20 s [18, 22]``; empty if the headline may be printed.
    """
    kept = holds(found, least)
    failed = found.sel(variation=kept["variation"][~kept.values])
    if "statistic" in failed.dims:
        failed = format_summary(failed, unit)
    return [
        f"{name} {text}"
        for name, text in zip(failed["variation"].values, failed.values, strict=True)
    ]


def clear(
    differences: Headline, duration: int, replicates: int, seed: int, *, least: float = 0.0
) -> xr.Dataset:
    """Find differences that are beyond chance, and the same in every variation.

    Parameters
    ----------
    differences : callable
        Of duration, replicates and seed: over ``replicate`` and any other dimensions; of
        logarithms for factors.
    duration, replicates, seed
        As of :func:`again`.
    least : float
        A smaller difference, or change of one, does not matter.

    Returns
    -------
    xarray.Dataset
        Over the other dimensions: ``summary`` (statistic) as asked; ``steady``: bool
        (:func:`holds` in all variations); ``sign``: 1 or -1 where the mean is steady, at least
        ``least`` from 0, and so beyond chance (t test, Holm over all, 5 %), else 0.
    """

    def headline(*given: int) -> xr.DataArray:
        return summary(differences(*given))

    found = again(headline, duration, replicates, seed)
    asked = found.isel(variation=0, drop=True)
    steady = holds(found, least).all("variation")
    sure = holm(p_value(differences(duration, replicates, seed))) < 0.05
    mean = asked.isel(statistic=0, drop=True)
    sign = xr.where(sure & steady & (abs(mean) >= least), np.sign(mean), 0.0)
    return xr.Dataset({"summary": asked, "steady": steady, "sign": sign})
