"""Workloads of the catalog hold what their docstrings say."""

import pytest

from numalab import engine, policy
from numalab.catalog import guests, lifetimes, threads
from numalab.fields import InputError
from numalab.units import PAGES_PER_MB

OF_THREADS = [
    threads.disjoint,
    threads.shared,
    threads.exchanged,
    threads.exchanged_large,
    threads.filled_late,
    threads.born_late,
    threads.one_region,
    threads.short_lived,
    threads.one_thread,
]


def node_of(workload, one):
    return one.cpu // workload.machine.cpus_per_node


@pytest.mark.parametrize("vcpus", [1, 2, 5, 8])
def test_a_guest_is_touched_by_every_vcpu_on_a_cpu_of_its_own(vcpus):
    given = guests.guest(memory_mb=64, vcpus=vcpus, pin_fraction=0.25, thp=True, subscriber="sev")
    cpus = [task.cpu for task in given.tasks]
    assert len(set(cpus)) == len(cpus) == vcpus
    on_node_1 = sum(node_of(given, task) for task in given.tasks)
    assert on_node_1 == vcpus // 2
    (ram,) = given.vmas
    assert (ram.size_mb, ram.pinned_fraction, ram.thp, ram.subscriber) == (64, 0.25, True, "sev")
    assert all(task.access[0].vma == "ram" for task in given.tasks)


def test_a_gpu_process_registers_the_share_that_is_asked_for():
    given = guests.gpu_process(memory_mb=100, registered=0.3, threads=4)
    sizes = {vma.subscriber: vma.size_mb for vma in given.vmas}
    assert sizes == {"gpu": 30, "none": 70}
    parts = [(access.lo, access.hi) for task in given.tasks for access in task.access[:1]]
    assert parts == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]


def test_lifetimes_walks_what_lies_on_the_other_node_and_churns_on_both():
    given = lifetimes.lifetimes(
        scan_delay_ms=500, vma_lifetime_ms=300, pin_fraction=0.5, churns=3, churn_pin_fraction=0.75
    )
    assert given.tunables.scan_delay_ms == 500
    assert [node_of(given, churn) for churn in given.churns] == [0, 1, 0]
    assert {churn.pinned_fraction for churn in given.churns} == {0.75}
    assert given.vmas[0].pinned_fraction == 0.5
    assert node_of(given, given.tasks[0]) == 1
    with pytest.raises(InputError, match="walker_node = 2: must be 0 or 1"):
        lifetimes.lifetimes(scan_delay_ms=1, vma_lifetime_ms=1, pin_fraction=0, walker_node=2)


@pytest.mark.parametrize("function", OF_THREADS)
@pytest.mark.parametrize("tasks", [2, 6])
def test_threads_have_cpus_of_their_own_and_memory_for_their_regions(function, tasks):
    given = function(tasks, 1000, 3000)
    users = (*given.tasks, *given.churns)
    assert len({user.cpu for user in users}) == len(users)
    regions = [one for one in (*given.vmas, *given.churns) if one.name.startswith("region")]
    assert regions
    held_mb = sum(one.size_mb for one in (*given.vmas, *given.churns))
    assert held_mb <= given.machine.memory_mb


def test_regions_come_home_or_are_filled_at_home():
    """What moves besides is pages of the program's image, of which there are a few dozen."""
    moved = {}
    for function in (threads.disjoint, threads.born_late):
        ds = engine.simulate(function(2, 500, 4000), policy.get("linux-6.1"), seed=1)
        moved[function] = int(ds["numa_pages_migrated"].isel(time=-1).max())
    assert moved[threads.disjoint] >= 2 * threads.REGION_MB * PAGES_PER_MB
    assert moved[threads.born_late] < 100
