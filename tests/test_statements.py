"""The sixteen testable statements about the scan rule, each for its versions.

Statements about 6.4 are tested on the rules that make it up (scan delay and per-mm PID
filter, nothing later); those about 6.7 to 6.12.0 on 6.12 without the thread-count rule.
"""

import dataclasses

import numpy as np
import pytest

from numalab import policy
from numalab.engine import simulate
from numalab.linux.fair_fault import TNF_FAULT_LOCAL, TNF_MIGRATE_FAIL, task_numa_fault
from numalab.linux.fair_period import task_scan_max, task_scan_min
from numalab.machine import Machine
from numalab.workload import Access, Task, Vma, Workload
from tests.scanner import GIB, Scanner

ALL = ("linux-6.1", "linux-6.12", "linux-7.2")
PER_VMA = ("linux-6.12", "linux-7.2")
LINUX_6_4 = {
    "pid_reset_early": False,
    "seq_completed": False,
    "start_scan_seq": False,
    "partial_vma": False,
    "thread_count_rule": False,
    "forced_scan": False,
}
MB1 = {"size_mb": 1}


@pytest.mark.parametrize("name", ALL)
def test_01_of_tasks_in_one_jiffy_exactly_one_scans(name):
    s = Scanner(name, [{"size_mb": 16}], threads=3)
    s.mm.numa_next_scan = s.jiffies
    walked = [s.scan(task, due=False) for task in range(3)]
    assert walked == [{"v0": 4096}, {}, {}]
    assert s.mm.numa_next_scan == s.jiffies + 250


@pytest.mark.parametrize("name", ALL)
def test_02_unmarkable_memory_is_walked_eight_times_as_far(name):
    s = Scanner(name, [{"size_mb": 8192, "pinned_fraction": 1.0}], threads=2)
    assert s.scan() == {"v0": 2 * GIB}
    assert s.calls == {"v0": 8}
    assert s.mm.numa_scan_offset == s.vmas[0].vm_start + 2 * GIB
    assert s.stat.numa_pte_updates == 0
    s = Scanner(name, [{"size_mb": 8192}], threads=2)
    assert s.scan() == {"v0": 65536}
    assert s.calls == {"v0": 1}
    assert s.stat.numa_pte_updates == 65536


@pytest.mark.parametrize("name", PER_VMA)
def test_03_a_new_vma_waits_from_its_first_visit_unless_in_sequence_0(name):
    s = Scanner(name, [MB1])
    s.mm.numa_scan_seq = 1
    assert s.scan() == {}
    assert s.skipped == {"v0": "scan_delay"}
    s.mm.numa_scan_offset = 0
    assert s.wait(996).scan() == {}
    s.mm.numa_scan_offset = 0
    assert s.wait(4).scan() == {"v0": 256}
    assert Scanner(name, [MB1]).scan() == {"v0": 256}


def test_04_in_6_4_a_vma_first_seen_in_sequence_2_is_never_scanned():
    s = Scanner("linux-6.12", [MB1], threads=2, rules=LINUX_6_4)
    s.mm.numa_scan_seq = 2
    for _ in range(20):
        assert s.wait(5000).scan() == {}
        assert s.wait(5000).scan(task=1) == {}


@pytest.mark.parametrize("name", PER_VMA)
def test_04_since_start_scan_seq_it_is_scanned_once_its_delay_is_over(name):
    s = Scanner(name, [MB1], threads=2)
    s.mm.numa_scan_seq = 7
    assert s.scan() == {}
    assert s.seq == 8
    assert s.wait(1000).scan() == {"v0": 256}


@pytest.mark.parametrize("name", PER_VMA)
def test_05_a_completed_vma_is_not_scanned_twice_in_a_sequence(name):
    s = Scanner(name, [MB1, {"size_mb": 300}, MB1], threads=2)
    assert s.scan() == {"v0": 256, "v1": 65280}
    s.mm.numa_scan_offset = 0
    walked = s.wait(1000).scan()
    assert s.skipped == {"v0": "seq_completed"}
    assert "v0" not in walked
    assert set(walked) == {"v1"}


@pytest.mark.parametrize("name", PER_VMA)
def test_06_the_forced_retry_scans_one_vma_and_keeps_the_sequence(name):
    s = Scanner(name, [MB1] * 3, threads=40)
    for _ in range(2):
        s.wait(2000).scan()
    assert s.seq == 2
    assert s.wait(2000).scan() == {"v0": 256}
    assert s.seq == 2
    assert s.mm.numa_scan_offset == s.vmas[0].vm_end
    assert s.wait(2000).scan() == {"v1": 256}
    assert s.seq == 2


@pytest.mark.parametrize("name", PER_VMA)
def test_07_a_single_thread_scans_an_inactive_vma_within_two_sequences(name):
    s = Scanner(name, [{"size_mb": 1}, MB1])
    rules = s.world.k[0]
    rules.forced_scan = 0
    gaps = []
    last = 0
    for _ in range(30):
        s.fault_in(0)
        if "v1" in s.wait(2000).scan():
            gaps.append(s.seq - 1 - last)
            last = s.seq - 1
    assert max(gaps) == 2


def test_07_before_the_thread_count_rule_it_is_left_out():
    s = Scanner("linux-6.12", [MB1, MB1], rules={"thread_count_rule": False, "forced_scan": False})
    found = []
    for _ in range(30):
        s.fault_in(0)
        found.append("v1" in s.wait(2000).scan())
    assert found == [True, True] + [False] * 28


@pytest.mark.parametrize("name", PER_VMA)
def test_08_a_pid_bit_is_lost_after_two_shifts_one_a_visit(name):
    s = Scanner(name, [MB1], threads=2)
    s.scan()
    s.fault_in(0)
    s.wait(4996).scan(task=1)
    assert s.has_bit(0)
    assert s.vmas[0].pids_active0 == 0
    s.wait(8).scan(task=1)
    assert s.vmas[0].pids_active0 != 0
    assert s.vmas[0].pids_active1 == 0
    s.wait(60_000).scan(task=1)
    assert not s.has_bit(0)


def test_08_in_6_4_windows_age_only_when_a_task_with_a_bit_visits():
    s = Scanner("linux-6.12", [MB1], threads=2, rules=LINUX_6_4)
    for _ in range(2):
        s.wait(1000).scan()
    s.fault_in(0)
    before = int(s.vmas[0].pids_active1)
    assert s.wait(60_000).scan(task=1) == {}
    assert int(s.vmas[0].pids_active1) == before
    assert s.scan(task=0) == {"v0": 256}
    assert (int(s.vmas[0].pids_active0), int(s.vmas[0].pids_active1)) == (before, 0)


@pytest.mark.parametrize(
    ("name", "updates", "huge", "calls", "pages"),
    [
        ("linux-6.1", 65536, 128, 1, 65536),
        ("linux-6.12", 65536, 128, 1, 65536),
        ("linux-7.2", 0, 0, 4, GIB),
    ],
)
def test_09_pinned_thp_is_marked_until_6_12_and_only_notified_in_7_2(
    name, updates, huge, calls, pages
):
    s = Scanner(name, [{"size_mb": 1024, "thp": True, "pinned_fraction": 1.0}], threads=2)
    s.scan()
    assert s.stat.numa_pte_updates == updates
    assert s.stat.numa_huge_pte_updates == huge
    assert s.world.log.notifier_calls[0] == calls
    assert s.world.log.notifier_pages[0] == pages


@pytest.mark.parametrize("name", ALL)
def test_09_pinned_private_4k_pages_are_never_marked(name):
    s = Scanner(name, [{"size_mb": 1024, "pinned_fraction": 1.0}], threads=2)
    s.scan()
    assert s.stat.numa_pte_updates == 0
    assert s.world.log.notifier_pages[0] == GIB


@pytest.mark.parametrize(
    ("name", "starts"), [("linux-6.1", 2), ("linux-6.12", 1), ("linux-7.2", 1)]
)
@pytest.mark.parametrize("pinned", [0.0, 1.0])
def test_10_notifiers_follow_the_page_table_and_not_the_changes(name, starts, pinned):
    s = Scanner(
        name, [{"size_mb": 64, "pinned_fraction": pinned}], threads=2, base=4 * GIB - 32 * 256
    )
    s.scan()
    assert s.world.log.notifier_calls[0] == starts
    assert s.world.log.notifier_pages[0] == 64 * 256
    empty = Scanner(name, [{"size_mb": 64, "populated": 0.0}], threads=2)
    empty.scan()
    assert empty.world.log.notifier_calls[0] == 0


@pytest.mark.parametrize("name", ALL)
def test_11_without_a_hint_fault_the_period_never_changes(name):
    w = Workload(
        name="pinned",
        duration_ms=60_000,
        machine=Machine(memory_mb=4096),
        vmas=(Vma(name="a", size_mb=256, pinned_fraction=1.0),),
        tasks=tuple(Task(name=f"t{i}", cpu=i, access=(Access(vma="a"),)) for i in range(2)),
    )
    s = Scanner(name, [{"size_mb": 256, "pinned_fraction": 1.0}], threads=2)
    for _ in range(50):
        s.wait(1000).scan()
    assert s.world.tasks["numa_scan_period"].tolist() == [1000, 1000]
    ds = simulate(w, policy.get(name)).isel(replicate=0)
    own = ds["chunk_updated"].values[ds["chunk_vma"].values == 0]
    assert own.size > 0
    assert own.sum() == 0


@pytest.mark.parametrize("name", ALL)
def test_11_one_failed_migration_makes_every_later_placement_double_it(name):
    s = Scanner(name, [MB1], threads=2)
    w, mm = s.world, s.mm
    periods = []
    for step in range(8):
        mm.numa_scan_seq += 1
        flags = TNF_MIGRATE_FAIL if step == 0 else TNF_FAULT_LOCAL
        task_numa_fault(
            w.k[0], 0, w.tasks, mm, -1, 0, 1, flags, s.jiffies + 2000 * step, 10**12 + step,
            w.current, w.faults, w.groups, w.group_faults,
        )  # fmt: skip
        periods.append(int(w.tasks[0].numa_scan_period))
    assert periods == [2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]


@pytest.mark.parametrize(
    ("name", "scans"), [("linux-6.1", True), ("linux-6.12", True), ("linux-7.2", False)]
)
def test_12_a_one_node_cpuset_stops_scanning_in_7_2_only(name, scans):
    s = Scanner(name, [MB1], cpuset=(0,))
    assert bool(s.scan()) is scans
    assert (s.seq > 0) is scans
    assert bool(s.world.log.notifier_calls.sum()) is scans
    assert Scanner(name, [MB1], cpuset=(0, 1)).scan() == {"v0": 256}


@pytest.mark.parametrize(
    ("name", "scans"), [("linux-6.1", False), ("linux-6.12", False), ("linux-7.2", True)]
)
def test_13_shmem_is_unsuitable_until_7_2(name, scans):
    s = Scanner(name, [{"size_mb": 1, "kind": "shmem"}])
    assert bool(s.scan()) is scans
    assert bool(s.stat.numa_pte_updates) is scans
    assert s.skipped == ({} if scans else {"v0": "unsuitable"})


@pytest.mark.parametrize("name", ALL)
def test_14_a_huge_hint_fault_counts_once_and_weighs_512(name):
    w = Workload(
        name="huge",
        duration_ms=3000,
        machine=Machine(memory_mb=1024),
        vmas=(Vma(name="a", size_mb=64, thp=True),),
        tasks=(Task(name="t", cpu=1, access=(Access(vma="a"),)),),
    )
    end = simulate(w, policy.get(name), replicates=2).isel(time=-1)
    assert (end["numa_pages_migrated"] // 512 == 32).all()
    assert (end["numa_huge_pte_updates"] == 32).all()
    assert ((end["numa_hint_faults"] >= 32) & (end["numa_hint_faults"] < 60)).all()


@pytest.mark.parametrize("name", ALL)
def test_15_from_150_gib_on_the_period_has_one_value(name):
    s = Scanner(name, [MB1])
    w, mm = s.world, s.mm
    for gib, smin, smax in [
        (0.25, 1000, 60000), (1, 250, 15000), (2.5, 100, 6000), (8, 100, 1875), (32, 100, 468),
        (64, 100, 234), (128, 100, 117), (150, 100, 100), (1024, 100, 100),
    ]:  # fmt: skip
        mm.rss = int(gib * GIB)
        assert task_scan_min(w.k[0], mm) == smin
        assert task_scan_max(w.k[0], mm, w.tasks[0], w.groups, w.group_faults) == smax


@pytest.mark.parametrize("name", ALL)
def test_16_a_reset_pushes_the_first_scan_a_delay_away_and_zeroes_the_sequence(name):
    """A fork does this to its parent. A workload cannot fork again and again; what the
    statement rests on is the reset, which every process of the model starts with."""
    w = Workload(
        name="reset",
        duration_ms=2500,
        vmas=(Vma(name="a", size_mb=1),),
        tasks=tuple(Task(name=f"t{i}", cpu=i, access=(Access(vma="a"),)) for i in range(2)),
    )
    from numalab.layout import Setup, default_setup

    plain = default_setup(w)
    for reset_ms in (-900.0, -2.0, 500.0):
        process = dataclasses.replace(plain.processes[0], reset_ms=reset_ms)
        ds = simulate(w, policy.get(name), setup=Setup(processes=(process,)))
        first = float(ds["chunk_ms"].min())
        assert first >= 1000 + reset_ms - 4
        assert np.all(ds["numa_scan_seq"].sel(process="main").values[:, 0] == 0)
