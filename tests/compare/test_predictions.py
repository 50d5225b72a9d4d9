"""The score of single runs: cells that vary apart, by kernel and together."""

import numpy as np
import pytest
import xarray as xr

from numalab.compare import counters, predictions


def table(recorded, low, high, model=None, generation=("6.1",), workload=("a",)):
    """Return what ``over`` would: cells x one counter."""
    recorded = np.array(recorded, float)[:, None, :]
    low, high = (np.array(end, float)[:, None] for end in (low, high))
    runs = xr.DataArray(recorded, dims=("cell", "counter", "run"))
    inside = ((recorded >= low[..., None]) & (recorded <= high[..., None])).sum(-1)
    place = ("cell", "counter")
    median = runs.median("run")
    return xr.Dataset(
        {
            "recorded": runs,
            "recorded_median": median,
            "model_median": median if model is None else (place, np.array(model, float)[:, None]),
            "runs_inside": (place, inside),
            "width_ratio": (place, (high - low) / 10),
            "expected_width_ratio": (place, np.full_like(low, 1.9)),
        },
        coords={"generation": ("cell", list(generation)), "workload": ("cell", list(workload))},
    )


def test_runs_are_counted_by_kernel_where_the_kernel_varies():
    found = predictions(
        table(
            [[1, 2, 3, 9], [5, 5, 5, 5], [1, 2, 3, 4]],
            [1, 6, 0],
            [3, 7, 9],
            generation=("6.1", "6.1", "7.2"),
            workload=("a", "b", "a"),
        )
    )
    assert found["generation"].values.tolist() == ["6.1", "7.2", "all"]
    assert found["runs"].values.tolist() == [4, 4, 8]
    assert found["inside"].values.tolist() == [3, 4, 7]
    assert found["share"].values.tolist() == [0.75, 1.0, 0.875]
    assert found["steady_runs"].values.tolist() == [4, 0, 4]
    assert found["steady_inside"].values.tolist() == [0, 0, 0]
    assert found["width_ratio"].values.tolist() == pytest.approx([0.2, 0.9, 0.55])


def test_a_run_that_was_not_recorded_is_not_counted():
    found = predictions(table([[1, 2, 3, np.nan]], [0], [9])).sel(generation="all")
    assert (int(found["runs"]), int(found["inside"])) == (3, 3)


def test_how_far_off_is_the_ratio_of_medians_and_inf_where_only_one_is_0():
    found = predictions(
        table(
            [[1, 3], [4, 4], [0, 0], [0, 0]],
            [0] * 4,
            [9] * 4,
            model=[1, 8, 0, 5],
            generation=["6.1"] * 4,
            workload=list("abcd"),
        )
    ).sel(generation="6.1")
    assert float(found["log2_median"]) == 1.0
    assert float(found["log2_p90"]) == np.inf


@pytest.mark.parametrize(("model", "median"), [([1, 5], np.inf), ([1, 5, 1], 0.0)])
def test_a_median_beside_an_infinite_value_is_a_number(model, median):
    """Recorded 1 and 0 (and 1): the ratio of the second is infinite."""
    n = len(model)
    rows = [[1, 1], [0, 0], [1, 1]][:n]
    cells = {"generation": ["6.1"] * n, "workload": list("abc")[:n]}
    found = predictions(table(rows, [0] * n, [9] * n, model=model, **cells))
    assert found["log2_median"].values.tolist() == [median] * 2


def test_the_interval_of_the_share_is_over_workloads():
    """Half of ten workloads lie wholly inside: more runs of each would not narrow it."""
    rows = [[1, 2] * 20] * 10
    high = [9] * 5 + [0] * 5
    names = {"generation": ["6.1"] * 10, "workload": [f"w{i}" for i in range(10)]}
    found = predictions(table(rows, [0] * 10, high, **names)).sel(generation="6.1")
    assert float(found["share"]) == 0.5
    assert 0.1 <= float(found["share_low"]) <= 0.25
    assert 0.75 <= float(found["share_high"]) <= 0.9


def test_a_few_workloads_have_no_interval():
    found = predictions(table([[1, 2]], [0], [9])).sel(generation="all")
    assert float(found["share"]) == 1.0
    assert np.isnan(found["share_low"])


def test_nothing_that_varies_has_no_share():
    found = predictions(table([[2, 2]], [0], [9])).sel(generation="all")
    assert (int(found["runs"]), int(found["steady_inside"])) == (0, 2)
    assert np.isnan(found["share"])


def test_a_perfect_model_is_about_two_ranges_of_four_runs_wide():
    """3.92 standard deviations over the mean range of four normal draws, 2.06: 1.90."""
    draws = np.random.default_rng(1).normal(1e5, 100, (1, 4000))
    attrs = {"provenance": '{"workload": "w"}'}

    def runs(values):
        ends = (("replicate", "time"), values.reshape(-1, 1))
        return xr.Dataset({"numa_hint_faults": ends}, attrs=attrs).assign_coords(
            replicate=range(values.size)
        )

    found = counters(runs(draws), runs(draws[0, :4]), ["numa_hint_faults"])
    assert float(found["expected_width_ratio"][0]) == pytest.approx(1.9, rel=0.06)


def test_a_tolerance_is_added_to_both_ends():
    """The interval of 100 .. 139 is (100, 139) without its ends."""

    def runs(values):
        ends = (("replicate", "time"), np.array(values, float).reshape(-1, 1))
        attrs = {"provenance": '{"workload": "w"}'}
        return xr.Dataset({"numa_hint_faults": ends}, attrs=attrs).assign_coords(
            replicate=range(len(values))
        )

    model, recorded = runs(np.arange(100, 140.0)), runs([84, 85, 100, 120, 154, 155, 156])
    for tolerance, inside in ((0, 1), (16, 4)):
        found = counters(model, recorded, ["numa_hint_faults"], tolerance=tolerance)
        assert int(found["runs_inside"][0]) == inside


def test_passes_have_no_tolerance():
    """The model completes 3 to 5; 18 is not one of these."""
    attrs = {"provenance": '{"workload": "w"}'}

    def runs(values):
        passes = xr.DataArray(
            np.array(values, float).reshape(-1, 1, 1), dims=("replicate", "time", "process")
        )
        return xr.Dataset({"numa_scan_seq": passes}, attrs=attrs).assign_coords(
            replicate=range(len(values))
        )

    found = counters(runs([3, 4, 5] * 20), runs([4, 18]), ["passes"], tolerance=16)
    assert int(found["runs_inside"][0]) == 1
