"""Agreement of events: shares of skip reasons, times and ranges of scans."""

import numpy as np
import pytest
import xarray as xr

from numalab.compare import events, pooled_skip_shares


def made(times, skips=(4, 4), runs=40, shift=0.0):
    """Runs whose scans begin at ``times`` plus 0, 1, ... ms, two chunks of 10 pages each."""
    chunks = np.repeat(np.asarray(times, float), 2)
    ms = np.array([chunks + shift + r for r in range(runs)])
    scan = np.tile(np.repeat(np.arange(1, len(times) + 1), 2), (runs, 1))
    return xr.Dataset(
        {
            "skips": (("replicate", "vma", "reason"), np.tile(skips, (runs, 1, 1))),
            "chunk_ms": (("replicate", "chunk"), ms),
            "chunk_scan": (("replicate", "chunk"), scan),
            "chunk_pages": (("replicate", "chunk"), np.full(ms.shape, 10)),
        },
        coords={"reason": ["unsuitable", "pid_inactive"], "replicate": range(runs)},
        attrs={"provenance": "{}"},
    )


def test_a_run_like_the_model_is_inside_and_one_that_is_late_is_not():
    model = made([100, 2000])
    same = events(model, made([120, 2020], runs=1))
    assert (int(same.times_inside), int(same.times_compared)) == (2, 2)
    assert int(same.ranges_inside) == 2
    late = events(model, made([120, 2600], runs=1))
    assert (int(late.times_inside), int(late.times_compared)) == (1, 2)
    assert float(late.time_error_ms) == pytest.approx((0.5 + 580.5) / 2)


def test_scans_that_the_model_hardly_ever_has_are_not_compared():
    assert int(events(made([100]), made([100, 900], runs=1)).times_compared) == 1


def test_shares_of_reasons_are_pooled_over_the_workloads_of_a_kernel():
    cells = [
        events(made([1], skips=(3, 1)), made([1], skips=(3, 1), runs=4)),
        events(made([1], skips=(2, 2)), made([1], skips=(4, 0), runs=4)),
        events(made([1], skips=(1, 0)), made([1], runs=4).drop_vars("skips")),
    ]
    kernels = ["7.2", "7.2", "6.1"]
    table = xr.concat(cells, dim="cell").assign_coords(generation=("cell", kernels))
    shares = pooled_skip_shares(table).sel(generation="7.2")
    assert shares["simulated"].values == pytest.approx([100 * 5 / 8, 100 * 3 / 8])
    assert shares["recorded"].values == pytest.approx([100 * 7 / 8, 100 / 8])
    untraced = pooled_skip_shares(table).sel(generation="6.1")
    assert untraced["recorded"].isnull().all()
    assert untraced["simulated"].values.tolist() == [100, 0]


def test_a_kernel_without_the_tracepoint_has_no_shares():
    recorded = made([1], runs=4).drop_vars("skips")
    found = events(made([1]), recorded)
    assert found["skips_recorded"].isnull().all()
