"""The hint fault: counters, target, migration, and how many folios are handled at once."""

import numpy as np
import pytest

from numalab.linux.memory import do_numa_page, mpol_misplaced
from numalab.linux.pids_active import vma_set_access_pid_bit
from numalab.linux.structs import NONE, VM_POLICY_MOF, VM_PRIVATE, VM_SHMEM, pid_bucket
from numalab.model.faults import touch_cohort
from numalab.population import END, cohort_type
from numalab.records import records
from tests.linux.parts import fill, kernel, tasks, vma, world
from tests.scanner import Scanner

ALL = ("linux-6.1", "linux-6.12", "linux-7.2")


@pytest.mark.parametrize("name", ALL)
def test_a_fault_sets_the_pid_bit_where_there_is_state_to_hold_it(name):
    p = tasks()[0]
    for state in (0, 1):
        v = vma(numab_state=state)
        vma_set_access_pid_bit(kernel(name), v, p, False)
        expected = 1 << pid_bucket(100) if state and name != "linux-6.1" else 0
        assert int(v.pids_active1) & (2**64 - 1) == expected
        assert v.pids_active0 == 0


def test_bits_of_several_tasks_add_up():
    v, found = vma(numab_state=1), tasks(3)
    for p in found:
        vma_set_access_pid_bit(kernel(), v, p, False)
    assert bin(int(v.pids_active1) & (2**64 - 1)).count("1") == 3


def misplaced(page_nid, last, flags=VM_PRIVATE):
    p = tasks(cpu=1, node=1)[0]
    return mpol_misplaced(world(cpus_per_node=1), vma(vm_flags=flags), p, page_nid, last)


def test_a_page_on_the_cpu_s_node_keeps_its_last_cpupid():
    assert misplaced(1, 77) == (-1, 77)


def test_a_remote_fault_exchanges_last_cpupid_whether_it_migrates_or_not():
    mine = 1 << 8 | 100
    assert misplaced(0, NONE) == (1, mine)
    assert misplaced(0, 0 << 8 | 101) == (-1, mine), "last touched from the other node"
    assert misplaced(0, mine) == (1, mine)


def test_memory_bound_with_balancing_follows_and_each_fault_exchanges_last_cpupid():
    """kernel.md 1.9: MPOL_BIND with MPOL_F_NUMA_BALANCING, over all nodes."""
    mine, bound = 1 << 8 | 100, VM_PRIVATE | VM_POLICY_MOF
    assert misplaced(0, NONE, bound) == (1, mine)
    assert misplaced(1, NONE, bound) == (-1, mine), "a local fault too"


class Fault:
    """One VMA on node 0 of two nodes; task 1 runs on node 1."""

    def __init__(self, size_mb=8, name="linux-6.12", thp=False, kind="anon", **values):
        self.s = Scanner(name, [{"size_mb": size_mb, "thp": thp, "kind": kind}], threads=2)
        self.s.scan()
        self.w = self.s.world
        for field, value in values.items():
            self.w.tasks[1][field] = value

    def take(self, count, *, page_nid=0, last=NONE, pinned=0, unit=1, jiffies=0):
        w = self.w
        cohort = fill(records(cohort_type, 1)[0], node=page_nid, last_cpupid=last, pinned=pinned)
        w.clock[0].jiffies, w.clock[0].now_ns = jiffies, 0
        found = do_numa_page(w, 1, w.vmas[0], cohort, unit, count)
        self.isolated = bool(found[3])
        return tuple(int(x) for x in found[:3])

    @property
    def counters(self):
        c = self.s.stat
        return {
            name: int(c[name]) for name in c.dtype.names if c[name] and "pte_updates" not in name
        }


@pytest.mark.parametrize("name", ALL)
def test_equal_folios_are_handled_together(name):
    f = Fault(name=name)
    assert f.take(300) == (300, 1, 1 << 8 | 101)
    assert f.counters == {
        "numa_hint_faults": 300, "numa_pages_migrated": 300, "pgmigrate_success": 300,
    }  # fmt: skip
    assert f.take(200, page_nid=1, last=5) == (200, 1, 5)
    assert f.counters["numa_hint_faults_local"] == 200
    assert f.counters["numa_pages_migrated"] == 300


@pytest.mark.parametrize("name", ALL)
def test_a_huge_folio_is_one_hint_fault_and_512_pages_elsewhere(name):
    f = Fault(name=name, thp=True)
    f.take(3, unit=512)
    assert f.counters == {
        "numa_hint_faults": 3, "numa_pages_migrated": 1536, "pgmigrate_success": 1536,
    }  # fmt: skip
    assert f.w.faults[1, 2, 1, 1] == 1536
    assert f.w.tasks[1].locality_remote == 1536
    assert f.w.tasks[1].numa_pages_migrated == 1536


@pytest.mark.parametrize("unit", [1, 512])
def test_a_pinned_folio_fails_and_stays(unit):
    f = Fault(thp=unit == 512)
    assert f.take(2, pinned=1, unit=unit)[1] == 0
    assert f.counters == {"numa_hint_faults": 2, "pgmigrate_fail": 2 * unit}
    assert f.w.tasks[1].locality_failed == 2 * unit
    assert f.w.faults[1, 2, 0, 1] == 2 * unit, "charged to the node it stays on"


def test_migration_moves_free_memory_the_other_way():
    f = Fault()
    free = f.w.pop.node_free.copy()
    f.take(100)
    assert (f.w.pop.node_free - free).tolist() == [100, -100]


def test_a_full_node_takes_no_page():
    """kernel.md 1.9, step 6: refused before migrate_pages(), so pgmigrate_fail stays."""
    f = Fault()
    f.w.pop.node_free[1] = 0
    assert f.take(10)[1] == 0
    assert f.counters == {"numa_hint_faults": 10}
    assert f.w.tasks[1].locality_failed == 10


def test_a_nearly_full_node_takes_as_many_pages_as_fit():
    """A cohort stands for equal folios that fault one after the other, so with room for
    seven the first seven migrate and the other three fail (kernel.md 1.9, step 6)."""
    f = Fault()
    f.w.pop.node_free[1] = 7
    left = 10
    while left:
        left -= f.take(left)[0]
    assert int(f.s.stat.pgmigrate_success) == 7
    assert f.w.tasks[1].locality_failed == 3


def test_the_fault_that_runs_the_placement_is_handled_alone():
    f = Fault()
    f.s.mm.numa_scan_seq = 9
    assert f.take(300, jiffies=5)[0] == 1
    assert f.w.tasks[1].numa_scan_seq == 9
    assert f.take(299, jiffies=5)[0] == 299


def touch(f, count):
    pop = f.w.pop
    s = pop.segments[f.w.vmas[0].first_segment].span
    c = pop.spans[s].cohort
    while not pop.cohorts[c].prot_none:
        c = pop.cohorts[c].next
    f.w.clock[0].jiffies, f.w.clock[0].now_ns = 5, 0
    touch_cohort(f.w, 1, s, c, count)


def test_touching_a_cohort_moves_its_folios_to_a_new_one():
    f = Fault()
    touch(f, 100)
    pop = f.w.pop
    s = pop.segments[f.w.vmas[0].first_segment].span
    found = set()
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        found.add((int(it.node), int(it.prot_none), int(it["count"])))
        c = it.next
    assert found == {(1, 0, 100), (0, 1, 2048 - 100)}
    assert pop.segments[0].marked == 1948


def test_faults_after_the_one_that_moves_the_task_are_taken_on_the_new_node():
    """kernel.md 1.9: past numa_migrate_retry a fault calls numa_migrate_preferred(), which
    moves the task before it takes the next one; here the pages lie where it goes."""
    f = Fault(numa_preferred_nid=0, free_to_move=1)
    f.w.tasks[1].numa_scan_seq = f.s.mm.numa_scan_seq
    f.w.cpu_load[:] = [0, 1]
    touch(f, 10)
    assert f.w.tasks[1].node == 0
    assert f.s.stat.numa_hint_faults_local == 9


@pytest.mark.parametrize(
    ("name", "write", "kind", "thp", "expected"),
    [
        ("linux-6.1", True, "anon", False, 1 << 8 | 101),  # keeps the write bit
        ("linux-6.12", True, "anon", False, NONE),
        ("linux-7.2", True, "anon", False, NONE),
        ("linux-6.12", False, "anon", False, 1 << 8 | 101),  # nobody writes
        ("linux-6.12", True, "anon", True, 1 << 8 | 101),
        ("linux-7.2", True, "shmem", False, 1 << 8 | 101),
    ],
)
def test_a_write_after_a_migration_unsets_last_cpupid_since_6_2(name, write, kind, thp, expected):
    """fidelity.md 1.1: the entry comes back read-only; the retried write reuses the page."""
    f = Fault(name=name, thp=thp, kind=kind)
    f.w.accesses["write"] = write
    pop, count = f.w.pop, 4
    touch(f, count)
    found = []
    c = pop.spans[pop.segments[f.w.vmas[0].first_segment].span].cohort
    while c != END:
        it = pop.cohorts[c]
        if it.node == 1:
            found.append((int(it.last_cpupid), int(it["count"])))
        c = it.next
    assert found == [(expected, count)]


def test_a_local_fault_and_a_refused_migration_leave_last_cpupid():
    """Neither gets as far as taking the entries away."""
    for page_nid, free in ((1, 100), (0, 0)):
        f = Fault()
        f.w.pop.node_free[1] = free
        assert f.take(2, page_nid=page_nid, last=5)[2] == (5 if page_nid else 1 << 8 | 101)
        assert not f.isolated
    f = Fault()
    f.take(2, pinned=1)
    assert f.isolated, "a pinned page fails later"


def test_a_bound_task_does_not_move():
    f = Fault(numa_preferred_nid=0, free_to_move=0)
    f.w.tasks[1].numa_scan_seq = f.s.mm.numa_scan_seq
    touch(f, 10)
    assert f.w.tasks[1].node == 1
    assert np.array_equal(f.w.cpu_load, [1, 1])


@pytest.mark.parametrize("thp", [False, True])
def test_each_migrated_folio_is_notified_once(thp):
    """recording.md: once more for every page migrated."""
    f = Fault(thp=thp)
    unit = 512 if thp else 1
    f.take(3, unit=unit)
    assert f.w.log.counts.notifier_calls[0, 1] == 3
    assert f.w.log.counts.notifier_pages[0, 1] == 3 * unit


@pytest.mark.parametrize(
    ("name", "flags", "calls"),
    [
        ("linux-6.1", VM_PRIVATE, 10),
        ("linux-6.12", VM_PRIVATE, 10),
        ("linux-6.1", VM_SHMEM, 10),
        ("linux-6.12", VM_SHMEM, 1),
        ("linux-7.2", VM_SHMEM, 1),
    ],
)
def test_a_pinned_folio_is_unmapped_in_each_pass_of_its_failing_migration(name, flags, calls):
    """kernel.md 1.10: ten passes; after 6.1 a file folio is unmapped in the first only."""
    f = Fault(name=name)
    f.w.vmas[0].vm_flags = flags
    f.take(2, pinned=1)
    assert f.w.log.counts.notifier_calls[0, 1] == 2 * calls
    assert f.counters == {"numa_hint_faults": 2, "pgmigrate_fail": 2}


def test_a_page_that_stays_is_not_notified():
    f = Fault()
    f.take(5, page_nid=1)
    f.w.pop.node_free[1] = 0
    f.take(5)
    assert f.w.log.counts.notifier_calls[0, 1] == 0
