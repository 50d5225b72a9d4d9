"""Tables of pandas and xarray as text."""

import pandas as pd
import xarray as xr

from numalab.report import frames


def test_wide_tables_go_on_below_with_their_labels():
    index = pd.Index(["linux-6.1", "linux-7.2"], name="policy")
    table = pd.DataFrame({f"minute {i}": [i, 2 * i] for i in range(12)}, index=index)
    lines = frames.plain(table).splitlines()
    assert max(map(len, lines)) <= 73
    assert [line.split()[0] for line in lines[:-1]] == ["policy", "linux-6.1", "linux-7.2"] * 2
    assert lines[-1] == "(the columns go on below: 12 in 2 blocks)"


def test_long_cells_are_cut_and_it_is_said():
    lines = frames.plain(pd.DataFrame({"a": ["x" * 99], "b": [1]})).splitlines()
    assert lines[1].split() == ["x" * 33 + "..", "1"]
    assert lines[2] == "(long labels are cut)"


def test_rows_beyond_the_longest_are_left_out_of_the_text():
    lines = frames.plain(pd.DataFrame({"a": range(100)})).splitlines()
    assert len(lines) == 82
    assert lines[-1] == "(80 of 100 rows; the notebook shows them all)"


def test_the_last_dimension_of_an_array_gives_the_columns_in_its_order():
    da = xr.DataArray(
        [[[1, 2], [3, 4]]], {"policy": ["b"], "tasks": [8, 2], "when": ["late", "early"]}, name="n"
    )
    assert frames.plain(frames.to_frame(da)).splitlines() == [
        "policy  tasks  late  early",
        "b       8         1      2",
        "b       2         3      4",
    ]


def test_html_escapes_what_a_table_holds():
    assert "<b>" not in frames.shown(pd.DataFrame({"a": ["<b>"]}), "<b>").html
