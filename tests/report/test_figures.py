"""Facets: any number of lines and panels; recorded solid, simulated dashed, bounds drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from numalab.report import figures

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def _data(policies=3, sizes=4, lives=2, runs=5):
    shape = (policies, sizes, lives, runs)
    names = [f"linux-{i}" for i in range(policies)]
    sizes_mb = 2 ** np.arange(sizes)
    return xr.Dataset(
        {
            "marked": (("policy", "memory_mb", "life_ms", "replicate"), RNG.random(shape)),
            "far": (
                ("policy", "memory_mb", "life_ms", "replicate"),
                RNG.random(shape),
                {"units": "s", "long_name": "time on the wrong node"},
            ),
        },
        {"policy": names, "memory_mb": sizes_mb, "life_ms": np.arange(lives)},
    )


@pytest.mark.parametrize(
    ("kind", "flat", "shape"),
    [
        *((kind, flat, (3, 2, 2, 20)) for kind in ("line", "point") for flat in (False, True)),
        ("line", False, (12, 6, 9, 2)),
        ("point", True, (12, 2, 5, 2)),
        ("line", False, (1, 1, 1, 1)),
    ],
)
def test_any_number_of_lines_panels_and_runs_is_drawn(kind, flat, shape):
    ds = _data(*shape)
    figure = figures.facets(
        ds, y="marked", x="memory_mb", hue="policy", col="life_ms", kind=kind, flat=flat
    )
    assert len(figure.axes) == shape[2]
    assert len(figure.axes[0].get_legend_handles_labels()[1]) == shape[0]
    figure.canvas.draw()


def test_several_variables_have_panels_titles_and_units():
    figure = figures.facets(
        _data(), y=["marked", "far"], x="memory_mb", row="variable", col="life_ms"
    )
    assert len(figure.axes) == 4
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "marked",
        "",
        "time on the wrong node [s]",
        "",
    ]
    assert figure.axes[0].get_title("left") == "life 0 ms"
    assert figure.get_supxlabel() == "memory [MB]; simulated; 95 % interval of the mean, n = 5"


def test_dimensions_that_nothing_takes_become_lines():
    figure = figures.facets(_data(), y="marked", x="memory_mb")
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == [f"linux-{i}, {j}" for i in range(3) for j in range(2)]


def test_simulated_is_dashed_recorded_is_solid():
    ds = _data(2, 10, 1, 5).isel(life_ms=0)
    simulated = figures.facets(ds, y="marked", x="memory_mb").axes[0].lines
    assert all(line.get_linestyle() == "--" for line in simulated)
    recorded = figures.facets(ds.assign_attrs(source="recorded"), y="marked", x="memory_mb").axes[0]
    assert all(line.get_linestyle() == "-" for line in recorded.lines)
    both = figures.facets(
        ds, y="marked", x="memory_mb", recorded=ds.isel(policy=[1]), over="runs"
    ).axes[0]
    assert [line.get_linestyle() for line in both.lines] == ["--", "--", *["-"] * 5]


def test_the_bounds_of_costs_are_taken_as_they_are():
    da = xr.DataArray(
        [[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]],
        {"bound": ["low", "typical", "high"], "memory_mb": [1, 2]},
    )
    figure = figures.facets(da, y="stall [ms]", x="memory_mb")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [3.0, 4.0]
    assert "typical from low to high" in figure.get_supxlabel()


def test_intervals_are_drawn_at_each_time_and_of_shares():
    shape = {"policy": 2, "time": 3, "replicate": 20}
    da = xr.DataArray(np.ones((2, 3, 20), bool), dims=[*shape], coords={"time": [0, 1, 2]})
    band = figures.facets(da, y="share", x="time").axes[0].collections[0]
    low = band.get_paths()[0].vertices[:, 1].min()
    assert low == pytest.approx(0.832, abs=1e-3)  # 20 of 20: Clopper and Pearson


@pytest.mark.parametrize("flat", [False, True])
def test_a_panel_of_zeros_does_not_cut_those_that_share_its_axis(flat):
    da = xr.DataArray([[0.0, 0.0], [0.0, 900.0]], {"kernel": ["a", "b"], "x": [0, 1]})
    ax = figures.facets(da, y="pages", x="x", col="kernel", flat=flat).axes[0]
    assert (ax.get_xlim() if flat else ax.get_ylim())[1] > 900
    ax = figures.facets(0 * da, y="pages", x="x", col="kernel", flat=flat).axes[0]
    assert (ax.get_xlim() if flat else ax.get_ylim()) == (0, 1)


def test_marks_outside_are_open():
    ds = xr.Dataset(
        {"ratio": (("cell", "counter"), [[1.0, 2.0], [3.0, 4.0]]),
         "inside": (("cell", "counter"), [[True, False], [True, True]])},
        {"cell": ["cold 6.1", "cold 7.2"], "counter": ["faults", "migrated"]},
    )  # fmt: skip
    figure = figures.facets(
        ds, y="ratio", x="cell", kind="point", flat=True, filled="inside", note="open: outside"
    )
    opened = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    found = [line.get_xdata()[np.isfinite(line.get_xdata())].tolist() for line in opened]
    assert found == [[], [2.0]]
    assert figure.get_supxlabel() == "open: outside"


@pytest.mark.parametrize("runs", [1, 5])
def test_event_times_are_drawn_run_by_run(runs):
    simulated = xr.DataArray(1000 * RNG.random((40, 7)), dims=("replicate", "scan"))
    recorded = simulated.isel(replicate=slice(runs)).copy()
    recorded[0, 3] = -1
    recorded[0, 4] = np.nan
    rows = {f"recording {i}": (simulated, recorded) for i in range(9)}
    lines = figures.event_times(rows, "time of a scan").axes[0].lines
    marks = [line for line in lines if line.get_marker() == "|"]
    assert len(marks) == 9 * runs
    assert len(marks[0].get_xdata()) == 5


def test_values_on_a_logarithmic_axis_are_its_ticks():
    axes = figures.facets(_data(), y="marked", x="memory_mb", xscale="log").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "8"]
    assert axes.xaxis.get_minorticklocs().size == 0


def test_missing_values_are_left_out():
    ds = _data()
    ds["marked"][{"memory_mb": 1}] = np.nan
    line = figures.facets(ds, y="marked", x="memory_mb").axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 4, 8]
    figures.facets(ds * np.nan, y="marked", x="memory_mb", kind="point").canvas.draw()


@pytest.mark.parametrize(("over", "runs"), [("mean", 2), ("mean", 20), ("runs", 40)])
def test_the_mean_of_the_runs_that_are_left_is_not_drawn_as_that_of_all(over, runs):
    ds = _data(runs=runs)
    ds["marked"][{"memory_mb": 1, "replicate": 0}] = np.nan
    figure = figures.facets(ds, y="marked", x="memory_mb", over=over)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 4, 8]
    assert f"{runs}" in figure.get_supxlabel()


def test_surfaces_have_a_row_for_each_variable_and_one_scale_from_zero_in_it():
    ds = _data(policies=2, sizes=4, lives=3, runs=5)
    names = {"memory_mb": "memory [MB]", "far": "remote [s]", "policy": "kernel"}
    ds = ds.assign_coords(policy=[6.1, 7.2])
    figure = figures.surfaces(ds, x="memory_mb", y="life_ms", col="policy", labels=names)
    shaded = [ax for ax in figure.axes if ax.images]
    assert len(shaded) == 4
    titles = [ax.get_title("left") for ax in shaded]
    assert titles == ["kernel 6.1", "kernel 7.2"] * 2
    for i, ax in enumerate(shaded):
        da = ds["marked" if i < 2 else "far"].isel(policy=i % 2).mean("replicate")
        np.testing.assert_allclose(ax.images[0].get_array(), da.transpose("life_ms", "memory_mb"))
        assert ax.images[0].get_clim() == (0, 1)  # 1 at least: else chance looks large
    bars = [ax.get_ylabel() for ax in figure.axes if not ax.images]
    assert bars == ["marked", "remote [s]"]
    assert figure.get_supxlabel().startswith("memory [MB]; simulated")
    ds["far"] *= 50
    figure = figures.surfaces(ds, x="memory_mb", y="life_ms", col="policy", labels=names)
    most = float(ds["far"].mean("replicate").max())
    assert [ax.images[0].get_clim() for ax in figure.axes if ax.images][2:] == [(0, most)] * 2
    figure.canvas.draw()


def test_panels_above_each_other_of_one_variable_share_the_scale_of_its_values():
    ds = _data()
    ds["marked"][0] *= 100
    figure = figures.facets(
        ds, y="marked", x="memory_mb", row="policy", col="life_ms", kind="point", flat=True
    )
    assert len({ax.get_xlim() for ax in figure.axes}) == 1


def test_the_name_of_a_variable_that_is_a_line_stands_at_no_axis():
    figure = figures.facets(_data(), y=["marked", "far"], x="memory_mb", hue="variable", flat=True)
    assert {ax.get_xlabel() for ax in figure.axes} == {""}


def test_a_panel_of_zeros_does_not_cut_what_is_negative_in_another_of_its_axis():
    ds = _data()
    ds["far"] = -ds["far"].where(ds["policy"] != ds["policy"][-1], 0)
    figure = figures.facets(ds, y=["marked", "far"], x="memory_mb", row="policy", flat=True)
    assert min(ax.get_xlim()[0] for ax in figure.axes[1::2]) < float(
        ds["far"].mean("replicate").min()
    )


def test_long_names_side_by_side_are_turned_though_all_names_would_fit():
    names = ["rfc-v1-as-it-was-intended", "prototype-of-January", *"cde"]
    ds = _data(policies=5).assign_coords(policy=names)
    turned = figures.facets(ds, y="marked", x="policy", size="mail").axes[-1].get_xticklabels()
    assert {label.get_rotation() for label in turned} == {35}


@pytest.mark.parametrize("most", [0.5, 7e3, 9.9e6])
def test_zero_and_the_first_tick_of_a_symmetric_logarithm_are_apart(most):
    ds = _data()
    ds["marked"] *= most / ds["marked"].max()
    axes = figures.facets(ds, y="marked", x="memory_mb", yscale="symlog").axes[0]
    axes.figure.canvas.draw()
    ends = axes.transData.transform([(0, tick) for tick in axes.get_yticks()])[:, 1]
    assert np.diff(ends).min() > 25, "pixels"
