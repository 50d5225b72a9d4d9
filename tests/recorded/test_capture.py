"""capture.py on short real recordings, one for each kernel generation."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from numalab import dataset
from numalab.fields import InputError
from numalab.recorded import capture, runlog
from numalab.workload_file import parse

ROOT = Path(__file__).parents[1] / "data" / "captures"
GENERATIONS = ("6.1", "6.12", "7.2")


@pytest.fixture(params=GENERATIONS)
def folder(request: pytest.FixtureRequest) -> Path:
    return ROOT / "short" / str(request.param)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "short" / "6.12", tmp_path / "6.12"))


def test_captures_lists_every_recording() -> None:
    found = [(name, generation) for name, generation, _ in capture.captures(ROOT)]
    assert found == [("short", generation) for generation in GENERATIONS]


def test_a_capture_keeps_the_schema_and_its_laws(folder: Path) -> None:
    ds = capture.open_capture(folder)
    dataset.check_invariants(ds)
    assert ds.attrs["source"] == "recorded"
    assert ds.attrs["kernel"].startswith(folder.name)
    assert ds.time.values[0] == 0
    assert ds.time.values[-1] == 2500
    for name in dataset.COUNTERS:
        assert int(ds[name].isel(time=0).max()) == 0
    assert dataset.provenance(ds)["lost_events"] == 0


def test_skips_are_there_where_the_kernel_traces_them(folder: Path) -> None:
    ds = capture.open_capture(folder)
    assert ("skips" in ds) == (folder.name != "6.1")
    if "skips" in ds:
        skips = ds.skips.isel(replicate=0)
        assert int(skips.sel(vma="image:guards", reason="inaccessible")) > 0
        assert int(skips.sel(reason="inaccessible").drop_sel(vma="image:guards").sum()) == 0


def test_the_chunk_table_agrees_with_the_sums(folder: Path) -> None:
    ds = capture.open_capture(folder).isel(replicate=0)
    owner = ds.chunk_vma.values.astype(int)
    pages = np.bincount(owner, weights=ds.chunk_pages.values, minlength=ds.sizes["vma"])
    np.testing.assert_array_equal(pages, ds.scan_pages.values)
    calls = np.bincount(owner, minlength=ds.sizes["vma"])
    np.testing.assert_array_equal(calls, ds.scan_calls.values)
    assert (np.diff(ds.chunk_scan.values) >= 0).all() or ds.sizes["task"] > 1
    assert int(ds.chunk_updated.sum()) <= int(ds.numa_pte_updates[-1]) + 64


def test_chunks_lie_inside_their_vma(folder: Path) -> None:
    workload = capture.workload_of(folder)
    ds = capture.open_capture(folder).isel(replicate=0)
    for vma in workload.vmas:
        mine = ds.chunk_vma.values == list(ds.vma.values).index(vma.name)
        ends = ds.chunk_start.values[mine] + ds.chunk_pages.values[mine]
        assert ends.size > 0
        assert ends.max() <= vma.pages * vma.count


def test_pages_are_where_the_workload_put_them(folder: Path) -> None:
    ds = capture.open_capture(folder).isel(replicate=0)
    on_node = ds.pages_on_node
    assert int(on_node.sel(vma="a").sum()) == 16 * 256
    assert int(on_node.sel(vma="a", node=1)) > 0.9 * 16 * 256  # its walker is on node 1
    assert int(on_node.sel(vma="huge").sum()) == 8 * 256
    assert int(on_node.sel(vma="pinned", node=0)) >= 2 * 256


def test_churn_mappings_are_found(folder: Path) -> None:
    ds = capture.open_capture(folder).isel(replicate=0)
    seen = int(ds.scan_calls.sel(vma="young"))
    if "skips" in ds:
        seen += int(ds.skips.sel(vma="young").sum())
    assert seen > 0


def test_setup_says_where_the_run_began(folder: Path) -> None:
    setup = capture.setup_of(folder)
    (process,) = setup.processes
    labels = {region.label for region in process.regions}
    assert {"a", "many", "pinned", "huge", "image:text", "image:guards"} <= labels
    assert process.forked_ms < setup.balancing_ms < 0
    assert [t.name for t in setup.threads] == ["t0", "t1", "young"]
    assert all(process.forked_ms <= t.created_ms < 0 for t in setup.threads)
    many = [r for r in process.regions if r.label == "many"]
    assert [r.pages_on_node for r in many] == [(0, 64)] * 4
    assert sorted(r.first_page for r in many) == [0, 64, 128, 192]


def test_the_speed_of_a_capture_was_measured(folder: Path) -> None:
    speed = capture.speed_of(folder)
    assert speed == capture.workload_of(folder).machine.speed
    assert speed.touch_walk_ns > 0


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "run0.log.gz").unlink()
    with pytest.raises(InputError, match=r"run0\.log\.gz: No such file.*record again"):
        capture.open_capture(copy)


def test_an_altered_file_is_named(copy: Path) -> None:
    path = copy / "run0.log.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"run0\.log\.gz: altered or truncated"):
        capture.open_capture(copy)


def test_a_folder_without_manifest_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.toml: missing"):
        capture.open_capture(tmp_path)


def test_a_manifest_that_is_not_toml_is_named(copy: Path) -> None:
    (copy / "manifest.toml").write_text("format = [")
    with pytest.raises(InputError, match=r"manifest\.toml: cannot be read"):
        capture.open_capture(copy)


def test_a_capture_without_calibration_has_no_speed(copy: Path) -> None:
    path = copy / "manifest.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x for x in lines if not x.startswith('"calibration')) + "\n")
    with pytest.raises(InputError, match="no calibration"):
        capture.speed_of(copy)
    assert capture.open_capture(copy).sizes["replicate"] == 1


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.9999])
def test_a_log_that_is_cut_anywhere_is_refused(share: float) -> None:
    text = capture.log_of(ROOT / "short" / "6.12")
    workload = capture.workload_of(ROOT / "short" / "6.12")
    with pytest.raises(InputError, match=r"cut or damaged|not a run log"):
        capture.parse_run(text[: int(len(text) * share)], workload)


def test_a_log_of_another_workload_is_refused() -> None:
    text = capture.log_of(ROOT / "short" / "6.12")
    other = parse('[workload]\nname = "other"\n[[task]]\nname = "t"\n')
    with pytest.raises(InputError, match="of workload 'short', not 'other'"):
        capture.parse_run(text, other)


def test_a_log_without_a_section_is_refused() -> None:
    text = capture.log_of(ROOT / "short" / "6.12").replace(" samples\n", " simples\n")
    with pytest.raises(InputError, match="damaged"):
        capture.parse_run(text, capture.workload_of(ROOT / "short" / "6.12"))


def test_lost_trace_events_are_counted() -> None:
    facts = runlog.sections(capture.log_of(ROOT / "short" / "6.12"))
    assert runlog.lost_events(facts) == 0
    facts["trace_stats 0"] = facts["trace_stats 0"].replace("overrun: 0", "overrun: 7", 1)
    facts["kprobe_profile"] += "  chunk_end    23    2\n"
    assert runlog.lost_events(facts) == 9


def test_a_log_that_is_not_gzip_is_named(copy: Path) -> None:
    data = gzip.decompress((copy / "run0.log.gz").read_bytes())
    (copy / "run0.log.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"run0\.log\.gz: altered"):
        capture.log_of(copy)


def test_a_run_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="run 5: the recording has 1 runs"):
        capture.log_of(ROOT / "short" / "6.12", 5)
