"""The log of one run, on short recordings of every kernel generation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numalab import dataset, schema
from numalab.captures import Recording, open_recording, runlog
from numalab.captures.run import read_run
from numalab.fields import InputError
from numalab.workload_file import parse

SHORT = Path(__file__).parents[1] / "data" / "captures" / "short"


@pytest.fixture(params=("6.1", "6.12", "7.2"), scope="module")
def recording(request: pytest.FixtureRequest) -> Recording:
    return open_recording(SHORT / str(request.param))


@pytest.fixture(scope="module")
def one() -> Recording:
    return open_recording(SHORT / "6.12")


def test_a_run_keeps_the_schema_and_its_laws(recording: Recording) -> None:
    ds = recording.dataset()
    dataset.check_invariants(ds)
    assert ds.attrs["source"] == "recorded"
    assert ds.attrs["kernel"] == recording.kernel
    assert ds.time.values[0] == 0
    assert ds.time.values[-1] == 2500
    for name in schema.COUNTERS:
        assert int(ds[name].isel(time=0).max()) == 0
    assert dataset.provenance(ds)["lost_events"] == 0


def test_skips_are_there_where_the_kernel_traces_them(recording: Recording) -> None:
    ds = recording.dataset()
    assert ("skips" in ds) == (recording.generation != "6.1")
    if "skips" in ds:
        skips = ds.skips.isel(replicate=0)
        assert int(skips.sel(vma="image:guards", reason="inaccessible")) > 0
        assert int(skips.sel(reason="inaccessible").drop_sel(vma="image:guards").sum()) == 0


def test_the_chunk_table_agrees_with_the_sums(recording: Recording) -> None:
    ds = recording.dataset().isel(replicate=0)
    owner = ds.chunk_vma.values.astype(int)
    pages = np.bincount(owner, weights=ds.chunk_pages.values, minlength=ds.sizes["vma"])
    np.testing.assert_array_equal(pages, ds.scan_pages.values)
    calls = np.bincount(owner, minlength=ds.sizes["vma"])
    np.testing.assert_array_equal(calls, ds.scan_calls.values)
    assert (np.diff(ds.chunk_scan.values) >= 0).all() or ds.sizes["task"] > 1
    assert int(ds.chunk_updated.sum()) <= int(ds.numa_pte_updates[-1]) + 64


def test_chunks_lie_inside_their_vma(recording: Recording) -> None:
    ds = recording.dataset().isel(replicate=0)
    for vma in recording.workload.vmas:
        mine = ds.chunk_vma.values == list(ds.vma.values).index(vma.name)
        ends = ds.chunk_start.values[mine] + ds.chunk_pages.values[mine]
        assert ends.size > 0
        assert ends.max() <= vma.pages * vma.count


def test_pages_are_where_the_workload_put_them(recording: Recording) -> None:
    on_node = recording.dataset().isel(replicate=0).pages_on_node
    assert int(on_node.sel(vma="a").sum()) == 16 * 256
    assert int(on_node.sel(vma="a", node=1)) > 0.9 * 16 * 256  # its walker is on node 1
    assert int(on_node.sel(vma="huge").sum()) == 8 * 256
    assert int(on_node.sel(vma="pinned", node=0)) >= 2 * 256


def test_churn_mappings_are_found(recording: Recording) -> None:
    ds = recording.dataset().isel(replicate=0)
    seen = int(ds.scan_calls.sel(vma="young"))
    if "skips" in ds:
        seen += int(ds.skips.sel(vma="young").sum())
    assert seen > 0


def test_the_start_has_every_mapping_thread_and_clock(recording: Recording) -> None:
    setup = recording.start(0).setup
    assert setup is not None
    (process,) = setup.processes
    owners = {mapping.owner for mapping in process.mappings}
    assert {"a", "many", "pinned", "huge", "image:text", "image:guards"} <= owners
    assert process.fork_ms < process.balancing_ms < process.reset_ms < 0
    assert len(set(process.pids)) == len(process.runtime_ms) == 3  # t0, t1, young
    many = [mapping for mapping in process.mappings if mapping.owner == "many"]
    assert [mapping.pages for mapping in many] == [64] * 4
    assert sorted(mapping.offset for mapping in many) == [0, 64, 128, 192]
    assert [mapping.present for mapping in many] == [()] * 4  # the workload says
    stack = next(mapping for mapping in process.mappings if mapping.owner == "image:stack")
    assert sum(stack.present) > 0


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.9999])
def test_a_log_that_is_cut_anywhere_is_refused(one: Recording, share: float) -> None:
    text = one.log(0)
    with pytest.raises(InputError, match=r"cut or damaged|not a run log"):
        read_run(text[: int(len(text) * share)], one.workload)


def test_a_log_of_another_workload_is_refused(one: Recording) -> None:
    other = parse('[workload]\nname = "other"\n[[task]]\nname = "t"\n')
    with pytest.raises(InputError, match="of workload 'short', not 'other'"):
        read_run(one.log(0), other)


@pytest.mark.parametrize("section", ["samples", "setup", "threads start", "numa_maps main end"])
def test_a_log_without_a_section_is_refused(one: Recording, section: str) -> None:
    text = one.log(0).replace(f" {section}\n", f" {section[:-1]}_\n")
    with pytest.raises(InputError, match="the run log is damaged"):
        read_run(text, one.workload)


@pytest.mark.parametrize(
    ("was", "is_"), [("\nstart ", "\nstort "), ("\nprocess main ", "\nprocess moin ")]
)
def test_a_log_with_a_damaged_line_is_refused(one: Recording, was: str, is_: str) -> None:
    text = one.log(0)
    assert was in text
    with pytest.raises(InputError, match=r"cut or damaged|the run log is damaged"):
        read_run(text.replace(was, is_, 1), one.workload)


def test_lost_trace_events_are_counted(one: Recording) -> None:
    log = runlog.read(one.log(0))[-1]
    assert log.lost_events == 0
    log["trace_stats 0"] = log["trace_stats 0"].replace("overrun: 0", "overrun: 7", 1)
    log["kprobe_profile"] += "  chunk_end    23    2\n"
    assert log.lost_events == 9
