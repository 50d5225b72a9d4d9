"""Start-up and steady state add up to the whole run."""

from __future__ import annotations

import pytest

from numalab import sweep
from numalab.catalog.guests import guest
from numalab.fields import InputError

FIXED = {"memory_mb": 64, "vcpus": 2, "pin_fraction": 0.5, "thp": True, "away": True}


def test_the_start_and_the_minutes_after_it_are_the_whole_run() -> None:
    axes = {"policy": ["linux-6.12", "linux-7.2"]}
    start, steady, end = sweep.start_and_steady(
        guest, axes, minutes=(1, 3), fixed=FIXED, replicates=2, seed=3
    )
    whole = sweep.grid(guest, axes, fixed=FIXED | {"duration_ms": 180_000}, replicates=2, seed=3)
    assert end["zapped"].values.tolist() == whole["zapped"].values.tolist()
    assert (start["zapped"] + 2 * steady["zapped"]).values == pytest.approx(whole["zapped"].values)
    assert float(steady["zapped"].max()) > 0, "the two are told apart by something"


def test_a_start_that_is_not_before_the_end_is_refused() -> None:
    with pytest.raises(InputError, match="begin = 3: must be above 0 and below minutes = 3"):
        sweep.start_and_steady(guest, {}, minutes=(3, 3), fixed=FIXED)
