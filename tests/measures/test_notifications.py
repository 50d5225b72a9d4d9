"""What a guest is notified of, on a run made by hand and on simulated ones."""

from __future__ import annotations

import dataclasses

import pytest

from numalab import dataset, measures
from numalab.catalog.guests import gpu_process, guest
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.policy import get
from tests.measures.hand_made import run_of

GUEST = guest(memory_mb=64, vcpus=2, pin_fraction=0.5, thp=False, duration_ms=150_000)


@pytest.fixture
def run():
    """Scans 5 and 7 of the guest; a migration; another mapping; padding; one after the end."""
    return run_of(
        GUEST,
        chunk_scan=[5, 5, 7, 9],
        notify_ms=[1000.0, 1001.0, 61_000.0, 61_500.0, 5.0, 150_001.0, -1.0],
        notify_vma=[0, 0, 0, 0, 1, 0, -1],
        notify_why=[0, 0, 0, 1, 0, 0, -1],
        notify_chunk=[0, 1, 2, -1, 3, 3, -1],
        notify_start=[0, 512, 0, 8, 0, 0, -1],
        notify_pages=[512, 256, 1024, 1, 9, 50, -1],
        notify_zapped=[10, 5, 3, 1, 7, 0, -1],
    )


def test_notifications_are_added_up_by_scan(run) -> None:
    found = measures.notified_per_scan(run)
    assert {name: da.values.tolist() for name, da in found.items()} == {
        "sent_ms": [1000, 61_000, 150_001],
        "notifications_per_scan": [2, 1, 1],
        "notified_per_scan": [768, 1024, 50],
        "zapped_per_scan": [15, 3, 0],
    }
    assert found["sent_ms"]["scan"].values.tolist() == [1, 2, 3]
    assert measures.largest_scan(run) == {"largest_scan": 1024}
    assert measures.largest_scan(run.isel(notify=slice(6, 7))) == {"largest_scan": 0}


def test_each_run_is_measured_by_itself(run) -> None:
    second = run.isel(notify=slice(2, None))  # its first scan notified nothing
    both = dataset.concat([run, second])
    found = measures.each_run(both, measures.notified_per_scan, measures.largest_scan)
    assert found["notified_per_scan"].dims == ("replicate", "scan")
    assert found["notified_per_scan"].values[0].tolist() == [768, 1024, 50]
    assert found["notified_per_scan"].values[1, :2].tolist() == [1024, 50]
    assert found["notified_per_scan"].isnull().sum() == 1  # the second run is shorter
    assert found["largest_scan"].values.tolist() == [1024, 1024]


def test_another_mapping_is_asked_for_by_name(run) -> None:
    found = measures.notified_per_scan(run, vma="image:heap")
    assert found["notified_per_scan"].values.tolist() == [9]
    with pytest.raises(InputError, match=r"vma = 'rom': the run has ram$"):
        measures.notified_per_scan(run, vma="rom")


def test_whole_minutes_are_counted_and_those_without_a_scan_too(run) -> None:
    found = measures.notified_per_minute(run)
    assert found["notified_per_minute"].values.tolist() == [768, 1024]
    assert found["notifications_per_minute"]["minute"].values.tolist() == [1, 2]
    assert found["zapped_per_minute"].values.tolist() == [15, 3]  # not those of migrations


def test_what_comes_after_the_end_counts_in_a_last_period_that_is_whole(run) -> None:
    halves = measures.notified_per_minute(run, minutes=1.25)["notified_per_minute"]
    assert halves.values.tolist() == [1792, 50]
    assert halves["minute"].values.tolist() == [1.25, 2.5]


def test_a_run_of_any_length_has_two_halves() -> None:
    for seconds in range(1, 400):
        w = dataclasses.replace(GUEST, duration_ms=1000 * seconds)
        sent = [499.0 * seconds, 501.0 * seconds, 999.9 * seconds, 1000.0 * seconds]
        table = dict.fromkeys(("notify_vma", "notify_why", "notify_zapped"), [0] * 4)
        run = run_of(w, notify_ms=sent, notify_pages=[1, 2, 4, 8], **table)
        assert measures.notified_halves(run) == {"first_half": 1, "second_half": 14}, seconds


def test_a_run_that_is_shorter_than_a_minute_has_none(run) -> None:
    found = measures.notified_per_minute(run, minutes=2.51)
    assert {name: da.shape for name, da in found.items()} == {
        "notifications_per_minute": (0,),
        "notified_per_minute": (0,),
        "zapped_per_minute": (0,),
    }


def test_the_longest_range_of_each_scan_and_what_was_marked_in_it(run) -> None:
    more = run_of(
        GUEST,
        chunk_scan=[5, 5, 7],
        chunk_pages=[512, 1024, 1024],
        chunk_updated=[10, 64, 0],
        notify_ms=[1000.0, 1001.0, 61_000.0],
        notify_vma=[0, 0, 0],
        notify_why=[0, 0, 0],
        notify_chunk=[0, 1, 2],
        notify_pages=[256, 512, 1024],
    )
    found = measures.longest_range(more)
    assert found["range_pages"].values.tolist() == [512, 1024]
    assert found["range_marked"].values.tolist() == [32, 0]
    late = measures.longest_range(more, since_ms=2000)
    assert late["range_pages"].values.tolist() == [1024]
    assert measures.notified_per_scan(run, since_ms=2000)["notified_per_scan"].values.tolist() == [
        1024,
        50,
    ]


def test_a_gpu_stands_still_once_for_what_meets_queues_that_are_out() -> None:
    gpu = gpu_process(memory_mb=64, threads=2, registered=0.5, duration_ms=500)
    gpu = dataclasses.replace(gpu, sample_ms=250)
    assert [v.subscriber for v in gpu.vmas][:2] == ["gpu", "none"]
    run = run_of(
        gpu,
        notify_ms=[100.0, 104.0, 111.0, 300.0],
        notify_vma=[0, 0, 0, 1],
        notify_why=[0, 0, 0, 0],
        notifier_calls=[[3, 0, 0], [1, 0, 0], [0, 0, 0]],
        numa_pages_migrated=[0, 0, 0],
        pgmigrate_success=[0, 0, 0],
    )
    found = measures.standing(run, lengths_ms=[1, 10, 1000])["standing_s"]
    assert found["length_ms"].values.tolist() == [1, 10, 1000]
    assert found.values == pytest.approx([3 * 0.001, 2 * 0.01, 0.5]), "never longer than the run"


def test_ranges_are_in_order(run) -> None:
    assert measures.notified_ranges(run) == ((0, 512), (512, 256), (0, 1024), (0, 50))


def test_a_recording_counts_no_zapped_entries(run) -> None:
    recorded = run.drop_vars("notify_zapped")
    assert "zapped_per_scan" not in measures.notified_per_scan(recorded)
    assert "zapped_per_minute" not in measures.notified_per_minute(recorded)
    with pytest.raises(InputError, match="does not hold notify_pages"):
        measures.notified_per_scan(run.drop_vars("notify_pages"))


def test_it_adds_up_to_what_a_run_counted() -> None:
    w = guest(memory_mb=64, vcpus=2, pin_fraction=0.5, thp=False, duration_ms=5000)
    run = simulate(w, get("linux-7.2"), seed=1).isel(replicate=0)
    ram, found = run.sel(vma="ram"), measures.notified_per_scan(run)
    calls, pages = (int(ram[f"notifier_{n}"].sel(why="scan")) for n in ("calls", "pages"))
    assert int(found["notifications_per_scan"].sum()) == calls > 0
    assert int(found["notified_per_scan"].sum()) == pages
    assert int(found["zapped_per_scan"].sum()) == int(ram["zapped"]) > 0
    assert sum(n for _, n in measures.notified_ranges(run)) == pages
    minute = measures.notified_per_minute(run, minutes=5 / 60)
    assert int(minute["notified_per_minute"].sum()) == pages
