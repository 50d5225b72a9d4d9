"""q11: the points of a design become workloads, and what decides nothing has no share."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from numalab import stats
from numalab.engine import Start
from numalab.fields import InputError
from numalab.policy import get
from numalab.questions import knobs
from numalab.report import figures_knobs, tables
from numalab.totals import NAMES, run_totals
from numalab.tunables import Tunables


def test_knobs_range_over_factors_of_their_defaults() -> None:
    default = Tunables()
    for name in knobs.KNOBS:
        low, high = knobs.RANGES[name]
        assert (low, high) == (getattr(default, name) / 4, getattr(default, name) * 4), name
    assert knobs.RANGES["vma_lifetime_ms"] == (250, 4000)
    assert knobs.RANGES["pin_fraction"] == (0, 1)


def test_the_process_is_larger_than_the_largest_scan() -> None:
    design = stats.morris_design(knobs.scaled(knobs.RANGES), trajectories=8)
    w = knobs._workload(seconds=2, **{name: float(design[name][0]) for name in knobs.RANGES})
    held = sum(v.size_mb for v in (*w.vmas, *w.churns))
    assert held == 1536 > knobs.RANGES["scan_size_mb"][1]


def test_a_point_is_run_with_its_values() -> None:
    design = stats.morris_design(knobs.scaled(knobs.RANGES), trajectories=8, seed=3)
    found = knobs.evaluated(design, "linux-7.2", seconds=2, replicates=2, seed=5)
    point = {name: float(design[name][4]) for name in knobs.RANGES}
    w = knobs._workload(seconds=2, **point)
    assert w.tunables.scan_size_mb == round(2 ** point["scan_size_mb"])
    assert w.tunables.scan_delay_ms == round(2 ** point["scan_delay_ms"])
    assert w.vmas[0].pinned_fraction == point["pin_fraction"]
    assert w.churns[0].lifetime_ms == 2 ** point["vma_lifetime_ms"]
    counts = run_totals(Start(workload=w), get("linux-7.2"), seed=5, replicates=range(2)).mean(
        axis=0
    )
    for name in knobs.RESPONSES:
        assert float(found[name][4]) == np.log2(1 + counts[NAMES.index(name)])


def test_indices_name_what_decides() -> None:
    found = knobs.indices(
        ["linux-6.1"], n=16, trajectories=8, seconds=10, replicates=2, seed=1
    )  # fmt: skip
    assert found["ST"].dims == ("policy", "response", "parameter")
    calls = found.sel(policy="linux-6.1", response="notifier_calls")
    assert float(calls["mu"].sel(parameter="scan_size_mb")) < 0
    # no scan of ten seconds backs off for long: next to no influence
    st = calls["ST"]
    assert float(st.sel(parameter="scan_period_max_ms")) < 0.2 * float(st.max())
    assert found["range"].sel(parameter="scan_period_max_ms").item() == "15k..240k"
    said = knobs.setting(found)
    assert (
        "a process of 1536 MB" in said
        and "128 points, and 56 for the directions, of 2 runs of 10 s" in said
    )
    figure = figures_knobs.knobs_page(found, knobs.RESPONSES, knobs.KNOBS)
    assert "95 % intervals, n = 16 base samples, each point the mean of 2 runs" in (
        figure.get_supxlabel()
    )
    plt.close(figure)
    text = knobs.table(found, "linux-6.1")
    assert max(map(len, text.splitlines())) <= tables.WIDTH
    first = calls.isel(parameter=slice(4)).sortby("ST").isel(parameter=-1)
    per_cent = f"{100 * float(first['ST']):.0f} +-{100 * float(first['ST_conf']):.0f} %"
    answer = knobs.answer(found)
    assert answer.isascii()
    assert f"for notifier calls {first['parameter'].item()} ({per_cent}, fewer)" in answer


def test_a_range_in_factors_begins_above_zero() -> None:
    with pytest.raises(InputError, match=r"scan_size_mb = 0 \.\. 8"):
        knobs.scaled({"scan_size_mb": (0, 8)})
    assert knobs.scaled({"pin_fraction": (0, 1), "scan_size_mb": (1, 8)}) == {
        "pin_fraction": (0, 1),
        "scan_size_mb": (0.0, 3.0),
    }


def test_chance_is_what_another_seed_brings() -> None:
    """The variance over seeds, as a share of the variance over points; within a factor of 2."""
    design = stats.sobol_design(knobs.scaled(knobs.RANGES), n=16, seed=3)[:32]
    runs = [
        knobs.evaluated(design, "linux-6.1", seconds=20, replicates=4, seed=s) for s in range(12)
    ]
    for i, name in enumerate(knobs.RESPONSES):
        counts = np.array([run[name].values for run in runs])
        between = counts.var(axis=0, ddof=1).mean() / counts.var(axis=1).mean()
        said = np.mean([float(run["chance"][i]) for run in runs])
        assert 0.5 < said / between < 2, name


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"policies": []}, r"policies = \[\]"),
        ({"policies": ["linux-6.1"] * 2}, "policies: .* twice"),
        ({"replicates": 1}, "replicates = 1"),
        ({"seed": -1}, "root_seed = -1"),
        ({"seconds": 0.1}, "numa_pte_updates under linux-6.1: the same at all points"),
    ],
)
def test_what_cannot_be_analysed_is_refused(what, message) -> None:
    asked = {"policies": ["linux-6.1"], "seconds": 1.0, "replicates": 2, "seed": 0} | what
    with pytest.raises(InputError, match=message):
        knobs.indices(asked.pop("policies"), n=16, trajectories=8, **asked)


HAND = {  # parameter: ST, half width, mu for each response; mu_star is 1
    "scan_delay_ms": ((0.20, 0.03, -0.9), (0.32, 0.05, -0.7), (0.02, 0.01, 1.0), (0.10, 0.02, 0)),
    "scan_period_min_ms": (
        (0.36, 0.06, -1.0), (0.30, 0.05, 0.9), (0.01, 0.01, 1.0), (0.11, 0.02, 0),
    ),
    "scan_period_max_ms": ((0.04, 0.01, 0.1), (0.21, 0.05, 1.0), (0, 0, 1.0), (0.05, 0.01, 0)),
    "scan_size_mb": ((0.29, 0.02, 1.0), (0.08, 0.02, -1.0), (0.03, 0.01, 1.0), (0.83, 0.10, -1.0)),
    "vma_lifetime_ms": ((0.02, 0.01, 1.0), (0.50, 0.05, 0.2), (0.68, 0.09, -0.3), (0, 0, -1.0)),
    "pin_fraction": ((0.45, 0.04, -0.9), (0.70, 0.12, 0.9), (0.31, 0.04, -1.0), (0.9, 0.2, -1)),
}  # fmt: skip


@pytest.fixture
def by_hand() -> xr.Dataset:
    """One policy with indices that are written down."""
    cells = np.array(list(HAND.values()), dtype=np.float64)[np.newaxis]
    over = ("policy", "parameter", "response")
    data = {name: (over, cells[..., i]) for i, name in enumerate(("ST", "ST_conf", "mu"))}
    data["mu_star"] = (over, np.ones(cells.shape[:-1]))
    data["chance"] = (("policy", "response"), np.array([[0.03, 0.02, 0.03, 0.04]]))
    coords = {"policy": ["k"], "parameter": list(HAND), "response": list(knobs.RESPONSES)}
    return xr.Dataset(data, coords | {"range": ("parameter", ["1..2"] * len(HAND))})


def test_the_answer_ranks_knobs_then_what_outweighs_them(by_hand) -> None:
    assert knobs.answer(by_hand).startswith(
        "Of the four knobs, the first is: under k, "
        "for PTE updates scan_period_min_ms (36 +-6 %, fewer) or scan_size_mb (29 +-2 %, more), "
        "for hint faults scan_delay_ms (32 +-5 %) or scan_period_min_ms (30 +-5 %, more), "
        "for pages migrated none above chance, "
        "for notifier calls scan_size_mb (83 +-10 %, fewer). "
        "The workload outweighs every knob: under k, "
        "for hint faults pin_fraction (70 +-12 %, more) and vma_lifetime_ms (50 +-5 %), "
        "for pages migrated vma_lifetime_ms (68 +-9 %) and pin_fraction (31 +-4 %, fewer). "
        "In brackets: "
    )
    assert "Chance alone brings up to 4.0 %." in knobs.answer(by_hand)


def test_an_interval_that_just_reaches_the_first_makes_a_rival(by_hand) -> None:
    at = by_hand.sel(policy="k", response="numa_hint_faults")
    assert knobs._first_knobs(at) == ["scan_delay_ms", "scan_period_min_ms"]
    wider = at.assign(ST_conf=at["ST_conf"] + 0.005)
    assert knobs._first_knobs(wider)[2:] == ["scan_period_max_ms"]


def test_a_workload_that_outweighs_nothing_is_said(by_hand) -> None:
    light = by_hand.assign(ST=by_hand["ST"].where(by_hand["parameter"].isin(knobs.KNOBS), 0.0))
    assert "The workload outweighs every knob: under k, nowhere. " in knobs.answer(light)


@pytest.mark.parametrize(("points", "told"), [(0.04, False), (0.06, True)])
def test_hint_faults_are_left_out_only_where_they_follow_pte_updates(by_hand, points, told) -> None:
    at = {"response": by_hand["response"].isin(["numa_pte_updates", "numa_hint_faults"])}
    like = by_hand.copy(deep=True)
    like["ST"] = xr.where(
        at["response"], by_hand["ST"].sel(response="numa_pte_updates"), like["ST"]
    )
    lone = (like["response"] == "numa_hint_faults") & (like["parameter"] == "scan_size_mb")
    said = knobs.answer(like.assign(ST=like["ST"] + points * lone))
    assert ("for hint faults scan_" in said) == told
    assert ("left out: their indices differ from those of PTE updates by at most 4" in said) != told


def test_what_is_not_above_chance_outweighs_nothing(by_hand) -> None:
    """2 % over knobs of 1 %, without spread, where chance brings 3 %."""
    pin = by_hand["parameter"] == "pin_fraction"
    faint = by_hand.assign(
        ST=xr.where(pin, 0.02, 0.01).broadcast_like(by_hand["ST"]), ST_conf=by_hand["ST_conf"] * 0
    )
    loud, quiet = (faint.assign(chance=by_hand["chance"] * 0 + x) for x in (0.03, 0.015))
    assert "every knob: under k, nowhere. " in knobs.answer(loud)
    assert "every knob: under k, for PTE updates pin_fraction (2 +-0 %" in knobs.answer(quiet)


def test_the_table_gives_ranges_indices_and_directions(by_hand) -> None:
    assert knobs.table(by_hand, "k").splitlines() == [
        "k                   range      PTEs     faults  migrated      calls",
        "scan_delay_ms        1..2  20 +-3 -   32 +-5 ~   2 +-1 ~   10 +-2 ~",
        "scan_period_min_ms   1..2  36 +-6 -   30 +-5 +   1 +-1 ~   11 +-2 ~",
        "scan_period_max_ms   1..2   4 +-1 ~   21 +-5 +   0 +-0 ~    5 +-1 ~",
        "scan_size_mb         1..2  29 +-2 +    8 +-2 -   3 +-1 ~  83 +-10 -",
        "vma_lifetime_ms      1..2   2 +-1 ~   50 +-5 ~  68 +-9 ~    0 +-0 ~",
        "pin_fraction         1..2  45 +-4 -  70 +-12 +  31 +-4 -  90 +-20 -",
        "(chance)                        3.0        2.0       3.0        4.0",
    ]


def test_a_parameter_that_is_not_above_chance_has_no_direction(by_hand) -> None:
    at = by_hand.sel(policy="k", response="numa_pages_migrated", parameter="scan_size_mb")
    assert knobs._sign(at) == "~", "0.03, as much as chance"
    assert knobs._sign(at.assign(chance=0.02)) == "+"
    assert knobs._sign(at.assign(chance=0.02, mu=-at["mu"])) == "-"
    assert knobs._sign(at.assign(chance=0.02, mu_star=0.04, mu=0.04)) == "~"
