"""q11: the points of a design become workloads, and what decides nothing has no share."""

from __future__ import annotations

import numpy as np
import pytest

from numalab.fields import InputError
from numalab.policy import get
from numalab.questions import knobs
from numalab.report import tables
from numalab.stats import sensitivity
from numalab.sweeps.totals import NAMES, run_totals


def test_a_point_is_run_with_its_values() -> None:
    design = sensitivity.morris_design(knobs.scaled(knobs.RANGES), trajectories=2, seed=3)
    found = knobs.evaluated(design, "linux-7.2", seconds=2, replicates=2, seed=5)
    point = {name: float(design[name][4]) for name in knobs.RANGES}
    w = knobs._workload(point, 2)
    assert w.tunables.scan_size_mb == round(2 ** point["scan_size_mb"])
    assert w.tunables.scan_delay_ms == round(2 ** point["scan_delay_ms"])
    assert w.vmas[0].pinned_fraction == point["pin_fraction"]
    assert w.churns[0].lifetime_ms == 2 ** point["vma_lifetime_ms"]
    counts = run_totals(w, get("linux-7.2"), seed=5, replicates=range(2)).mean(axis=0)
    for name in knobs.RESPONSES:
        assert float(found[name][4]) == np.log2(1 + counts[NAMES.index(name)])


def test_indices_name_what_decides() -> None:
    found = knobs.indices(
        ["linux-6.1"], n=16, trajectories=6, seconds=10, replicates=2, seed=1
    )  # fmt: skip
    assert found["ST"].dims == ("policy", "response", "parameter")
    migrated = found.sel(policy="linux-6.1", response="numa_pages_migrated")
    assert float(migrated["mu"].sel(parameter="pin_fraction")) < 0
    # no scan of ten seconds backs off to four seconds or more for long: next to no influence
    st = migrated["ST"]
    assert float(st.sel(parameter="scan_period_max_ms")) < 0.2 * float(st.max())
    text = knobs.table(found, "linux-6.1")
    assert max(map(len, text.splitlines())) <= tables.WIDTH
    assert "linux-6.1" in knobs.answer(found) and knobs.answer(found).isascii()


def test_a_range_in_factors_begins_above_zero() -> None:
    with pytest.raises(InputError, match=r"scan_size_mb = 0 \.\. 8"):
        knobs.scaled({"scan_size_mb": (0, 8)})
    assert knobs.scaled({"pin_fraction": (0, 1), "scan_size_mb": (1, 8)}) == {
        "pin_fraction": (0, 1),
        "scan_size_mb": (0.0, 3.0),
    }


def test_chance_is_what_another_seed_brings() -> None:
    """Half the mean square difference of two seeds, as a share of the variance."""
    design = sensitivity.sobol_design(knobs.scaled(knobs.RANGES), n=16, seed=3)
    one, two = (
        knobs.evaluated(design, "linux-6.1", seconds=10, replicates=4, seed=s) for s in (1, 2)
    )
    for i, name in enumerate(knobs.RESPONSES):
        between = float(((one[name] - two[name]) ** 2).mean() / 2 / one[name].var())
        said = float(one["chance"][i] + two["chance"][i]) / 2
        assert said == pytest.approx(between, rel=0.6), name


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
        knobs.indices(asked.pop("policies"), n=4, trajectories=2, **asked)
