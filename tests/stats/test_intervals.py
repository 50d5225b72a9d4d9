"""Intervals over replicates: coverage, known numbers, named refusals."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab import stats
from numalab.fields import InputError
from numalab.stats.intervals import FEWEST


def runs(values, **other):
    values = np.array(values)
    coords = {"replicate": range(values.shape[-1]), **other}
    return xr.DataArray(values, dims=(*other, "replicate"), coords=coords)


few = st.lists(st.integers(0, 10**6), min_size=6, max_size=12)
many = st.lists(st.integers(0, 10**6), min_size=20, max_size=26)
quickly = settings(max_examples=15, deadline=None)
EACH = {
    "mean_interval": stats.mean_interval,
    "few": lambda da: stats.mean_interval(da[:5]),
    "prediction_interval": stats.prediction_interval,
    "bootstrap": lambda da: stats.bootstrap(lambda mean: mean, da),
    "summary": lambda da: stats.summary(xr.Dataset({"stall_ms": da})),
    "p_value": stats.p_value,
}


@pytest.mark.parametrize("statistic", EACH.values(), ids=EACH)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_statistic_is_made_of_values_that_are_not_finite(statistic, bad):
    with pytest.raises(InputError, match="1 values are missing or not finite"):
        statistic(runs([bad, *range(1, 40)]))


@pytest.mark.parametrize("dim", ["chunk", "notify"])
@pytest.mark.parametrize("statistic", EACH.values(), ids=EACH)
def test_what_is_no_replicate_is_refused(statistic, dim):
    da = xr.DataArray(np.ones((50, 4)), dims=("replicate", dim))
    with pytest.raises(InputError, match=f"'{dim}': statistics go over 'replicate'; reduce"):
        statistic(da)
    with pytest.raises(InputError, match="go over 'replicate'"):
        stats.mean_interval(da.isel(replicate=0, **{dim: 0}))


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -0.5, np.nan])
def test_a_level_that_is_no_probability_is_refused(level):
    da = runs(np.arange(40.0))
    for statistic in (
        lambda: stats.prediction_interval(da, level),
        lambda: stats.mean_interval(da[:5], level=level),
        lambda: stats.bootstrap(abs, da, level=level),
        lambda: stats.proportion_interval(3, 4, level),
    ):
        with pytest.raises(InputError, match=f"level = {level:g}: must lie between"):
            statistic()


def test_few_runs_have_students_interval_and_many_the_bootstraps():
    """Of 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(2) at 97.5 % is 4.302653."""
    low, high = (float(x) for x in stats.mean_interval(runs([1, 2, 3])))
    assert (low + high) / 2 == pytest.approx(2)
    assert (high - low) / 2 == pytest.approx(4.302653 / 3**0.5)
    values = np.random.default_rng(4).gamma(1, size=FEWEST)
    ends = scipy.stats.bootstrap((values,), np.mean, rng=np.random.default_rng(0))
    assert stats.mean_interval(runs(values)).values == pytest.approx(ends.confidence_interval)


def test_too_few_runs_are_refused():
    with pytest.raises(InputError, match="replicates = 2: an interval needs at least 3"):
        stats.mean_interval(runs([1, 2]))
    with pytest.raises(InputError, match=r"replicates = 19: .* at least 20; .*mean_interval"):
        stats.bootstrap(abs, runs(range(19)))
    with pytest.raises(InputError, match=r"replicates = 38: .* needs at least 39"):
        stats.prediction_interval(runs(range(38)))


@pytest.mark.parametrize(("n", "cases"), [(3, 2000), (19, 2000), (20, 500), (40, 500)])
def test_a_95_percent_interval_misses_the_mean_about_as_often_as_it_says(n, cases):
    """Normal draws: Student's misses in 5 % of the samples, BCa of 20 runs in about 8 %.

    For a true rate of 4 to 8.5 % the count of misses lies outside the bounds below with a
    probability under 1e-3.
    """
    draws = np.random.default_rng(n).normal(size=(cases, n))
    found = stats.mean_interval(xr.DataArray(draws, dims=("case", "replicate")))
    missed = float(((found.sel(statistic="low") > 0) | (found.sel(statistic="high") < 0)).mean())
    assert scipy.stats.binom.ppf(5e-4, cases, 0.04) <= missed * cases
    assert missed * cases <= scipy.stats.binom.ppf(1 - 5e-4, cases, 0.085)


@pytest.mark.parametrize("n", [39, 40, 60, 200])
def test_a_prediction_interval_holds_one_more_run_as_often_as_it_says(n):
    """Type 6 covers 95 % on average and up to 1 % more; type 7 90 % at 40, 92.5 % at 60.

    Normal draws, of which the chance that one more lies inside is known; its mean over 1000
    samples has a standard error of 0.0013.
    """
    draws = np.random.default_rng(n).normal(size=(1000, n))
    found = stats.prediction_interval(xr.DataArray(draws, dims=("case", "replicate")))
    low, high = (scipy.stats.norm.cdf(found.sel(statistic=b)) for b in ("low", "high"))
    assert 0.945 < np.mean(high - low) < 0.963


@pytest.mark.parametrize("share", [0.5, 0.95, 1.0])
def test_an_exact_interval_of_a_share_covers_it_at_least_as_often_as_it_says(share):
    """Over all outcomes of 20 trials, each with its probability."""
    ends = np.array([stats.proportion_interval(k, 20) for k in range(21)])
    holds = (ends[:, 0] <= share) & (share <= ends[:, 1])
    assert scipy.stats.binom.pmf(np.arange(21), 20, share)[holds].sum() >= 0.95


def test_a_share_of_all_or_none_is_not_certain():
    assert stats.proportion_interval(20, 20) == pytest.approx((0.025 ** (1 / 20), 1))
    assert stats.proportion_interval(0, 20) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))
    for successes, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(InputError, match=f"{successes} of {n}: must be at least 0"):
            stats.proportion_interval(successes, n)


@given(many, st.sampled_from([0.5, 0.9, 0.95]))
@quickly
def test_an_interval_lies_within_the_runs_and_repeats(values, level):
    found = stats.mean_interval(runs(values), level=level)
    low, high = (float(x) for x in found)
    assert min(values) <= low <= high <= max(values)
    xr.testing.assert_identical(found, stats.mean_interval(runs(values), level=level))


@given(st.one_of(few, many), st.integers(1, 1000), st.integers(-1000, 1000))
@quickly
def test_an_interval_follows_a_change_of_unit(values, factor, shift):
    there = stats.mean_interval(runs(values)) * factor + shift
    here = stats.mean_interval(runs(values) * factor + shift)
    np.testing.assert_allclose(here, there, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("n", [4, 20])
@pytest.mark.parametrize("unit", [1e-13, 1.0, 1e9])
def test_identical_runs_have_no_width_whatever_the_unit(n, unit):
    same = unit * np.array([0.3, 0.1 * 3] * (n // 2))
    assert stats.identical(same) and stats.identical(0 * same)
    assert not stats.identical(unit * np.array([1, 1.1, 0.9, 1.05]))
    assert np.ptp(stats.mean_interval(runs(same)).values) == 0


def test_cells_have_the_intervals_that_they_have_alone():
    """More cells than are resampled at once, in any order of dimensions, one without spread."""
    draws = np.random.default_rng(2).normal(10, 1, (2, 120, 20))
    draws[1, 5] = 3
    da = xr.DataArray(draws, dims=("policy", "size", "replicate"), attrs={"units": "ms"})
    found = stats.mean_interval(da.transpose("replicate", "policy", "size"))
    assert found.dims == ("policy", "size", "statistic") and found.attrs == {"units": "ms"}
    assert found[1, 5].values.tolist() == [3, 3]
    np.testing.assert_allclose(found[1, 119], stats.mean_interval(da[1, 119]), rtol=1e-12)


def test_a_summary_of_a_dataset_keeps_what_is_not_replicated():
    ds = xr.Dataset(
        {
            "stall_ms": (("policy", "replicate"), np.random.default_rng(0).normal(size=(2, 20))),
            "late": (("policy", "replicate"), np.ones((2, 20), bool)),
            "pages": ("policy", [1, 2]),
            "reason": (("policy", "replicate"), np.full((2, 20), "x")),
        },
        coords={"policy": ["a", "b"], "replicate": range(20)},
    )
    found = stats.summary(ds)
    assert set(found) == {"stall_ms", "late", "pages"}
    assert found["statistic"].values.tolist() == ["mean", "low", "high"]
    assert found["late"].sel(policy="a").values == pytest.approx([1, 0.025 ** (1 / 20), 1])
    low, mean, high = (found["stall_ms"].sel(statistic=s) for s in ("low", "mean", "high"))
    assert bool(((low < mean) & (mean < high)).all())
    bad = ds.assign(pages_lost=ds["stall_ms"].where(ds["policy"] == "a"))
    with pytest.raises(InputError, match="pages_lost: 20 values are missing"):
        stats.summary(bad)


def test_runs_along_another_dimension():
    da = runs([1.0, 2.0, 3.0]).rename(replicate="trial")
    assert stats.summary(da, dim="trial").sel(statistic="mean") == 2
    many_trials = runs(np.arange(20.0)).rename(replicate="trial")
    assert stats.mean_interval(many_trials, dim="trial").sizes == {"statistic": 2}


@given(st.lists(st.tuples(st.integers(1, 999), st.integers(1, 999)), min_size=20, max_size=26))
@quickly
def test_a_ratio_of_means_lies_within_its_interval_and_that_within_the_ratios(pairs):
    new, old = (runs(column).astype(float) for column in zip(*pairs, strict=True))
    value, low, high = (float(x) for x in stats.bootstrap(lambda a, b: a / b, new, old))
    assert value == pytest.approx(float(new.mean() / old.mean()))
    ratios = (new / old).values
    assert ratios.min() - 1e-9 <= low <= high <= ratios.max() + 1e-9


def test_the_interval_of_a_ratio_covers_it_about_as_often_as_it_says():
    """Pairs of means 2 and 1; BCa of 20 runs covers about 92 %: standard error 0.019."""
    rng = np.random.default_rng(6)
    base = rng.normal(1, 0.2, (200, 20))
    new = 2 * base + rng.normal(0, 0.2, base.shape)
    new, base = (xr.DataArray(x, dims=("case", "replicate")) for x in (new, base))
    found = stats.bootstrap(lambda a, b: a / b, new, base, resamples=999)
    held = (found.sel(statistic="low") <= 2) & (found.sel(statistic="high") >= 2)
    assert float(held.mean()) == pytest.approx(0.925, abs=0.055)


def test_pairs_that_are_none_are_refused():
    with pytest.raises(InputError, match="cannot be paired"):
        stats.bootstrap(lambda a, b: a - b, runs(range(20)), runs(range(21)))
    a = runs(np.ones((2, 20)), policy=["a", "b"])
    with pytest.raises(InputError, match="cannot be paired"):
        stats.bootstrap(lambda a, b: a - b, a, a.assign_coords(policy=["b", "c"]))


def test_percentiles_may_be_infinite_and_are_values_that_occurred():
    da = runs(np.tile([-1.0, 1.0], 10))
    found = stats.bootstrap(lambda m: 1 / m.where(m > 0, 0), da, method="percentile")
    assert found.values[2] == np.inf and np.isfinite(found.values[1])


@pytest.mark.parametrize(
    ("ahead", "level", "ends"),
    [(40, 0.95, [4, 4]), (26, 0.9, [4, 4]), (26, 0.99, [0, 4]), (20, 0.95, [0, 4])],
)
def test_the_label_of_the_least_mean_is_certain_only_where_runs_agree(ahead, level, ends):
    """Of 40 runs, label 4 is ahead in 26 by as much as it is behind in the rest.

    Its mean lead is (26 - 14) / 40 with a standard error of 0.15: 2 of them.
    """
    first = np.repeat([1.0, 0.0], [ahead, 40 - ahead])
    da = runs(np.stack([first, np.full(40, 9.0), 1 - first]), delay=[0, 1, 4])
    found = stats.bootstrap(lambda m: m.idxmin("delay"), da, method="percentile", level=level)
    assert found.values[1:].tolist() == ends


def test_of_labels_that_tie_the_first_is_the_least():
    da = runs(np.tile([[3.0], [1.0], [1.0]], 20), delay=[0, 1, 4])
    found = stats.bootstrap(lambda m: m.idxmin("delay"), da, method="percentile")
    assert found.values.tolist() == [1, 1, 1]


def test_bounds_of_costs_may_be_a_dimension_of_what_is_summarised():
    da = xr.DataArray(
        np.random.default_rng(0).normal(size=(2, 20)),
        {"bound": ["low", "high"]},
        ("bound", "replicate"),
    )
    assert stats.summary(da).sizes == {"bound": 2, "statistic": 3}
