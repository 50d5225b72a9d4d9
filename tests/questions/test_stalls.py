"""The stall of a guest, from a list of notifications made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from numalab.catalog.guests import guest
from numalab.costs import Costs, with_costs
from numalab.engine import simulate
from numalab.policy import get
from numalab.questions import stalls


def _runs() -> xr.Dataset:
    """Two runs: scans 1 and 2 of the guest; a notification of another VMA; padding."""
    notes = {
        "notify_ms": [[1000.0, 1001.0, 61_000.0, 5.0], [2000.0, -1.0, -1.0, -1.0]],
        "notify_vma": [[0, 0, 0, 1], [0, -1, -1, -1]],
        "notify_why": [[0, 0, 0, 0], [0, -1, -1, -1]],
        "notify_chunk": [[0, 1, 2, 3], [0, -1, -1, -1]],
        "notify_pages": [[512, 256, 1024, 9], [100, -1, -1, -1]],
        "notify_zapped": [[10, 5, 3, 7], [0, -1, -1, -1]],
    }
    ds = xr.Dataset({k: (("replicate", "notify"), np.array(v)) for k, v in notes.items()})
    scans = np.array([[1, 1, 2, 2], [1, -1, -1, -1]])
    return ds.assign(chunk_scan=(("replicate", "chunk"), scans))


def test_notifications_are_grouped_by_scan() -> None:
    found = stalls.per_scan(_runs())
    assert found["replicate"].values.tolist() == [0, 0, 1]
    assert found["calls"].values.tolist() == [2, 1, 1]
    assert found["pages"].values.tolist() == [768, 1024, 100]
    assert found["zapped"].values.tolist() == [15, 3, 0]
    assert found["ms"].values.tolist() == [1000.0, 61_000.0, 2000.0]


def test_minutes_without_a_scan_count() -> None:
    found = stalls.per_minute(stalls.per_scan(_runs()), minutes=2, replicates=2)
    assert found["pages"].values.tolist() == [768, 1024, 100, 0]


def test_stall_by_hand() -> None:
    costs = with_costs(Costs(), refault=1000.0, vcpu_interrupt=500.0, cache_flush=1e6)
    scans = stalls.per_scan(_runs())
    found = stalls.stall(scans, costs, vcpus=5, sev=False)
    assert found.sel(bound="typical").values == pytest.approx([0.004, 0.0011, 0.0005])
    assert found.sel(bound="high").values == pytest.approx([0.016, 0.0035, 0.0005])
    flushed = stalls.stall(scans, costs, vcpus=5, sev=True) - found
    assert flushed.sel(bound="low").values == pytest.approx([2.0, 1.0, 1.0])


def test_quantiles_are_values_that_occurred() -> None:
    scans = stalls.per_scan(_runs())
    assert stalls.quantiles(scans["pages"]).values.tolist() == [768, 1024, 1024]
    assert stalls.quantiles(scans["pages"].isel(scan=[])).values.tolist() == [0, 0, 0]


def test_it_adds_up_to_what_a_run_counted() -> None:
    w = guest(memory_mb=64, vcpus=2, pin_fraction=0.5, thp=False, duration_ms=5000)
    ds = simulate(w, get("linux-7.2"), seed=1, replicates=2)
    scans, ram = stalls.per_scan(ds), ds.sel(vma="ram")
    for i in range(2):
        mine = scans.isel(scan=scans["replicate"].values == i)
        assert int(mine["calls"].sum()) == int(ram["notifier_calls"].sel(why="scan")[i]) > 0
        assert int(mine["pages"].sum()) == int(ram["notifier_pages"].sel(why="scan")[i])
        assert int(mine["zapped"].sum()) == int(ram["zapped"][i]) > 0
