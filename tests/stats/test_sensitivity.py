"""What decides: known functions, coverage, named refusals."""

import numpy as np
import pytest
import xarray as xr

from numalab import stats, sweep
from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweep.design import FEWEST_SAMPLES, saltelli

CUBE = dict.fromkeys(("a", "b", "c"), (-np.pi, np.pi))
SQUARE = {"a": (0, 1), "b": (0, 1)}


def at(design, function, noise=0.0, seed=0):
    """Results of a function at the points of a design, in two replicates."""
    y = function(**dict(design.items())).to_numpy(np.float64)[:, np.newaxis]
    noise = np.random.default_rng(seed).normal(0, noise, (len(y), 2))
    return xr.DataArray(y + noise, dims=("point", "replicate"))


def ishigami(a, b, c):
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def half_width(da):
    return (da.sel(statistic="high") - da.sel(statistic="low")) / 2


def test_sobol_indices_of_the_ishigami_function_are_the_known_ones():
    """S1 = 0.3139, 0.4424, 0 and ST = 0.5576, 0.4424, 0.2437 (Saltelli et al. 2008, 4.5)."""
    few, many = (saltelli(CUBE, n) for n in (FEWEST_SAMPLES, 2048))
    found = stats.sobol_indices(many, at(many, ishigami))
    np.testing.assert_allclose(found["S1"].sel(statistic="value"), [0.3139, 0.4424, 0], atol=0.03)
    total = [0.5576, 0.4424, 0.2437]
    np.testing.assert_allclose(found["ST"].sel(statistic="value"), total, atol=0.03)
    assert found["parameter"].values.tolist() == ["a", "b", "c"]
    wide = half_width(stats.sobol_indices(few, at(few, ishigami))["ST"])
    narrow = half_width(found["ST"])
    assert bool((narrow > 0).all() and (narrow < 0.1).all() and (wide > 3 * narrow).all())


def test_each_result_of_a_design_has_its_own_indices_in_any_unit():
    design = saltelli(SQUARE, 64)
    y = xr.concat([at(design, lambda a, b: 1e-13 * a), at(design, lambda a, b: b)], "response")
    found = stats.sobol_indices(design, y)["ST"]
    assert found.dims == ("response", "parameter", "statistic")
    np.testing.assert_allclose(found.sel(statistic="value"), [[1, 0], [0, 1]], atol=0.05)


def test_indices_are_of_the_scaled_mean():
    """Of 2^(4 a) in a wide range the logarithm is linear in a; half of b is as much of a sum."""
    design = saltelli(SQUARE, 256)
    y = at(design, lambda a, b: 2.0 ** (4 * a + 4 * b))
    found = stats.sobol_indices(design, y, scale=np.log2)
    np.testing.assert_allclose(found["S1"].sel(statistic="value"), 0.5, atol=0.02)
    assert float(stats.sobol_indices(design, y)["S1"].sel(statistic="value").sum()) < 0.9


def test_the_direction_is_the_sign_of_nearly_all_changes():
    """Up, down, up and down again, and nothing."""
    design = saltelli(dict.fromkeys(("a", "b", "c", "d"), (-1.0, 1.0)), 64)
    y = at(design, lambda a, b, c, d: np.exp(a) - 2 * b + c**2 + 0 * d)
    assert stats.sobol_indices(design, y)["direction"].values.tolist() == [1, -1, 0, 0]


def test_a_direction_is_that_of_the_large_steps():
    """A slope with a ripple that turns half of the small steps round, in whatever scale."""
    design = saltelli(SQUARE, 256)
    y = at(design, lambda a, b: a + 0.4 * np.sin(200 * a) + b)
    for points in (design, 10**design):
        assert stats.sobol_indices(points, y)["direction"].values.tolist() == [1, 1]


def test_an_index_that_chance_alone_reaches_is_no_effect():
    """A slope that is there and a hundredth of it, with noise between the two: 100 designs."""
    small, large = [], []
    for seed in range(100):
        design = saltelli(SQUARE, 32, seed=seed)
        found = stats.sobol_indices(design, at(design, lambda a, b: a + 0.01 * b, 0.3, seed))
        assert float(found["chance"]) > 0.1
        large.append(int(found["direction"].sel(parameter="a")))
        small.append(int(found["direction"].sel(parameter="b")))
    assert np.mean(large) > 0.5, "a raises y"
    assert np.count_nonzero(small) <= 1


def test_chance_is_the_index_of_a_parameter_that_does_nothing():
    """Of 1 : 0.3 in standard deviations, two replicates: 0.045 of a variance of 1 / 12 + 0.045."""
    design = saltelli(SQUARE, 2048)
    found = stats.sobol_indices(design, at(design, lambda a, b: a, 0.3))
    share = 0.045 / (1 / 12 + 0.045)
    assert float(found["chance"]) == pytest.approx(share, rel=0.05)
    nothing = found["ST"].sel(parameter="b", statistic="value")
    assert float(nothing) == pytest.approx(share, rel=0.1)


@pytest.mark.slow
def test_chance_is_what_another_seed_brings():
    """The variance over seeds, as a share of the variance over points; within a factor of 2."""
    ranges = {"scan_size_mb": sweep.Range(lowest=64, highest=1024, log=True, whole=True)}
    ranges["vma_lifetime_ms"] = sweep.Range(lowest=250, highest=4000, log=True)
    design = saltelli(ranges | {"pin_fraction": (0, 1)}, 16, seed=3)
    fixed = {"scan_delay_ms": 1000, "scale": 16, "duration_ms": 20_000}
    names = ["numa_pte_updates", "numa_hint_faults", "numa_pages_migrated", "notifier_calls"]
    found, counts = [], []
    for seed in range(12):
        runs = sweep.grid(
            lifetimes, {"point": design}, fixed=fixed, policy="linux-6.1", replicates=4, seed=seed
        )[names].to_array("count")
        counts.append(np.log2(1 + runs.mean("replicate")))
        found.append(stats.sobol_indices(design, runs, scale=lambda x: np.log2(1 + x))["chance"])
    each = xr.concat(counts, "seed")
    between = each.var("seed", ddof=1).mean("point") / each.var("point").mean("seed")
    ratio = xr.concat(found, "seed").mean("seed") / between
    assert bool(((ratio > 0.5) & (ratio < 2)).all()), ratio.to_series()


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_fixes_intervals_zero_too(seed):
    design = saltelli(CUBE, 16)
    first, again, other = (
        stats.sobol_indices(design, at(design, ishigami), seed=s) for s in (seed, seed, seed + 1)
    )
    xr.testing.assert_identical(first, again)
    assert not first["ST"].equals(other["ST"])


def test_the_fewest_points_have_intervals_that_mostly_hold():
    """The additive a + 2 b: S1 = 0.2, 0.8. Of 8 base samples 17 % of the intervals miss."""
    missed = []
    for seed in range(40):
        design = saltelli(SQUARE, FEWEST_SAMPLES, seed=seed)
        one = stats.sobol_indices(design, at(design, lambda a, b: a + 2 * b), seed=seed)["S1"]
        off = abs(one.sel(statistic="value") - [0.2, 0.8])
        missed.append((off > half_width(one)).values)
    assert np.mean(missed) < 0.1


def test_results_that_cannot_be_analysed_are_refused():
    points = saltelli(CUBE, 16)
    y = at(points, ishigami)
    for rows, part in ((points, y[:-1]), (points, y.rename(point="x")), (points[:-1], y[:-1])):
        with pytest.raises(InputError, match=r"one for each of the .* points of a design"):
            stats.sobol_indices(rows, part)
    two = xr.concat([y, 0 * y + 5], "response").assign_coords(response=["y", "flat"])
    with pytest.raises(InputError, match=r"^flat, identical at all points: nothing varies"):
        stats.sobol_indices(points, two)
    with pytest.raises(InputError, match="replicates = 1: what chance brings is seen from 2 on"):
        stats.sobol_indices(points, y[:, :1])
    with pytest.raises(InputError, match="2 values are missing"):
        stats.sobol_indices(points, y.where(np.arange(len(points))[:, None] != 3))
    for level in (0, 1.5, np.nan):
        with pytest.raises(InputError, match=f"level = {level:g}"):
            stats.sobol_indices(points, y, level=level)


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
    none = stats.variance_shares(0 * da, ["x", "y"])
    assert none.sizes == found.sizes
    assert none.isnull().all()
    with pytest.raises(InputError, match="no axes: at least one must have two values"):
        stats.variance_shares(da, [])


def test_a_case_in_which_nothing_varies_has_no_shares():
    _, da = grid(np.random.default_rng(0))
    same = 0 * da + 0.1 * (1 + np.arange(20) % 3)  # over the grid, not over replicates
    both = xr.concat([da, same, da], "case")
    found = stats.variance_shares(both, ["x", "y"])
    assert found.isel(case=1).isnull().all()
    assert found.isel(case=[0, 2]).notnull().all()
    xr.testing.assert_allclose(found.isel(case=0), stats.variance_shares(da, ["x", "y"]))


def test_intervals_of_shares_of_variance_mostly_hold():
    """Of 100 grids, at a nominal 95 % of percentiles from 20 runs."""
    _, da = grid(np.random.default_rng(5), (100,))
    found = stats.variance_shares(da, ["x", "y"])
    parts = np.array([2 / 3 * 2.75**2, 5 / 4 * 1.5**2, 2 / 3 * 5 / 4 / 4])
    share = xr.DataArray(parts / parts.sum(), dims="term")
    held = (found.sel(statistic="low") <= share) & (share <= found.sel(statistic="high"))
    assert float(held.mean()) > 0.85
