"""The second opinion alone, in cases small enough to be worked out by hand.

The machine has two nodes of two CPUs; 256 pages start on node 0. A touch takes 20 us, so a walk
over all of them takes 5.12 ms, and each scan marks them all.
"""

import pytest

from numalab import policy
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload
from tests.second_opinion import kernel_fault, kernel_memory, kernel_period, kernel_policy, running
from tests.second_opinion.kernel_fault import cpu_pid_to_cpupid
from tests.second_opinion.machine import folios, machine
from tests.second_opinion.objects import Mapped, Page, Touching
from tests.second_opinion.reference import bare_setup
from tests.second_opinion.states import CPUS_PER_NODE, simulator, thread
from tests.second_opinion.test_whole_runs import FREE

RESETS = [name for name in policy.NAMES if policy.get(name).resets_cpupid]
KEEPS = [name for name in policy.NAMES if name not in RESETS]
NEAR, NEAR_TOO, FAR = 0, 1, 2
"""CPUs: two on node 0, one on node 1."""
ONCE, OFTEN = 60_000, 50
"""Shortest scan period [ms]: one scan at 20 ms, or one every 50 ms at first."""


def run(name, until_ms, *tasks, churns=(), period_ms=ONCE, **vma):
    """Run some tasks on the pages; return the machine and their pages."""
    w = Workload(
        name="w",
        duration_ms=1000,
        machine=Machine(cpus_per_node=2, speed=FREE),
        tunables=Tunables(scan_delay_ms=20, scan_period_min_ms=period_ms, scan_size_mb=16),
        vmas=(Vma(name="a", **{"size_mb": 1, **vma}),),
        tasks=tasks,
        churns=churns,
    )
    sim = machine(w, policy.get(name), bare_setup(w), 1_000_000, 0)
    running.run(sim, until_ms * 1e6)
    (found,) = (v for v in sim.mms[0].vmas if v.owner == (churns[0].name if churns else "a"))
    return sim, folios(found.pages)


def task(name, cpu, **access):
    return Task(name=name, cpu=cpu, access=(Access(vma="a", **access),))


def asleep():
    return task("asleep", NEAR_TOO, pages_per_s=1.0, start_ms=1e8)


def cpupids(pages):
    return {page.last_cpupid for page in pages}


def of(sim, i):
    """The cpupid of a thread."""
    p = sim.mms[0].tasks[i]
    return cpu_pid_to_cpupid(p.cpu, p.pid)


def test_which_kernels_reset():
    assert RESETS == ["linux-6.4", "linux-6.7", "linux-6.12", "linux-7.2", "linux-next"]


@pytest.mark.parametrize("name", policy.NAMES)
def test_a_writer_that_brings_its_pages_home(name):
    """All 256 migrate in the first pass; the write that faulted is tried again at once."""
    sim, pages = run(name, 100, task("t0", FAR), asleep())
    assert sim.count["numa_pages_migrated"] == 256
    assert {page.node for page in pages} == {1}
    assert cpupids(pages) == {-1 if name in RESETS else of(sim, 0)}
    assert not any(page.read_only for page in pages)


@pytest.mark.parametrize("name", policy.NAMES)
def test_a_reader_leaves_its_cpupid_until_somebody_writes(name):
    """The reader migrates all pages; from 100 ms on another task writes to half of them."""
    tasks = task("r", FAR, write=False, stop_ms=80), task("w", FAR, hi=0.5, start_ms=100)
    sim, pages = run(name, 90, *tasks)
    assert sim.count["numa_pages_migrated"] == 256
    assert cpupids(pages) == {of(sim, 0)}
    assert all(page.read_only == (name in RESETS) for page in pages)
    sim, pages = run(name, 200, *tasks)
    assert sim.count["numa_hint_faults"] == 256, "the write faults are no hint faults"
    assert cpupids(pages[:128]) == {-1 if name in RESETS else of(sim, 0)}
    assert cpupids(pages[128:]) == {of(sim, 0)}


@pytest.mark.parametrize("name", RESETS)
def test_a_local_hint_fault_makes_the_entry_writable(name):
    """The reader faults again, on pages that are local by now; the later write resets nothing."""
    tasks = (
        task("r", FAR, write=False, stop_ms=280),
        task("w", FAR, start_ms=300, pages_per_s=50_000),
        asleep(),
    )
    sim, pages = run(name, 290, *tasks, period_ms=OFTEN)
    assert sim.count["numa_hint_faults_local"] >= 256
    assert not any(page.read_only for page in pages)
    sim, pages = run(name, 320, *tasks, period_ms=OFTEN)
    assert sim.mms[0].tasks[1].touches >= 256
    assert cpupids(pages) == {of(sim, 0)}


@pytest.mark.parametrize("vma", [{"size_mb": 2, "thp": True}, {"kind": "shmem"}])
def test_huge_folios_and_shared_memory_keep_their_cpupid(vma):
    sim, pages = run("linux-7.2", 100, task("t0", FAR), asleep(), **vma)
    assert {page.node for page in pages} == {1}
    assert cpupids(pages) == {of(sim, 0)}


@pytest.mark.parametrize("write", [True, False])
def test_a_churn_that_writes_or_reads(write):
    """Each of its mappings starts on the other node; the run ends within the first one."""
    churn = Churn(
        name="c",
        size_mb=1,
        lifetime_ms=900,
        cpu=FAR,
        pages_per_s=0.0,
        write=write,
        first_touch_node=0,
    )
    sim, pages = run("linux-6.12", 400, asleep(), churns=(churn,), period_ms=OFTEN)
    assert sim.count["numa_pages_migrated"] == 256
    assert cpupids(pages) == {-1 if write else of(sim, 1)}


def remote_faults(sim):
    return sim.count["numa_hint_faults"] - sim.count["numa_hint_faults_local"]


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12"])
def test_pages_that_two_nodes_use_in_turn(name, write):
    """t0 on node 1 fetches the pages, then t1 on node 0 does.

    With t0's cpupid on a page, t1's first fault on it is refused, counts as shared and founds
    t1's group; it fetches the page in the next pass. Without one it does so in the first.
    """
    tasks = (
        task("t0", FAR, write=write, stop_ms=80),
        task("t1", NEAR, write=write, start_ms=100),
    )
    sim, pages = run(name, 900, *tasks, period_ms=OFTEN)
    reset = write and name == "linux-6.12"
    assert {page.node for page in pages} == {0}
    assert sim.count["numa_pages_migrated"] == 2 * 256
    assert remote_faults(sim) == (2 if reset else 3) * 256
    assert (sim.mms[0].tasks[1].numa_group is None) == reset


def misplaced(name, **page):
    """A marked page of node 0, the task that faults on it from node 1, and the machine."""
    sim, _ = simulator(policy.get(name))
    p = thread(sim, CPUS_PER_NODE)
    vma = Mapped(1, 513, "anon", "v")
    return sim, p, Page(vma=vma, node=0, present=True, prot_none=True, **page)


def after(sim, p, page, write):
    """What the page's last cpupid is after a touch."""
    stream = Touching(pages=[page], walk=True, touch_ns=1.0, rate=0.0, write=write)
    running.touch(sim, p, stream, 0.0)
    return page.last_cpupid


@pytest.mark.parametrize("name", policy.NAMES)
def test_a_pinned_page_fails_after_isolation(name):
    """One pinned after it was marked: it stays, and is written through a read-only entry."""
    sim, p, page = misplaced(name, pinned=True)
    mine = cpu_pid_to_cpupid(p.cpu, p.pid)
    assert after(sim, p, page, write=False) == mine
    assert page.read_only == (name in RESETS)
    assert after(sim, p, page, write=True) == (-1 if name in RESETS else mine)
    assert (page.node, sim.count["pgmigrate_fail"]) == (0, 1)


@pytest.mark.parametrize("name", policy.NAMES)
def test_a_full_node_fails_before_isolation(name):
    sim, p, page = misplaced(name)
    sim.free[1] = 0
    assert after(sim, p, page, write=True) == cpu_pid_to_cpupid(p.cpu, p.pid)
    assert (page.node, page.read_only, p.numa_faults_locality[2]) == (0, False, 1)


@pytest.mark.parametrize(
    ("name", "periods"),
    [
        ("linux-7.2", [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]),
        ("linux-next", [2000, 1000, 1000, 1000, 1000, 1000, 1000]),
    ],
)
def test_a_failed_migration_and_the_periods_after_it(name, periods):
    """One page finds its node full in the first pass, and none ever again.

    All other faults are remote and shared: both ratios are 0, so a period of 2000 ms would lose
    7 slots of 200 ms, and is held at the shortest, 1000 ms. A placement sees the faults of the
    passes before it: the first one sees the failure under both kernels.
    """
    sim, p, page = misplaced(name)
    p.numa_scan_period, sim.free[1] = 1000, 0
    kernel_memory.do_numa_page(sim, p, page)
    assert p.numa_faults_locality == [1, 0, 1]
    sim.free[1] = 1 << 20
    shared, flags = cpu_pid_to_cpupid(NEAR, p.pid + 1), kernel_fault.NO_GROUP
    found = []
    for _ in periods:
        kernel_fault.task_numa_fault(sim, p, shared, 0, 1, flags)
        p.mm.numa_scan_seq += 1
        sim.jiffies += 60 * sim.w.machine.hz
        kernel_fault.task_numa_fault(sim, p, shared, 0, 1, flags)
        found.append(p.numa_scan_period)
    assert found == periods
    assert p.numa_faults_locality[2] == (0 if name == "linux-next" else 1)


@pytest.mark.parametrize("name", policy.NAMES)
@pytest.mark.parametrize(
    ("locality", "shared"),
    [([3, 0, 0], 0), ([3, 4, 1], 5)],
    ids=["neither local nor shared", "failed"],
)
def test_what_the_early_exit_leaves(name, locality, shared):
    """Either way in, the period doubles and the process waits for it; only next forgets."""
    sim, p, _ = misplaced(name)
    p.numa_scan_period, p.numa_scan_period_max = 1000, 60_000
    p.numa_faults_locality = list(locality)
    kernel_fault.update_task_scan_period(sim, p, shared, 7 - shared)
    assert p.numa_scan_period == 2000
    assert p.mm.numa_next_scan == sim.jiffies + 2 * sim.w.machine.hz
    assert p.numa_faults_locality == ([0, 0, 0] if name == "linux-next" else locality)


@pytest.mark.parametrize(
    ("rss_mb", "size_mb", "windows"),
    [(0, 67, 1), (1, 64, 1), (64, 64, 1), (65, 64, 2), (72, 67, 1), (134, 67, 2), (135, 67, 2)],
)
def test_scan_windows(rss_mb, size_mb, windows):
    """72 MB are 0x4800 pages, 67 MB 0x4300: 0x47ff | 0x42ff is 0x47ff, so 0x4800 / 0x4300 = 1."""
    sim, _ = simulator(policy.get("linux-6.12"), knobs=Tunables(scan_size_mb=size_mb))
    p = thread(sim, 0)
    p.mm.rss = rss_mb * 256
    assert kernel_period.task_nr_scan_windows(sim, p) == windows


@pytest.mark.parametrize("mempolicy", ["default", "bind_balancing"])
@pytest.mark.parametrize("local", [True, False])
def test_memory_bound_to_all_nodes(mempolicy, local):
    """A remote page follows as by default; a local one's cpupid is exchanged all the same."""
    sim, p, page = misplaced("linux-6.12")
    page.vma.mempolicy = mempolicy
    page.node = int(local)
    assert kernel_policy.mpol_misplaced(sim, p, page) == (-1 if local else 1)
    kept = local and mempolicy == "default"
    assert page.last_cpupid == (-1 if kept else cpu_pid_to_cpupid(p.cpu, p.pid))


def test_a_pid_that_ends_in_0xff_is_no_pid():
    """Of node 0's task nothing is known, as far as migration goes; its faults are shared."""
    sim, p, page = misplaced("linux-6.12")
    p.numa_preferred_nid, p.numa_scan_seq = 1, 5
    for pid, target in ((0x1FE, -1), (0x1FF, 1)):
        page.last_cpupid = cpu_pid_to_cpupid(0, pid)
        assert kernel_policy.mpol_misplaced(sim, p, page) == target
    page.last_cpupid = cpu_pid_to_cpupid(0, 0x1FF)
    kernel_memory.do_numa_page(sim, p, page)
    assert p.numa_group is not None
    assert (page.node, p.numa_faults["membuf", 1, 0]) == (1, 1)
