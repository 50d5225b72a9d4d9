"""Which VMAs are suitable and which entries are marked, by kernel; the walk and its log."""

import numpy as np
import pytest

from numalab.linux import structs as st
from numalab.linux.mempolicy import may_mark, vma_policy_mof, vma_unsuitable
from numalab.model.inputs import mapping_flags
from numalab.population import END, cohort_type
from numalab.records import records
from numalab.workload import Vma
from tests.linux.parts import fill, kernel, mm, vma, world
from tests.scanner import GIB, Scanner

ALL = ("linux-6.1", "linux-6.12", "linux-7.2")
OLD = ("linux-6.1", "linux-6.12")


def flags(kind, policy="default"):
    return mapping_flags(kind, Vma(name="v", size_mb=2, kind=kind, policy=policy))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("kind", "policy", "old", "new"),
    [
        ("anon", "default", True, True),
        ("anon", "bind", False, False),
        ("anon", "bind_balancing", True, True),
        ("anon", "interleave", False, False),
        ("shmem", "default", False, True),
        ("shmem", "bind", False, False),
        ("shmem", "bind_balancing", True, True),
        ("file_rw", "default", False, True),
        ("file_ro", "default", False, True),
    ],
)
def test_who_migrates_on_fault(name, kind, policy, old, new):
    v, k = vma(vm_flags=flags(kind, policy)), kernel(name)
    assert bool(vma_policy_mof(k, v)) is (new if name == "linux-7.2" else old)
    assert bool(vma_unsuitable(k, v)) is not bool(vma_policy_mof(k, v))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("policy", ["default", "bind_balancing"])
def test_hugetlb_and_device_mappings_are_unsuitable_whatever_their_policy(name, policy):
    k = kernel(name)
    assert vma_unsuitable(k, vma(vm_flags=flags("hugetlb", policy)))
    assert vma_unsuitable(k, vma(vm_flags=st.VM_PRIVATE | st.VM_NO_MIGRATE))


def marks(name, *, huge=False, private=True, pinned=0, node=0, users=2, more=0, rules=None):
    w, mapping = world(kernel(name, rules=rules)), st.VM_PRIVATE if private else st.VM_SHMEM
    cohort = fill(records(cohort_type, 1)[0], node=node, pinned=pinned)
    unit = 512 if huge else 1
    return bool(may_mark(w, mm(mm_users=users), vma(vm_flags=mapping | more), cohort, unit, 0))


@pytest.mark.parametrize(
    ("name", "huge", "private", "marked"),
    [
        ("linux-6.1", False, True, False),
        ("linux-6.1", False, False, True),
        ("linux-6.1", True, True, True),
        ("linux-6.1", True, False, True),
        ("linux-6.12", False, True, False),
        ("linux-6.12", False, False, True),
        ("linux-6.12", True, True, True),
        ("linux-6.12", True, False, True),
        ("linux-7.2", False, True, False),
        ("linux-7.2", False, False, False),
        ("linux-7.2", True, True, False),
        ("linux-7.2", True, False, False),
    ],
)
def test_pinned_entries_by_kernel_size_and_mapping(name, huge, private, marked):
    assert marks(name, huge=huge, private=private, pinned=1) is marked
    assert marks(name, huge=huge, private=private, pinned=0)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("huge", [False, True])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("users", [1, 2])
@pytest.mark.parametrize("node", [0, 1])
def test_a_lone_thread_spares_its_private_pages_on_its_own_node(name, huge, private, users, node):
    spared = private and users == 1 and node == 0 and (not huge or name == "linux-7.2")
    assert marks(name, huge=huge, private=private, users=users, node=node) is not spared


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("private", [False, True])
def test_file_pages_on_an_lru_are_left_alone_except_huge_ones_of_old(name, private):
    lru = {"private": private, "more": st.VM_FILE_LRU}
    assert not marks(name, **lru)
    assert marks(name, huge=True, **lru) is (name in OLD)


@pytest.mark.parametrize("name", ALL)
def test_entries_without_a_normal_page_are_never_marked(name):
    assert not marks(name, more=st.VM_SPECIAL)
    assert not marks(name, more=st.VM_SPECIAL, node=1, private=False)


def test_the_rule_for_huge_folios_of_a_lone_thread_is_a_switch_of_its_own():
    """design.md section 5: policies that differ only in rules are flags."""
    lone = {"huge": True, "users": 1}
    assert not marks("linux-6.12", **lone, rules={"single_thread_rule_thp": 1})
    assert marks("linux-7.2", **lone, rules={"single_thread_rule_thp": 0})


@pytest.mark.parametrize("name", ALL)
def test_the_walk_marks_each_present_entry_once(name):
    s = Scanner(name, [{"size_mb": 8, "populated": 0.5}], threads=2)
    s.scan()
    assert s.stat.numa_pte_updates == 1024
    assert s.world.pop.segments["marked"].sum() == 1024
    s.wait(9000).scan()
    s.mm.numa_scan_offset = 0
    s.wait(9000).scan()
    assert s.stat.numa_pte_updates == 1024


@pytest.mark.parametrize("name", ALL)
def test_a_huge_entry_counts_512_and_once_as_huge(name):
    s = Scanner(name, [{"size_mb": 8, "thp": True}], threads=2)
    s.scan()
    assert (int(s.stat.numa_pte_updates), int(s.stat.numa_huge_pte_updates)) == (2048, 4)


@pytest.mark.parametrize("where", ["head", "scattered"])
def test_only_pages_without_a_pin_are_marked(where):
    s = Scanner(
        "linux-7.2", [{"size_mb": 8, "pinned_fraction": 0.25, "pin_placement": where}], threads=2
    )
    s.scan()
    pop = s.world.pop
    found = {}
    for g in range(s.vmas[0].nr_segments):
        span = pop.segments[s.vmas[0].first_segment + g].span
        while span != END:
            c = pop.spans[span].cohort
            while c != END:
                it = pop.cohorts[c]
                key = (int(it.pinned), int(it.prot_none))
                found[key] = found.get(key, 0) + int(it["count"])
                c = it.next
            span = pop.spans[span].next
    assert found == {(1, 0): 512, (0, 1): 1536}


def test_the_chunk_table_says_when_who_where_and_how_much():
    s = Scanner("linux-6.12", [{"size_mb": 1, "count": 1}, {"size_mb": 512}], threads=2)
    s.scan(task=1)
    log = s.world.log
    assert log.rows[0].chunks == 2
    assert log.chunks.dtype.names == ("ns", "scan", "task", "vma", "start", "pages", "updated")
    first, second = log.chunks[:2].tolist()
    assert first == (10**12, 1, 1, 0, 0, 256, 256)
    assert second == (10**12, 1, 1, 1, 0, 65536 - 256, 65536 - 256)
    s.wait(1000).scan()
    assert log.chunks[2].tolist() == (10**12, 2, 0, 1, 65280, 65536, 65536)


def test_what_a_walk_costs():
    s = Scanner("linux-7.2", [{"size_mb": 8, "pinned_fraction": 0.5, "populated": 0.75}], threads=2)
    s.world.speed[0].scan_call_ns = 10_000.0
    s.world.speed[0].scan_page_ns = 3.0
    s.world.speed[0].pte_update_ns = 7.0
    s.world.speed[0].scan_spread = 0.0
    from numalab.linux.mempolicy import change_prot_numa

    w, v = s.world, s.vmas[0]
    updated, spent = change_prot_numa(w, 1, v, v.vm_start, v.vm_end, s.rng)
    assert updated == 512
    assert spent == 10_000 + 1536 * 3 + 512 * 7


def notifiers(name, vmas, base=1 << 20, scans=1):
    s = Scanner(name, vmas, threads=2, base=base)
    for _ in range(scans):
        s.scan()
    n = len(vmas)
    return s.world.log.counts.notifier_calls[:n, 0].tolist(), s.world.log.counts.notifier_pages[
        :n, 0
    ].tolist()


@pytest.mark.parametrize("name", ALL)
def test_memory_that_is_not_there_sends_no_notifier(name):
    assert notifiers(name, [{"size_mb": 8, "populated": 0.0}]) == ([0], [0])


def test_until_6_12_each_gib_of_a_chunk_has_its_own_notifier():
    straddling = {"base": 4 * GIB - 128 * 256}
    assert notifiers("linux-6.1", [{"size_mb": 256}], **straddling)[0] == [2]
    assert notifiers("linux-6.1", [{"size_mb": 128}], **straddling)[0] == [1]
    assert notifiers("linux-6.12", [{"size_mb": 256}], **straddling)[0] == [1]


@pytest.mark.parametrize("name", ["linux-6.12", "linux-7.2"])
def test_an_empty_vma_beside_a_populated_one_is_notified_too(name):
    """kernel.md 2.3: the trigger is the first non-none PUD (1 GiB); page tables that a
    neighbouring VMA populated are enough."""
    beside = [{"size_mb": 8}, {"size_mb": 8, "populated": 0.0}]
    assert notifiers(name, beside) == ([1, 1], [2048, 2048])


@pytest.mark.parametrize("name", ["linux-6.12", "linux-7.2"])
def test_a_chunk_across_a_512_gib_border_is_notified_twice(name):
    """kernel.md 2.3: ranges end at the P4D/PGD entry (512 GiB)."""
    assert notifiers(name, [{"size_mb": 64}], base=(512 * GIB) - 32 * 256)[0] == [2]


@pytest.mark.parametrize("name", ALL)
def test_a_chunk_without_a_page_is_notified_if_its_gib_holds_a_page(name):
    """kernel.md 2.3: until 6.1 the trigger is a populated PMD in the chunk; since then it is
    a non-none PUD, here of the 128 MB in front of the second chunk."""
    s = Scanner(name, [{"size_mb": 512, "populated": 0.25}], threads=2)
    assert s.scan() == {"v0": 65536}
    before = int(s.world.log.counts.notifier_calls[0, 0])
    assert before == 1
    assert s.wait(2000).scan() == {"v0": 65536}
    assert int(s.world.log.counts.notifier_calls[0, 0]) - before == (
        0 if name == "linux-6.1" else 1
    )


def test_spans_join_again_when_a_pass_leaves_them_equal():
    s = Scanner("linux-6.1", [{"size_mb": 600}], threads=2)
    for _ in range(3):
        s.wait(1000).scan()
    pop = s.world.pop
    seg = pop.segments[s.vmas[0].first_segment]
    span = pop.spans[seg.span]
    assert (int(span.lo), int(span.hi)) == (int(seg.lo), int(seg.hi))
    assert np.all(
        pop.free[0].spans == len(pop.spans) - np.count_nonzero(pop.segments["span"] != END)
    )
