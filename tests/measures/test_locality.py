"""Remote touches at the end of a run, and time on the wrong node, on cases known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numalab import measures
from numalab.catalog import threads
from numalab.catalog.guests import gpu_process, guest
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.machine import Machine
from numalab.measures.locality import users_by_node
from numalab.policy import get
from numalab.tunables import Tunables
from numalab.workload import Access, Task, Vma, Workload
from tests.measures.hand_made import run_of


def _remote_share(w: Workload, pages: list[list[int]], prefix: str = "") -> float:
    run = run_of(w, pages_on_node=[*pages, [1000, 0]])
    return measures.remote_share(run, prefix=prefix)["remote_share"]


def test_users_by_node_are_those_whose_access_ends_last() -> None:
    w = threads.exchanged(2, 1000, 2000)
    assert users_by_node(w, "region0").tolist() == [0, 1]
    assert users_by_node(w, "region1").tolist() == [1, 0]
    assert users_by_node(threads.one_region(4, 0, 1000), "region0").tolist() == [0.5, 0.5]
    assert users_by_node(threads.filled_late(2, 500, 2000), "region0").tolist() == [0, 1]


def test_pages_away_from_their_last_users_are_remote() -> None:
    w = threads.exchanged(2, 1000, 2000)  # region0 is used on node 1, region1 on node 0
    assert _remote_share(w, [[30, 10], [8, 2]]) == pytest.approx((0.75 + 0.2) / 2)
    assert _remote_share(w, [[30, 10], [0, 0]]) == pytest.approx(0.75)
    assert _remote_share(w, [[30, 10], [8, 2]], "region1") == pytest.approx(0.2)
    assert np.isnan(_remote_share(w, [[0, 0], [0, 0]]))


def test_of_a_mapping_that_two_nodes_share_half_is_remote_wherever_it_lies() -> None:
    w = threads.one_region(2, 0, 1000)
    assert _remote_share(w, [[70, 30]]) == pytest.approx(0.5)


def test_users_of_parts_have_their_own_pages_first() -> None:
    """Two of four threads are on node 1, and so is a quarter of the pages: a quarter is remote."""
    w = gpu_process(memory_mb=64, registered=0.25, threads=4)
    assert _remote_share(w, [[300, 100], [300, 100]]) == pytest.approx(0.25)
    assert _remote_share(w, [[400, 0], [200, 200]]) == pytest.approx(0.25 * 0.5)


def _two_users(one: Access, other: Access, cpus: tuple[int, int] = (0, 1)) -> Workload:
    tasks = tuple(
        Task(name=f"t{i}", cpu=c, access=(a,))
        for i, (c, a) in enumerate(zip(cpus, (one, other), strict=True))
    )
    machine = Machine(nodes=2, cpus_per_node=1, memory_mb=128)
    return Workload(name="two", machine=machine, vmas=(Vma(name="m", size_mb=4),), tasks=tasks)


def test_what_page_counts_do_not_tell_is_refused() -> None:
    overlapping = _two_users(Access(vma="m", hi=0.6), Access(vma="m", lo=0.4))
    with pytest.raises(InputError, match='"m": threads of several nodes use parts that overlap'):
        _remote_share(overlapping, [[1, 1]])
    free = _two_users(Access(vma="m"), Access(vma="m"), cpus=(0, -1))
    with pytest.raises(InputError, match="bound to no CPU"):
        _remote_share(free, [[1, 1]])


def test_a_region_that_is_filled_late_and_starved_stays_remote() -> None:
    w = threads.filled_late(2, 10_000, 30_000)

    def remote(policy: str) -> float:
        run = simulate(w, get(policy), seed=3).isel(replicate=0)
        return measures.remote_share(run, prefix="region")["remote_share"]

    assert remote("linux-6.4") == 1
    assert remote("linux-6.1") < 0.01


def _lives(lifetime_ms: float = 500, gap_ms: float = 0, **changes) -> Workload:
    """short_lived1 is filled on node 0 and used on node 1; 16 MB are 4096 pages."""
    w = lifetimes(
        scan_delay_ms=1000, vma_lifetime_ms=lifetime_ms, pin_fraction=0, lifetime="fixed",
        walker_node=0, duration_ms=1000,
    )  # fmt: skip
    churns = tuple(replace(c, gap_ms=gap_ms) for c in w.churns)
    return replace(w, churns=churns, **{"sample_ms": 100, **changes})


def _remote_s(w: Workload, quarters: list[int]) -> float:
    run = run_of(w, numa_pages_migrated=[1024 * n for n in quarters])
    return measures.remote_s(run)["remote_s"]


def test_each_life_begins_on_the_wrong_node() -> None:
    """The first comes home at 200 ms, half of the second at 900 ms."""
    remote = _remote_s(_lives(), [0, 0, 4, 4, 4, 4, 4, 4, 4, 6, 6])
    assert remote == pytest.approx(0.2 + 0.0 * 0.3 + 0.4 + 0.1 * 0.5)


def test_nothing_is_remote_between_two_lives() -> None:
    """Lives of 300 ms from 0 and 700 ms on, the second of which stays where it is."""
    assert _remote_s(_lives(300, 400, sample_ms=50), [0] * 4 + [4] * 17) == pytest.approx(0.5)


def test_a_mapping_that_stays_comes_home_once() -> None:
    old = _two_users(Access(vma="m"), Access(vma="m", stop_ms=500), cpus=(1, 1))
    old = replace(old, duration_ms=1000, sample_ms=250)
    assert _remote_s(old, [0, 0, 1, 1, 1]) == pytest.approx(0.5)
    assert _remote_s(old, [0, 0, 0, 0, 0]) == pytest.approx(1.0)
    home = replace(old, vmas=(replace(old.vmas[0], first_touch_node=1),))
    assert _remote_s(home, [0, 0, 1, 1, 1]) == 0.0


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (
            lifetimes(scan_delay_ms=1, vma_lifetime_ms=9, pin_fraction=0),
            "old, short_lived1: one counter",
        ),
        (_lives(sample_ms=500), 'sample_ms = 500 ms: must be at most 100 ms for "short_lived1"'),
        (
            guest(memory_mb=64, vcpus=2, pin_fraction=0, thp=False),
            '"ram" is used from, or spread over, several nodes',
        ),
    ],
)
def test_a_time_that_cannot_be_known_is_refused(workload, message) -> None:
    with pytest.raises(InputError, match=message):
        _remote_s(workload, [0, 0])


def test_a_recording_does_not_say_when_mappings_came() -> None:
    run = run_of(_lives(), numa_pages_migrated=[0] * 11)
    recorded = run.attrs["provenance"].replace('"simulated"', '"recorded"')
    with pytest.raises(InputError, match='"short_lived1": a recording does not say'):
        measures.remote_s(run.assign_attrs(provenance=recorded))


@pytest.mark.parametrize("replicate", [0, 1])
def test_remote_time_is_what_the_page_counts_of_shorter_runs_say(replicate) -> None:
    """A run cut at T ends with the share of pages on the wrong node that is averaged."""
    w = replace(
        _lives(1600, tunables=Tunables(scan_delay_ms=125)), duration_ms=4000.0, sample_ms=50
    )
    ends = np.arange(100.0, 4000.0, 150.0)

    def last(duration_ms: float):
        made = replace(w, duration_ms=duration_ms)
        return simulate(made, get("linux-6.1"), seed=3, replicates=2).isel(replicate=replicate)

    share = [float(last(t)["pages_on_node"].sel(vma="short_lived1", node=0)) / 4096 for t in ends]
    assert min(share) == 0 and max(share) == 1
    assert measures.remote_s(last(4000.0))["remote_s"] / 4 == pytest.approx(
        np.mean(share), abs=0.06
    )


def test_moving_is_the_time_until_memory_is_where_it_ends_up() -> None:
    w = gpu_process(memory_mb=64, registered=0.5)
    found = measures.moving(run_of(w, numa_pages_migrated=[0, 50, 75, 100, 100]))
    assert found["moving_s"] == pytest.approx((0.5 + 0.25) * w.sample_ms / 1000)
