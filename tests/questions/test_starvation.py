"""q05: measures on known cases, trials that repeat, tests of differences."""

import numpy as np
import pytest
import xarray as xr

from numalab.catalog import threads
from numalab.fields import InputError
from numalab.policy import get
from numalab.questions import regions, starvation, trials


def _trial(shape, tasks=2):
    return trials.draw(shape, tasks, seed=3, replicate=0, event_ms=10_000, after_ms=20_000)


def _measured(shape, policy, tasks=2):
    trial = _trial(shape, tasks)
    return starvation.measure(trial.run(get(policy)), trial, steady=False)


@pytest.mark.parametrize("shape", [threads.filled_late, threads.born_late])
def test_a_late_vma_is_starved_by_6_4_and_not_by_6_1(shape):
    """kernel.md 1.6: first faults would need a first scan."""
    assert float(_measured(shape, "linux-6.1")["unscanned"]) == 0
    starved = _measured(shape, "linux-6.4")
    assert float(starved["unscanned"]) == 1
    assert np.isinf(float(starved["first_ms"]))


def test_a_region_that_is_filled_late_and_starved_stays_remote():
    assert float(_measured(threads.filled_late, "linux-6.4")["remote"]) == 1
    assert float(_measured(threads.filled_late, "linux-6.1")["remote"]) < 0.01


def test_users_by_node_are_those_whose_access_ends_last():
    w = threads.exchanged(2, 1000, 2000)
    assert regions.users_by_node(w, "region0").tolist() == [0, 1]
    assert regions.users_by_node(w, "region1").tolist() == [1, 0]
    assert regions.users_by_node(threads.one_region(4, 0, 1000), "region0").tolist() == [0.5, 0.5]
    assert regions.users_by_node(threads.filled_late(2, 500, 2000), "region0").tolist() == [0, 1]


def _hand_made():
    return xr.Dataset(
        {
            "pages_on_node": (
                ("replicate", "vma", "node"),
                [[[30, 10], [0, 0], [5, 5]], [[0, 40], [8, 2], [5, 5]]],
            ),
            "chunk_ms": (("replicate", "chunk"), [[5.0, 15.0, 25.0], [12.0, -1.0, -1.0]]),
            "chunk_vma": (("replicate", "chunk"), [[0, 1, 0], [1, -1, -1]]),
            "chunk_scan": (("replicate", "chunk"), [[1, 2, 3], [1, -1, -1]]),
        },
        coords={"replicate": [0, 1], "vma": ["region0", "region1", "image:heap"], "node": [0, 1]},
    )


def test_remote_share_and_first_scan_of_a_hand_made_run_are_exact():
    ds = _hand_made()
    w = threads.exchanged(2, 1000, 2000)  # region0 is used on node 1, region1 on node 0
    assert regions.remote_share(ds, w).values.tolist() == pytest.approx([0.75, 0.1])
    assert regions.first_scan_ms(ds, 10.0).values.tolist() == [[15.0, 5.0], [np.inf, 2.0]]
    assert regions.scans(ds).tolist() == [3, 1]


def test_a_trial_depends_on_seed_and_replicate_only():
    draw = _trial(threads.disjoint)
    again = _trial(threads.disjoint)
    assert draw == again
    other = trials.draw(threads.disjoint, 2, seed=3, replicate=1, event_ms=10_000, after_ms=20_000)
    assert other.seed != draw.seed
    assert other.setup.processes[0].pids != draw.setup.processes[0].pids
    assert 10_000 <= other.event_ms <= 10_000 * 4 / 3
    assert other.workload.duration_ms == pytest.approx(other.event_ms + 20_000)


def test_trials_keep_their_order_on_many_threads():
    assert trials.each(lambda n: n * n, range(20)) == [n * n for n in range(20)]
    assert trials.each(lambda n: n, []) == []


@pytest.mark.parametrize("shape", starvation.SHAPES.values(), ids=starvation.SHAPES)
@pytest.mark.parametrize("tasks", [2, 5])
def test_every_workload_can_be_laid_out_and_names_its_regions(shape, tasks):
    trial = trials.draw(shape, tasks, seed=3, replicate=0, event_ms=1000, after_ms=2000)
    held = trial.run(get("linux-6.4"))["pages_on_node"].sum("node").squeeze().to_series()
    w = trial.workload
    mb = {x.name: x.size_mb for x in (*w.vmas, *w.churns) if x.name.startswith("region")}
    assert len(mb) >= 2
    assert held.filter(like="region").to_dict() == {name: 256 * x for name, x in mb.items()}


def test_a_difference_that_is_there_in_all_trials_is_beyond_chance_and_noise_is_not():
    rng = np.random.default_rng(0)
    noise = rng.normal(0.5, 0.1, (1, 2, 6, 2))
    noise[0, 1, :, 1] = noise[0, 1, :, 0] + 0.4
    ds = xr.Dataset(
        {"unscanned": (("shape", "tasks", "replicate", "policy"), noise)},
        coords={
            "shape": ["disjoint"], "tasks": [2, 8], "replicate": range(6),
            "policy": ["linux-6.1", "linux-6.4"],
        },
    )  # fmt: skip
    found = starvation.beyond_chance(ds, "unscanned")
    assert found.sel(shape="disjoint", policy="linux-6.1").values.tolist() == [False, False]
    assert found.sel(shape="disjoint", policy="linux-6.4").values.tolist() == [False, True]


def test_policies_come_in_the_order_of_history_and_unknown_ones_are_refused():
    assert starvation.in_order(["linux-7.2", "rfc-v2", "linux-6.1", "rfc-v1"]) == [
        "linux-6.1", "rfc-v1", "rfc-v2", "linux-7.2",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"linux-6\.4"):
        starvation.in_order(["linux-6.44"])


def _shares(starved, remote):
    """Three trials of five shapes at 2 and 64 tasks; 6.4 and 7.2 starve and lose only at 64."""
    shapes = ["disjoint", "filled-late", "born-late", "exchanged", "shared"]
    zero = np.zeros((5, 2, 3))
    many = zero.copy()
    many[:, 1] = starved
    far = zero.copy()
    far[3, 1] = remote
    dims = ("policy", "shape", "tasks", "replicate")
    return xr.Dataset(
        {
            "unscanned": (dims, np.array([zero, many, many / 2])),
            "remote": (dims, np.array([zero, far, far / 2])),
        },
        coords={
            "policy": ["linux-6.1", "linux-6.4", "linux-7.2"], "shape": shapes, "tasks": [2, 64],
            "replicate": [0, 1, 2],
        },
    )  # fmt: skip


def test_what_is_lost_is_the_lower_end_of_the_interval_of_the_pairs():
    """Of 0.5, 0.6, 0.7: mean 0.6, standard error 0.1 / sqrt(3), t(2) at 97.5 % is 4.302653."""
    ds = _shares([0.9, 0.8, 0.7], [0.5, 0.6, 0.7])
    ds["remote"].loc[{"policy": "linux-6.1", "shape": "exchanged"}] = 0.1
    low = 0.6 - 0.1 - 4.302653 * 0.1 / 3**0.5
    assert starvation.lost(ds, "linux-6.4", "exchanged") == pytest.approx(low)


def test_the_answer_says_each_policy_s_own_shares():
    ds = _shares([0.9, 0.9, 0.9], [0.5, 0.5, 0.5])
    said = starvation.answer(ds, 60_000.0)
    assert said.startswith("Yes. With 64 tasks, these shares of the regions that are filled late")
    late = "0 % [identical] (linux-6.1), 90 % [identical] (linux-6.4), 45 % [identical] (linux-7.2)"
    assert f"within 60 s: {late}; of those mapped late: {late}" in said
    assert "With 2 tasks linux-7.2 leaves out, in the same order, 0 % [identical], 0 %" in said
    remote = late.replace("90", "50").replace("45", "25")
    assert f"exchanged regions is remote at the end: {remote}." in said
    ds["unscanned"][:] = 0.0
    assert starvation.answer(ds, 60_000.0).startswith("Not beyond chance.")


def test_a_star_stands_where_pairs_differ_from_6_1_and_nowhere_else():
    words = starvation.words(_shares([0.9, 0.5, 0.95], 0.0), "unscanned").sel(tasks=64)
    assert words.sel(policy="linux-6.1").values.tolist() == ["0 "] * 5
    assert words.sel(policy="linux-6.4").values.tolist() == ["78 "] * 5, "Holm over 20 tests"
    sure = starvation.words(_shares([0.9, 0.9, 0.9], 0.0), "unscanned").sel(tasks=64)
    assert sure.sel(policy="linux-6.4").values.tolist() == ["90*"] * 5
