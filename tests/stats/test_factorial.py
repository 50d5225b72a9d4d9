"""Effects, interactions and steps of full factorials that are known."""

import itertools

import numpy as np
import xarray as xr

from numalab import stats


def factorial(function):
    levels = np.array([0, 1])
    a, b, c = np.meshgrid(levels, levels, levels, indexing="ij")
    axes = ("a", "b", "c")
    return xr.DataArray(function(a, b, c), dict.fromkeys(axes, levels), axes)


def test_an_interaction_is_the_change_of_an_effect_whatever_the_labels():
    y = factorial(lambda a, b, c: 3 * a - b + 4 * a * c)
    for labelled in (y, y.assign_coords(c=["off", "on"])):
        found = stats.interactions(labelled, ["a", "b", "c"])
        assert found.to_series().to_dict() == {"a x b": 0, "a x c": 4, "b x c": 0}


def test_a_step_is_taken_on_top_of_what_came_before_it():
    """Here b undoes a, and c undoes b."""
    y = factorial(lambda a, b, c: 7 * a * (1 - b) - b * (1 - c))
    assert stats.steps(y, ["a", "b", "c"]).values.tolist() == [7, -8, 1]
    assert stats.steps(y, ["c", "b", "a"])["step"].values.tolist() == ["c", "b", "a"]


def test_the_steps_add_up_to_the_difference_of_all_from_none():
    y = factorial(lambda a, b, c: np.random.default_rng(3).normal(size=(2, 2, 2)))
    whole = y.sel(a=1, b=1, c=1) - y.sel(a=0, b=0, c=0)
    for order in itertools.permutations("abc"):
        np.testing.assert_allclose(stats.steps(y, order).sum(), whole)


def test_interactions_are_those_of_pairs_with_all_others_on():
    y = factorial(lambda a, b, c: 4 * a * b * c - b * c)
    found = stats.interactions(y, ["a", "b", "c"])
    assert dict(zip(found["pair"].values, found.values, strict=True)) == {
        "a x b": 4, "a x c": 4, "b x c": 3,
    }  # fmt: skip
