"""The time of each task: what it did takes as long as it ran, and none stands still."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab import policy, workload_file
from numalab.catalog.drawn import drawn
from numalab.engine import Start, run_one, simulate
from numalab.machine import Machine, Speed
from numalab.model.accounts import check_time, time_spent
from numalab.tunables import Tunables
from numalab.workload import Access, Task, Vma, Workload, with_speed

SPEED = Speed(touch_rand_ns=20, touch_walk_ns=20, scan_spread=0.0)


def rated(rates, *, cpus=2, pte_update_ns=0.0, duration_ms=4000, pattern="rand", **speed):
    """One rated task a rate, each on memory of its own, dealt over the CPUs."""
    tasks = [
        Task(
            name=f"t{i}",
            cpu=i % cpus,
            access=(Access(vma=f"v{i}", pattern=pattern, pages_per_s=float(rate)),),
        )
        for i, rate in enumerate(rates)
    ]
    return Workload(
        name="rated",
        duration_ms=duration_ms,
        machine=Machine(
            memory_mb=4096,
            speed=dataclasses.replace(SPEED, pte_update_ns=pte_update_ns, **speed),
        ),
        tunables=Tunables(scan_delay_ms=100, scan_period_min_ms=100),
        vmas=tuple(
            Vma(name=f"v{i}", size_mb=64, first_touch_node=1 - i % cpus) for i in range(len(rates))
        ),
        tasks=tuple(tasks),
    )


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
@pytest.mark.parametrize("pattern", ["rand", "walk", "hot"])
def test_a_rated_task_goes_on_after_scans_that_take_ticks(name, pattern):
    """Its scans have taken more than a tick together: 16 384 pages at 1 us are 16 ms each."""
    w = rated([2e7], pte_update_ns=1000, pattern=pattern)
    ds = simulate(w, policy.get(name)).isel(replicate=0)
    assert float(ds["touches"].sum()) == pytest.approx(8e7, rel=0.01)
    assert float(ds["chunk_ms"].max()) > 3000, "and is scanned to the end"
    updates = int(ds["numa_pte_updates"].isel(time=-1))
    assert updates >= 16384
    assert float(ds["sum_exec_runtime"].sum()) > 0.99 * 8e7 * 20e-6 + updates * 1e-3


@pytest.mark.parametrize("name", ["linux-6.1", "linux-7.2"])
def test_drawn_workloads_end_on_a_slow_machine(name):
    """Every run checks its times; an emulated machine migrates a huge folio in 7 ms."""
    slow = Speed(
        touch_walk_ns=26, touch_rand_ns=69, hint_fault_ns=6e3, migrate_page_ns=24e3,
        migrate_huge_ns=7e6, failed_pass_huge_ns=7e6, first_touch_huge_ns=1e7, pte_update_ns=220,
    )  # fmt: skip
    for number in range(1, 41):
        ds = simulate(with_speed(drawn(number), slow), policy.get(name), seed=number)
        assert float(ds["touches"].sum()) > 0


@pytest.mark.parametrize("seed", range(4))
def test_a_fault_at_the_end_of_a_tick_is_paid_in_the_next_one(seed):
    """Two tasks share huge folios, so a tick has parts; a migration of 7 ms ends none of them."""
    access = (Access(vma="v", pattern="rand", pages_per_s=300.0),)
    speed = dataclasses.replace(SPEED, migrate_huge_ns=7e6)
    w = Workload(
        name="late",
        duration_ms=4000,
        machine=Machine(memory_mb=4096, cpus_per_node=2, speed=speed),
        tunables=Tunables(scan_delay_ms=50, scan_period_min_ms=50, scan_period_max_ms=50),
        vmas=(Vma(name="v", size_mb=256, thp=True),),
        tasks=(
            Task(name="s", cpu=1, busy=True),
            Task(name="t", cpu=2, access=access),
            Task(name="u", cpu=3, access=access),
        ),
    )
    ds = simulate(w, policy.get("linux-6.1"), seed=seed).isel(replicate=0)
    assert int(ds["numa_pages_migrated"].isel(time=-1)) >= 100 * 512
    np.testing.assert_allclose(ds["touches"][1:], 1200, rtol=0.02)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(1e3, 2e7), min_size=1, max_size=4),
    st.sampled_from([0.0, 50.0, 500.0]),
    st.sampled_from(policy.NAMES),
    st.integers(1, 2),
)
def test_rated_tasks_get_all_the_time_that_their_cpu_has(rates, pte_update_ns, name, cpus):
    """A CPU is never used for more than it has; where it has enough, all is touched in time."""
    w = rated(rates, cpus=cpus, pte_update_ns=pte_update_ns, duration_ms=2000)
    ds = simulate(w, policy.get(name)).isel(replicate=0)
    for cpu in range(cpus):
        mine = range(cpu, len(rates), cpus)
        runtime_ms = float(ds["sum_exec_runtime"].isel(task=mine).sum())
        used_before = 200  # of the start, see docs/model.md
        assert runtime_ms <= 2000 + used_before
        scans_ns = float(ds["chunk_pages"].sum()) * (SPEED.scan_page_ns + pte_update_ns)
        faults_ns = int(ds["numa_hint_faults"].isel(time=-1)) * 5000
        touches_ns = sum(rates[i] for i in mine) * 2.0 * 20
        for i in mine:
            assert float(ds["touches"].isel(task=i)) <= 2 * rates[i] + 1, "none that is not due"
        if touches_ns + scans_ns + faults_ns < 1.8e9:
            for i in mine:
                assert float(ds["touches"].isel(task=i)) == pytest.approx(2 * rates[i], rel=0.05)


@pytest.mark.parametrize("rate", [0.0, 100.0])
@pytest.mark.parametrize("pattern", ["rand", "walk"])
def test_a_touch_that_takes_longer_than_a_tick_is_made(rate, pattern):
    """5 ms each: a hundred a second are half of the time."""
    w = rated([rate], touch_rand_ns=5e6, touch_walk_ns=5e6, duration_ms=2000, pattern=pattern)
    ds = simulate(w, policy.get("linux-6.12")).isel(replicate=0)
    assert float(ds["touches"].sum()) == pytest.approx(200 if rate else 400, rel=0.05)


def finished(w):
    return run_one(Start(workload=w).complete(0), policy.get("linux-6.12"), 0).world


def test_time_that_is_not_accounted_for_is_an_error():
    world = finished(rated([1e5, 0.0]))
    before, ticks = np.zeros(2), 1000
    check_time(world, before, ticks)
    world.tasks["ran_ns"][1] += 10**9
    with pytest.raises(RuntimeError, match=r"^task 1 ran 49.* ms, and what it did takes 39"):
        check_time(world, before, ticks)


def test_a_task_that_spins_has_nothing_to_account_for():
    w = dataclasses.replace(rated([1e5]), tasks=(*rated([1e5]).tasks, Task(name="s", cpu=1)))
    world = finished(w)
    check_time(world, np.zeros(2), 1000)
    assert world.tasks["ran_ns"][1] > time_spent(world)[1] + 3e9


def test_a_task_that_waits_beside_an_idle_cpu_stands_still():
    from numalab.model.running import stands_still

    world = finished(rated([1e5]))
    world.cpu_used_ns[:] = 0.0
    assert not stands_still(world, 0, 4e6, 4)
    world.tasks[0].running, world.tasks[0].owed_ns = 0, 10**7
    assert stands_still(world, 0, 4e6, 4)
    world.tasks[0].running = 10**7
    assert not stands_still(world, 0, 4e6, 4), "it has paid, and owes for a fault since"
    world.tasks[0].running = 0
    world.cpu_used_ns[:] = 4e6 - 50
    assert not stands_still(world, 0, 4e6, 4), "less than a touch of 20 ns in each part"


def parsed(text):
    return workload_file.parse(text, "test")


BEHIND = """
[workload]
name = "behind"
duration_ms = 1000
[machine]
hz = 300
cpus_per_node = 2
[[vma]]
name = "a"
size_mb = 16
[[vma]]
name = "s"
size_mb = 512
populated = 0.0
[[task]]
name = "t0"
cpu = 0
access = [{vma = "a", pattern = "walk", pages_per_s = 2e9}]
[[task]]
name = "t1"
cpu = 1
access = [{vma = "s", pattern = "rand"}]
[[task]]
name = "t2"
cpu = 2
access = [{vma = "s", pattern = "rand"}]
"""


def test_a_task_that_cannot_keep_up_in_ticks_of_four_parts_does_not_stand_still():
    """Each part of such a tick leaves time for less than a touch."""
    ds = simulate(parsed(BEHIND), policy.get("linux-6.12")).isel(replicate=0)
    touched = float(ds["touches"].sel(task="t0"))
    assert touched == pytest.approx(1e9 / 2.0, rel=0.01), "2 ns each, all of the time"


MOVES = """
[workload]
name = "moves"
duration_ms = 20000
[machine]
memory_mb = 256
[tunables]
scan_delay_ms = 100
scan_period_min_ms = 100
[[vma]]
name = "filler"
size_mb = 250
[[vma]]
name = "far"
size_mb = 64
first_touch_node = 1
[[task]]
name = "t"
access = [{vma = "far", pattern = "rand", pages_per_s = RATE}]
"""


@pytest.mark.parametrize("rate", ["2e7", "0"])
def test_a_free_task_that_moves_within_a_tick_keeps_its_accounts(rate):
    """Node 0 is full, so its pages stay on node 1, and the task goes to them."""
    ds = simulate(parsed(MOVES.replace("RATE", rate)), policy.get("linux-6.12"), replicates=10)
    assert (ds["numa_preferred_nid"] == 1).any(), "no task moved"
    if rate != "0":
        assert ds["touches"].sum("task").values == pytest.approx(4e8, rel=0.01)


def test_a_long_touch_of_one_task_takes_no_more_time_than_its_cpu_has():
    """A takes 60 % of the CPU, B 100 touches of 5 ms a second: 50 %. Together all of it."""
    w = parsed(
        MOVES.replace("RATE", "100").replace("[tunables]", "speed.touch_rand_ns = 5e6\n[tunables]")
    )
    a = Task(name="a", cpu=1, access=(Access(vma="filler", pattern="walk", pages_per_s=3e8),))
    tasks = (dataclasses.replace(w.tasks[0], cpu=1), a)
    ds = simulate(dataclasses.replace(w, tasks=tasks), policy.get("linux-6.12")).isel(replicate=0)
    assert float(ds["sum_exec_runtime"].sum()) == pytest.approx(20_000, rel=0.02)


@pytest.mark.parametrize("pattern", ["walk", "rand", "hot"])
@pytest.mark.parametrize("hz", [100, 1000])
def test_several_flat_out_accesses_use_all_of_their_time(hz, pattern):
    """What a touch costs changes while they run: a folio that one has faulted in waits no more."""
    access = Access(vma="v"), Access(vma="v", pattern=pattern)
    w = Workload(
        name="two",
        duration_ms=2500,
        machine=Machine(memory_mb=512, hz=hz),
        vmas=(Vma(name="v", size_mb=32, thp=True),),
        tasks=(Task(name="t", cpu=1, access=access),),
    )
    for seed in range(4):  # check_time() raises where time is lost
        ds = simulate(w, policy.get("linux-7.2"), seed=seed).isel(replicate=0)
        assert (ds["touches"] > 0).all()
