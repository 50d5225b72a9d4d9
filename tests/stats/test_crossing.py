"""Where lines cross."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.stats.crossing import Crossing, crossing, crossing_interval
from numalab.stats.intervals import FEWEST

X = [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("difference", "where"),
    [
        ([2.0, 0.5, -0.5], 0.75),
        ([1.0, -1.0, -3.0], 0.25),
        ([1.0, 2.0, 3.0], np.inf),
        ([-1.0, -2.0, 0.0], -np.inf),
        ([1.0, 0.0, -1.0], 0.5),
        ([1.0, 0.0, 1.0], np.inf),
        ([1.0, 0.5, 0.0], np.inf),
        ([-1.0, 1.0, -1.0], 0.75),
        ([-1.0, -0.5, 1.0], np.inf),
    ],
)
def test_by_hand(difference, where) -> None:
    """Rising is the same from the other end."""
    assert crossing(X, np.array(difference)) == where
    assert crossing(X, np.array(difference[::-1]), rising=True) == 1 - where


@pytest.mark.parametrize(
    ("difference", "at", "rising"),
    [
        ([-1.0, -0.5, 1.0], 2 / 3, True),
        ([-1.0, 0.0, 1.0], 0.5, True),
        ([1.0, 0.0, 1.0], np.inf, False),
        ([1.0, 2.0, 3.0], -np.inf, True),
        ([-3.0, -2.0, -1.0], np.inf, True),
        ([0.0, 0.0, 0.0], -np.inf, False),
        ([1.0, -1.0, 1.0], np.nan, False),
        ([-1.0, 1.0, -1.0], np.nan, False),
    ],
)
def test_the_mean_says_which_side_is_below(difference, at, rising) -> None:
    found = crossing_interval(X, np.tile(difference, (FEWEST, 1)))
    np.testing.assert_allclose(found, [at, at, at, rising])


def test_the_negative_of_a_difference_crosses_at_the_same_place() -> None:
    """Resamples that are above everywhere lie to the left where it rises: up to nowhere."""
    rising = np.array([-0.05, 0.5, 1]) + np.random.default_rng(0).normal(0, 0.3, (FEWEST, 1))
    found = crossing_interval(X, rising)
    assert found.rising and found.low == -np.inf and 0 < found.at < found.high < 0.5
    falling = crossing_interval(X, -rising)
    assert not falling.rising and falling[:3] == pytest.approx(found[:3])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_crosses_nowhere(bad) -> None:
    runs = np.tile([1.0, bad, -1.0], (FEWEST, 1))
    with pytest.raises(InputError, match=f"{FEWEST} values are missing or not finite"):
        crossing_interval(X, runs)
    with pytest.raises(InputError, match=r"x = \[0.5, 0.0\]: must ascend"):
        crossing_interval([0.5, 0.0], np.ones((FEWEST, 2)))


@given(st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_a_straight_line_is_found(root, slope) -> None:
    x = np.linspace(0, 1, 7)
    assert crossing(x, slope * (root - x)) == pytest.approx(root, abs=1e-9)


def test_interval() -> None:
    rng = np.random.default_rng(3)
    runs = np.array([1.0, 0.1, -1.0]) + rng.normal(0, 0.2, (FEWEST, 3))
    found = crossing_interval(X, runs, seed=1)
    assert found.low < found.at < found.high
    assert crossing_interval(X, runs, seed=1) == found
    same = np.tile([1.0, 0.0, -1.0], (FEWEST, 1))
    assert crossing_interval(X, same) == Crossing(0.5, 0.5, 0.5)
    assert crossing_interval(X, same + 5) == Crossing(np.inf, np.inf, np.inf)


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
    middle, low, high, _ = crossing_interval(np.linspace(-1, 2, 7), lines, level=level)
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
        for _, low, high, _ in [crossing_interval(np.linspace(-1, 2, 7), lines, resamples=300)]
    ]
    assert np.mean(held) == pytest.approx(0.929, abs=0.03)
