import numpy as np
import pytest
import scipy.stats
import xarray as xr

from numalab.fields import InputError
from numalab.stats import intervals


def _runs(values):
    return xr.DataArray(
        np.array(values), dims="replicate", coords={"replicate": range(len(values))}
    )


@pytest.mark.parametrize("n", [39, 40, 60, 200])
def test_a_prediction_interval_holds_one_more_run_as_often_as_it_says(n):
    """Type 6 covers 95 % on average and up to 1 % more; type 7 90 % at 40, 92.5 % at 60.

    Normal draws, of which the chance that one more lies inside is known; its mean over 1000
    samples has a standard error of 0.0013.
    """
    draws = np.random.default_rng(n).normal(size=(1000, n))
    found = intervals.prediction_interval(xr.DataArray(draws, dims=("case", "replicate")))
    low, high = (scipy.stats.norm.cdf(found.sel(bound=b)) for b in ("low", "high"))
    assert 0.945 < np.mean(high - low) < 0.963


def test_prediction_interval_of_too_few_runs_is_refused():
    with pytest.raises(InputError, match=r"replicates = 38: .* needs at least 39"):
        intervals.prediction_interval(_runs(np.arange(38)))
    least = intervals.prediction_interval(_runs(np.arange(39)))
    assert least.values == pytest.approx([0, 38])


def test_a_prediction_from_missing_runs_is_refused():
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="1 values are missing or not finite"):
            intervals.prediction_interval(_runs([bad, *range(39)]))


def test_bootstrap_interval_of_constant_runs_has_no_width():
    low, high = intervals.bootstrap_interval(_runs([5] * 20))
    assert (float(low), float(high)) == (5, 5)


def test_bootstrap_interval_holds_the_mean_and_keeps_other_dimensions():
    rng = np.random.default_rng(1)
    da = xr.DataArray(rng.normal(10, 1, (2, 30)), dims=("policy", "replicate"))
    found = intervals.bootstrap_interval(da)
    assert found.dims == ("policy", "bound")
    mean = da.mean("replicate")
    assert bool((found.sel(bound="low") < mean).all() and (mean < found.sel(bound="high")).all())


def test_paired_difference_refuses_other_replicates():
    with pytest.raises(InputError, match="cannot be paired"):
        intervals.paired_difference(_runs([1, 2]), _runs([1, 2, 3]))
    assert intervals.paired_difference(_runs([3, 5]), _runs([1, 2])).values.tolist() == [2, 3]


def test_autonuma_cost_gives_the_published_rows():
    rows = [(97494921, 98707853, 7552783, 494365.23), (401910, 112231, 111429, 566.09)]
    rows += [(354977260, 354078577, 284339, 1772883.13), (1239, 1061, 275, 5.32)]
    for updates, faults, migrated, cost in rows:
        ds = xr.Dataset(
            {
                "numa_pte_updates": updates,
                "numa_hint_faults": faults,
                "numa_pages_migrated": migrated,
            }
        )
        assert round(float(intervals.autonuma_cost(ds)), 2) == cost
