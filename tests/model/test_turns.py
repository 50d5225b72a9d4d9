"""Tasks of one CPU take turns by slices, and scan in their own turn."""

import numpy as np
import pytest

from numalab import policy, workload_file
from numalab.engine import Start, run_one, simulate
from numalab.model.turns import hold_scans, run_queued_scans, scan_soon, take_seats

TICK_NS = 4_000_000
BASE = """
[workload]
name = "turns"
duration_ms = 250
[machine]
cpus_per_node = {cpus}
speed = {{lost_share = 0.0}}
[[vma]]
name = "a"
size_mb = 8
"""
TASK = """
[[task]]
name = "t{i}"
cpu = 0
{line}
[[task.access]]
vma = "a"
"""


def world(name, tasks=2, cpus=1, lines=None):
    """A world that has run for 250 ms, before the first scan, with its runtimes made equal."""
    lines = lines or [""] * tasks
    text = BASE.format(cpus=cpus) + "".join(TASK.format(i=i, line=x) for i, x in enumerate(lines))
    start = Start(workload=workload_file.parse(text)).complete(0)
    found = run_one(start, policy.get(name), 0).world
    found.tasks["vruntime"], found.tasks["slice_ns"] = 0, 0
    found.cpu_task[:] = -1
    return found


def owners(w, ticks):
    """Who has CPU 0 in each of the next ticks."""
    found = []
    for _ in range(ticks):
        take_seats(w)
        p = w.tasks[w.cpu_turn[0]]
        p.vruntime += TICK_NS
        p.slice_ns += TICK_NS
        found.append(int(w.cpu_turn[0]))
    return found


@pytest.mark.parametrize(
    ("name", "tasks", "cpus", "expected"),
    [
        ("linux-6.1", 2, 1, [0, 0, 1, 1, 0, 0]),  # 2 CPUs: 12 ms for two, 6 each: two ticks
        ("linux-6.1", 3, 1, [0, 1, 2, 0, 1, 2]),  # 4 ms each
        ("linux-6.1", 2, 4, [0, 0, 0, 1, 1, 1]),  # 8 CPUs: 24 ms for two
        ("linux-6.12", 2, 1, [0, 1, 0, 1, 0, 1]),
        ("linux-7.2", 2, 4, [0, 1, 0, 1, 0, 1]),  # 3 ms are less than a tick
    ],
)
def test_a_task_keeps_its_cpu_for_a_slice(name, tasks, cpus, expected):
    assert owners(world(name, tasks, cpus), 6) == expected


def test_a_task_that_comes_from_another_cpu_has_no_slice_left():
    w = world("linux-6.1")
    assert owners(w, 1) == [0]
    w.tasks[0].slice_ns = 0  # as move_task() leaves it
    assert owners(w, 1) == [1]


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12"])
def test_a_task_that_is_behind_takes_turns_and_one_that_wakes_up_saves_up_no_time(name):
    w = world(name)
    sleeper = w.tasks[0]
    sleeper.wants_cpu, sleeper.behind = 1, False
    w.tasks[1].vruntime = 10**9
    assert owners(w, 2) == [1, 1]
    credit = 6_000_000 if name == "linux-6.1" else 0
    assert sleeper.vruntime == 10**9 + TICK_NS - credit
    sleeper.behind = True
    assert set(owners(w, 6)) == {0, 1}


def test_a_scan_waits_for_the_turn_of_its_task():
    """The tick that finds t0 running gives the CPU to t1: t0 scans when it has the CPU again."""
    w, rng = world("linux-6.12"), np.random.default_rng(0)
    w.mms["numa_next_scan"] = w.clock[0].jiffies
    scans = int(w.log.rows[0].scans)
    assert owners(w, 1) == [0]
    scan_soon(w, 0, rng)
    assert w.tasks[0].queued
    assert owners(w, 1) == [1]
    run_queued_scans(w, rng)
    assert w.log.rows[0].scans == scans
    assert owners(w, 1) == [0]
    run_queued_scans(w, rng)
    assert w.log.rows[0].scans == scans + 1
    assert not w.tasks[0].queued
    assert w.tasks[0].debt_ns > 0
    assert w.mms[0].scanner == 0


def test_a_scan_runs_at_once_if_its_task_goes_on():
    w = world("linux-6.1")
    w.mms["numa_next_scan"] = w.clock[0].jiffies
    assert owners(w, 1) == [0]
    scan_soon(w, 0, np.random.default_rng(0))
    assert not w.tasks[0].queued
    assert w.log.rows[0].scans == 1


def test_the_end_of_a_pass_waits_with_the_task_that_scans():
    w = world("linux-6.12")
    w.mms[0].scanner, w.mms[0].reset_at_ns = 0, 1000
    w.tasks[0].debt_ns = 10
    w.cpu_turn[0] = 0
    hold_scans(w, TICK_NS)
    assert w.mms[0].reset_at_ns == 1000
    w.cpu_turn[0] = 1
    hold_scans(w, TICK_NS)
    assert w.mms[0].reset_at_ns == 1000 + TICK_NS
    w.tasks[0].debt_ns = 0
    hold_scans(w, TICK_NS)
    assert w.mms[0].reset_at_ns == 1000 + TICK_NS


RATED = """
[workload]
name = "bursts"
duration_ms = 1000
sample_ms = 1000
[[vma]]
name = "a"
size_mb = 8
[[task]]
name = "t"
cpu = 0
busy = {busy}
[[task.access]]
vma = "a"
pages_per_s = 10000
start_ms = {start_ms}
"""


@pytest.mark.parametrize("start_ms", [0, 500])
@pytest.mark.parametrize("busy", ["true", "false"])
def test_a_task_that_sleeps_touches_in_bursts_and_no_less(busy, start_ms):
    w = workload_file.parse(RATED.format(busy=busy, start_ms=start_ms))
    touches = float(simulate(w, policy.get("linux-6.12"))["touches"].sum())
    assert touches == pytest.approx(10 * (1000 - start_ms), abs=100)


LATE = """
[workload]
name = "late"
duration_ms = 20000
[[vma]]
name = "a"
size_mb = 8
[[task]]
name = "t"
cpu = 0
[[task.access]]
vma = "a"
pages_per_s = {rates[0]}
[[task]]
name = "u"
cpu = 0
[[task.access]]
vma = "a"
pages_per_s = {rates[1]}
start_ms = 10000
"""


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("rates", [(1e9, 1e9), (1e9, 0), (0, 1e9), (0, 0)])
def test_who_comes_late_to_a_cpu_gets_half_of_it_from_then_on(name, rates):
    """A rate of 1e9 is more than the CPU can do: such a task is behind all the time."""
    ds = simulate(workload_file.parse(LATE.format(rates=rates)), policy.get(name))
    runtime = ds["sum_exec_runtime"].isel(replicate=0).values
    assert runtime == pytest.approx([15_000, 5_000], rel=0.02)


PACED = """
[workload]
name = "paced"
duration_ms = 2000
[machine]
hz = {hz}
[[vma]]
name = "a"
size_mb = 32
[[task]]
name = "t"
cpu = 0
[[task.access]]
vma = "a"
[[task]]
name = "r"
cpu = 1
[[task.access]]
vma = "a"
pattern = "rand"
pages_per_s = {rate}
"""


@pytest.mark.parametrize("hz", [100, 250, 300, 1000])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_burst_that_begins_late_in_a_tick_is_no_fault_of_the_model(hz, share):
    """It goes on in the next tick; its CPU was rightly idle before it began."""
    w = workload_file.parse(PACED.format(hz=hz, rate=share / 20e-9))
    ds = simulate(w, policy.get("linux-6.12"), replicates=5)
    assert ds["touches"].sel(task="r").values == pytest.approx(2 * share / 20e-9, rel=0.01)
