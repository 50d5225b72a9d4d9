"""Where lines cross."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.stats import Crossing, break_even, crossing, describe_crossing
from numalab.stats.crossings import crossing_points
from numalab.stats.intervals import FEWEST

X = np.array([0.0, 0.5, 1.0])


def lines(values, x=X):
    return xr.DataArray(np.array(values), {"x": list(x)}, ("replicate", "x"))


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
def test_by_hand(difference, where):
    """Rising is the same from the other end."""
    assert crossing_points(X, np.array(difference)) == where
    assert crossing_points(X, np.array(difference[::-1]), rising=True) == 1 - where


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
def test_the_mean_says_which_side_is_below(difference, at, rising):
    found = crossing(lines(np.tile(difference, (FEWEST, 1))), "x", resamples=20)
    np.testing.assert_allclose(found, [at, at, at, rising, 0, 1])


def test_the_negative_of_a_difference_crosses_at_the_same_place():
    """Resamples that are above everywhere lie to the left where it rises: up to nowhere."""
    rising = np.array([-0.05, 0.5, 1]) + np.random.default_rng(0).normal(0, 0.3, (FEWEST, 1))
    found = crossing(lines(rising), "x")
    assert found.rising and found.low == -np.inf and 0 < found.at < found.high < 0.5
    falling = crossing(lines(-rising), "x")
    assert not falling.rising and falling[:3] == pytest.approx(found[:3])


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        ([0.5, -0.5], "0.30 [0.30, 0.30]"),
        ([-0.5, 0.5], "only up to 0.30 [0.30, 0.30]"),
        ([2.0, 1.0], "not up to 0.4"),
        ([1.0, 2.0], "not up to 0.4"),
        ([-2.0, -1.0], "never costs more"),
    ],
)
def test_a_crossing_is_described_by_the_ends_of_its_axis(difference, text):
    found = crossing(lines(np.tile(difference, (FEWEST, 1)), [0.2, 0.4]), "x", resamples=20)
    assert describe_crossing(found) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((-np.inf, -np.inf, 0.3, False), "below 0.2 [below 0.2, 0.30]"),
        ((np.inf, 0.3, np.inf, False), "not up to 0.4 [0.30, not up to 0.4]"),
        ((-np.inf, -np.inf, 0.3, True), "only up to below 0.2 [below 0.2, 0.30]"),
        ((np.inf, 0.3, np.inf, True), "up to 0.4 or above [0.30, 0.4 or above]"),
    ],
)
def test_a_crossing_beyond_the_axis_is_described_as_that(found, text):
    assert describe_crossing(Crossing(*found, first=0.2, last=0.4)) == text


def test_what_has_no_crossing_is_refused():
    with pytest.raises(InputError, match=f"{FEWEST} values are missing or not finite"):
        crossing(lines(np.tile([1.0, np.nan, -1.0], (FEWEST, 1))), "x")
    with pytest.raises(InputError, match=r"x = \[0.5, 0.0\]: must ascend"):
        crossing(lines(np.ones((FEWEST, 2)), [0.5, 0.0]), "x")
    with pytest.raises(InputError, match=r"replicates = 19: .* at least 20"):
        crossing(lines(np.ones((19, 3))), "x")
    with pytest.raises(InputError, match="must be 'x' and 'replicate'"):
        crossing(lines(np.ones((FEWEST, 3))).expand_dims(policy=2), "x")


@given(st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_a_straight_line_is_found(root, slope):
    x = np.linspace(0, 1, 7)
    assert crossing_points(x, slope * (root - x)) == pytest.approx(root, abs=1e-9)


def test_an_interval_repeats_and_identical_runs_have_none():
    rng = np.random.default_rng(3)
    runs = lines(np.array([1.0, 0.1, -1.0]) + rng.normal(0, 0.2, (FEWEST, 3)))
    found = crossing(runs, "x", seed=1)
    assert found.low < found.at < found.high
    assert crossing(runs.transpose(), "x", seed=1) == found
    assert crossing(lines(np.tile([1.0, 0.0, -1.0], (FEWEST, 1))), "x") == Crossing(0.5, 0.5, 0.5)


def _moved(rng, runs, spread):
    """Lines of slope -2 through 0.4, each moved up or down."""
    x = np.linspace(-1, 2, 7)
    return lines(2 * (0.4 - x) + rng.normal(0, spread, (runs, 1)), x)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_width_is_that_of_the_mean_line(level):
    """Lines that are only moved cross where their mean does: at its mean offset / slope.

    So the interval is that of a mean: 2 z s / (slope sqrt(runs)), with s over these runs.
    """
    moved = _moved(np.random.default_rng(7), 80, 0.3)
    middle, low, high, *_ = crossing(moved, "x", level=level)
    offset = moved.values[:, 0] - 2 * 1.4
    z = scipy.stats.norm.ppf((1 + level) / 2)
    assert middle == pytest.approx(0.4 + offset.mean() / 2)
    assert high - low == pytest.approx(2 * z * offset.std() / 2 / np.sqrt(80), rel=0.08)
    assert (low + high) / 2 == pytest.approx(middle, abs=0.1 * (high - low))


def test_the_interval_covers_the_crossing_as_often_as_it_says():
    """Percentiles of 20 runs: 92.9 % for a mean (no n - 1, no Student's tails)."""
    rng = np.random.default_rng(11)
    drawn = (_moved(rng, FEWEST, 0.3) for _ in range(120))
    found = [crossing(one, "x", resamples=200) for one in drawn]
    assert np.mean([one.low <= 0.4 <= one.high for one in found]) == pytest.approx(0.929, abs=0.07)


NOISE = np.linspace(-4, 4, 20)
"""Its mean has an interval of +-1.06 by resampling."""


def runs(values):
    return xr.DataArray(np.broadcast_to(values, 20), dims="replicate")


@pytest.mark.parametrize(
    ("saved", "lost", "rate"),
    [
        (2.0, 5.0, 0.4),
        (0.0, 5.0, 0.0),
        (-2.0, 5.0, 0.0),
        (-2.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (2.0, 0.0, np.inf),
        (2.0, -1.0, np.inf),
        (0.0, -1.0, np.inf),
        (-2.0, -1.0, np.nan),
    ],
)
def test_break_even_has_a_case_for_every_gain_and_loss(saved, lost, rate) -> None:
    found = break_even(runs(saved), runs(lost))
    np.testing.assert_array_equal(found, [rate] * 3)


@pytest.mark.parametrize(
    ("saved", "lost", "low", "high"),
    [
        (2.0, 0.02 + NOISE, 1.85, np.inf),
        (2.0, 4.0 + NOISE, 0.39, 0.69),
        (NOISE, 8.0, 0.0, 0.13),
        (NOISE, NOISE[::-1] - 0.01, np.nan, np.nan),
    ],
)
def test_break_even_says_no_more_than_the_runs_do(saved, lost, low, high) -> None:
    """2 over the 1.06 that the loss may be; all or nothing where it may be a gain."""
    found = break_even(runs(saved), runs(lost))
    assert found.sel(statistic=["low", "high"]).values == pytest.approx(
        [low, high], rel=0.08, nan_ok=True
    )
    with pytest.raises(InputError, match="replicates = 19"):
        break_even(runs(saved)[:19], runs(lost)[:19])
