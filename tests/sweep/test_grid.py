"""One call for many runs: axes of every kind, measures of every shape, one labelled Dataset."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from numalab import policy, sweep, workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.dataset import provenance
from numalab.engine import Start, simulate
from numalab.fields import InputError

FILE = dataclasses.replace(workload_file.load("data/workloads/churn-long.toml"), duration_ms=3000.0)
GIVEN = {"vma_lifetime_ms": 200, "pin_fraction": 0.5, "duration_ms": 3000}


def walked(run):
    return {"walked": run["scan_pages"].sum("vma"), "by_vma": run["scan_pages"]}


def test_points_are_what_simulate_returns_for_them():
    ds = sweep.grid(
        lifetimes, {"policy": ["linux-6.1", "linux-7.2"], "scan_delay_ms": [100, 1000]},
        fixed=GIVEN, replicates=3, seed=5,
    )  # fmt: skip
    assert dict(ds.sizes) == {"policy": 2, "scan_delay_ms": 2, "replicate": 3}
    for name in ds["policy"].values:
        for delay in ds["scan_delay_ms"].values:
            run = simulate(
                lifetimes(scan_delay_ms=int(delay), **GIVEN),
                policy.get(str(name)),
                seed=5,
                replicates=3,
            )
            one = ds.sel(policy=name, scan_delay_ms=delay, drop=True)
            xr.testing.assert_equal(one, sweep.totals(run))


def test_a_measure_of_ones_own_sees_the_same_runs():
    axes = {"scan_delay_ms": [100, 1000]}
    ds = sweep.grid(FILE, axes, measure=[sweep.totals, walked], replicates=2, seed=3)
    xr.testing.assert_equal(
        ds.drop_vars(["walked", "by_vma", "vma"]), sweep.grid(FILE, axes, replicates=2, seed=3)
    )
    own = [v for v in ds["vma"].values if not v.startswith("image:")]
    xr.testing.assert_equal(
        ds["by_vma"].sel(vma=own).sum("vma").drop_attrs(), ds["scan_pages"].drop_attrs()
    )
    assert ds["by_vma"].dims == ("scan_delay_ms", "replicate", "vma")


def test_runs_know_their_seed_and_number():
    def drawn(run):
        about = provenance(run)
        return {"number": about["replicate"], "root": about["seed"]}

    ds = sweep.grid(FILE, measure=drawn, replicates=3, seed=8)
    assert ds["number"].values.tolist() == [0, 1, 2]
    assert ds["root"].values.tolist() == [8, 8, 8]


def test_rows_of_a_table_set_fields_together():
    rows = pd.DataFrame({"churn.old.lifetime_ms": [50, 500.0], "scan_size_mb": [32.0, 64.0]})
    ds = sweep.grid(FILE, {"point": rows}, replicates=2)
    assert ds["scan_size_mb"].dims == ("point",)
    for i, row in rows.iterrows():
        one = sweep.grid(FILE, fixed=dict(row), replicates=2)
        xr.testing.assert_equal(ds.isel(point=i, drop=True), one)


def test_the_provenance_lists_a_short_axis_and_counts_and_hashes_a_long_one():
    def axis(last, num=200):
        table = pd.DataFrame({"scan_size_mb": np.arange(last - num, last)})
        ds = sweep.grid(FILE, {"point": table}, fixed={"duration_ms": 10.0, "sample_ms": 10.0})
        assert ds["scan_size_mb"].values.tolist() == table["scan_size_mb"].tolist()
        return provenance(ds)["sweep"]["axes"]["point"]

    long = axis(300)
    assert long["count"] == 200
    assert set(long) == {"count", "sha256"}
    assert axis(300) == long
    assert axis(301)["sha256"] != long["sha256"]
    assert axis(302, 2) == {"labels": [0, 1], "scan_size_mb": [300, 301]}


def test_policies_of_ones_own_and_remedies_are_axes():
    mine = policy.with_rules(policy.get("linux-7.2"), "mine", pid_filter=False)
    ds = sweep.grid(FILE, {"policy": ["linux-6.1", mine], "remedy": ["none", "mbind"]})
    assert ds["policy"].values.tolist() == ["linux-6.1", "mine"]
    same = sweep.grid(FILE, fixed={"policy.pid_filter": False})
    xr.testing.assert_equal(ds.sel(policy="mine", remedy="none", drop=True), same)


def test_workloads_are_an_axis_and_fields_change_each():
    other = dataclasses.replace(FILE, name="other", duration_ms=2000.0)
    for given in ([FILE, other], {FILE.name: FILE, "other": Start(workload=other)}):
        ds = sweep.grid(None, {"workload": given, "scan_delay_ms": [100, 1000]})
        one = sweep.grid(other, {"scan_delay_ms": [100, 1000]})
        xr.testing.assert_equal(ds.sel(workload="other", drop=True), one)


def test_a_function_of_the_axes_may_draw_its_own_start():
    def drawn(trial, length_ms):
        return Start(workload=dataclasses.replace(FILE, duration_ms=length_ms), seed=40 + trial)

    axes = {"trial": range(3), "length_ms": [2000.0]}
    ds = sweep.grid(drawn, axes, seed=9).squeeze(["replicate", "length_ms"], drop=True)
    short = dataclasses.replace(FILE, duration_ms=2000.0)
    for trial in range(3):
        one = sweep.totals(simulate(short, policy.get("linux-7.2"), seed=40 + trial))
        xr.testing.assert_equal(ds.sel(trial=trial, drop=True), one.isel(replicate=0, drop=True))


def test_a_measure_may_find_nothing_in_any_run():
    def nothing(run):
        return {"sent_ms": xr.DataArray([], dims="scan", coords={"scan": []})}

    ds = sweep.grid(FILE, measure=nothing, replicates=2)
    assert ds["sent_ms"].shape == (2, 0)


def test_arrays_of_different_lengths_share_a_dimension():
    def counted(run):
        length = 2 + provenance(run)["replicate"]
        return {"x": xr.DataArray(np.arange(length), dims="scan"), "whole": True}

    ds = sweep.grid(FILE, measure=counted, replicates=3)
    assert ds["scan"].values.tolist() == [0, 1, 2, 3]
    assert ds["x"].isel(replicate=0).values.tolist()[:2] == [0, 1]
    assert ds["x"].count("scan").values.tolist() == [2, 3, 4]
    assert ds["whole"].values.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"axes": {"scan_delay": [1]}}, "did you mean 'scan_delay_ms'"),
        ({"axes": {"scan_delay_ms": [-1]}}, "scan_delay_ms = -1: "),
        ({"axes": {"scan_delay_ms": [1, 1.0]}}, 'axis "scan_delay_ms": holds 1.0 twice'),
        ({"axes": {"policy": ["linux-7.2"]}, "fixed": {"policy": "linux-6.1"}}, "given twice"),
        ({"measure": lambda run: 3}, "measure <lambda>: returned 3: must be a mapping"),
        ({"measure": lambda run: {"x": "a"}}, "x = 'a' is <U1[]: must be numbers"),
        ({"measure": lambda run: {"x": [1, 2]}}, "return an xarray.DataArray"),
        ({"measure": [walked, walked]}, "by_vma is the name of an axis, of a variable"),
        ({"measure": []}, "no measure"),
        ({"replicates": 0}, "replicates = 0: must be at least 1"),
        ({"fixed": {"workload": FILE}}, "unknown field"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(given, message):
    with pytest.raises(InputError) as caught:
        sweep.grid(FILE, **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_workload_is_given_once():
    with pytest.raises(InputError, match="missing a required argument: 'workload'"):
        sweep.grid(None, {"scan_delay_ms": [1]})


def test_a_point_that_cannot_be_built_may_be_dropped():
    axes = {"vma.a.size_mb": [1, 10_000_000]}
    with pytest.raises(InputError, match=r"vma\.a\.size_mb = 10000000: "):
        sweep.grid(FILE, axes)
    ds = sweep.grid(FILE, axes, drop_invalid=True)
    assert ds["status"].values.tolist() == ["done", "dropped"]
    assert ds["touches"].isnull().values.ravel().tolist() == [False, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"store": "a", "execution": sweep.Execution(store="b")}, "execution has a store too"),
        ({"store": ""}, "store is empty"),
        ({"measure": lambda run: {"status": 1.0}}, "status is the name of an axis"),
        ({"drop": "policy == 'linux-6.1'"}, "all 1 points are left out"),
    ],
)
def test_what_would_be_lost_without_a_word_is_refused(given, message):
    fixed = {"vma_lifetime_ms": 100, "scan_delay_ms": 100, "pin_fraction": 0.0, "duration_ms": 200}
    with pytest.raises(InputError, match=message):
        sweep.grid(lifetimes, {"policy": ["linux-6.1"]}, fixed=fixed, **given)
