"""What scans walked and left out, on a run made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from numalab import measures
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.policy import get
from tests.measures.hand_made import run_of

LIVES = lifetimes(scan_delay_ms=1000, vma_lifetime_ms=500, pin_fraction=0, duration_ms=10_000)
"""Mappings old, short_lived0, short_lived1; the last two come and go."""


@pytest.fixture
def run():
    """Scan 1 walks old twice, scan 3 short_lived1 and the heap; the table is padded."""
    return run_of(
        LIVES,
        scan_pages=[512, 0, 256, 100],
        chunk_ms=[1000.0, 1001.0, 4000.0, 4002.0, -1.0],
        chunk_scan=[1, 1, 3, 3, -1],
        chunk_vma=[0, 0, 2, 3, -1],
        chunk_pages=[256, 256, 256, 100, -1],
        chunk_updated=[10, 20, 5, 1, -1],
        skips=[[3, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0], [0] * 7, [4, 0, 0, 0, 0, 0, 0]],
    )


def test_memory_walked_is_told_apart_by_how_long_it_lives(run) -> None:
    assert measures.walked(run) == {"walked_mb": 3.0, "walked_short_lived_mb": 1.0}


def test_chunks_of_a_scan_are_added_up(run) -> None:
    assert measures.scans(run) == {"scans": 2, "walked_per_scan": 434.0}
    found = measures.each_scan(run, most=3)
    assert found["scan_ms"].values[:2].tolist() == [1000, 4000]
    assert found["scan_pages"].values[:2].tolist() == [512, 356]
    assert found["scan_pages"]["scan"].values.tolist() == [1, 2, 3]
    assert np.isnan(found["scan_ms"].values[2]) and np.isnan(found["scan_pages"].values[2])
    assert measures.each_scan(run, most=1)["scan_pages"].values.tolist() == [512]


def test_a_run_without_a_scan_has_none(run) -> None:
    empty = run.isel(chunk=slice(4, 5))
    assert measures.scans(empty)["scans"] == 0
    assert np.isnan(measures.scans(empty)["walked_per_scan"])
    assert np.isnan(measures.each_scan(empty)["scan_ms"]).all()


@pytest.mark.parametrize(
    ("since_ms", "waits", "share"),
    [
        (0.0, [1000, np.inf, 4000], 1 / 3),
        (1000.5, [0.5, np.inf, 2999.5], 1 / 3),
        (-6000.0, [np.inf, np.inf, 0], 2 / 3),
    ],
)
def test_the_first_scan_is_counted_from_a_moment_or_from_the_end(run, since_ms, waits, share):
    found = measures.first_scan(run, since_ms=since_ms)
    assert found["first_scan_ms"].values.tolist() == waits
    assert found["unscanned_share"] == pytest.approx(share)


def test_mappings_are_chosen_by_the_beginning_of_their_name(run) -> None:
    found = measures.first_scan(run, prefix="short")["first_scan_ms"]
    assert found["vma"].values.tolist() == ["short_lived0", "short_lived1"]


def test_what_a_run_does_not_hold_is_named_in_one_line(run) -> None:
    with pytest.raises(
        InputError, match=r"^the run \(simulated on linux-7.2\) does not hold scan_pages$"
    ):
        measures.walked(run.drop_vars("scan_pages"))
    with pytest.raises(InputError, match="a measure takes one run"):
        measures.scans(run.expand_dims(replicate=2))
    cut = run.assign_attrs(provenance=run.attrs["provenance"][:-1] + ', "chunks_dropped": 7}')
    with pytest.raises(InputError, match="7 events of the run are not in its table of chunks"):
        measures.scans(cut)


def test_the_workload_of_a_run_is_read_back() -> None:
    ds = simulate(LIVES, get("linux-7.2"))
    assert measures.workload_of(ds) == LIVES
    named = ds.assign_attrs(provenance='{"workload": "lifetimes"}')
    with pytest.raises(InputError, match=r"does not hold its workload \(lifetimes\)"):
        measures.workload_of(named)


def test_measures_of_a_simulated_run_agree_with_its_counters() -> None:
    run = simulate(LIVES, get("linux-6.1"), seed=2).isel(replicate=0)
    found = measures.walked(run)
    own = run["chunk_vma"].isin(np.arange(3))
    walked_mb = float(run["chunk_pages"].where(own).sum()) / 256
    assert found["walked_mb"] == pytest.approx(walked_mb)
    assert found["walked_mb"] > found["walked_short_lived_mb"] > 0
    marked = int(run["chunk_updated"].where(own, 0).sum())
    assert int(run["numa_pte_updates"][-1]) >= marked > 0
