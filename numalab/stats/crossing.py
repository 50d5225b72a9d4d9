"""Where two lines cross, with an interval over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numalab.fields import InputError
from numalab.stats.intervals import FEWEST, check_finite, check_level


class Crossing(NamedTuple):
    """Where a mean difference crosses zero, and the interval of that place.

    Falling, the difference is below zero from ``at`` on (``-inf``: everywhere, ``inf``: never);
    ``rising``, up to ``at`` (``inf``: everywhere, ``-inf``: never). ``nan``: it changes its sign
    more than once, and no one place says where it is below.
    """

    at: float
    low: float
    high: float
    rising: bool = False


def crossing(x: Sequence[float], difference: NDArray[np.float64], *, rising: bool = False) -> float:
    """Return from where on a difference stays below zero, by straight lines between points.

    Parameters
    ----------
    x : sequence of float, shape (n,)
        Ascending.
    difference : ndarray of float64, shape (n,)
    rising : bool
        Return up to where it stays below zero instead: the same, seen from the other end.

    Returns
    -------
    float
        ``-inf`` if it is above zero nowhere, ``inf`` if it is not below zero at the end; to
        touch zero is not to be below. With ``rising`` the other way round.
    """
    if rising:
        return -crossing([-one for one in x[::-1]], difference[::-1])
    above = np.flatnonzero(difference > 0)
    if not above.size:
        return -np.inf
    i = int(above[-1])
    if not (difference[i:] < 0).any():
        return np.inf
    low, high = difference[i], difference[i + 1]
    return float(x[i] + (x[i + 1] - x[i]) * low / (low - high))


def crossing_interval(
    x: Sequence[float],
    difference: NDArray[np.float64],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Crossing:
    """Return the crossing of the mean difference and its bootstrap interval.

    Whole replicates are drawn with replacement, so that the points of one stay together;
    percentiles, because a crossing may lie at infinity. The ends of the mean say whether it
    rises, and all resamples are read that way.

    Parameters
    ----------
    x : sequence of float, shape (n,)
        Ascending.
    difference : ndarray of float64, shape (replicate, n)

    Raises
    ------
    InputError
        For fewer replicates than :data:`numalab.stats.intervals.FEWEST`, a value that is not
        finite, or an ``x`` that does not ascend.
    """
    check_level(level)
    check_finite(difference)
    if not (np.diff(x) > 0).all():
        raise InputError(f"x = {[*x]}: must ascend")
    runs = len(difference)
    if runs < FEWEST:
        raise InputError(
            f"replicates = {runs}: a bootstrap interval of a crossing needs at least {FEWEST}"
        )
    mean = difference.mean(axis=0)
    signs = np.sign(mean[mean != 0])
    if (signs[1:] != signs[:-1]).sum() > 1:
        return Crossing(np.nan, np.nan, np.nan)
    rising = bool(mean[-1] > mean[0])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, runs, (resamples, runs))
    found = [crossing(x, difference[rows].mean(axis=0), rising=rising) for rows in drawn]
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="closest_observation")
    return Crossing(crossing(x, mean, rising=rising), float(low), float(high), rising)
