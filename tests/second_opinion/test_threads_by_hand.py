"""The second opinion alone: threads that compute, wait or change CPU, and policies of tasks.

The machine has two nodes of two CPUs and ticks every 4 ms, the first at 1 ms; 256 pages start
on node 0. A touch takes 20 us, nothing else takes time unless a test says so; each scan sees
all pages.
"""

import dataclasses

import pytest

from numalab import policy
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Move, Process, Task, Vma, Workload
from tests.second_opinion import kernel_move, kernel_scan, running
from tests.second_opinion.machine import folios, machine
from tests.second_opinion.objects import Mapped, NumabState
from tests.second_opinion.reference import bare_setup
from tests.second_opinion.states import CPUS_PER_NODE, simulator, thread
from tests.second_opinion.test_by_hand import cpupids, of
from tests.second_opinion.test_whole_runs import FREE

NEAR, NEAR_TOO, FAR, FAR_TOO = 0, 1, 2, 3
"""CPUs: two on node 0, two on node 1."""
ONCE, OFTEN = 60_000, 50
"""Shortest scan period [ms]: one scan, or one every 50 ms at first."""
WAITS = Task(name="waits", waits=True)


def run(until_ms, *tasks, name="linux-6.12", churns=(), period_ms=ONCE, speed=(), **other):
    """Run some tasks on the pages; return the machine and its threads."""
    process = {key: other.pop(key) for key in ("policy", "stack_kb") if key in other}
    mempolicy = other.pop("mapping", "default")
    w = Workload(
        name="w",
        duration_ms=2000,
        machine=Machine(cpus_per_node=2, speed=dataclasses.replace(FREE, **dict(speed))),
        tunables=Tunables(scan_delay_ms=20, scan_period_min_ms=period_ms, scan_size_mb=64),
        vmas=(Vma(name="a", policy=mempolicy, **{"size_mb": 1, **other}),),
        tasks=tasks,
        churns=churns,
        processes=(Process(name="main", **process),),
    )
    sim = machine(w, policy.get(name), bare_setup(w), 1_000_000, 0)
    running.run(sim, until_ms * 1e6)
    return sim, sim.mms[0].tasks


def task(name="t", cpu=FAR, rate=0.0, write=True, **other):
    access = Access(vma="a", pages_per_s=rate, write=write)
    return Task(name=name, cpu=cpu, access=(access,), **other)


def pages_of(sim):
    return [page for vma in sim.mms[0].vmas if vma.owner == "a" for page in folios(vma.pages)]


def runtimes_ms(threads):
    return [t.sum_exec_runtime // 1_000_000 for t in threads]


@pytest.mark.parametrize(("busy", "runtime_ms"), [(True, 400), (False, 8)])
def test_a_thread_that_computes_between_touches(busy, runtime_ms):
    """400 touches of 20 us; a thread that sleeps in between does not reach its first scan."""
    sim, threads = run(400, WAITS, task(rate=1000.0, busy=busy))
    assert threads[1].touches == 400
    assert runtimes_ms(threads) == [0, runtime_ms]
    assert bool(sim.chunks) == busy


def test_two_busy_threads_share_a_cpu():
    """Each has every other tick; what falls due meanwhile it touches in its next one."""
    tasks = task("t0", rate=3000.0, busy=True), task("t1", rate=500.0, busy=True)
    _, threads = run(397, *tasks)
    assert [t.touches for t in threads] == [
        pytest.approx(3 * 397, abs=12),
        pytest.approx(198, abs=2),
    ]
    assert runtimes_ms(threads) == [197, 200]


def test_a_busy_thread_beside_one_that_sleeps():
    """A sleeper has the CPU when it wakes: 2 of 10 ms here, 41 times."""
    _, threads = run(405, task("t0", rate=100.0, busy=True), task("t1", rate=10_000.0))
    assert [t.touches for t in threads] == [40, 4100]
    assert runtimes_ms(threads) == [323, 82]


def test_touches_that_fall_due_during_a_scan():
    """The first scan is at 29 ms. It sees 256 pages, 0.2 ms each, and is over at 80.2 ms."""
    found = []
    for until_ms in (30, 79, 82):
        speed = {"scan_page_ns": 200_000.0}
        _, threads = run(until_ms, WAITS, task(rate=1000.0, busy=True), speed=speed)
        found.append(threads[1].touches)
    assert found == [29, 29, 82]


@pytest.mark.parametrize(
    ("tasks", "first_ms", "period_ms"),
    [
        ((task(busy=True),), 21, ONCE),
        ((task(busy=True), WAITS), 21, ONCE),
        ((WAITS, task(busy=True)), 29, 20),
    ],
    ids=["alone", "as main thread", "as clone"],
)
def test_who_is_the_main_thread(tasks, first_ms, period_ms):
    """The ticks are at 1, 5, ... ms; the scan is at the first one with enough runtime.

    A main thread's node_stamp is 0: it scans after more than 20 ms, and its period starts anew.
    That of a clone is two ticks and min(60000, 20 * 1 * 1e6) ns, 8.06 ms: it scans after more
    than 28.06 ms, and its period is still the delay (kernel.md 1.1).
    """
    sim, threads = run(first_ms + 0.001, *tasks)
    assert sim.chunks[0]["ns"] == first_ms * 1_000_000
    assert next(t for t in threads if not t.waits).numa_scan_period == period_ms


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_thread_that_waits_is_a_user_of_the_mm(waiting):
    """Pages of the scanner's node are left out if mm_users is 1 (kernel.md 2.2)."""
    sim, threads = run(100, task(cpu=NEAR), *[WAITS] * waiting)
    assert sim.mms[0].mm_users == 1 + waiting
    assert sim.count["numa_pte_updates"] == 256 * waiting
    assert all(not t.touches and t.sum_exec_runtime < 1_000_000 for t in threads if t.waits)


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_thread_that_waits_is_one_of_nr_threads(waiting):
    """Sequence 5, last scanned in 3: 5 > 3 + 1, but not 5 > 3 + 2 (f22cde4371f3)."""
    sim, _ = simulator(policy.get("linux-6.12"))
    p = thread(sim, NEAR, users=1 + waiting)
    state = NumabState(next_scan=0, pids_active_reset=0, start_scan_seq=0, prev_scan_seq=3)
    vma = Mapped(1, 513, "anon", "v", numab_state=state)
    p.mm.numa_scan_seq = 5
    assert kernel_scan.vma_is_accessed(sim, p, vma) == (not waiting)


def test_a_thread_that_waits_is_no_load():
    """Free threads go where fewest run: to the first CPU, whoever sleeps there."""
    _, threads = run(20, WAITS, Task(name="w", waits=True, cpu=NEAR), task(cpu=-1))
    assert threads[2].cpu == NEAR


def test_a_thread_changes_node():
    """Its pages follow it there and back; its touches go on, one each 20 us."""
    moves = Move(at_ms=303, cpu=NEAR), Move(at_ms=603, cpu=FAR_TOO)
    tasks = WAITS, task(move=moves)
    for until_ms, node, migrated in ((303, 1, 256), (603, 0, 512), (900, 1, 768)):
        sim, threads = run(until_ms, *tasks, period_ms=OFTEN)
        assert {page.node for page in pages_of(sim)} == {node}
        assert sim.count["numa_pages_migrated"] == migrated
        assert threads[1].touches == pytest.approx(until_ms * 50, abs=1)


@pytest.mark.parametrize(("cpu", "anew"), [(NEAR, True), (FAR_TOO, False)])
def test_the_period_of_a_thread_that_changes_cpu(cpu, anew):
    """It is a clone: its period is 20 ms, doubled by two placements that see no local fault."""
    tasks = WAITS, task(move=(Move(at_ms=303, cpu=cpu),))
    before, after = (run(ms, *tasks, period_ms=OFTEN)[1][1] for ms in (303, 304))
    assert (before.cpu, after.cpu) == (FAR, cpu)
    assert before.numa_preferred_nid == 1
    assert before.numa_scan_period == 80
    assert after.numa_scan_period == (OFTEN if anew else before.numa_scan_period)


@pytest.mark.parametrize(
    ("faults", "seq", "dst", "preferred", "anew"),
    [
        (False, 0, 1, -1, False),
        (True, 0, 1, 1, True),
        (True, 3, 1, 1, False),
        (True, 3, 1, 0, True),
        (True, 3, 1, 2, False),
        (True, 3, 1, -1, True),
        (True, 0, 0, -1, False),
    ],
    ids=["no faults", "no pass yet", "goes home", "leaves home", "never home", "no home", "stays"],
)
def test_when_the_period_starts_anew(faults, seq, dst, preferred, anew):
    """update_scan_period() in kernel.md 1.9, for a thread of node 0."""
    sim, _ = simulator(policy.get("linux-6.12"))
    p = thread(sim, NEAR)
    p.numa_scan_period, p.numa_scan_seq, p.numa_preferred_nid = 7, seq, preferred
    p.numa_faults = {("membuf", 0, 1): 1} if faults else None
    kernel_move.sched_setaffinity(sim, p, dst * CPUS_PER_NODE)
    assert (p.cpu, p.numa_scan_period) == (dst * CPUS_PER_NODE, 1000 if anew else 7)


def test_a_thread_takes_its_lag_along():
    """One that had a CPU alone for 400 ms comes to two others: each has a third from then on."""
    comes = task("t0", move=(Move(at_ms=401, cpu=NEAR),), busy=True, rate=1.0)
    others = [task(f"t{i}", cpu=NEAR, busy=True, rate=1.0) for i in (1, 2)]
    before, after = (runtimes_ms(run(ms, comes, *others)[1]) for ms in (401, 521))
    assert before == [401, 201, 200]
    assert [b - a for a, b in zip(before, after, strict=True)] == [40, 40, 40]


@pytest.mark.parametrize("kind", ["anon", "shmem"])
@pytest.mark.parametrize("of_tasks", ["default", "bind", "bind_balancing"])
@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
def test_the_policy_of_tasks(name, of_tasks, kind):
    """MPOL_BIND has no MPOL_F_MOF; up to 6.12 nobody asks the tasks' policy of shmem."""
    marked = of_tasks != "bind" and (kind == "anon" or name == "linux-7.2")
    sim, _ = run(40, WAITS, task(), name=name, policy=of_tasks, kind=kind)
    assert sim.count["numa_pte_updates"] == 256 * marked
    assert sim.count["numa_pages_migrated"] == 256 * marked
    assert bool(sim.skips["a", "unsuitable"]) != marked
    if of_tasks == "bind":
        assert {reason for _, reason in sim.skips} == {"unsuitable"}, "the program's own too"


@pytest.mark.parametrize("kind", ["anon", "shmem"])
@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
@pytest.mark.parametrize(
    ("of_tasks", "mapping"), [("bind", "bind_balancing"), ("bind_balancing", "bind")]
)
def test_the_policy_of_a_mapping_comes_first(name, of_tasks, mapping, kind):
    sim, _ = run(100, WAITS, task(), name=name, policy=of_tasks, mapping=mapping, kind=kind)
    assert sim.count["numa_pages_migrated"] == (256 if mapping == "bind_balancing" else 0)


@pytest.mark.parametrize("of_tasks", ["default", "bind_balancing"])
def test_local_faults_of_bound_tasks_leave_a_cpupid(of_tasks):
    """The write that fetched a page reset its cpupid; the next hint fault on it is local."""
    sim, _ = run(200, WAITS, task(), policy=of_tasks, period_ms=OFTEN)
    assert sim.count["numa_hint_faults_local"] >= 256
    assert cpupids(pages_of(sim)) == {-1 if of_tasks == "default" else of(sim, 1)}


@pytest.mark.parametrize("of_tasks", ["default", "bind", "bind_balancing"])
def test_the_policy_holds_for_mappings_of_a_churn(of_tasks):
    churn = Churn(name="c", size_mb=1, lifetime_ms=900, cpu=FAR, first_touch_node=0)
    sim, _ = run(400, WAITS, churns=(churn,), policy=of_tasks, period_ms=OFTEN)
    assert sim.count["numa_pages_migrated"] == (0 if of_tasks == "bind" else 256)
