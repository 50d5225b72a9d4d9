"""Rules that hold for every statistic over replicates: drawn samples, named refusals."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab.dataset import COUNTERS, IMAGE_VMAS, make
from numalab.fields import InputError
from numalab.stats import crossing, effects, intervals, power, sensitivity, significance


def runs(values, **other):
    values = np.array(values, float)
    return xr.DataArray(values, dims="replicate", coords={"replicate": range(len(values)), **other})


samples = st.lists(st.integers(0, 10**6), min_size=6, max_size=12)
many = st.lists(st.integers(0, 10**6), min_size=20, max_size=26)
pairs = st.lists(
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=6, max_size=12
).map(lambda rows: tuple(runs(column) for column in zip(*rows, strict=True)))
many_pairs = st.lists(
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=20, max_size=26
).map(lambda rows: tuple(runs(column) for column in zip(*rows, strict=True)))
few = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize("dim", ["time", "chunk", "notify"])
@pytest.mark.parametrize(
    "statistic",
    [
        intervals.prediction_interval,
        intervals.bootstrap_interval,
        significance.differs_from_zero,
        lambda da: intervals.paired_difference(da, da),
        lambda da: significance.permutation(da, da),
        lambda da: effects.relative_change(da, da),
    ],
)
def test_what_is_no_replicate_is_refused_with_the_remedy(statistic, dim):
    da = xr.DataArray(np.ones((50, 4)), dims=("replicate", dim))
    with pytest.raises(InputError, match=rf"'{dim}': statistics go over 'replicate' only; \w+"):
        statistic(da)
    with pytest.raises(InputError, match="go over 'replicate'"):
        intervals.prediction_interval(da.isel(replicate=0, **{dim: 0}))


@given(many, st.sampled_from([0.5, 0.9, 0.95]))
@few
def test_bootstrap_interval_lies_within_the_runs_and_repeats(values, level):
    da = runs(values)
    found = intervals.bootstrap_interval(da, level)
    low, high = (float(x) for x in found)
    assert min(values) <= low <= high <= max(values)
    xr.testing.assert_identical(found, intervals.bootstrap_interval(da, level))


@given(st.one_of(samples, many), st.integers(1, 1000), st.integers(-1000, 1000))
@few
def test_an_interval_follows_a_change_of_unit(values, factor, shift):
    there = intervals.mean_interval(runs(values)) * factor + shift
    here = intervals.mean_interval(runs(values) * factor + shift)
    np.testing.assert_allclose(here, there, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-13, 1e-6, 1.0, 1e9])
def test_what_is_alike_and_what_is_not_do_not_depend_on_the_unit(unit):
    """Mean 1.0125, standard error 0.0427: t = 23.71 of 3 degrees of freedom."""
    values = unit * np.array([1, 1.1, 0.9, 1.05])
    assert not intervals.alike(values)
    assert float(significance.differs_from_zero(runs(values))) == pytest.approx(1.643e-4, rel=1e-3)
    assert intervals.alike(unit * np.array([0.3, 0.1 * 3, 0.3]))
    assert intervals.alike(0 * values)
    design = sensitivity.sobol_design({"a": (0, 1), "b": (0, 1)}, n=64)
    found = sensitivity.sobol(sensitivity.evaluate(design, lambda a, b: unit * a))
    np.testing.assert_allclose(found["ST"], [1, 0], atol=0.05)


def test_few_runs_have_students_interval_and_many_the_bootstraps():
    """Of 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(2) at 97.5 % is 4.302653."""
    low, high = (float(x) for x in intervals.mean_interval(runs([1, 2, 3])))
    assert (low + high) / 2 == pytest.approx(2)
    assert (high - low) / 2 == pytest.approx(4.302653 / 3**0.5)
    assert intervals.mean_interval(runs([7, 7, 7])).values.tolist() == [7, 7]
    many = runs(range(intervals.FEWEST))
    xr.testing.assert_identical(intervals.mean_interval(many), intervals.bootstrap_interval(many))
    with pytest.raises(InputError, match=r"replicates = 19: .* at least 20; .*mean_interval"):
        intervals.bootstrap_interval(many[:-1])
    with pytest.raises(InputError, match="replicates = 2: an interval needs at least 3"):
        intervals.mean_interval(many[:2])
    with pytest.raises(InputError, match=r"level = 1\.5"):
        intervals.mean_interval(many, 1.5)


def _sensitivity(method, level):
    design = getattr(sensitivity, f"{method}_design")({"a": (0, 1), "b": (0, 1)})
    return getattr(sensitivity, method)(sensitivity.evaluate(design, lambda a, b: a), level=level)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -0.5, np.nan])
@pytest.mark.parametrize(
    "given_level",
    [
        lambda da, level: intervals.prediction_interval(da, level),
        lambda da, level: intervals.mean_interval(da, level),
        lambda da, level: intervals.mean_interval(da[:5], level),
        lambda da, level: intervals.bootstrap_interval(da, level),
        lambda da, level: effects.relative_change(da, da, level),
        lambda da, level: effects.hedges_g(da, -da, level),
        lambda da, level: power.advice(da, -da, level=level),
        lambda da, level: crossing.crossing_interval([0], da.values[:, None], level=level),
        lambda _, level: _sensitivity("sobol", level),
        lambda _, level: _sensitivity("morris", level),
    ],
)
def test_a_level_that_is_no_probability_is_refused(given_level, level):
    with pytest.raises(InputError, match=f"level = {level:g}: must lie between"):
        given_level(runs(range(1, 41)), level)


@pytest.mark.parametrize("alpha", [0.0, 1.5, np.nan])
def test_an_alpha_that_is_no_probability_is_refused(alpha):
    for given_alpha in (
        lambda: significance.permutation(runs(range(8)), runs([0] * 8), alpha=alpha),
        lambda: power.power(0.5, 20, alpha=alpha),
        lambda: power.pairs_for(0.5, alpha=alpha),
    ):
        with pytest.raises(InputError, match=f"alpha = {alpha:g}: must lie between 0 and 1"):
            given_alpha()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "statistic",
    [
        lambda a, b: intervals.prediction_interval(a),
        lambda a, b: intervals.mean_interval(a),
        lambda a, b: intervals.mean_interval(a[:5]),
        lambda a, b: significance.differs_from_zero(a),
        lambda a, b: significance.permutation(a, b),
        lambda a, b: significance.permutation(b, a),
        lambda a, b: effects.relative_change(a, b),
        lambda a, b: effects.hedges_g(a, b),
        lambda a, b: power.advice(a, b),
        lambda a, b: crossing.crossing_interval([0], a.values[:, None]),
    ],
)
def test_no_statistic_is_made_of_values_that_are_not_finite(statistic, bad):
    with pytest.raises(InputError, match="1 values are missing or not finite"):
        statistic(runs([bad, *range(1, 40)]), runs(range(2, 42)))


def test_missing_values_are_refused_not_passed_on():
    with pytest.raises(InputError, match="missing or not finite"):
        intervals.mean_interval(runs([1, 2, 3, 4, np.nan]))
    with pytest.raises(InputError, match="missing or not finite"):
        intervals.bootstrap_interval(runs([*range(20), np.nan]))
    with pytest.raises(InputError, match="missing"):
        significance.holm(xr.DataArray([0.1, np.nan], dims="test"))


@pytest.mark.parametrize(("n", "cases"), [(3, 2000), (6, 2000), (19, 2000), (20, 500), (40, 500)])
def test_a_95_percent_interval_misses_the_mean_about_as_often_as_it_says(n, cases):
    """Normal draws: Student's misses in 5 % of the samples, BCa of 20 runs in about 8 %.

    For a true rate of 4 to 8.5 % the count of misses lies outside the bounds below with a
    probability under 1e-3.
    """
    draws = np.random.default_rng(n).normal(size=(cases, n))
    found = intervals.mean_interval(xr.DataArray(draws, dims=("case", "replicate")))
    missed = float(((found.sel(bound="low") > 0) | (found.sel(bound="high") < 0)).mean())
    assert scipy.stats.binom.ppf(5e-4, cases, 0.04) <= missed * cases
    assert missed * cases <= scipy.stats.binom.ppf(1 - 5e-4, cases, 0.085)


@given(pairs)
@few
def test_swapping_the_sides_keeps_p_and_mirrors_the_effects(ab):
    a, b = ab
    assert float(significance.permutation(a, b)) == float(significance.permutation(b, a))
    if not intervals.alike((a - b).values):
        g, other = effects.hedges_g(a, b), effects.hedges_g(b, a)
        np.testing.assert_allclose(g, -other.values[[0, 2, 1]], rtol=1e-6, atol=1e-9)
        assert float(g[1]) < float(g[2])


@given(pairs)
@few
def test_permutation_p_is_a_multiple_of_the_exact_count(ab):
    """All 2^n swaps are done: p is a count of them, never below two of them."""
    a, b = ab
    p = float(significance.permutation(a, b))
    count = p * 2 ** a.sizes["replicate"]
    assert count == pytest.approx(round(count))
    assert count >= 2 - 1e-9


def test_permutation_of_three_equal_shifts_beyond_chance_has_the_smallest_p():
    assert float(significance.permutation(runs(range(1, 9)), runs([0] * 8))) == 2 / 2**8
    assert float(significance.permutation(runs([4] * 8), runs([4] * 8))) == 1


def test_tests_without_pairs_or_hope_are_refused():
    with pytest.raises(InputError, match="cannot be paired"):
        significance.permutation(runs(range(8)), runs(range(7)))
    with pytest.raises(InputError, match=r"below 0\.0625; p < 0\.05 needs at least 6"):
        significance.permutation(runs(range(5)), runs([0] * 5))
    with pytest.raises(InputError, match="different labels"):
        a = xr.DataArray(np.ones((2, 6)), dims=("policy", "replicate"), coords={"policy": [1, 2]})
        intervals.paired_difference(a, a.assign_coords(policy=[2, 3]))


def test_relative_change_of_a_fixed_ratio_has_no_width():
    base = runs(range(10, 30))
    assert effects.relative_change(1.25 * base, base).values.tolist() == [0.25] * 3


@given(many_pairs)
@few
def test_relative_change_holds_the_ratio_of_means_within_its_interval(ab):
    a, b = ab
    effect, low, high = (float(x) for x in effects.relative_change(a, b))
    assert effect == pytest.approx(float(a.mean() / b.mean() - 1))
    ratios = (a / b - 1).values
    assert ratios.min() - 1e-9 <= low <= high <= ratios.max() + 1e-9


def test_effects_that_cannot_be_said_are_refused():
    some, none = runs(range(1, 21)), runs([0] * 20)
    with pytest.raises(InputError, match="not above zero"):
        effects.relative_change(some, none)
    with pytest.raises(InputError, match="no spread"):
        effects.hedges_g(some + 2, some)
    nearly = runs(1 + 1e-5 * np.random.default_rng(0).normal(size=20))
    with pytest.raises(InputError, match=r"effect = -\d.*: too large .* difference itself"):
        effects.hedges_g(none, nearly)


def test_hedges_g_is_the_published_correction_and_interval():
    """d = 0.5 of 20 pairs: J(19) = 0.96 (Hedges 1981, table 1); the interval by its definition."""
    d = np.random.default_rng(0).normal(size=20)
    d = (d - d.mean()) / d.std(ddof=1) + 0.5
    g, low, high = (float(x) for x in effects.hedges_g(runs(d), runs(np.zeros(20))))
    assert g == pytest.approx(0.5 * 0.96, abs=5e-4)
    for end, tail in ((low, 0.025), (high, 0.975)):
        draws = np.random.default_rng(1)
        nc = end * np.sqrt(20)
        t = (draws.normal(size=400_000) + nc) / np.sqrt(draws.chisquare(19, 400_000) / 19)
        assert np.mean(t > 0.5 * np.sqrt(20)) == pytest.approx(tail, abs=0.002)


@pytest.mark.parametrize(("n", "size"), [(5, 2.0), (5, 3.0), (20, 0.0), (20, 2.0)])
def test_hedges_g_s_interval_holds_the_size_as_often_as_it_says(n, size):
    """Of 400 samples 20 miss, s.d. 4.4: fewer than 6 or more than 37 in 1 of 5000 cases."""
    d = np.random.default_rng(7).normal(size, 1, (400, n))
    zero = xr.DataArray(np.zeros_like(d), dims=("case", "replicate"))
    found = effects.hedges_g(zero.copy(data=d), zero)
    missed = int(((found.sel(bound="low") > size) | (found.sel(bound="high") < size)).sum())
    assert 6 <= missed <= 37


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_power_gives_the_tabled_number_of_pairs(effect, n):
    """R: pwr.t.test(d, power = 0.8, type = "paired") gives 198.15, 33.37, 14.30."""
    assert power.pairs_for(effect) == n
    assert power.power(effect, n - 1) < 0.8 <= power.power(effect, n)


def test_power_without_an_effect_is_the_level_and_rises_with_both():
    assert power.power(0.0, 12) == pytest.approx(0.05)
    grid = np.array([[power.power(e, n) for n in (3, 10, 30, 100)] for e in (0.1, 0.5, 1, 5)])
    assert (np.diff(grid, axis=0) >= 0).all()
    assert (np.diff(grid, axis=1) >= 0).all()
    assert grid.max() <= 1


def test_power_is_what_repeated_tests_show():
    d = np.random.default_rng(5).normal(0.6, 1, (4000, 20))
    p = significance.differs_from_zero(xr.DataArray(d, dims=("case", "replicate")))
    assert float((p < 0.05).mean()) == pytest.approx(power.power(0.6, 20), abs=0.025)


def test_advice_from_a_pilot_is_power_at_its_spread():
    base = runs(1000 + 10 * np.random.default_rng(2).normal(size=12))
    shift = np.random.default_rng(4).normal(size=12)
    a = base + 50 * (shift - shift.mean()) / shift.std(ddof=1)
    found = power.advice(a, base, change=0.05)
    assert float(found["spread"]) == pytest.approx(50)
    assert int(found["n"]) == power.pairs_for(0.05 * float(base.mean()) / 50)
    assert int(found["n_high"]) > int(found["n"])
    with pytest.raises(InputError, match="no spread"):
        power.advice(base + 1, base)
    with pytest.raises(InputError, match="needs at least 3"):
        power.advice(a[:2], base[:2])
    for change in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match=f"change = {change:g}: must be above 0"):
            power.advice(a, base, change=change)
    with pytest.raises(InputError, match="effect = nan standard deviations: must be finite"):
        power.pairs_for(np.nan)
    with pytest.raises(InputError, match="even 100000 pairs"):
        power.advice(a, base, change=1e-6)


def counted(values):
    n = len(values)
    coords = {"time": 100.0 * np.arange(n), "process": ["main"], "vma": ["a", *IMAGE_VMAS]}
    coords |= {"task": ["t"], "node": [0, 1]}
    ds = make(
        {**dict.fromkeys(COUNTERS, values), "numa_scan_seq": np.array([values]).T,
         "scan_calls": np.zeros(1 + len(IMAGE_VMAS))},
        coords, {"source": "simulated", "kernel": "linux-6.1"},
    )  # fmt: skip
    return ds.expand_dims(replicate=[0])


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=9), st.data())
@few
def test_a_warm_up_takes_away_what_was_counted_before_it(steps, data):
    values = np.cumsum(steps)
    first = data.draw(st.integers(0, len(values) - 2))
    ds = counted(values)
    cut = intervals.since(ds, 100.0 * first - data.draw(st.sampled_from([0, 50])) * (first > 0))
    assert cut["time"].values.tolist() == ds["time"].values[first:].tolist()
    for name in (*COUNTERS, "numa_scan_seq"):
        assert cut[name].values.ravel().tolist() == (values[first:] - values[first]).tolist()
        assert cut[name].attrs == ds[name].attrs
    assert "scan_calls" not in cut
    assert cut.attrs == ds.attrs


@pytest.mark.parametrize("ms", [-1, 201, 300, 1e9, np.nan])
def test_a_warm_up_beyond_the_run_is_refused(ms):
    with pytest.raises(InputError, match="between 0 and the last sample but one"):
        intervals.since(counted([0, 1, 2, 3]), ms)
