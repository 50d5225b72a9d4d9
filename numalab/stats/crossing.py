"""Where two lines cross, with an interval over replicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numalab.fields import InputError
from numalab.stats.intervals import FEWEST, check_finite, check_level


def crossing(x: Sequence[float], difference: NDArray[np.float64]) -> float:
    """Return where a difference first changes its sign, by straight lines between points.

    Parameters
    ----------
    x : sequence of float, shape (n,)
        Ascending.
    difference : ndarray of float64, shape (n,)

    Returns
    -------
    float
        ``-inf`` if it is positive nowhere, ``inf`` if it is positive everywhere.
    """
    sign = difference > 0
    if sign.all():
        return np.inf
    if not sign.any():
        return -np.inf
    i = int(np.flatnonzero(sign[1:] != sign[:-1])[0])
    low, high = difference[i], difference[i + 1]
    return float(x[i] + (x[i + 1] - x[i]) * low / (low - high))


def crossing_interval(
    x: Sequence[float],
    difference: NDArray[np.float64],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the crossing of the mean difference and its bootstrap interval.

    Whole replicates are drawn with replacement, so that the points of one stay together;
    percentiles, because a crossing may lie at infinity.

    Parameters
    ----------
    x : sequence of float, shape (n,)
    difference : ndarray of float64, shape (replicate, n)

    Returns
    -------
    tuple of (float, float, float)
        Crossing, low, high.

    Raises
    ------
    InputError
        For fewer replicates than :data:`numalab.stats.intervals.FEWEST`.
    """
    check_level(level)
    check_finite(difference)
    runs = len(difference)
    if runs < FEWEST:
        raise InputError(
            f"replicates = {runs}: a bootstrap interval of a crossing needs at least {FEWEST}"
        )
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, runs, (resamples, runs))
    found = np.array([crossing(x, difference[rows].mean(axis=0)) for rows in drawn])
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="closest_observation")
    return crossing(x, difference.mean(axis=0)), float(low), float(high)
