"""Chunks lie where they were walked, and look as what came of them."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from numalab import dataset
from numalab.captures import open_recording
from numalab.fields import InputError
from numalab.plain import as_plain
from numalab.schema import IMAGE_VMAS, REASONS
from numalab.show import address_map, space_time
from numalab.workload import Access, Task, Vma, Workload

TASK = Task(name="t", access=(Access(vma="a"),))
WORKLOAD = Workload(
    name="w", duration_ms=4000, vmas=(Vma(name="a", size_mb=4), Vma(name="b", size_mb=1, count=2)),
    tasks=(TASK,),
)  # fmt: skip
CHUNKS = {
    # ms, of which mapping, first page, pages, marked
    "ms": [1000.0, 1001.0, 1002.0, 2000.0, -1.0],
    "vma": [0, 1, 1, 2, -1],
    "start": [0, 0, 256, 0, -1],
    "pages": [1024, 256, 256, 4, -1],
    "updated": [0, 256, 100, 4, -1],
    "task": [0, 0, 0, -1, -1],
    "scan": [0, 0, 0, 1, -1],
}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _run(source="simulated", workload=WORKLOAD, **more):
    vmas = [v.name for v in workload.vmas] + list(IMAGE_VMAS)
    variables = {f"chunk_{name}": values for name, values in CHUNKS.items()} | more
    coords = {"time": [0.0], "process": ["main"], "vma": vmas, "task": ["t"], "node": [0, 1]}
    attrs = {"source": source, "kernel": "linux-7.2", "workload": as_plain(workload)}
    return dataset.make(variables, coords, attrs)


def test_chunks_lie_on_the_axis_where_their_mappings_do():
    laid = address_map.lay_out(WORKLOAD)
    at, low, high, outcome = space_time.chunks(_run(), laid)
    a, b, program = laid.bands
    assert at == pytest.approx([1, 1.001, 1.002, 2])
    assert low == pytest.approx([a.low, b.low + 256, b.low, program.low])
    assert high == pytest.approx([a.high, b.high, b.low + 256, program.high])
    assert [list(space_time.OUTCOMES)[i] for i in outcome] == [
        "walked in vain", "all marked", "marked in part", "all marked",
    ]  # fmt: skip


def _lines(ax):
    return [one for one in ax.collections if isinstance(one, LineCollection)]


def test_each_outcome_has_its_color_and_simulated_runs_are_dashed():
    figure = space_time.draw(_run("recorded"), _run())
    recorded, simulated = figure.axes[:2]
    for ax, solid in ((recorded, True), (simulated, False)):
        lines = _lines(ax)
        assert [len(one.get_segments()) for one in lines] == [1, 1, 2]
        colors = [to_hex(one.get_color()[0]) for one in lines]
        assert colors == list(space_time.OUTCOMES.values())
        assert all((one.get_linestyle()[0][1] is None) == solid for one in lines)
    assert recorded.get_title("left") == "recorded on linux-7.2"
    assert simulated.get_title("left") == "simulated, linux-7.2"


def test_colors_differ_in_grey_too():
    """Rec. 601 luma of any two outcomes is 0.15 of the scale apart or more."""
    rgb = np.array([plt.matplotlib.colors.to_rgb(c) for c in space_time.OUTCOMES.values()])
    luma = np.sort(rgb @ [0.299, 0.587, 0.114])
    assert np.diff(luma).min() > 0.15


def _side(figure):
    return figure.axes[0].child_axes[0]


def test_skips_have_their_reasons_beside_the_mapping():
    skips = np.zeros((2 + len(IMAGE_VMAS), len(REASONS)), int)
    skips[0, REASONS.index("scan_delay")] = 3
    skips[0, REASONS.index("pid_inactive")] = 1
    skips[2:, REASONS.index("inaccessible")] = 5
    side = _side(space_time.draw(_run(skips=skips)))
    assert [text.get_text() for text in side.texts] == ["4", "0", "40"]
    found = {to_hex(bar.get_facecolor()): bar.get_width() for bar in side.patches}
    assert found[space_time.REASON_COLORS["scan_delay"]] == pytest.approx(0.62 * 3 / 4)
    assert found[space_time.REASON_COLORS["pid_inactive"]] == pytest.approx(0.62 / 4)


def test_a_kernel_that_traces_no_skips_says_so():
    assert _side(space_time.draw(_run())).get_title("left") == "skips: not\ntraced"


def test_recorded_and_simulated_runs_of_a_real_workload_have_one_axis():
    runs = [
        open_recording(f"data/captures/pinned-half/{k}").dataset().isel(replicate=0)
        for k in ("6.12", "7.2")
    ]
    figure = space_time.draw(*runs)
    names = [[t.get_text() for t in ax.get_yticklabels()] for ax in figure.axes[:2]]
    assert names[0] == ["a", "b", "program"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    segments = sum(len(one.get_segments()) for one in _lines(figure.axes[1]))
    assert segments == int((runs[1]["chunk_pages"] > 0).sum())


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "no runs"),
        ([_run().expand_dims("replicate")], "a measure takes one run"),
        ([_run().drop_vars("chunk_updated")], "does not hold chunk_updated"),
        (
            [_run(), _run(workload=Workload(name="o", vmas=(WORKLOAD.vmas[0],), tasks=(TASK,)))],
            "simulated, linux-7.2: has other mappings than simulated, linux-7.2",
        ),
    ],
)
def test_what_cannot_be_drawn_is_one_line(runs, message):
    with pytest.raises(InputError, match=message) as caught:
        space_time.draw(*runs)
    assert "\n" not in str(caught.value)


def test_the_example_of_the_docs_runs():
    text = Path("docs/interactive.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(example, names)
    assert space_time.title(names["recorded"]).startswith("recorded on 7.2.13")
    assert len(plt.get_fignums()) == 2
