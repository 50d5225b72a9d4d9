"""q06: the design is balanced, effects of a hand-made table are exact, idle patches are idle."""

import itertools

import numpy as np
import pytest
import xarray as xr

from numalab.fields import InputError
from numalab.policy import POLICIES, get
from numalab.questions import patches, published, regions, trials
from numalab.stats import factorial

FACTORS = list(patches.FACTORS)


def test_the_design_holds_every_combination_once():
    points = factorial.points(FACTORS)
    assert len({tuple(p.values()) for p in points}) == len(points) == 2**7
    for one, other in itertools.combinations(FACTORS, 2):
        counts = [(p[one], p[other]) for p in points]
        assert all(counts.count(levels) == 32 for levels in itertools.product((0, 1), repeat=2))


def _table(function):
    values = [np.array([function(p)] * 3) for p in factorial.points(FACTORS)]
    return factorial.table(values, FACTORS, ["replicate"])


def test_effects_and_interactions_of_a_hand_made_table_are_exact():
    y = _table(lambda p: 1 + 2 * p["vma_scan_delay"] + p["pid_filter"] * (5 + 3 * p["forced_scan"]))
    assert factorial.effect(y, "vma_scan_delay", FACTORS, {}).values.tolist() == [2, 2, 2]
    assert factorial.effect(y, "pid_filter", FACTORS, {}).values.tolist() == [6.5] * 3
    assert factorial.effect(y, "forced_scan", FACTORS, {"pid_filter": 1}).values.tolist() == [3] * 3
    assert factorial.effect(y, "forced_scan", FACTORS, {"pid_filter": 0}).values.tolist() == [0] * 3
    pair = ("pid_filter", "forced_scan")
    assert factorial.interaction(y, pair, FACTORS, {}).values.tolist() == [3] * 3
    other = ("vma_scan_delay", "forced_scan")
    assert factorial.interaction(y, other, FACTORS, {}).values.tolist() == [0] * 3


def test_a_table_with_a_point_missing_is_refused():
    with pytest.raises(InputError, match="a full factorial has 128"):
        factorial.table([np.zeros(3)] * 127, FACTORS, ["replicate"])


def _point(**on):
    return {name: on.get(name, 0) for name in FACTORS}


def test_the_points_of_the_generations_have_the_rules_of_the_generations():
    scan_rules = [rule for rules in patches.FACTORS.values() for rule in rules]
    six_seven = dict.fromkeys(FACTORS, 1) | {"thread_count_rule": 0}
    for name, point in {
        "linux-6.1": _point(),
        "gorman-prototype": _point(vma_scan_delay=1),
        "linux-6.4": _point(vma_scan_delay=1, pid_filter=1),
        "linux-6.7": six_seven,
        "linux-6.12": dict.fromkeys(FACTORS, 1),
    }.items():
        mine, theirs = patches.policy_at(point).rules(), get(name).rules()
        assert {r: mine[r] for r in scan_rules} == {r: theirs[r] for r in scan_rules}, name


@pytest.mark.parametrize("name", patches.WITHIN_FILTER)
def test_a_patch_within_the_filter_cannot_act_without_it(name):
    """The design runs such points once; so they must be the same, to the last chunk."""
    trial = trials.draw(
        patches.CASES["moved"], 2, seed=2, replicate=0, event_ms=4000, after_ms=4000
    )
    with_it, without = _point(vma_scan_delay=1, **{name: 1}), _point(vma_scan_delay=1)
    assert patches.acting(with_it) == without
    runs = [trial.run(patches.policy_at(point)) for point in (with_it, without)]
    xr.testing.assert_equal(*runs)


def test_acting_keeps_what_can_act():
    point = _point(pid_filter=1, partial_vma=1, thread_count_rule=1)
    assert patches.acting(point) == point
    assert patches.acting(_point(forced_scan=1, partial_vma=1)) == _point(forced_scan=1)


def test_the_thread_count_rule_gives_a_starved_region_back():
    trial = trials.draw(
        patches.CASES["late"], 2, seed=2, replicate=0, event_ms=8000, after_ms=40_000
    )
    base = _point(pid_filter=1)
    lost, kept = (
        float(regions.remote_share(trial.run(patches.policy_at(point)), trial.workload)[0])
        for point in (base, base | {"thread_count_rule": 1})
    )
    assert lost == 1
    assert kept < 0.1


def _history(changes):
    """log2 counts: linux-6.1 and all else at 10, but for ``changes``."""
    names = [*POLICIES, published.WITHOUT_START_SCAN_SEQ.name]
    values = np.full((len(names), len(patches.CASES), 5, 1), 10.0)
    da = xr.DataArray(
        values, dims=("policy", "case", "replicate", "response"),
        coords={"policy": names, "case": list(patches.CASES), "response": ["numa_pte_updates"]},
    )  # fmt: skip
    for (policy, case), value in changes.items():
        da.loc[{"policy": policy, "case": case}] = value
    return da


def test_directions_are_told_against_what_was_published():
    v1 = next(row for row in published.TABLE if row.change == "rfc-v1")
    assert published.direction(_history({}), v1) == "none"
    assert published.direction(_history({("rfc-v1", "shared"): 7.0}), v1) == "same"
    assert published.direction(_history({("rfc-v1", "shared"): 12.0}), v1) == "other"
    assert published.direction(_history({("rfc-v1", "shared"): 9.99}), v1) == "none"
    text = published.against(_history({("rfc-v1", "shared"): 7.0}))
    assert len(text.splitlines()) == 1 + len(published.TABLE)


def test_every_published_row_names_a_policy_and_a_workload_of_the_model():
    for row in published.TABLE:
        assert row.case in patches.CASES
        assert {row.then, row.now} <= {*POLICIES, published.WITHOUT_START_SCAN_SEQ.name}
        assert row.source
