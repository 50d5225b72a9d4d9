"""Quantities of runs: by hand from the tables of events, and the same as the counters say."""

import json
from pathlib import Path

import numpy as np
import pytest

from numalab import measures
from numalab.captures import open_recording
from numalab.interactive import load, replace, simulate
from numalab.report import summary
from numalab.report.answers import answers, of_tasks, scan_times, skips
from numalab.report.notes import notes
from numalab.workload_file import parse

HOT = """
[workload]
name = "hot"
duration_ms = 20000
[machine]
cpus_per_node = 4
memory_mb = 512
[[vma]]
name = "a"
size_mb = 64
[[task]]
name = "t"
count = 8
cpus = [0, 1, 2, 3, 4, 5, 6, 7]
[[task.access]]
vma = "a"
pattern = "hot"
pages_per_s = 5000
"""


@pytest.fixture(scope="module")
def walkers():
    return simulate(load("data/workloads/private-converge.toml"), "linux-7.2", replicates=3)


def test_quantities_are_those_of_the_tables(walkers):
    found = answers(walkers)
    for i in range(3):
        run = walkers.isel(replicate=i)
        live = run["chunk_pages"].values >= 0
        pages, marked = run["chunk_pages"].values[live], run["chunk_updated"].values[live]
        assert found["scans"][i] == measures.scans(run)["scans"]
        assert found["walked_mb"][i] == pages.sum() / 256
        assert found["walked_in_vain_mb"][i] == pages[marked == 0].sum() / 256
        assert found["marked_mb"][i] == marked.sum() / 256
    faults = found["hint_faults_local"] + found["hint_faults_remote"]
    assert (faults == walkers["numa_hint_faults"].isel(time=-1)).all()
    assert all(da.attrs["units"] and da.attrs["long_name"] for da in found.values())
    tasks = of_tasks(walkers)
    assert (tasks["scans"].sum("task") == found["scans"]).all()


def test_a_scan_takes_what_the_speed_of_the_machine_says(walkers):
    """Two regions of 96 MB are marked in one scan or two: a marked page takes 150 ns."""
    run, speed = walkers.isel(replicate=0), load("data/workloads/thp.toml").machine.speed
    times = scan_times(run)
    each = measures.each_scan(run, most=len(times))
    least = speed.pte_update_ns + speed.scan_page_ns
    marked = run["chunk_updated"].values.clip(0).sum()
    assert times.sum() * 1e6 == pytest.approx(marked * least, rel=0.02)
    assert len(times) == np.isfinite(each["scan_ms"]).sum()
    assert (times > 0).all()


def test_skips_are_those_of_the_dataset_most_first(walkers):
    found = skips(walkers)
    medians = [float(np.median(times)) for _, _, times in found]
    assert medians == sorted(medians, reverse=True)
    assert sum(times.sum() for _, _, times in found) == int(walkers["skips"].sum())


def test_evictions_while_the_queues_are_out_are_one(walkers):
    gpu = replace(load("data/workloads/private-converge.toml"), duration_ms=6000)
    gpu = replace(gpu, vmas=[replace(vma, subscriber="gpu") for vma in gpu.vmas])
    run = simulate(gpu, "linux-6.1").isel(replicate=0)
    scans, every = int((run["notify_vma"] < 2).sum()), int(run["evictions"].sum())
    assert every > scans > 2, "most are sent by migrations"
    found = {ms: measures.evictions(run, restore_ms=ms)["evictions"] for ms in (1e-6, 7.5, 1e9)}
    assert every - scans < found[1e-6] <= every
    assert scans < found[7.5] < every
    assert found[7.5] <= scans + 6000 / 7.5 + 24
    assert found[1e9] == 1 + int((np.diff(run["numa_pages_migrated"].values) > 0).sum())
    bound = replace(gpu, vmas=[gpu.vmas[0]], tasks=[gpu.tasks[0]])
    still = simulate(bound, "linux-6.1").isel(replicate=0)
    at = still["notify_ms"].values[still["notify_vma"].values == 0]
    assert int(still["evictions"].sum()) == at.size > 2
    assert measures.evictions(still, restore_ms=1e9)["evictions"] == 1
    assert measures.evictions(still, restore_ms=1e-6)["evictions"] == np.unique(at).size


def test_the_lines_fit_a_terminal_and_two_calls_agree(walkers):
    text = summary.lines(walkers, [])
    assert text == summary.lines(walkers, [])
    assert text.startswith("simulated as linux-7.2 (3 runs): private-converge, 12 s\n")
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("version", ["6.1", "6.12", "7.2"])
def test_a_recording_is_printed_as_far_as_it_goes(version):
    ds = open_recording(Path(f"tests/data/captures/short/{version}")).dataset()
    found = answers(ds)
    assert "scan_ms_max" not in found, "a recording holds when a chunk began, and no more"
    assert found["marked_mb"].values == ds["numa_pte_updates"].isel(time=-1).values / 256
    assert summary.lines(ds, []).startswith(f"recorded on {version}.")
    known = json.loads(summary.as_json(ds, []))
    assert known["quantities"]["scans"]["values"] == found["scans"].values.tolist()


def test_a_rate_that_is_too_low_for_a_scan_is_said():
    found = notes(simulate(parse(HOT)))
    assert len(found) == 1
    assert found[0].startswith('process "main" was never scanned: a thread needs scan_delay_ms')
    assert "pages_per_s sets it" in found[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[machine]", "[tunables]\nnuma_balancing = 0\n[machine]", "scanned: numa_balancing = 0"),
        ("[machine]", "[tunables]\nnuma_balancing = 0\nscan_size_mb = 64\n[machine]",
         "scan_size_mb changes nothing: numa_balancing = 0"),
        ('pattern = "hot"', "hot_share = 0.5", 'hot_share changes nothing: pattern = "walk"'),
        ("size_mb = 64", 'size_mb = 64\npin_placement = "scattered"', "pinned_fraction = 0"),
        ("pages_per_s = 5000", "start_ms = 30000", "starts at 30000 ms"),
        ("pages_per_s = 5000", "start_ms = 30000", "never ran: t1, t2, t3, t4 and 3 more"),
        ("pages_per_s = 5000", '[[task]]\nname = "idle"', "no [[task.access]]"),
    ],
)  # fmt: skip
def test_what_changes_nothing_or_does_not_happen_is_named(old, new, message):
    assert old in HOT
    found = notes(simulate(parse(HOT.replace(old, new))))
    assert any(message in one for one in found), found


def test_a_run_that_ends_before_its_first_pass_says_so(walkers):
    w = load("data/workloads/private-converge.toml")
    slow = replace(w, duration_ms=1500, tunables=replace(w.tunables, scan_size_mb=16))
    found = notes(simulate(slow, replicates=2))
    assert any("2 of 2 runs ended, after 1.5 s, before its first pass did" in n for n in found)
    assert not notes(walkers)
