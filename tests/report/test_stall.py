"""The stall of q08 by hand: what its notebook makes of scans, at costs that are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from numalab import costs
from numalab.units import HPAGE_PMD_NR, PAGES_PER_MB

NOTEBOOK = Path(__file__).parents[2] / "notebooks/q08_how_long_is_the_stall.ipynb"
KNOWN = {"pte_update": 1000.0, "scan_page": 10.0, "range_wait": 0.5, "vcpu_interrupt": 2000.0}
KNOWN |= {"refault": 500.0, "refault_crowded": 9000.0, "cache_flush": 1e6}


def _stall(share, *, sev=False, thp=False, **scans):
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"]]
    source = next(cell for cell in cells if "def stall(" in cell)
    source = source[source.index("def stall(") : source.index("usual, worst")]
    each = xr.Dataset({name: ("draw", [ns, 2 * ns]) for name, ns in KNOWN.items()})
    names = {"each": each, "vcpus": 4, "sev": sev, "thp": thp, "refault": costs.refault, "xr": xr}
    names |= {"PAGES_PER_MB": PAGES_PER_MB, "HPAGE_PMD_NR": HPAGE_PMD_NR}
    exec(source, names)
    ds = xr.Dataset({n: (("replicate", "scan"), [np.array(v, float)]) for n, v in scans.items()})
    return names["stall"](ds, share).isel(draw=0)


SCANS = {"range_pages": [0, 1000], "range_marked": [0, 100]}
SCANS |= {
    "notifications_per_scan": [1, 8],
    "notified_per_scan": [256, 8000],
    "zapped_per_scan": [0, 400],
}


def test_a_pause_lasts_for_half_of_the_walk_of_one_range_and_an_interrupt() -> None:
    found = _stall(1.0, **SCANS)
    assert float(found["pause"]) == pytest.approx((0.5 * (100 * 1000 + 1000 * 10) + 2000) / 1e6)
    assert float(_stall(0.0, **SCANS)["pause"]) == pytest.approx(2000 / 1e6)


def test_vcpus_share_the_refaults() -> None:
    found = _stall(1.0, **SCANS)
    assert float(found["refault"]) == pytest.approx(400 * 500 / 4 / 1e6)
    assert (float(found["MB"]), float(found["zapped"])) == (8000 / PAGES_PER_MB, 400)


def test_each_call_stops_a_vcpu_of_a_sev_guest_for_a_cache_flush() -> None:
    plain, sev = (_stall(1.0, sev=sev, **SCANS)["pause"] for sev in (False, True))
    assert float(sev - plain) == pytest.approx(1.0)


def test_a_huge_folio_is_one_entry() -> None:
    marked = SCANS | {"range_marked": [0, 2 * HPAGE_PMD_NR]}
    found = _stall(1.0, thp=True, **marked)
    assert float(found["pause"]) == pytest.approx((0.5 * (2 * 1000 + 1000 * 10) + 2000) / 1e6)
