"""The second opinion alone: turns on a CPU, scans that wait, bursts, and folios on their way.

As in test_threads_by_hand.py there are two nodes of two CPUs, so a slice is 9 ms for two threads
with CFS and 2.25 ms with EEVDF; the ticks are at 1, 5, 9, ... ms, and a touch takes 20 us.
"""

import itertools

import pytest

from numalab import policy
from numalab.machine import Machine
from numalab.workload import Access, Churn, Move, Task, Workload
from tests.second_opinion import cpus
from tests.second_opinion.machine import machine
from tests.second_opinion.reference import bare_setup
from tests.second_opinion.test_by_hand import cpupids, of
from tests.second_opinion.test_threads_by_hand import (
    FAR,
    FAR_TOO,
    NEAR,
    WAITS,
    pages_of,
    run,
    task,
)

CFS, EEVDF = "linux-6.1", "linux-6.12"
SPINS = Task(name="spins", cpu=FAR)


def turns(ticks, *tasks, **other):
    """Which thread ran longest before the first tick, from there to the second, ..."""
    found, before = "", [0] * len(tasks)
    for tick in range(ticks):
        after = [t.sum_exec_runtime for t in run(1.001 + 4 * tick, *tasks, **other)[1]]
        ran = [b - a for a, b in zip(before, after, strict=True)]
        found, before = found + str(ran.index(max(ran))), after
    return found


@pytest.mark.parametrize(
    ("name", "cpus_per_node", "number", "ms"),
    [
        (CFS, 1, 2, 6),
        (CFS, 1, 3, 4),
        (CFS, 1, 100, 1.5),
        (CFS, 2, 2, 9),
        (CFS, 3, 2, 9),
        (CFS, 4, 2, 12),
        (CFS, 64, 2, 12),
        (EEVDF, 1, 2, 1.5),
        (EEVDF, 2, 100, 2.25),
        (EEVDF, 64, 2, 3),
    ],
)
def test_slices(name, cpus_per_node, number, ms):
    w = Workload(name="w", machine=Machine(cpus_per_node=cpus_per_node), tasks=(Task(name="t"),))
    sim = machine(w, policy.get(name), bare_setup(w), 1, 0)
    assert cpus.slice_ns(sim, number) == ms * 1e6


@pytest.mark.parametrize(("name", "found"), [(CFS, "000111000111000"), (EEVDF, "001101010101010")])
def test_two_threads_take_turns(name, found):
    """The first has run 9 ms at the third tick; a slice of 9 ms is three ticks from then on.

    With EEVDF every tick ends a slice; the second is behind by 1 ms once, so it has two ticks.
    """
    tasks = task("t0", rate=100.0, busy=True), task("t1", rate=100.0, busy=True)
    assert turns(15, *tasks, name=name) == found


@pytest.mark.parametrize(("at_ms", "found"), [(45, "000111"), (53, "000111"), (57, "00011")])
def test_a_slice_that_began_alone(at_ms, found):
    """It is used up: nobody takes the CPU from a thread that is alone there.

    They have run equally long in terms of this CPU: then the first of the workload goes next.
    """
    move = (Move(at_ms=at_ms, cpu=FAR),)
    tasks = task("t0", rate=100.0, busy=True, cpu=NEAR, move=move), SPINS
    others = [run(ms, *tasks, name=CFS)[1][1].sum_exec_runtime for ms in range(at_ms, 78, 4)]
    ran = "".join(str(int(b > a)) for a, b in itertools.pairwise(others))
    assert ran.startswith(found)


def test_a_sleeper_that_is_behind_takes_turns():
    """It is to touch for 8 ms from 0, 10, ... ms on, and has done 1 ms of that at the first tick
    (in parts of 0.25 ms, 12 touches each).

    The other has its slice then; after that their runtimes are 1 and 4 ms, 5 and 4 ms, ...
    """
    tasks = task("t0", rate=40_000.0), SPINS
    assert turns(11, *tasks, name=EEVDF) == "01010101010"
    found = [run(ms, *tasks, name=EEVDF)[1][0].touches for ms in (1, 5, 9, 13)]
    assert found == [48, 48, 248, 248], "it does not run in the ticks of the other"


def test_a_sleeper_in_its_turn_leaves_the_rest_of_the_tick():
    """Of 2 ms from 0 on it has 1 ms left at the first tick; from 5 ms on that comes first."""
    found = [run(ms, task("t0", rate=10_000.0), SPINS, name=EEVDF)[1] for ms in (5, 9)]
    ran = [[round(t.sum_exec_runtime / 1000) for t in threads] for threads in found]
    assert ran == [[960, 4040], [2000, 7000]]
    assert [threads[1].slice_ns for threads in found] == [4_040_000, 0], "not in its turn"


def test_a_sleeper_that_wakes_up_comes_first():
    """It touches for 1 ms from 0, 10, ... ms on, in whosever slice that is."""
    for name in (CFS, EEVDF):
        _, threads = run(397, task("t0", rate=5000.0), SPINS, name=name)
        assert threads[0].touches == 40 * 50


@pytest.mark.parametrize(("name", "ahead_ms"), [(CFS, 9), (EEVDF, 0)])
def test_how_far_a_sleeper_is_ahead(name, ahead_ms):
    """It ran 8 of 401 ms; the other has its CPU in the last microsecond."""
    _, (sleeper, other) = run(401.001, task("t0", rate=1000.0), SPINS, name=name)
    assert other.vruntime - 1000 - sleeper.vruntime == ahead_ms * 1_000_000


@pytest.mark.parametrize("name", [CFS, EEVDF])
def test_a_scan_waits_for_the_turn_of_its_thread(name):
    """It has run 21 ms at 33 ms (CFS) or at 41 ms; the other one runs until 45 ms."""
    sim, (p, _) = run(45.001, task("t0", rate=100.0, busy=True), SPINS, name=name)
    assert not run(44.999, task("t0", rate=100.0, busy=True), SPINS, name=name)[0].chunks
    assert {chunk["ns"] for chunk in sim.chunks} == {45_000_000}
    assert sim.mms[0].numa_next_scan == sim.jiffies + p.numa_scan_period // 4


@pytest.mark.parametrize(("name", "end_ms"), [(CFS, 55.24), (EEVDF, 63.24)])
def test_the_end_of_a_pass_waits_too(name, end_ms):
    """The scan begins at 45 ms and takes 10.24 ms: in one turn, or in three of 4 ms."""
    for ms, seq in ((end_ms - 0.01, 0), (end_ms + 0.01, 1)):
        tasks = task("t0", rate=100.0, busy=True), SPINS
        sim, _ = run(ms, *tasks, name=name, speed={"scan_page_ns": 40_000.0})
        assert sim.mms[0].numa_scan_seq == seq


@pytest.mark.parametrize(
    ("rate", "busy", "found"),
    [
        (1000.0, False, [10, 10, 20]),
        (1000.0, True, [0, 9, 10]),
        (150.0, False, [1, 1, 3]),
    ],
)
def test_bursts(rate, busy, found):
    """Touches at 0.9, 9.9 and 10.9 ms; one and a half a burst are three in two."""
    threads = [run(ms, task(rate=rate, busy=busy))[1][0] for ms in (0.9, 9.9, 10.9)]
    assert [t.touches for t in threads] == found


def test_a_burst_begins_when_its_access_is_going_on():
    """At 20 ms for the first time, and at 30 ms no more."""
    access = Access(vma="a", pages_per_s=1000.0, start_ms=15, stop_ms=30)
    tasks = WAITS, Task(name="t", cpu=FAR, access=(access,))
    assert [run(ms, *tasks)[1][1].touches for ms in (19, 21, 29, 45)] == [0, 10, 10, 10]


def test_a_churn_touches_in_bursts():
    """Its second mapping begins at 25 ms; the next burst is at 30 ms."""
    churn = Churn(name="c", size_mb=1, lifetime_ms=25, cpu=FAR, pages_per_s=1000.0)
    found = [run(ms, WAITS, churns=(churn,))[1][1].touches for ms in (9, 24, 29, 31)]
    assert found == [10, 30, 30, 40]


def isolating(until_ms, *others, failed_ms=7.0):
    """A thread finds its only folio marked at 45 ms, has its CPU to 49 ms, and from 53 ms on.

    It takes 10 ms to migrate the folio; it is unmapped after ``failed_ms`` of those.
    """
    speed = {"migrate_huge_ns": 10e6, "failed_pass_huge_ns": failed_ms * 1e6}
    sim, threads = run(
        until_ms, task("t0"), SPINS, *others, name=EEVDF, speed=speed, size_mb=2, thp=True
    )
    (folio,) = pages_of(sim)
    return sim, threads, folio


@pytest.mark.parametrize(
    ("ms", "failed_ms", "node"),
    [
        (47, 7, 0),
        (54.5, 7, 0),
        (56.5, 7, 1),
        (47, 0, 1),
        (46.5, 0.5, 1),
        (61.5, 10, 0),
        (63.5, 10, 1),
    ],
)
def test_a_folio_on_its_way(ms, failed_ms, node):
    """Ten milliseconds of its own are over at 63 ms, and seven at 56 ms."""
    sim, _, folio = isolating(ms, failed_ms=failed_ms)
    assert (folio.node, folio.prot_none) == (node, node == 0)
    assert sim.count["numa_pages_migrated"] == 512, "counted by the fault"


@pytest.mark.parametrize(("cpu", "failed"), [(FAR_TOO, 512), (NEAR, 0)])
def test_a_fault_on_a_folio_on_its_way(cpu, failed):
    """From node 1 it would have migrated; from node 0 it is local."""
    access = Access(vma="a", start_ms=50, stop_ms=52)
    sim, threads, folio = isolating(52, Task(name="t1", cpu=cpu, access=(access,)))
    assert sim.count["numa_hint_faults"] == 2
    assert sim.count["pgmigrate_fail"] == 0
    assert threads[2].numa_faults_locality[2] == failed
    assert threads[2].touches == 100, "the fault takes no time"
    assert (folio.node, folio.prot_none) == (0, False)
    cpupid = of(sim, 2 if failed else 0)
    assert cpupids([folio]) == {cpupid}
    sim, _, folio = isolating(60, Task(name="t1", cpu=cpu, access=(access,)))
    assert (folio.node, folio.prot_none) == (1, False)
    assert cpupids([folio]) == {cpupid}, "it goes along"


def test_a_scan_of_a_thread_that_migrates():
    """Its work runs when the fault is over: the folio can be marked again, at 77 ms."""
    speed = {"migrate_huge_ns": 60e6, "failed_pass_huge_ns": 60e6}
    sim, _ = run(78, WAITS, task(), period_ms=25, speed=speed, size_mb=2, thp=True)
    assert sim.count["numa_huge_pte_updates"] == 2


def test_a_mapping_that_goes_while_its_folio_is_on_its_way():
    """Each lives for 50 ms; what is free is what was free, and nothing is moved later."""
    churn = Churn(
        name="c", size_mb=2, thp=True, lifetime_ms=50, gap_ms=100, cpu=FAR, first_touch_node=0
    )
    speed = {"migrate_huge_ns": 10e6, "failed_pass_huge_ns": 10e6}
    sim, _ = run(49, WAITS, SPINS, churns=(churn,), name=EEVDF, speed=speed)
    before = list(sim.free)
    sim, threads = run(90, WAITS, SPINS, churns=(churn,), name=EEVDF, speed=speed)
    assert sum(sim.free) - sum(before) == 512
    assert threads[2].moving is None
