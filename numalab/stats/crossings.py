"""Where two lines cross, with an interval over replicates."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr

from numalab.fields import InputError
from numalab.stats.intervals import bootstrap, check_finite


class Crossing(NamedTuple):
    """Where a mean difference crosses zero, and the interval of that place.

    Falling, the difference is below zero from ``at`` on (``-inf``: everywhere, ``inf``: never);
    ``rising``, up to ``at`` (``inf``: everywhere, ``-inf``: never). ``nan``: it changes its sign
    more than once, and no one place says where it is below. ``first`` and ``last`` are the ends of
    the axis: nothing is known beyond them.
    """

    at: float
    low: float
    high: float
    rising: bool = False
    first: float = 0.0
    last: float = 1.0


def crossing_points(x: np.ndarray, difference: np.ndarray, *, rising: bool = False) -> np.ndarray:
    """Return from where on differences stay below zero, by straight lines between points.

    Of float64[n], ascending, and float64[..., n]: float64[...]; ``-inf`` if a difference is above
    zero nowhere, ``inf`` if it is not below zero at the end; to touch zero is not to be below.
    ``rising``: up to where they stay below, the same seen from the other end.
    """
    if rising:
        return -crossing_points(-x[::-1], difference[..., ::-1])
    n = len(x)
    above = difference > 0
    last = n - 1 - above[..., ::-1].argmax(axis=-1)[..., None]
    below = ((difference < 0) & (np.arange(n) > last)).any(axis=-1)
    i = np.minimum(last, n - 2)
    low, high = (np.take_along_axis(difference, at, axis=-1) for at in (i, i + 1))
    with np.errstate(invalid="ignore", divide="ignore"):  # of those that do not cross
        at = (x[i] + (x[i + 1] - x[i]) * low / (low - high))[..., 0]
    return np.where(above.any(axis=-1), np.where(below, at, np.inf), -np.inf)


def crossing(
    difference: xr.DataArray,
    along: str,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Crossing:
    """Return the crossing of the mean difference and its percentile bootstrap interval.

    The ends of the mean say whether it rises, and all resamples are read that way.

    Parameters
    ----------
    difference : xarray.DataArray
        Over ``replicate`` and ``along``, whose labels ascend.

    Raises
    ------
    InputError
        For other dimensions, or labels that do not ascend; as :func:`numalab.stats.bootstrap`.
    """
    check_finite(difference)
    if set(difference.dims) != {along, "replicate"}:
        raise InputError(f"dimensions {difference.dims}: must be {along!r} and 'replicate'")
    x = difference[along].values.astype(np.float64)
    if not (np.diff(x) > 0).all():
        raise InputError(f"{along} = {x.tolist()}: must ascend")
    first, last = float(x[0]), float(x[-1])
    mean = difference.mean("replicate").values
    signs = np.sign(mean[mean != 0])
    if (signs[1:] != signs[:-1]).sum() > 1:
        return Crossing(np.nan, np.nan, np.nan, first=first, last=last)
    rising = bool(mean[-1] > mean[0])

    find = partial(crossing_points, x, rising=rising)
    found = bootstrap(
        lambda means: xr.apply_ufunc(find, means, input_core_dims=[[along]]),
        difference, level=level, method="percentile", resamples=resamples, seed=seed,
    )  # fmt: skip
    at, low, high = (float(value) for value in found)
    return Crossing(at, low, high, rising, first, last)


def break_even(
    saved: xr.DataArray, lost: xr.DataArray, *, level: float = 0.95, seed: int = 0
) -> xr.DataArray:
    """Rate up to which more is saved than lost, with its percentile bootstrap interval.

    Parameters
    ----------
    saved : xarray.DataArray
        Over ``replicate`` and anything else: what is saved whatever the rate.
    lost : xarray.DataArray
        What is lost at a rate of 1, in the same unit; it grows with the rate.

    Returns
    -------
    xarray.DataArray
        Over the rest and ``statistic`` (value, low, high): 0 at no rate; ``inf`` at any; nan
        where something is lost first and gained from a rate on, or runs do not tell that apart.

    Raises
    ------
    InputError
        As :func:`numalab.stats.bootstrap`.
    """

    def rate(saved: xr.DataArray, lost: xr.DataArray) -> xr.DataArray:
        never = xr.where((saved > 0) | (lost < 0), np.inf, 0.0)
        never = never.where((saved >= 0) | (lost >= 0))
        return xr.where(lost > 0, saved.clip(min=0) / lost.where(lost > 0), never)

    saved, lost = xr.broadcast(saved, lost)
    return bootstrap(rate, saved, lost, level=level, method="percentile", resamples=2000, seed=seed)


def describe_crossing(found: Crossing) -> str:
    """Write from which value of the axis on a cost is lower, or up to which.

    Examples
    --------
    >>> describe_crossing(Crossing(0.31, 0.28, np.inf, last=0.9))
    '0.31 [0.28, not up to 0.9]'
    >>> describe_crossing(Crossing(0.67, -np.inf, np.inf, rising=True, first=0.05))
    'only up to 0.67 [below 0.05, 1 or above]'
    >>> [describe_crossing(Crossing(x, x, x)) for x in (-np.inf, np.inf, np.nan)]
    ['never costs more', 'not up to 1', 'crosses more than once']
    """
    values = np.array(found[:3])
    if np.isnan(found.at):
        return "crosses more than once"
    everywhere = np.inf if found.rising else -np.inf
    if (values == everywhere).all():
        return "never costs more"
    last = f"{found.last:g}"
    if (values == -everywhere).all():
        return f"not up to {last}"
    ends = {-np.inf: f"below {found.first:g}"}
    ends[np.inf] = f"{last} or above" if found.rising else f"not up to {last}"
    middle, low, high = (ends.get(value, f"{value:.2f}") for value in values.tolist())
    only = "" if found.at == np.inf else "only "
    return f"{f'{only}up to ' * found.rising}{middle} [{low}, {high}]"
