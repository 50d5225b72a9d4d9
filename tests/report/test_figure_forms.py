"""What a figure is besides a picture: seen in grey, as text, as values, byte for byte."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from PIL import Image

from numalab.fields import InputError
from numalab.report import figures, panels, text_plot
from numalab.report.canvas import SIZES, save
from numalab.report.facet_options import title

SEEN = {
    "all cones": np.eye(3),
    "no red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no blue": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""Machado, Oliveira and Fernandes 2009, severity 1: linear RGB to what is seen."""
XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def _linear(color):
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _lab(rgb):
    xyz = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _data(policies=3, runs=5, **other):
    shape = (policies, 4, runs)
    da = xr.DataArray(
        1 + np.arange(np.prod(shape)).reshape(shape), dims=("policy", "scan_size_mb", "replicate")
    )
    names = [f"linux-{i}" for i in range(policies)]
    ds = xr.Dataset({"stall_ms": da}, {"policy": names, "scan_size_mb": [16, 32, 64, 256]})
    return figures.facets(ds, y="stall_ms", x="scan_size_mb", hue="policy", **other)


@pytest.mark.parametrize("kind", SEEN)
def test_lines_are_told_apart_by_the_colour_blind(kind):
    """A distance of 10 in CIELAB is seen at a glance."""
    seen = [_lab(np.array(SEEN[kind]) @ _linear(color)) for color in panels.COLORS]
    pairs = itertools.combinations(seen, 2)
    assert min(np.linalg.norm(a - b) for a, b in pairs) > 10


def test_lines_are_told_apart_in_grey_and_stand_out_from_paper():
    """In grey by marker, and beyond those by dashes; a contrast of 3 is WCAG 2.1, 1.4.11."""
    lines = _data(9).axes[0].lines
    assert len({(line.get_marker(), line.get_color()) for line in lines}) == 9
    assert len({line.get_marker() for line in lines}) == 9
    light = [(_linear(line.get_color()) * XYZ[1]).sum() for line in lines]
    assert min(1.05 / (y + 0.05) for y in light) >= 3
    assert panels.looks(0, False)["linestyle"] != panels.looks(8, False)["linestyle"]


def _strokes(figure):
    """Count the strokes of a horizontal line, in the pixels of its row."""
    axes = figure.axes[0]
    figure.canvas.draw()
    grey = np.asarray(figure.canvas.buffer_rgba())[..., :3].mean(-1)
    level = axes.lines[0].get_ydata()[0]
    row = grey.shape[0] - round(axes.transData.transform((0, level))[1])
    left, right = (int(v) for v in axes.get_window_extent().intervalx)
    dark = grey[row - 1 : row + 1, left + 5 : right - 5].min(0) < 128
    return int((np.diff(dark.astype(int)) == 1).sum() + dark[0])


@pytest.mark.parametrize("size", SIZES)
def test_simulated_is_drawn_in_strokes_and_recorded_in_one(size):
    da = xr.DataArray(np.full(50, 5.0), dims="time", coords={"time": np.arange(50.0)})
    ds = da.to_dataset(name="faults")
    assert _strokes(figures.facets(ds, y="faults", x="time", size=size)) > 20
    recorded = ds.assign_attrs(source="recorded")
    assert _strokes(figures.facets(recorded, y="faults", x="time", size=size)) == 1


def test_equal_figures_give_equal_files_and_a_csv_of_what_is_drawn(tmp_path):
    for name in ("a", "b"):
        save(_data(), tmp_path, name)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"fig_{n}.{e}" for n in "ab" for e in ("csv", "png", "svg", "txt")]
    for end in ("csv", "png", "svg", "txt"):
        assert (tmp_path / f"fig_a.{end}").read_bytes() == (tmp_path / f"fig_b.{end}").read_bytes()
    table = pd.read_csv(tmp_path / "fig_a.csv")
    assert list(table) == [
        "variable", "policy", "scan size [MB]", "low", "middle", "high", "source", "bounds"
    ]  # fmt: skip
    assert set(table["variable"]) == {"stall [ms]"}
    drawn = [line.get_ydata().tolist() for line in _data().axes[0].lines]
    assert table.groupby("policy")["middle"].agg(list).tolist() == drawn
    assert ((table["low"] < table["middle"]) & (table["middle"] < table["high"])).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_figure_of_any_size_can_be_attached(size, tmp_path):
    path = save(_data(8, size=size), tmp_path, "x")
    assert path.stat().st_size < 70_000
    with Image.open(path) as image:
        assert image.size == {"mail": (640, 360), "page": (960, 360), "talk": (1920, 1080)}[size]


@pytest.mark.parametrize("name", ["", "../x", "a b", "ä", "a.b", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="must be letters"):
        save(_data(), tmp_path, name)
    with pytest.raises(InputError, match="unknown size"):
        _data(size="wide")


@pytest.mark.parametrize(
    "options",
    [{}, {"yscale": "log"}, {"xscale": "log"}, {"flat": True, "kind": "point"}, {"size": "mail"},
     {"xscale": "category"}, {"col": "policy", "hue": "replicate"}],
)  # fmt: skip
def test_the_twin_shows_each_line_in_75_columns_of_ascii(options):
    ds = xr.Dataset(
        {"far_s": (("policy", "scan_size_mb"), [[1.0, 2.0, 3.0, 4.0], [40.0, 50.0, 60.0, 70.0]])},
        {"policy": ["linux-6.1", "µ" * 90], "scan_size_mb": [16, 32, 64, 256]},
    )
    if options.get("col"):
        ds = ds.expand_dims(replicate_of=[1, 2]).rename(replicate_of="lines")
        options = options | {"hue": "lines"}
    twin = figures.facets(ds, y="far_s", x="scan_size_mb", **({"hue": "policy"} | options)).twin
    assert twin.isascii()
    assert max(map(len, twin.split("\n"))) <= 73
    assert "far [s]" in twin
    assert "simulated" in twin
    plot = twin.partition("\n")[2]
    if not options.get("col"):
        assert plot.partition("a linux-6.1")[0].count("b") == 4


def test_a_plot_of_text_has_its_marks_where_the_values_are():
    scale = text_plot.Scale(least=0.0, most=10.0, log=False)
    lines = np.array([[0.0, 5.0, 10.0], [np.nan, 5.0, 0.0]])
    text = text_plot.plot(np.array([0.0, 0.5, 1.0]), ["x", "y", "z"], lines, scale).split("\n")
    assert text[0] == "   10 |" + " " * 64 + "a"
    assert text[5] == "    5 |" + " " * 32 + "*"
    assert text[10] == "    0 |a" + " " * 63 + "b"
    assert text[12].split() == ["x", "y", "z"]


def test_a_surface_as_text_has_a_digit_for_each_cell():
    ds = xr.Dataset(
        {"walked_mb": (("pin", "delay_ms", "life_ms"), np.arange(12.0).reshape(2, 2, 3))},
        {"pin": [0.0, 1.0], "delay_ms": [250, 500], "life_ms": [100, 400, 1600]},
    )
    twin = figures.surfaces(ds, x="delay_ms", y="life_ms", col="pin", labels={}).twin
    assert twin.split("\n") == [
        "walked [MB]; 9: 11",
        "1600   7   9",
        "400    6   9",
        "100    5   8",
        "     250 500",
        "up: life [ms]; across: delay [ms]; pin 1; simulated, means of the runs",
    ]


@pytest.mark.parametrize(("least", "most"), [(20.0, 640.0), (1.0, 1e6), (3.0, 4.0)])
def test_a_logarithmic_axis_has_numbers_of_one_form(least, most):
    ds = xr.Dataset({"stall_ms": ("x", [least, most])}, {"x": [0, 1]})
    axes = figures.facets(ds, y="stall_ms", x="x", yscale="log").axes[0]
    axes.figure.canvas.draw()
    shown = [t.get_text() for t in axes.yaxis.get_ticklabels(which="both") if t.get_text()]
    assert shown
    assert not [text for text in shown if "10^" in text or "times" in text]


@pytest.mark.parametrize(
    ("name", "text"),
    [("scan_delay_ms", "scan delay [ms]"), ("marked", "marked"), ("rate_per_s", "rate [1/s]"),
     ("misses_per_page", "misses per page"), ("walked_mb_per_min", "walked [MB/min]")],
)  # fmt: skip
def test_the_name_of_a_variable_gives_its_title_and_unit(name, text):
    assert title(name) == text
    axes = figures.facets(xr.Dataset({"a": (name, [1.0, 2.0])}), y="a", x=name)
    assert axes.get_supxlabel().startswith(f"{text}; ")
