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


_MOST_LIVES = 100_000


def table(workload: Workload, rng: np.random.Generator) -> np.ndarray:
    """Draw the lifetimes of all churns of a workload.

    A row that heavy tails leave too short is drawn on from a stream of its own, so that
    nothing else that is drawn changes.

    Returns
    -------
    numpy.ndarray, int64[n_churn, n] [ns]
        Rows are long enough for the whole run unless it holds over 100 000 lives;
        the engine then starts a row again.
    """
    rows = [draw(churn, _lives(workload, churn), rng) for churn in workload.churns]
    for i, churn in enumerate(workload.churns):
        if _short(workload, churn, rows[i]):
            rows[i] = _drawn_on(workload, churn, rows[i], rng.spawn(1)[0])
    longest = max((len(row) for row in rows), default=1)
    table = np.ones((len(rows), longest), np.int64)
    for i, row in enumerate(rows):
        table[i] = np.resize(row * 1e6, longest).astype(np.int64)
    return table


def _lives(workload: Workload, churn: Churn) -> int:
    """Return how many lifetimes are drawn at once: four times the expected ones."""
    expected = workload.duration_ms / (churn.lifetime_ms + churn.gap_ms)
    return int(min(_MOST_LIVES, 4 * expected + 64))


def _short(workload: Workload, churn: Churn, row: np.ndarray) -> bool:
    covered = row.sum() + len(row) * churn.gap_ms
    return len(row) < _MOST_LIVES and covered < workload.duration_ms


def _drawn_on(
    workload: Workload, churn: Churn, row: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    while _short(workload, churn, row):
        more = draw(churn, min(len(row), _MOST_LIVES - len(row)), rng)
        row = np.concatenate([row, more])
    return row
