"""Whole runs of threads that compute, wait or change CPU, and of policies of tasks, on both sides.

As in test_whole_runs.py nothing is random, and both sides agree exactly. A touch takes 20 us.
"""

import dataclasses

import pytest

from numalab import policy
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Move, Process, Task, Vma, Workload
from tests.second_opinion.differences import both, differences
from tests.second_opinion.reference import phase_of
from tests.second_opinion.test_whole_runs import FREE

pytestmark = pytest.mark.slow
WAITS = Task(name="waits", waits=True)
TICK_MS = 4
FIRST_TICK_MS = phase_of(Workload(name="w", tasks=(Task(name="t"),)), 0) / 1e6
VERSIONS = ("linux-6.1", "linux-6.12", "linux-7.2")


def workload(*tasks, speed=(), scan_mb=3, cpus_per_node=1, duration_ms=700, kind="anon", **process):
    names = dict.fromkeys(t.process for t in tasks)
    return Workload(
        name="w",
        duration_ms=duration_ms,
        sample_ms=duration_ms,
        machine=Machine(
            cpus_per_node=cpus_per_node, speed=dataclasses.replace(FREE, **dict(speed))
        ),
        tunables=Tunables(scan_delay_ms=20, scan_period_min_ms=50, scan_size_mb=scan_mb),
        vmas=tuple(Vma(name=f"of-{p}", size_mb=6, process=p, kind=kind) for p in names),
        tasks=tasks,
        processes=tuple(Process(name=p, **process) for p in names),
    )


def task(name="t", process="main", cpu=1, rate=0.0, move=(), **other):
    """A thread that walks the memory of its process; it moves after some ticks."""
    return Task(
        name=name,
        process=process,
        cpu=cpu,
        access=(Access(vma=f"of-{process}", pages_per_s=rate),),
        move=tuple(Move(at_ms=FIRST_TICK_MS + n * TICK_MS, cpu=to) for n, to in move),
        **other,
    )


def agree(w, name="linux-6.12"):
    one, other = both(w, policy.get(name), 0)
    assert not differences(w, one, other)
    return one


@pytest.mark.parametrize("name", policy.NAMES)
def test_a_thread_that_computes_between_touches(name):
    found = agree(workload(WAITS, task(rate=3000.0, busy=True), stack_kb=8192), name)
    assert found["sum_exec_runtime"]["t"] > 690e6
    assert found["numa_scan_seq"]["main"] > 1


def test_a_slow_scan_of_a_busy_thread():
    """Scans of 3 MB take 15 ms; what falls due meanwhile is touched afterwards."""
    found = agree(workload(WAITS, task(rate=3000.0, busy=True), speed={"scan_page_ns": 20_000.0}))
    assert found["touches"]["t"] == pytest.approx(3 * 700, abs=50)


def test_busy_threads_take_turns():
    tasks = (
        task(f"t{i}", process=f"p{i}", rate=rate, busy=bool(rate))
        for i, rate in enumerate((2000.0, 0.0, 500.0))
    )
    found = agree(workload(*tasks))
    assert max(found["sum_exec_runtime"].values()) < 240e6


@pytest.mark.parametrize("name", policy.NAMES)
def test_many_threads_that_wait(name):
    waiting = [Task(name=f"w{i}", waits=True) for i in range(5)]
    agree(workload(*waiting, task(rate=20_000.0, busy=True), stack_kb=1024), name)


@pytest.mark.parametrize("name", policy.NAMES)
def test_a_thread_that_changes_node(name):
    found = agree(workload(WAITS, task(move=((50, 0), (100, 1), (150, 0)))), name)
    assert found["numa_pages_migrated"] >= 1536, "it starts on node 1, and its pages on node 0"


@pytest.mark.parametrize("kind", ["anon", "shmem", "file_rw"])
@pytest.mark.parametrize("of_tasks", ["bind", "bind_balancing"])
@pytest.mark.parametrize("name", VERSIONS)
def test_the_policy_of_tasks(name, of_tasks, kind):
    found = agree(workload(WAITS, task(), kind=kind, policy=of_tasks), name)
    scanned = of_tasks != "bind" and (kind == "anon" or name == "linux-7.2")
    assert found["numa_pages_migrated"] == 1536 * scanned


@pytest.mark.xfail(
    strict=True,
    reason="sched_setaffinity() moves a thread at once; the engine does so at the next tick",
)
def test_a_thread_that_changes_node_between_ticks():
    moves = (Move(at_ms=FIRST_TICK_MS + 201, cpu=0),)
    agree(workload(WAITS, dataclasses.replace(task(), move=moves)))


def test_a_thread_that_comes_to_a_busy_cpu():
    comes = task("t0", process="p0", move=((100, 0),))
    agree(workload(comes, *(task(f"t{i}", process=f"p{i}", cpu=0) for i in (1, 2))))


def test_free_threads_beside_threads_that_wait():
    waiting = [Task(name=f"w{i}", waits=True) for i in range(3)]
    agree(workload(*waiting, task(cpu=-1), cpus_per_node=2))


def test_a_scan_whose_thread_waits_for_its_cpu():
    """The scan begins at the tick before the last one and takes 2 ms; the other has the CPU."""
    tasks = task(rate=100.0, busy=True), Task(name="u", process="q", cpu=1, busy=True)
    speed = {"scan_page_ns": 1200.0}
    w = workload(WAITS, *tasks, speed=speed, scan_mb=64, duration_ms=64)
    agree(w, "linux-6.1")
