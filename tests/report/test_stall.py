"""The stall of q08 by hand: what its notebook makes of a list of notifications."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from numalab import costs
from numalab.units import PAGES_PER_MB

NOTEBOOK = Path(__file__).parents[2] / "notebooks/q08_how_long_is_the_stall.ipynb"


def _quantiles(calls, zapped, sev):
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"]]
    source = next(cell for cell in cells if "def quantiles(" in cell)
    counts = {"notifications": calls, "notified": np.ones(len(calls)), "zapped": zapped}
    ds = xr.Dataset(
        {
            f"{n}_per_{p}": (("replicate", p), [v])
            for n, v in counts.items()
            for p in ("scan", "minute")
        }
    )
    names = {"ds": ds, "vcpus": 5, "sev": sev, "costs": costs, "xr": xr}
    names["PAGES_PER_MB"] = PAGES_PER_MB
    exec(source, names)
    return names


def test_a_vcpu_stands_still_for_its_share_of_the_refaults_and_for_each_call():
    stall = _quantiles([2.0, 1.0, 1.0], [15.0, 3.0, 0.0], sev=False)["scan"]["stall_ms"]
    assert stall.sel(bound="typical").values == pytest.approx([0.00208, 0.0065, 0.0065])
    assert stall.sel(bound="high").values == pytest.approx([0.046, 0.218, 0.218])


def test_each_call_flushes_the_caches_of_a_sev_guest():
    plain, sev = (_quantiles([2.0], [15.0], sev=sev)["scan"]["stall_ms"] for sev in (False, True))
    assert (sev - plain).sel(bound="low").values == pytest.approx([0.6] * 3)


def test_no_minute_has_a_stall_of_more_than_a_minute():
    minute = _quantiles([1.0], [1e9], sev=False)["minute"]["stall_ms"]
    assert float(minute.max()) == 60_000


def test_no_scan_at_all_is_a_stall_of_nothing():
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        found = _quantiles([], [], sev=False)["scan"]
    assert float(found["stall_ms"].max()) == 0
