"""Notifications of recorded and simulated guests side by side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from numalab.catalog.guests import guest
from numalab.compare import notifications
from numalab.compare.by_notification import counts
from numalab.engine import simulate
from numalab.policy import get
from numalab.schema import WHYS
from numalab.units import PAGES_PER_MB

MB = 64


@pytest.fixture(scope="module")
def pair():
    w = guest(memory_mb=MB, vcpus=2, pin_fraction=1.0, thp=False, duration_ms=6000)
    one = simulate(w, get("linux-6.12"), seed=1, replicates=40)
    return w, one


def test_a_run_agrees_with_itself(pair) -> None:
    _, ds = pair
    found = notifications(ds, ds.isel(replicate=[0, 1]))
    assert float(found["same_ranges"]) == float(found["same_order"]) == 1.0
    assert float(found["same_calls"]) == 1.0
    assert bool(found["inside"].all())
    assert int(found["largest_scan"]) == MB * PAGES_PER_MB


def test_what_the_model_does_not_send_is_seen(pair) -> None:
    w, ds = pair
    ram = dataclasses.replace(w.vmas[0], size_mb=MB / 2)
    smaller = dataclasses.replace(w, vmas=(ram,))
    other = simulate(smaller, get("linux-6.12"), seed=1, replicates=2)
    found = notifications(ds, other)
    assert float(found["same_ranges"]) == float(found["same_calls"]) == 0.0
    assert float(found["same_order"]) == 0.0
    assert not bool(found["inside"].sel(count="scan_pages"))


def test_of_no_recorded_ranges_no_share_is_given(pair) -> None:
    _, ds = pair
    one = ds.isel(replicate=[0, 1])
    silent = one.assign(notify_why=xr.full_like(one["notify_why"], WHYS.index("migrate")))
    cells = [notifications(ds, recorded) for recorded in (silent, one)]
    assert np.isnan(float(cells[0]["same_ranges"]))
    assert float(cells[0]["same_calls"]) == 0.0


def test_every_count_of_a_run_is_there(pair) -> None:
    _, ds = pair
    found = counts(ds)
    assert found.dims == ("count", "replicate")
    assert found["count"].values.tolist() == ["scan_calls", "scan_pages", "migrate_calls"]
    calls, pages, migrations = found.isel(replicate=0).values
    assert pages == calls * MB * PAGES_PER_MB > 0
    assert migrations == 0  # all is pinned
