"""Where lines cross."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.stats.crossing import crossing, crossing_interval
from numalab.stats.intervals import FEWEST

X = [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("difference", "where"),
    [
        ([2.0, 0.5, -0.5], 0.75),
        ([1.0, -1.0, -3.0], 0.25),
        ([-1.0, 1.0, 2.0], 0.25),
        ([1.0, 2.0, 3.0], np.inf),
        ([-1.0, -2.0, 0.0], -np.inf),
    ],
)
def test_by_hand(difference, where) -> None:
    assert crossing(X, np.array(difference)) == where


@given(st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_a_straight_line_is_found(root, slope) -> None:
    x = np.linspace(0, 1, 7)
    assert crossing(x, slope * (root - x)) == pytest.approx(root, abs=1e-9)


def test_interval() -> None:
    rng = np.random.default_rng(3)
    runs = np.array([1.0, 0.1, -1.0]) + rng.normal(0, 0.2, (FEWEST, 3))
    middle, low, high = crossing_interval(X, runs, seed=1)
    assert low < middle < high
    assert crossing_interval(X, runs, seed=1) == (middle, low, high)
    same = np.tile([1.0, 0.0, -1.0], (FEWEST, 1))
    assert len(set(crossing_interval(X, same))) == 1
    assert crossing_interval(X, same + 5) == (np.inf, np.inf, np.inf)


def test_few_replicates_are_refused_as_for_any_bootstrap() -> None:
    runs = np.tile([1.0, 0.0, -1.0], (FEWEST, 1))
    with pytest.raises(InputError, match=r"replicates = 19: .* at least 20"):
        crossing_interval(X, runs[:-1])


def _lines(rng: np.random.Generator, runs: int, spread: float) -> np.ndarray:
    """Lines of slope -2 through 0.4, each moved up or down: (replicate, x)."""
    return 2 * (0.4 - np.linspace(-1, 2, 7)) + rng.normal(0, spread, (runs, 1))


@pytest.mark.parametrize("runs", [20, 80])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_width_is_that_of_the_mean_line(runs, level) -> None:
    """Lines that are only moved cross where their mean does: at its mean offset / slope.

    So the interval is that of a mean: 2 z s / (slope sqrt(runs)), with s over these runs.
    """
    lines = _lines(np.random.default_rng(7), runs, 0.3)
    middle, low, high = crossing_interval(np.linspace(-1, 2, 7), lines, level=level)
    offset = lines[:, 0] - 2 * 1.4
    z = scipy.stats.norm.ppf((1 + level) / 2)
    assert middle == pytest.approx(0.4 + offset.mean() / 2)
    assert high - low == pytest.approx(2 * z * offset.std() / 2 / np.sqrt(runs), rel=0.08)
    assert (low + high) / 2 == pytest.approx(middle, abs=0.1 * (high - low))


def test_the_interval_covers_the_crossing_as_often_as_it_says() -> None:
    """Percentiles of 20 runs: 92.9 % for a mean (no n - 1, no Student's tails)."""
    rng = np.random.default_rng(11)
    held = [
        low <= 0.4 <= high
        for lines in (_lines(rng, FEWEST, 0.3) for _ in range(400))
        for _, low, high in [crossing_interval(np.linspace(-1, 2, 7), lines, resamples=300)]
    ]
    assert np.mean(held) == pytest.approx(0.929, abs=0.03)
