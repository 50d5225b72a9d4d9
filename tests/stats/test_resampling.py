"""Means over resampled runs: by hand, paired, and refused where there are too few."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from numalab import stats
from numalab.fields import InputError


def test_means_spread_as_the_mean_of_the_runs_does() -> None:
    runs = np.random.default_rng(5).normal(10, 2, 40)
    found = stats.resample(xr.Dataset({"x": ("replicate", runs)}), count=4000)["x"]
    assert float(found.mean()) == pytest.approx(runs.mean(), abs=0.02)
    assert float(found.std()) == pytest.approx(runs.std() / np.sqrt(40), rel=0.05)


def test_what_is_paired_stays_paired() -> None:
    runs = np.random.default_rng(5).normal(size=(3, 20))
    ds = xr.Dataset({"x": (("point", "replicate"), runs), "y": ("replicate", 2 * runs[1])})
    found = stats.resample(ds, count=50)
    assert dict(found.sizes) == {"draw": 50, "point": 3}
    assert found["y"].values == pytest.approx(2 * found["x"].isel(point=1).values)


def test_an_interval_over_draws() -> None:
    ds = xr.Dataset({"x": (("draw", "at"), np.arange(2001.0)[:, None] * [1, 2])})
    found = stats.over_draws(ds)["x"]
    assert found.dims == ("at", "statistic")
    assert found.sel(at=1).values == pytest.approx([2000, 100, 3900])


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(InputError, match="replicates = 4: must be at least 10"):
        stats.resample(xr.Dataset({"x": ("replicate", np.ones(4))}))
