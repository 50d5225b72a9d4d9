"""What the patches to the scan rule do to threads and their regions, run by run."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

from numalab import measures, sweep
from numalab.catalog import threads
from numalab.engine import simulate_one
from numalab.policy import get, with_rules

PATCHES = (
    "vma_scan_delay", "pid_filter", "pid_reset_early", "partial_vma", "forced_scan",
    "start_scan_seq", "thread_count_rule",
)  # fmt: skip
first_scan = partial(measures.first_scan, prefix="region")
remote_share = partial(measures.remote_share, prefix="region")


def _patched(*patches):
    on = dict.fromkeys(patches, True) | {"seq_completed": "forced_scan" in patches}
    return with_rules(get("linux-6.1"), "patched", **on)


def _run(workload, policy, event_ms, after_ms):
    start = sweep.trial(workload, 2, event_ms, after_ms, root_seed=2, trial=0)
    return simulate_one(start, policy, 0, 0)


@pytest.mark.parametrize("workload", [threads.filled_late, threads.born_late])
def test_a_late_vma_is_starved_by_6_4_and_not_by_6_1(workload):
    """kernel.md 1.6: first faults would need a first scan."""
    then, now = (
        first_scan(_run(workload, get(k), 10_000, 20_000), since_ms=-20_000)
        for k in ("linux-6.1", "linux-6.4")
    )
    assert then["unscanned_share"] == 0
    assert now["unscanned_share"] == 1
    assert np.isinf(now["first_scan_ms"]).all()


def test_a_region_that_is_filled_late_stays_remote_unless_the_thread_count_rule_scans_it():
    remote = {
        patches: remote_share(_run(threads.filled_late, _patched(*patches), 8000, 40_000))
        for patches in [(), ("pid_filter",), ("pid_filter", "thread_count_rule")]
    }
    none, starved, back = (found["remote_share"] for found in remote.values())
    assert none < 0.01
    assert starved == 1
    assert back < 0.1


@pytest.mark.parametrize(
    "name", ["pid_reset_early", "partial_vma", "start_scan_seq", "thread_count_rule"]
)
def test_a_patch_within_the_filter_cannot_act_without_it(name):
    """They are the same, to the last chunk."""
    runs = [
        _run(threads.exchanged, _patched("vma_scan_delay", *more), 4000, 4000)
        for more in ((), (name,))
    ]
    xr.testing.assert_equal(*runs)


@pytest.mark.parametrize(
    ("kernel", "patches"),
    [
        ("linux-6.1", 0),
        ("gorman-prototype", 1),
        ("linux-6.4", 2),
        ("linux-6.7", 6),
        ("linux-6.12", 7),
    ],
)
def test_a_kernel_has_the_rules_of_the_patches_that_were_merged_before_it(kernel, patches):
    mine, theirs = _patched(*PATCHES[:patches]).rules(), get(kernel).rules()
    chosen = [*PATCHES, "seq_completed"]
    assert {r: mine[r] for r in chosen} == {r: theirs[r] for r in chosen}


def test_what_6_12_and_7_2_have_besides_are_other_pages_and_shmem():
    """The rest of what they have does not act in these workloads."""
    every = _patched(*PATCHES)
    batches = {"lru_batch": 31, "migration_drains": False}
    pages = with_rules(every, "pages", page_count_rule=False, resets_cpupid=True, **batches)
    shmem = with_rules(get("linux-6.12"), "shmem", shmem_task_policy=True)
    for mine, kernel in {pages: "linux-6.12", shmem: "linux-7.2"}.items():
        found, expected, alone = (
            _run(threads.filled_late, policy, 8000, 9000) for policy in (mine, get(kernel), every)
        )
        for name in ("numa_pte_updates", "pages_on_node"):
            np.testing.assert_array_equal(found[name], expected[name])
        assert (alone["numa_pte_updates"] != expected["numa_pte_updates"]).any()
