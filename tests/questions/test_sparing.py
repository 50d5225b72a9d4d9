"""What q03 says follows from the runs that they are given."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from numalab.costs import Costs, with_costs
from numalab.questions import sparing
from numalab.report import tables
from numalab.stats import Crossing

BASE = "linux-7.2"


@pytest.fixture(scope="module")
def found():
    return sparing.runs(
        BASE,
        [0.0, 0.5, 1.0],
        memory_mb=64,
        vcpus=2,
        thp=False,
        placement="scattered",
        seconds=8,
        replicates=20,
        seed=1,
    )


def test_every_remedy_runs_on_the_base(found) -> None:
    assert [sparing.label(str(p)) for p in found["policy"].values] == [
        sparing.NONE,
        *(name.partition("+")[2] for name in sparing.names(BASE)[1:]),
    ]
    assert dict(found.sizes) == {"policy": 9, "pin_fraction": 3, "replicate": 20}


def test_what_is_spared(found) -> None:
    spared = sparing.spared(found, BASE)
    assert float(spared.sel(policy=BASE)) == 0
    assert float(spared.sel(policy=f"{BASE}+mbind")) == 1
    assert float(spared.sel(policy=f"{BASE}+late-notifier")) == 1
    assert float(spared.sel(policy=f"{BASE}+pinned-pte-filter")) == 0, "7.2 has the filter"


def test_a_dear_call_moves_the_crossing(found) -> None:
    def at(**costs: float) -> float:
        chosen = with_costs(Costs(), **costs)
        crossed = sparing.crossings(found, BASE, "pinned-per-page-notifier", chosen, 2)
        return crossed["typical"][0]

    nothing = dict.fromkeys(("remote_flush", "vcpu_interrupt", "notifier_call"), 0.0)
    assert at(**nothing) < at(**(nothing | {"notifier_call": 1e6}))


def test_tables_and_answers_are_plain_text(found) -> None:
    costs = Costs()
    crossed = {
        name: sparing.crossings(found, BASE, name, costs, 2)
        for name in ("pinned-per-page-notifier", "mbind")
    }
    assert tables.crossing_words(crossed["mbind"]["high"]) == "nowhere dearer"
    texts = [
        sparing.counts_table(found, 1.0),
        sparing.time_table(found, costs, 2, [0.5, 1.0]),
        sparing.crossing_table(crossed),
    ]
    assert all(len(line) <= 73 for text in texts for line in text.splitlines())
    assert sparing.built_table().count("sleepable context") == 8


def _answer(found, *crossed) -> str:
    at = {"pinned-per-page-notifier": {"typical": Crossing(*crossed)}}
    return sparing.answer(found, BASE, at)


def test_the_answer_names_who_spares_all_and_how_much_the_others(found) -> None:
    text = _answer(found, 0.5, 0.4, 0.6)
    assert (
        "is spared every zap by pinned-per-page-notifier, late-notifier, numa-range-flag, "
        "process-opt-out, mbind, one-node-cpuset. Spared in part or not at all: "
        "pinned-pte-filter 0 %, pinned-vma-mark 50 %. "
    ) in text
    kept = xr.where(found["policy"] == f"{BASE}+mbind", 0.25 * found.sel(policy=BASE), found)
    text = _answer(kept, 0.5, 0.4, 0.6)
    assert "process-opt-out, one-node-cpuset. Spared" in text
    assert "pinned-vma-mark 50 %, mbind 75 %. " in text


@pytest.mark.parametrize(
    ("crossed", "said"),
    [
        ((0.7, 0.6, np.inf), "beats | from a pinned fraction of 0.70 [0.60, never] on"),
        ((0.67, 0.6, 0.69, True), "beats | only up to a pinned fraction of 0.67 [0.60, 0.69]"),
        ((np.inf,) * 3, "never beats |"),
        ((-np.inf,) * 3, "is nowhere dearer than |"),
        ((-np.inf, -np.inf, -np.inf, True), "never beats |"),
        ((np.nan,) * 3, "beats | at some pinned fractions and not at others"),
    ],
)
def test_the_answer_says_where_notifying_each_page_is_cheaper(found, crossed, said) -> None:
    said = said.replace("|", "notifying the range")
    assert f"Notifying each page {said}, at typical costs" in _answer(found, *crossed)


def test_a_remedy_that_is_cheaper_below_a_fraction_is_said_to_be_so(found) -> None:
    """A base whose calls are dear where all is pinned, and the remedy's where nothing is."""
    calls = "notifier_calls"
    extra = xr.DataArray([-1.0, -0.5, 1.0], dims="pin_fraction")
    base, remedy = BASE, f"{BASE}+mbind"
    two = 0 * found.sel(policy=[base, remedy])
    two[calls] = 2e6 + 1e6 * extra * (two["policy"] == remedy) + 0 * two[calls]
    crossed = sparing.crossings(two, base, "mbind", Costs(), 2)
    assert tables.crossing_words(crossed["typical"]) == "only up to 0.67 [0.67, 0.67]"
    assert "only up to 0.67 [0.67, 0.67]" in sparing.crossing_table({"mbind": crossed})
