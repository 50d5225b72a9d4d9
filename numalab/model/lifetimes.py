"""Lifetimes of churned VMAs: named distributions, drawn before the run."""

from __future__ import annotations

import numpy as np

from numalab.workload import Churn, Workload


def draw(churn: Churn, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw lifetimes.

    Parameters
    ----------
    churn : Churn
    count : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, float64[count] [ms]
        At least 1 ms each; the mean is ``lifetime_ms`` (before that bound).
    """
    mean, shape = churn.lifetime_ms, churn.lifetime_shape
    if churn.lifetime == "exponential":
        values = rng.exponential(mean, count)
    elif churn.lifetime == "uniform":
        values = rng.uniform(mean * (1 - shape), mean * (1 + shape), count)
    elif churn.lifetime == "lognormal":
        values = mean * rng.lognormal(-shape * shape / 2, shape, count)
    elif churn.lifetime == "pareto":
        values = mean * (shape - 1) / shape * (1 + rng.pareto(shape, count))
    else:
        values = np.full(count, mean)
    return np.maximum(values, 1.0)


def table(workload: Workload, rng: np.random.Generator) -> np.ndarray:
    """Draw the lifetimes of all churns of a workload.

    Returns
    -------
    numpy.ndarray, int64[n_churn, n] [ns]
        Rows are long enough for the whole run unless it holds over 100 000 lives;
        the engine then starts a row again.
    """
    rows = []
    for churn in workload.churns:
        expected = workload.duration_ms / (churn.lifetime_ms + churn.gap_ms)
        rows.append(draw(churn, int(min(100_000, 4 * expected + 64)), rng))
    longest = max((len(row) for row in rows), default=1)
    table = np.ones((len(rows), longest), np.int64)
    for i, row in enumerate(rows):
        table[i] = np.resize(row * 1e6, longest).astype(np.int64)
    return table
