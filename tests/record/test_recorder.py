"""Real runs: what comes back from each kernel, and what ``record`` makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numalab import dataset, schema
from numalab.captures import open_recording
from numalab.machine import Speed
from numalab.record.initramfs import RecordError
from numalab.record.recorder import record
from numalab.workload import Task, Workload
from numalab.workload_file import parse
from tests.record.kernels import SHORT, WORKLOADS, Recorded, image_of

pytestmark = pytest.mark.timeout(500)  # one of these tests boots a kernel for all
ROOT = Path(__file__).parents[2]


def _updated(ds, vma: str) -> np.ndarray:
    """Entries marked by each scan chunk of a VMA."""
    index = ds.vma.values.tolist().index(vma)
    return ds.chunk_updated.values[ds.chunk_vma.values == index]


@pytest.mark.kernel
def test_a_workload_runs_on_each_kernel(recorded: Recorded) -> None:
    ds = recorded.dataset("short")
    dataset.check_invariants(ds)
    assert ds.attrs["kernel"].startswith(f"{recorded.generation}.")
    assert int(ds.numa_pte_updates[-1]) > 0
    assert int(ds.pages_on_node.sel(vma="a").sum()) == 4096
    assert dataset.provenance(ds)["lost_events"] == 0


@pytest.mark.kernel
def test_the_pinned_half_of_a_churn_is_not_marked_and_stays(recorded: Recorded) -> None:
    ds = recorded.dataset("half")
    pinned = WORKLOADS["half"].churns[0].pinned_pages
    assert len(_updated(ds, "c"))
    assert (_updated(ds, "c") <= pinned).all()
    pages = WORKLOADS["half"].churns[0].pages  # none, where a run ends between two mappings
    assert int(ds.pages_on_node.sel(vma="c", node=1)) <= pages - pinned


@pytest.mark.kernel
def test_pinned_huge_pages_of_a_churn_are_marked_whole_and_not_by_7_2(recorded: Recorded) -> None:
    ds = recorded.dataset("huge")  # on a busy host it may be gone before a scan comes to it
    assert len(_updated(ds, "c"))
    assert (_updated(ds, "c") % 512 == 0).all()
    assert not (recorded.generation == "7.2" and _updated(ds, "c").any())
    assert int(ds.pages_on_node.sel(vma="c", node=1)) == 0


@pytest.mark.kernel
def test_a_pinned_guest_is_notified_of_every_chunk_and_nothing_changes(recorded: Recorded) -> None:
    ds = recorded.dataset("guest")
    assert dataset.provenance(ds)["lost_events"] == 0
    assert bool((ds.touches > 4096).all())
    mine = np.flatnonzero(ds.chunk_vma.values == 0)
    assert len(mine)
    assert not ds.chunk_updated.values[mine].any()
    for chunk in mine:
        sent = ds.isel(notify=ds.notify_chunk.values == chunk)
        assert set(sent.notify_why.values) == {schema.WHYS.index("scan")}
        assert set(sent.notify_vma.values) == {0}
        # 6.1 sends one for each 1 GiB region: two where the memory lies across a boundary.
        assert sent.sizes["notify"] in ((1, 2) if recorded.generation == "6.1" else (1,))
        assert int(sent.notify_start[0]) == int(ds.chunk_start[chunk])
        ends = (sent.notify_start + sent.notify_pages).values
        assert ends[:-1].tolist() == sent.notify_start.values[1:].tolist()
        assert ends[-1] == int(ds.chunk_start[chunk] + ds.chunk_pages[chunk])
    ram = ds.sel(vma="ram")
    assert set(ds.notify_why.values[ds.notify_vma.values == 0]) == {schema.WHYS.index("scan")}
    assert int(ram.notifier_pages.sum()) == int(ram.notifier_wasted_pages) == 4096 * len(mine)
    assert int(ram.refaults) > 4096


@pytest.mark.parametrize(("generation", "marked"), [("6.1", True), ("6.12", True), ("7.2", False)])
def test_pinned_huge_pages_of_recorded_guests_are_marked_before_7_2(
    generation: str, marked: bool
) -> None:
    ds = open_recording(ROOT / "data" / "guests" / "guest-full-thp-anon" / generation).dataset()
    assert ((ds.numa_huge_pte_updates.isel(time=-1) > 0) == marked).all()


@pytest.mark.kernel
def test_a_recording_is_made_kept_and_extended(tmp_path: Path) -> None:
    image = image_of("7.2")
    source = (SHORT / "workload.toml").read_text().replace("2500", "500")
    folder = tmp_path / "short" / "7.2"
    steps: list[str] = []
    ds = record(
        parse(source),
        image,
        seed=3,
        speed=Speed(touch_walk_ns=77),
        keep=folder,
        source=source,
        progress=steps.append,
    )
    assert steps[0] == "short: calibrated"
    assert steps[-1].startswith("short on 7.2.")
    assert "run 1 of 1: numa_pte_updates " in steps[-1]
    kept = open_recording(folder)
    assert (kept.runs, kept.workload.machine.speed.touch_walk_ns) == (1, 77)
    assert kept.dataset().identical(ds)
    steps.clear()
    assert record(parse(source), image, keep=folder, source=source).identical(ds)
    assert not steps


def test_what_keep_needs(tmp_path: Path, image: Path) -> None:
    workload = Workload(name="w", tasks=(Task(name="t"),))
    with pytest.raises(ValueError, match="source is missing"):
        record(workload, image, keep=tmp_path / "kept")
    other = '[workload]\nname = "w"\n[[task]]\nname = "u"\n'
    with pytest.raises(ValueError, match="source: is the text of another workload"):
        record(workload, image, keep=tmp_path / "kept", source=other)
    with pytest.raises(ValueError, match="runs = 0"):
        record(workload, image, runs=0)
    assert not (tmp_path / "kept").exists()


def test_what_a_program_cannot_do_is_refused_before_a_boot(tmp_path: Path, image: Path) -> None:
    workload = Workload(name="w", tasks=(Task(name="t"),))
    for program, line in (("foreign", 'main_thread = "waits"'), ("none", "unknown program")):
        with pytest.raises(ValueError, match=line) as caught:
            record(workload, image, keep=tmp_path / "kept", source="", program=program)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "kept").exists()


def test_a_file_that_is_no_kernel_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"bzImage: cannot be read: No such file"):
        record(Workload(name="w", tasks=(Task(name="t"),)), tmp_path / "bzImage")
