"""Objects show themselves as tables and plots of a line; the model's version is as without them."""

import dataclasses
import re
from xml.dom import minidom

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from IPython.core.interactiveshell import InteractiveShell

from numalab import compare, policy, stats, workload_file
from numalab.captures import open_recording
from numalab.report import cells
from numalab.report.frames import cell
from numalab.versions import sources
from numalab.workload import Access, Task, Vma, Workload

WORKLOAD = workload_file.load("data/workloads/pinned-half.toml")


def _rows(page):
    """Return the text of each cell of the tables of a page that is well-formed."""
    minidom.parseString(f"<div>{re.sub(r'<br>', '<br/>', page)}</div>")
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in rows]


def test_a_workload_is_tables_of_mappings_and_threads():
    rows = _rows(cells.workload(WORKLOAD))
    assert [row[0] for row in rows] == ["mapping", "a", "b", "thread", "t0", "t1"]
    assert (rows[1][1], rows[1][3]) == ("96", "anon, 50 % pinned")
    assert "100 % of the largest, 50 % pinned" in rows[1][2]
    assert rows[4][1:] == ["main", "0", "a (walk)"]
    far = dataclasses.replace(WORKLOAD.tunables, scan_delay_ms=77)
    text = cells.workload(dataclasses.replace(WORKLOAD, tunables=far))
    assert "12 s; scan_delay_ms = 77" in text
    assert "scan_delay_ms" not in cells.workload(WORKLOAD)


def test_a_workload_of_many_mappings_is_cut_with_a_note():
    vmas = tuple(Vma(name=f"v{i}", size_mb=1) for i in range(100))
    task = Task(name="t", access=(Access(vma="v0"),))
    page = cells.workload(Workload(name="w", vmas=vmas, tasks=(task,)))
    assert "and 70 more" in page
    assert "v29" in page
    assert "v30" not in page


@pytest.mark.parametrize("name", ["lifetimes", "churn-short", "shmem", "guest-big-none-thp"])
def test_every_kind_of_mapping_is_shown(name):
    shown = WORKLOAD if name == "lifetimes" else workload_file.load(f"data/workloads/{name}.toml")
    rows = _rows(cells.workload(shown))
    assert len(rows) == 2 + len(shown.vmas) + len(shown.churns) + len(shown.threads)


@pytest.mark.parametrize("name", policy.POLICIES)
def test_a_policy_is_a_table_of_what_it_changed_and_of_what_it_has(name):
    shown = policy.get(name)
    rows = _rows(cells.policy(shown))[1:]
    new = policy.changes(shown)
    assert [row[0] for row in rows if row[3] == "changed"] == list(new)
    assert {row[0] for row in rows} >= {k for k, v in shown.rules().items() if v is True}


def test_a_recording_is_a_table_of_its_counters():
    runs = open_recording("data/captures/pinned-half/7.2").dataset()
    page = cells.dataset(runs)
    head = page.split("<details>")[0]
    assert "recorded on 7.2.13" in head
    found = {row[0]: row for row in _rows(head)}
    ends = runs["numa_pte_updates"].isel(time=-1).values
    expected = [cell(f(ends)) for f in (np.min, np.median, np.max)]
    assert found["numa_pte_updates"][1:4] == expected
    assert "<polyline" in found["numa_pte_updates"][4]


def test_a_comparison_says_what_lies_outside():
    values = xr.DataArray(
        [[1.0, 2, 3, 4] * 10, [10.0, 11, 12, 13] * 10],
        dims=("counter", "replicate"),
        coords={"counter": ["scans", "passes"], "replicate": range(40)},
    )
    recorded = xr.DataArray(
        [[2.0, 3.0], [90.0, 95.0]],
        dims=("counter", "replicate"),
        coords={"counter": ["scans", "passes"], "replicate": range(2)},
    )
    rows = _rows(cells.dataset(compare.by_counter.judged(values, recorded)))
    assert rows[0][:3] == ["counter", "recorded", "model, 95 % interval"]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("scans", "2 to 3", "in"),
        ("passes", "90 to 95", "<strong>OUT</strong>"),
    ]
    assert rows[1][3].count("currentColor") == 2


def test_an_interval_is_its_ends_and_a_plot():
    runs = xr.DataArray(
        [[1.0, 2, 3], [5.0, 5, 5]], dims=("policy", "replicate"), coords={"policy": ["old", "new"]}
    )
    found = stats.mean_interval(runs)
    rows = _rows(cells.data_array(found))
    assert rows[0][0] == "policy"
    assert [row[0] for row in rows[1:]] == ["old", "new"]
    assert rows[2][-2] == "[5, 5]"
    assert "<path" in rows[1][-1]


def test_other_data_is_shown_as_xarray_does():
    plain = xr.Dataset({"a": ("x", [1, 2])})
    assert "xr-header" in cells.dataset(plain)
    assert "xr-header" in cells.data_array(plain["a"])


def test_small_plots_are_drawn_in_the_color_of_the_text_and_to_scale():
    assert cells.course(np.zeros(5)) == ""
    assert cells.interval(np.nan, 1, (0, 1)) == ""
    for plot in (cells.course(np.arange(5.0)), cells.share(0.5, 0.25)):
        assert "currentColor" in plot
        assert minidom.parseString(plot)
    inner = cells.WIDTH - 2
    widths = re.findall(r'<rect [^>]*width="([\d.]+)"', cells.share(0.5, 0.25))
    assert [float(w) for w in widths] == pytest.approx([inner / 2, inner / 8], abs=0.1)


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_jupyter_shows_them_and_leaves_others(shell):
    cells.enable(shell)
    show = shell.display_formatter.format
    for value in (WORKLOAD, policy.get("linux-7.2")):
        assert "<table>" in show(value)[0]["text/html"]
    assert "text/html" not in show(3)[0]
    assert "dataframe" in show(pd.DataFrame({"a": [1]}))[0]["text/html"]


def test_the_version_of_the_model_is_not_of_what_shows_it():
    of_model = {path.name for path in sources("totals")}
    assert "workload.py" in of_model
    assert not {"cells.py", "checkout.py"} & of_model
    assert not any(hasattr(kind, "_repr_html_") for kind in (Workload, policy.Policy))
