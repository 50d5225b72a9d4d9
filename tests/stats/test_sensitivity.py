"""What decides: known functions, coverage, named refusals."""

import numpy as np
import pytest
import xarray as xr

from numalab import stats
from numalab.fields import InputError
from numalab.stats.sensitivity import FEWEST_SAMPLES, FEWEST_TRAJECTORIES

CUBE = dict.fromkeys(("a", "b", "c"), (-np.pi, np.pi))
SQUARE = {"a": (0, 1), "b": (0, 1)}
DESIGNS = {
    "sobol": (stats.sobol_design, stats.sobol_indices),
    "morris": (stats.morris_design, stats.morris_effects),
}


def at(design, function):
    return xr.DataArray(function(**dict(design.items())).to_numpy(np.float64), dims="point")


def ishigami(a, b, c):
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def test_sobol_indices_of_the_ishigami_function_are_the_known_ones_and_converge():
    """S1 = 0.3139, 0.4424, 0 and ST = 0.5576, 0.4424, 0.2437 (Saltelli et al. 2008, 4.5)."""
    design = stats.sobol_design(CUBE, n=2048)
    found = stats.sobol_convergence(design, at(design, ishigami))
    assert found["n"].values.tolist() == [16, 32, 64, 128, 256, 512, 1024, 2048]
    last = found.isel(n=-1)
    np.testing.assert_allclose(last["S1"], [0.3139, 0.4424, 0], atol=0.03)
    np.testing.assert_allclose(last["ST"], [0.5576, 0.4424, 0.2437], atol=0.03)
    assert bool((last["S1_conf"] > 0).all() and (last["S1_conf"] < 0.1).all())
    assert bool((found["ST_conf"].isel(n=0) > 3 * last["ST_conf"]).all())
    xr.testing.assert_allclose(
        last.drop_vars("n"), stats.sobol_indices(design, at(design, ishigami))
    )


def test_each_result_of_a_design_has_its_own_indices_in_any_unit():
    design = stats.sobol_design(SQUARE, n=64)
    y = xr.concat([at(design, lambda a, b: 1e-13 * a), at(design, lambda a, b: b)], "response")
    found = stats.sobol_indices(design, y)
    assert found["ST"].dims == ("response", "parameter")
    np.testing.assert_allclose(found["ST"], [[1, 0], [0, 1]], atol=0.05)


def test_morris_of_a_linear_function_gives_its_slopes_and_no_spread():
    """The effect is over the scaled range: slope times length."""
    design = stats.morris_design({"a": (0, 1), "b": (0, 10), "c": (5, 6)}, trajectories=8, seed=1)
    found = stats.morris_effects(design, at(design, lambda a, b, c: 2 * a - 3 * b))
    np.testing.assert_allclose(found["mu"], [2, -30, 0], atol=1e-9)
    np.testing.assert_allclose(found["mu_star"], [2, 30, 0], atol=1e-9)
    np.testing.assert_allclose(found["sigma"], 0, atol=1e-9)


def test_morris_sees_an_interaction_as_spread():
    design = stats.morris_design({"a": (0, 1), "b": (0, 1), "c": (0, 1)}, trajectories=30)
    found = stats.morris_effects(design, at(design, lambda a, b, c: a * b + c))
    assert float(found["sigma"].sel(parameter="c")) < 1e-9
    assert float(found["sigma"].sel(parameter=["a", "b"]).min()) > 0.1


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(("design", "analysis"), DESIGNS.values(), ids=DESIGNS)
def test_a_seed_fixes_design_and_intervals_zero_too(design, analysis, seed):
    def once(seed):
        points = design(CUBE, seed=seed)
        return analysis(points, at(points, ishigami), seed=seed)

    xr.testing.assert_identical(once(seed), once(seed))
    assert not once(seed).equals(once(seed + 1))


@pytest.mark.parametrize("design", [stats.sobol_design, stats.morris_design])
def test_points_lie_within_their_ranges(design):
    points = design({"a": (2, 3), "b": (-1, 5)})
    assert 2 <= points["a"].min() < points["a"].max() <= 3
    assert -1 <= points["b"].min() < points["b"].max() <= 5


def test_designs_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="power of 2"):
        stats.sobol_design(CUBE, n=100)
    with pytest.raises(InputError, match="n = 8: must be a power of 2, and at least 16"):
        stats.sobol_design(CUBE, n=8)
    with pytest.raises(InputError, match="trajectories = 7: must be whole, and at least 8"):
        stats.morris_design(CUBE, trajectories=7)
    with pytest.raises(InputError, match=r"a = 1 \.\. 1: must be finite and rising"):
        stats.sobol_design({"a": (1, 1)})
    with pytest.raises(InputError, match="no parameters"):
        stats.morris_design({})


def test_the_fewest_points_have_intervals_that_mostly_hold():
    """The additive a + 2 b: S1 = 0.2, 0.8; of exp(a) + ab, mu_star of b is 0.5.

    Of 8 base samples 17 % of the intervals miss, of 2 trajectories 55 %.
    """
    missed = []
    for seed in range(40):
        design = stats.sobol_design(SQUARE, n=FEWEST_SAMPLES, seed=seed)
        one = stats.sobol_indices(design, at(design, lambda a, b: a + 2 * b), seed=seed)
        missed.append(np.abs(one["S1"].values - [0.2, 0.8]) > one["S1_conf"].values)
    assert np.mean(missed) < 0.1
    missed = []
    for seed in range(40):
        design = stats.morris_design(SQUARE, trajectories=FEWEST_TRAJECTORIES, seed=seed)
        one = stats.morris_effects(design, at(design, lambda a, b: np.exp(a) + a * b), seed=seed)
        missed.append(abs(one["mu_star"].values[1] - 0.5) > one["mu_star_conf"].values[1])
    assert np.mean(missed) < 0.2


@pytest.mark.parametrize(("design", "analysis"), DESIGNS.values(), ids=DESIGNS)
def test_results_that_say_nothing_are_refused(design, analysis):
    points = design(CUBE)
    y = at(points, ishigami)
    for part in (y[:-1], y.rename(point="replicate")):
        with pytest.raises(InputError, match=r"one for each of the .* points of the design"):
            analysis(points, part)
    with pytest.raises(InputError, match="must be"):
        analysis(points[:-1], y[:-1])
    with pytest.raises(InputError, match="identical at all points"):
        analysis(points, 0 * y + 5)
    with pytest.raises(InputError, match="1 values are missing"):
        analysis(points, y.where(np.arange(len(y)) != 3))
    for level in (0, 1.5, np.nan):
        with pytest.raises(InputError, match=f"level = {level:g}"):
            analysis(points, y, level=level)


def factorial(function):
    levels = np.array([0, 1])
    a, b, c = np.meshgrid(levels, levels, levels, indexing="ij")
    axes = ("a", "b", "c")
    return xr.DataArray(function(a, b, c), dict.fromkeys(axes, levels), axes)


def test_effects_of_a_known_factorial():
    """What is not given is averaged over; an interaction is the change of an effect."""
    y = factorial(lambda a, b, c: 3 * a - b + 4 * a * c)
    assert float(stats.effect(y, "a", ["a", "b", "c"], {})) == 5
    assert float(stats.effect(y, "a", ["a", "b", "c"], {"c": 1})) == 7
    assert float(stats.interaction(y, ("a", "c"), ["a", "b", "c"], {})) == 4
    assert float(stats.interaction(y, ("a", "b"), ["a", "b", "c"], {"c": 0})) == 0
    swapped = y.assign_coords(c=["off", "on"])
    assert float(stats.interaction(swapped, ("a", "c"), ["a", "b", "c"], {"b": 1})) == 4


def grid(rng, cases=()):
    """x over 0..2 and y over 0..3: 2 x + y + x y / 2, with noise of 0.5 in 20 replicates."""
    x, y = xr.DataArray(np.arange(3.0), dims="x"), xr.DataArray(np.arange(4.0), dims="y")
    true = 2 * x + y + 0.5 * x * y
    noise = rng.normal(0, 0.5, (*cases, 3, 4, 20))
    names = ("case",)[: len(cases)]
    return true, true + xr.DataArray(noise, dims=(*names, "x", "y", "replicate"))


def test_shares_of_variance_add_up_and_belong_to_the_axes():
    """Var 2/3 (2 + .75)^2 of x, 5/4 (1 + .5)^2 of y, 2/3 5/4 / 4 of both, by hand."""
    _, da = grid(np.random.default_rng(0))
    found = stats.variance_shares(da, ["x", "y"])
    parts = np.array([2 / 3 * 2.75**2, 5 / 4 * 1.5**2, 2 / 3 * 5 / 4 / 4])
    assert found["term"].values.tolist() == ["x", "y", "x x y"]
    np.testing.assert_allclose(found.sel(statistic="value"), parts / parts.sum(), atol=0.02)
    assert float(found.sel(statistic="value").sum()) == pytest.approx(1)
    with pytest.raises(InputError, match="identical all over the grid"):
        stats.variance_shares(0 * da, ["x", "y"])


def test_intervals_of_shares_of_variance_mostly_hold():
    """Of 100 grids, at a nominal 95 % of percentiles from 20 runs."""
    _, da = grid(np.random.default_rng(5), (100,))
    found = stats.variance_shares(da, ["x", "y"])
    parts = np.array([2 / 3 * 2.75**2, 5 / 4 * 1.5**2, 2 / 3 * 5 / 4 / 4])
    share = xr.DataArray(parts / parts.sum(), dims="term")
    held = (found.sel(statistic="low") <= share) & (share <= found.sel(statistic="high"))
    assert float(held.mean()) > 0.85
