"""Tests of differences: known numbers, corrections, what identical runs say."""

import numpy as np
import pytest
import xarray as xr

from numalab import stats
from numalab.fields import InputError


def runs(values, **other):
    values = np.array(values)
    coords = {"replicate": range(values.shape[-1]), **other}
    return xr.DataArray(values, dims=(*other, "replicate"), coords=coords)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_p_of_known_numbers_in_any_unit(unit):
    """Mean 1.0125, standard error 0.0427: t = 23.71 of 3 degrees of freedom."""
    p = stats.p_value(unit * runs([1, 1.1, 0.9, 1.05]))
    assert float(p) == pytest.approx(1.643e-4, rel=1e-3)


def test_p_of_identical_runs_and_of_too_few():
    same = xr.DataArray([[2.0] * 4, [0.0] * 4, [1.0, -1.0, 1.0, -1.0]], dims=("x", "replicate"))
    assert stats.p_value(same).values.tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(InputError, match="replicates = 2: a test needs at least 3"):
        stats.p_value(same.isel(replicate=slice(2)))


def test_holm_on_known_numbers():
    p = xr.DataArray([[0.01, 0.04], [0.03, 0.5]], dims=("a", "b"))
    assert stats.holm(p).values.round(3).tolist() == [[0.04, 0.09], [0.09, 0.5]]
    with pytest.raises(InputError, match="a p value is missing"):
        stats.holm(p.where(p < 0.4))


def test_differences_from_a_baseline_are_paired():
    """Common noise of 100 goes out: the difference of 2 is seen with a spread of 0.1."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 100, 8)
    own = rng.normal(0, 0.1, 8)
    da = runs([noise, noise + 2 + own, noise + 5, noise], policy=["old", "new", "sure", "same"])
    found = stats.paired(da, "policy", "old")
    assert found["policy"].values.tolist() == ["new", "sure", "same"]
    new = found.sel(policy="new")
    assert float(new["low"]) < 2 < float(new["high"]) and abs(float(new["mean"]) - 2) < 0.2
    ends = stats.mean_interval(runs(2 + own))
    assert [float(new["low"]), float(new["high"])] == pytest.approx(ends.values.tolist())
    assert float(new["p"]) < float(new["p_holm"]) < 1e-6
    assert found["identical"].values.tolist() == [False, True, True]
    assert found["p"].values[1:].tolist() == [0, 1]


def test_holm_goes_over_all_cells_of_a_comparison():
    draws = np.random.default_rng(3).normal(size=(3, 40, 10))
    da = runs(draws, policy=["a", "b", "c"], size=range(40))
    found = stats.paired(da, "policy", "a")
    assert found["p_holm"].dims == found["p"].dims and found["p"].size == 80
    np.testing.assert_allclose(found["p_holm"], stats.holm(found["p"]))
    assert not bool((found["p_holm"] < 0.05).any())


def test_a_baseline_that_is_not_there_or_alone_is_refused():
    da = runs(np.ones((1, 5)), policy=["a"])
    with pytest.raises(InputError, match="no baseline 'b' along 'policy'"):
        stats.paired(da, "policy", "b")
    with pytest.raises(InputError, match="no baseline 'a' along 'size'"):
        stats.paired(da, "size", "a")
    with pytest.raises(InputError, match="policy holds 'a' alone"):
        stats.paired(da, "policy", "a")
