"""Fault statistics, placement, groups, and whether a page follows the CPU."""

import itertools

import pytest

from numalab.linux.fair_fault import (
    TNF_FAULT_LOCAL,
    TNF_MIGRATE_FAIL,
    TNF_MIGRATED,
    TNF_SHARED,
    cpupid,
    cpupid_match_pid,
    numa_group_count_active_nodes,
    numa_is_active_node,
    numa_migrate_preferred,
    should_numa_migrate_memory,
    task_numa_fault,
    task_numa_group,
    task_numa_placement,
)
from numalab.linux.structs import NONE
from tests.linux.parts import fill, kernel, mm, no_faults, no_groups, tasks, world

MEM, CPU, MEMBUF, CPUBUF = range(4)


def test_last_cpupid_keeps_the_cpu_and_eight_bits_of_the_pid():
    p = tasks(pid=0x12345, cpu=7)[0]
    assert cpupid(p) == 7 << 8 | 0x45
    assert cpupid_match_pid(p, 3 << 8 | 0x45)
    assert not cpupid_match_pid(p, 7 << 8 | 0x44)


def follows(last, *, preferred=NONE, seq=0, group=None, src=0, dst=1):
    """Task 100 on node 1; ``group`` is (cpu_src, cpu_dst, mem_src, mem_dst)."""
    p = tasks(2, numa_preferred_nid=preferred, numa_scan_seq=seq)[0]
    fill(p, pid=100, cpu=dst, node=dst)
    groups, faults = no_groups(1, nodes=2)
    if group:
        p.numa_group = 0
        (faults[0, CPU, src, 0], faults[0, CPU, dst, 0]) = group[:2]
        (faults[0, MEM, src, 1], faults[0, MEM, dst, 1]) = group[2:]
    w = world(cpus_per_node=1, groups=groups, group_faults=faults)
    return bool(should_numa_migrate_memory(w, p, last, src, dst))


MINE, OTHER = 100, 101


def last(cpu, pid):
    return cpu << 8 | pid


@pytest.mark.parametrize(
    ("found", "seq", "preferred", "expected"),
    [
        (NONE, 0, NONE, True),  # early: first fault on the page
        (NONE, 4, 0, True),
        (last(0, MINE), 4, 0, True),  # early and private, from any node
        (last(0, MINE), 5, NONE, True),  # no preferred node counts as early
        (last(0, OTHER), 0, NONE, False),  # touched last from the other node
        (last(1, OTHER), 0, NONE, True),  # second touch from this node, no group
        (last(0, MINE), 5, 0, False),  # late: two touches from one node are needed
        (last(1, MINE), 5, 0, True),
        (last(1, OTHER), 5, 0, True),
        (NONE, 5, 0, True),  # unset falls through to "no group"
    ],
)
def test_whether_a_page_follows_without_a_group(found, seq, preferred, expected):
    assert follows(found, seq=seq, preferred=preferred) is expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [  # cpu_src, cpu_dst, mem_src, mem_dst
        ((10, 31, 0, 1000), True),  # dst runs over three times as much
        ((10, 30, 0, 1000), False),  # exactly three times does not
        ((10, 10, 41, 30), True),  # 3 * 41 > 4 * 30
        ((10, 10, 40, 30), False),  # 3 * 40 == 4 * 30
        ((0, 0, 50, 50), False),
        ((10, 20, 20, 30), False),  # 3*20*20 == 4*10*30
        ((10, 20, 21, 30), True),
    ],
)
def test_a_shared_page_follows_a_group_to_where_it_runs(group, expected):
    shared = last(1, OTHER)
    assert follows(shared, seq=5, preferred=0, group=group) is expected
    assert follows(last(0, OTHER), seq=5, preferred=0, group=group) is False
    assert follows(last(1, MINE), seq=5, preferred=0, group=group) is True, "private: no balance"


def test_a_pid_that_agrees_in_eight_bits_counts_as_the_same_task():
    assert follows(last(1, (MINE + 256) & 0xFF), seq=5, preferred=0, group=(10, 10, 0, 10))


def fault(p_values=None, *, last=NONE, nid=0, pages=1, flags=0, jiffies=10, seq=0, count=1):
    address_space = mm(rss=65536, numa_scan_seq=seq)
    found = tasks(count, **(p_values or {}))
    current = tasks(2)["pid"].copy()
    current[:] = NONE
    faults, (groups, group_faults) = no_faults(count), no_groups(count)
    w = world(
        address_space=address_space, now=jiffies, now_ns=10**9, tasks=found, current=current,
        faults=faults, groups=groups, group_faults=group_faults,
    )  # fmt: skip
    task_numa_fault(w, 0, last, nid, pages, flags)
    return found[0], faults[0]


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("nid", [0, 1])
def test_a_fault_is_charged_to_the_page_s_node_and_the_cpu_s(local, nid):
    p, faults = fault({"node": 1, "cpu": 1}, nid=nid, pages=512, flags=TNF_FAULT_LOCAL * local)
    assert faults[MEMBUF, nid, 1] == 512
    assert faults[CPUBUF, 1, 1] == 512
    assert faults.sum() == 1024
    assert (int(p.locality_local), int(p.locality_remote)) == ((512, 0) if local else (0, 512))


def test_an_unset_page_and_an_own_one_are_private_another_s_is_shared():
    assert fault(last=NONE)[1][MEMBUF, 0].tolist() == [0, 1]
    assert fault(last=last(1, MINE))[1][MEMBUF, 0].tolist() == [0, 1]
    assert fault(last=last(1, OTHER))[1][MEMBUF, 0].tolist() == [1, 0]


def test_migrated_and_failed_pages_are_counted_apart():
    p, _ = fault(pages=512, flags=TNF_MIGRATED)
    assert (int(p.numa_pages_migrated), int(p.locality_failed)) == (512, 0)
    p, _ = fault(pages=512, flags=TNF_MIGRATE_FAIL)
    assert (int(p.numa_pages_migrated), int(p.locality_failed)) == (0, 512)


def test_placement_waits_for_a_new_sequence_and_for_its_time():
    past = {"numa_migrate_retry": 9, "numa_scan_seq": 3, "locality_remote": 7}
    assert fault(past, jiffies=10, seq=4)[0].numa_scan_seq == 4
    assert fault(past, jiffies=10, seq=4)[0].numa_scan_period == 2000
    assert fault(past, jiffies=9, seq=4)[0].numa_scan_seq == 3
    assert fault(past, jiffies=10, seq=3)[0].numa_scan_period == 1000


@pytest.mark.parametrize(
    ("period", "hz", "interval"),
    [(1000, 250, 15), (3000, 250, 46), (60_000, 250, 250), (1000, 100, 6), (1000, 1000, 62)],
)
def test_the_next_try_comes_after_a_sixteenth_of_the_period(period, hz, interval):
    p = tasks(numa_preferred_nid=1, numa_scan_period=period)[0]
    assert numa_migrate_preferred(kernel(hz=hz), p, 500)
    assert p.numa_migrate_retry == 500 + interval
    p.node = 1
    assert not numa_migrate_preferred(kernel(hz=hz), p, 900)
    assert p.numa_migrate_retry == 900 + interval


def test_without_a_preferred_node_there_is_no_next_try():
    p = tasks()[0]
    assert not numa_migrate_preferred(kernel(), p, 500)
    assert p.numa_migrate_retry == 0


def place(faults, *, seq=1, count=1, p_values=None, groups=None, now_ns=2 * 10**9):
    found = tasks(count, **(p_values or {}))
    groups, group_faults = groups or no_groups(count)
    w = world(
        address_space=mm(rss=65536, numa_scan_seq=seq), now=10, now_ns=now_ns, tasks=found,
        faults=faults, groups=groups, group_faults=group_faults,
    )  # fmt: skip
    task_numa_placement(w, 0)
    return found[0]


def test_placement_adds_the_new_faults_and_halves_the_old():
    faults = no_faults()
    faults[0, MEM] = [[9, 100], [0, 7]]
    faults[0, MEMBUF] = [[4, 0], [1, 600]]
    p = place(faults, p_values={"locality_local": 1})
    assert faults[0, MEM].tolist() == [[9 - 4 + 4, 50], [1, 7 - 3 + 600]]
    assert not faults[0, MEMBUF:].any()
    assert p.numa_preferred_nid == 1
    assert p.total_numa_faults == (0 + 4 - 4) + (-50) + 1 + 597


def test_cpu_faults_are_weighed_by_the_share_of_time_the_task_ran():
    faults = no_faults()
    faults[0, MEMBUF] = faults[0, CPUBUF] = [[0, 100], [0, 0]]
    faults[0, CPU] = [[0, 0], [0, 41]]
    place(
        faults,
        p_values={
            "locality_local": 99, "last_task_numa_placement": 10**9,
            "last_sum_exec_runtime": 5 * 10**8, "sum_exec_runtime": 10**9,
        },
    )  # fmt: skip
    half = (5 * 10**8 << 16) // (10**9 + 1)
    assert faults[0, CPU, 0, 1] == half * 100 // 100
    assert faults[0, CPU, 1, 1] == 41 - 20


def test_a_task_without_faults_keeps_its_preferred_node():
    assert place(no_faults(), p_values={"numa_preferred_nid": 1}).numa_preferred_nid == 1
    assert place(no_faults()).numa_preferred_nid == NONE


def test_the_first_node_wins_a_tie():
    faults = no_faults()
    faults[0, MEMBUF] = [[0, 50], [0, 50]]
    assert place(faults).numa_preferred_nid == 0


def test_in_a_group_the_group_s_faults_choose_the_node():
    faults = no_faults()
    faults[0, MEMBUF] = [[0, 50], [0, 10]]
    groups, group_faults = no_groups(1)
    groups[0].refcount = groups[0].nr_tasks = 2
    group_faults[0, MEM, 1, 0] = 500
    p = place(faults, groups=(groups, group_faults), p_values={"numa_group": 0})
    assert p.numa_preferred_nid == 1
    assert group_faults[0, MEM].tolist() == [[0, 50], [500, 10]]
    assert groups[0].total_faults == 60


def test_a_node_is_active_from_a_third_of_the_most_on():
    groups, faults = no_groups(1, nodes=4)
    faults[0, CPU, :, 0] = [90, 31, 30, 29]
    numa_group_count_active_nodes(groups, faults, 0)
    assert groups[0].max_faults_cpu == 90
    assert groups[0].active_nodes == 2
    assert [bool(numa_is_active_node(groups, faults, 0, n)) for n in range(4)] == [
        True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("active", [1, 2])
def test_a_shared_fault_inside_the_active_nodes_counts_as_local(active):
    found = tasks(2, numa_group=0)
    groups, group_faults = no_groups(2)
    fill(groups[0], nr_tasks=2, refcount=2, active_nodes=active, max_faults_cpu=10)
    group_faults[0, CPU] = [[10, 0], [10, 0]]
    current = tasks(2)["pid"].copy()
    current[:] = [0, 1]
    faults = no_faults(2)
    w = world(
        address_space=mm(rss=65536), tasks=found, current=current, faults=faults, groups=groups,
        group_faults=group_faults,
    )  # fmt: skip
    task_numa_fault(w, 0, last(1, OTHER), 1, 3, 0)
    spread = active > 1
    assert (int(found[0].locality_local), int(found[0].locality_remote)) == (
        (3, 0) if spread else (0, 3)
    )


class Groups:
    """Three tasks, task ``i`` running on CPU ``i``."""

    def __init__(self):
        self.tasks = tasks(3)
        for i in range(3):
            fill(self.tasks[i], cpu=i, node=0)
        self.faults = no_faults(3)
        self.groups, self.group_faults = no_groups(3)
        self.current = self.tasks["pid"].copy()
        self.current[:] = [0, 1, 2]

    def meet(self, t, other, flags=0):
        w = world(
            tasks=self.tasks, current=self.current, faults=self.faults, groups=self.groups,
            group_faults=self.group_faults,
        )  # fmt: skip
        return task_numa_group(w, t, last(other, 100 + other), flags)

    @property
    def of(self):
        return self.tasks["numa_group"].tolist()


def test_a_task_that_meets_another_founds_a_group_of_its_own_first():
    g = Groups()
    g.faults[0, MEM] = [[1, 2], [3, 4]]
    fill(g.tasks[0], total_numa_faults=10)
    assert g.meet(0, 1) == 0
    assert g.of == [0, NONE, NONE]
    assert g.group_faults[0, MEM].tolist() == [[1, 2], [3, 4]]
    assert (int(g.groups[0].nr_tasks), int(g.groups[0].total_faults)) == (1, 10)


def test_the_smaller_group_joins_and_brings_its_faults():
    g = Groups()
    for t in range(3):
        g.faults[t, MEM, 0, 0] = 10**t
        fill(g.tasks[t], total_numa_faults=10**t)
    g.meet(0, 1)
    g.meet(1, 0)
    g.meet(2, 1)
    assert len(set(g.of[:2])) == 1 or g.of[0] != g.of[1]
    for _ in range(2):
        for a, b in itertools.permutations(range(3), 2):
            g.meet(a, b)
    assert len(set(g.of)) == 1
    home = g.of[0]
    assert (int(g.groups[home].nr_tasks), int(g.groups[home].refcount)) == (3, 3)
    assert g.group_faults[home, MEM, 0, 0] == 111
    assert g.groups[home].total_faults == 111
    others = [i for i in range(3) if i != home]
    assert not g.group_faults[others].any()
    assert g.groups["nr_tasks"][others].sum() == 0


def test_a_bigger_group_stays_and_waits_for_the_other_to_come():
    g = Groups()
    for t in range(3):
        g.meet(t, (t + 1) % 3)
    fill(g.groups[g.of[0]], nr_tasks=5)
    before = g.of
    assert before[0] != before[1]
    g.meet(0, 1)
    assert g.of == before
    g.meet(1, 0)
    assert g.of[1] == before[0]


def test_another_process_is_joined_only_over_memory_that_both_map():
    g = Groups()
    fill(g.tasks[1], mm=1)
    g.meet(0, 1)
    g.meet(1, 0)
    low, high = (0, 1)
    mover = high if g.of[low] == low else low
    joins = next(t for t in (mover, 1 - mover) if g.meet(t, 1 - t) == 1)
    assert g.of == [0, 1, NONE], "private after all: the pids only look alike"
    assert g.meet(joins, 1 - joins, TNF_SHARED) == 0
    assert g.of[0] == g.of[1]


@pytest.mark.parametrize("gone", ["idle", "another"])
def test_a_task_that_no_longer_runs_there_is_not_joined(gone):
    g = Groups()
    g.meet(1, 0)
    g.current[1] = NONE if gone == "idle" else 2
    g.meet(0, 1)
    g.meet(0, 1)
    assert g.of == [0, 1, NONE]
