"""Where lines cross."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.stats.crossing import crossing, crossing_interval

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
    runs = np.array([1.0, 0.1, -1.0]) + rng.normal(0, 0.2, (12, 3))
    middle, low, high = crossing_interval(X, runs, seed=1)
    assert low < middle < high
    assert crossing_interval(X, runs, seed=1) == (middle, low, high)
    same = np.tile([1.0, 0.0, -1.0], (5, 1))
    assert len(set(crossing_interval(X, same))) == 1
    assert crossing_interval(X, same + 5) == (np.inf, np.inf, np.inf)
    with pytest.raises(InputError, match="replicates = 2"):
        crossing_interval(X, same[:2])
