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
from numalab.linux.fair_period import (
    task_scan_max,
    task_scan_min,
    update_scan_period,
    update_task_scan_period,
)
from numalab.machine import Machine
from numalab.model.default_start import default_setup
from numalab.model.layout import Setup
from numalab.workload import Access, Process, Task, Vma, Workload
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
    assert s.world.log.counts.notifier_calls[0, 0] == calls
    assert s.world.log.counts.notifier_pages[0, 0] == pages


@pytest.mark.parametrize("name", ALL)
def test_09_pinned_private_4k_pages_are_never_marked(name):
    s = Scanner(name, [{"size_mb": 1024, "pinned_fraction": 1.0}], threads=2)
    s.scan()
    assert s.stat.numa_pte_updates == 0
    assert s.world.log.counts.notifier_pages[0, 0] == GIB


@pytest.mark.parametrize(
    ("name", "starts"), [("linux-6.1", 2), ("linux-6.12", 1), ("linux-7.2", 1)]
)
@pytest.mark.parametrize("pinned", [0.0, 1.0])
def test_10_notifiers_follow_the_page_table_and_not_the_changes(name, starts, pinned):
    s = Scanner(
        name, [{"size_mb": 64, "pinned_fraction": pinned}], threads=2, base=4 * GIB - 32 * 256
    )
    s.scan()
    assert s.world.log.counts.notifier_calls[0, 0] == starts
    assert s.world.log.counts.notifier_pages[0, 0] == 64 * 256
    empty = Scanner(name, [{"size_mb": 64, "populated": 0.0}], threads=2)
    empty.scan()
    assert empty.world.log.counts.notifier_calls[0, 0] == 0


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
        w.clock[0].jiffies, w.clock[0].now_ns = s.jiffies + 2000 * step, 10**12 + step
        task_numa_fault(w, 0, -1, 0, 1, flags)
        periods.append(int(w.tasks[0].numa_scan_period))
    assert periods == [2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]


@pytest.mark.parametrize(
    ("name", "scans"), [("linux-6.1", True), ("linux-6.12", True), ("linux-7.2", False)]
)
def test_12_a_one_node_cpuset_stops_scanning_in_7_2_only(name, scans):
    s = Scanner(name, [MB1], cpuset=(0,))
    assert bool(s.scan()) is scans
    assert (s.seq > 0) is scans
    assert bool(s.world.log.counts.notifier_calls.sum()) is scans
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
    plain = default_setup(w)
    for reset_ms in (-900.0, -2.0, 500.0):
        process = dataclasses.replace(plain.processes[0], reset_ms=reset_ms)
        ds = simulate(w, policy.get(name), setup=Setup(processes=(process,)))
        first = float(ds["chunk_ms"].min())
        assert first >= 1000 + reset_ms - 4
        assert np.all(ds["numa_scan_seq"].sel(process="main").values[:, 0] == 0)


def _run(name, *vmas, threads=2, replicates=1, memory_mb=4096, duration_ms=4000, **more):
    """A whole run: every thread spins through its own share of every VMA that it may touch."""
    w = Workload(
        name="run",
        duration_ms=duration_ms,
        machine=Machine(memory_mb=memory_mb),
        vmas=vmas,
        tasks=tuple(
            Task(name=f"t{i}", cpu=i % 2, access=tuple(Access(vma=v.name) for v in vmas))
            for i in range(threads)
        ),
        **more,
    )
    return simulate(w, policy.get(name), replicates=replicates)


@pytest.mark.parametrize("name", ALL)
def test_01_in_a_run_either_of_two_equal_threads_scans_and_never_both(name):
    """The main thread's stamp passes before the scan is due, having touched all memory first;
    the two others' pass at one tick, 2 ticks of CPU time later (kernel.md 1.1, step 4)."""
    w = Workload(
        name="race",
        duration_ms=4000,
        machine=Machine(memory_mb=1024, cpus_per_node=2),
        vmas=(Vma(name="a", size_mb=64),),
        tasks=tuple(Task(name=f"t{i}", cpu=i, access=(Access(vma="a"),)) for i in range(3)),
    )
    ds = simulate(w, policy.get(name), replicates=30)
    winners, scans = [], 0
    for run in range(30):
        one = ds.isel(replicate=run)
        live = one["chunk_scan"].values > 0
        _, first = np.unique(one["chunk_scan"].values[live], return_index=True)
        begins = one["chunk_ms"].values[live][first]
        assert 1008 < begins[0] <= 1016
        assert np.all(np.diff(begins) >= 1000 - 1e-6)
        winners.append(int(one["chunk_task"].values[live][0]))
        scans += len(first)
    assert set(winners) == {1, 2}
    assert scans > 30, "some runs scan again, a period later"


@pytest.mark.parametrize("name", ALL)
def test_02_in_a_run_pinned_memory_is_walked_2_gib_a_scan(name):
    """Seen in the scans that meet nothing else: one that reaches the program's own VMAs,
    whose pages are marked, has a smaller budget left for this one."""
    ds = _run(
        name, Vma(name="a", size_mb=8192, pinned_fraction=1.0), memory_mb=16384, duration_ms=6000
    ).isel(replicate=0)
    scan, vma = ds["chunk_scan"].values, ds["chunk_vma"].values
    whole = [i for i in np.unique(scan) if np.all(vma[scan == i] == 0)]
    assert len(whole) >= 3
    for i in whole:
        start = ds["chunk_start"].values[scan == i]
        assert ds["chunk_pages"].values[scan == i].tolist() == [65536] * 8
        assert np.diff(start).tolist() == [65536] * 7
        resumed = ds["chunk_start"].values[(scan == i + 1) & (vma == 0)]
        assert resumed.size == 0 or resumed[0] == start[-1] + 65536
    assert np.all(ds["chunk_updated"].values[vma == 0] == 0)


@pytest.mark.parametrize("gap_ms", [0, 5000])
def test_03_in_6_4_the_delay_begins_at_the_first_visit_too(gap_ms):
    s = Scanner("linux-6.12", [MB1], rules=LINUX_6_4)
    s.mm.numa_scan_seq = 1
    assert s.wait(gap_ms).scan() == {}
    assert s.skipped == {"v0": "scan_delay"}
    s.mm.numa_scan_seq, s.mm.numa_scan_offset = 1, 0
    assert s.wait(996).scan() == {}
    s.mm.numa_scan_seq, s.mm.numa_scan_offset = 1, 0
    assert s.wait(4).scan() == {"v0": 256}


@pytest.mark.parametrize("name", PER_VMA)
def test_05_skipping_a_completed_vma_moves_the_offset_behind_it(name):
    """Seen through the forced retry: it starts behind the completed VMA, finds nothing there,
    ends the pass, and forces the inactive VMA below in the next sequence."""
    s = Scanner(name, [MB1, MB1], threads=40)
    s.scan()
    s.mm.numa_scan_seq = 30
    s.vmas[0].prev_scan_seq, s.vmas[1].prev_scan_seq = 29, 30
    assert s.wait(2000).scan() == {"v0": 256}
    assert s.skipped == {"v0": "pid_inactive", "v1": "seq_completed"}
    assert s.seq == 31
    assert s.mm.numa_scan_offset == s.vmas[0].vm_end


@pytest.mark.parametrize("name", PER_VMA)
def test_06_a_forced_scan_stops_at_the_budget_and_is_finished_as_a_partial_one(name):
    s = Scanner(name, [{"size_mb": 400}, MB1], threads=40)
    s.scan()
    assert s.wait(2000).scan()["v1"] == 256, "the scanner knows both from sequence 0 on"
    s.mm.numa_scan_seq, s.mm.numa_scan_offset = 30, 0
    for v in s.vmas[:2]:
        v.prev_scan_seq = 29
    s.world.pop.cohorts["prot_none"] = 0
    assert s.wait(2000).scan() == {"v0": 65536}
    assert (s.seq, int(s.mm.numa_scan_offset)) == (30, int(s.vmas[0].vm_start) + 65536)
    walked = s.wait(2000).scan()
    assert s.skipped["v0"] == "ignore_pid_inactive"
    assert walked == {"v0": 400 * 256 - 65536, "v1": 256}, "then v1 is forced"
    assert s.seq == 30


@pytest.mark.parametrize("name", PER_VMA)
def test_06_the_sequence_moves_on_once_nothing_is_left_to_force(name):
    s = Scanner(name, [MB1] * 2, threads=40)
    for _ in range(2):
        s.wait(2000).scan()
    for expected in ({"v0": 256}, {"v1": 256}):
        assert s.wait(2000).scan() == expected
    assert s.seq == 2
    assert s.wait(2000).scan() == {"v0": 256}
    assert s.seq == 3, "the offset was behind the last VMA: a new pass, forced from the start"


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("name", PER_VMA)
def test_07_the_wait_is_one_sequence_more_than_there_are_threads(name, threads):
    s = Scanner(name, [MB1, MB1], threads=threads, rules={"forced_scan": False})
    gaps, last = [], None
    for _ in range(40):
        s.fault_in(0)
        before = s.seq
        if "v1" in s.wait(2000).scan():
            if last is not None:
                gaps.append(before - last)
            last = before
    assert set(gaps[3:]) == {threads + 1}


@pytest.mark.parametrize("name", PER_VMA)
def test_08_windows_do_not_age_in_sequence_0_nor_without_a_visit(name):
    s = Scanner(name, [MB1], threads=2)
    s.scan()
    s.fault_in(0)
    s.wait(600_000)
    assert s.has_bit(0)
    s.mm.numa_scan_seq = 0
    s.scan(task=1)
    assert s.vmas[0].pids_active0 == 0
    s.wait(10).scan(task=1)
    assert s.has_bit(0)
    assert s.vmas[0].pids_active0 != 0


@pytest.mark.parametrize("size_mb", [8, 64])
@pytest.mark.parametrize("name", ALL)
def test_10_in_a_run_notifiers_do_not_depend_on_how_many_pages_change(name, size_mb):
    """One start a chunk, so one WBINVD round for an SEV guest; in 6.1 one for each GiB that
    the chunk lies in. The VMA of 64 MB lies across a border, the one of 8 MB does not."""
    found, updated = set(), []
    for pinned in (0.0, 0.5, 1.0):
        vma = Vma(name="a", size_mb=size_mb, pinned_fraction=pinned)
        ds = _run(name, vma).isel(replicate=0)
        calls, chunks = (
            int(ds["notifier_calls"].sel(vma="a", why="scan")),
            int(ds["scan_calls"].sel(vma="a")),
        )
        assert chunks > 0
        assert int(ds["notifier_pages"].sel(vma="a", why="scan")) == int(
            ds["scan_pages"].sel(vma="a")
        )
        found.add(calls / chunks)
        updated.append(int(ds["chunk_updated"].values[ds["chunk_vma"].values == 0].max()))
    assert updated == [size_mb * 256, size_mb * 128, 0]
    (mapping,) = (
        m
        for m in default_setup(Workload(name="run", vmas=(vma,), tasks=(Task(name="t"),)))
        .processes[0]
        .mappings
        if m.owner == "a"
    )
    regions = (mapping.start + mapping.pages - 1) // GIB - mapping.start // GIB + 1
    assert regions == (2 if size_mb == 64 else 1)
    assert found == {regions if name == "linux-6.1" else 1}


@pytest.mark.parametrize("name", ALL)
def test_11_a_move_between_nodes_restarts_the_period_that_failures_doubled(name):
    s = Scanner(name, [MB1], threads=2)
    p = s.world.tasks[0]
    p.numa_scan_period, p.has_faults, p.numa_scan_seq = 60000, 1, 3
    p.locality_failed = 1
    w = s.world
    update_scan_period(w, p, 0, 1)
    assert p.numa_scan_period == 1000
    update_task_scan_period(w, p, 0, 9)
    assert p.numa_scan_period == 2000, "the failure is not forgotten"


@pytest.mark.parametrize("name", ALL)
def test_12_in_a_run_a_one_node_cpuset_is_left_alone_in_7_2_only(name):
    ds = _run(
        name, Vma(name="a", size_mb=8), processes=(Process(name="main", cpuset_mems=(1,)),)
    ).isel(replicate=0)
    scanned = name != "linux-7.2"
    assert (ds.sizes["chunk"] > 0) is scanned
    assert (int(ds["notifier_calls"].sum()) > 0) is scanned
    assert (int(ds["numa_scan_seq"].max()) > 0) is scanned
    assert int(ds["skips"].sum()) > 0 or not scanned


@pytest.mark.parametrize("name", ALL)
def test_13_in_a_run_a_shared_object_is_only_skipped_until_7_2(name):
    ds = _run(name, Vma(name="a", size_mb=8, kind="shmem")).isel(replicate=0)
    skips = {str(r): int(ds["skips"].sel(vma="a", reason=r)) for r in ds["reason"].values}
    assert (int(ds["scan_calls"].sel(vma="a")) > 0) is (name == "linux-7.2")
    if name != "linux-7.2":
        assert skips.pop("unsuitable") > 0
        assert not any(skips.values())
        assert int(ds["chunk_updated"].where(ds["chunk_vma"] == 0, 0).sum()) == 0
    else:
        assert skips["unsuitable"] == 0


@pytest.mark.parametrize("name", ALL)
def test_14_a_huge_fault_weighs_512_in_the_task_s_statistics(name):
    """That one fault on a PTE-mapped large folio clears its other markings (6.12 and later)
    is not modelled: a folio has 4 KiB or is a PMD."""
    weight, faults = {}, {}
    for thp in (True, False):
        ds = _run(name, Vma(name="a", size_mb=64, thp=thp), duration_ms=12000).isel(replicate=0)
        weight[thp] = int(ds["total_numa_faults"].sum())
        faults[thp] = int(ds["numa_hint_faults"].isel(time=-1))
    assert weight[True] > 20 * faults[True] > 0
    assert faults[False] >= weight[False] > 0


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("gib", [150, 1024])
def test_15_local_faults_cannot_slow_the_scanner_of_150_gib(name, gib):
    s = Scanner(name, [MB1])
    w, p = s.world, s.world.tasks[0]
    s.mm.rss = gib * GIB
    p.numa_scan_period = 100
    for _ in range(10):
        p.locality_local = 1000
        update_task_scan_period(w, p, 0, 1000)
        assert p.numa_scan_period == 100
    s.mm.rss = 8 * GIB
    for _ in range(10):
        p.locality_local = 1000
        update_task_scan_period(w, p, 0, 1000)
    assert p.numa_scan_period > 800, "at 8 GiB they can"


@pytest.mark.parametrize("name", ALL)
def test_16_a_reset_each_second_keeps_an_address_space_unscanned(name):
    """The arithmetic of init_numa_balancing(), done by hand once a second: mm_users == 1, so
    numa_next_scan = jiffies + scan_delay and numa_scan_seq = 0. Forks are not modelled."""
    s = Scanner(name, [MB1])
    for _ in range(20):
        s.mm.numa_next_scan, s.mm.numa_scan_seq = s.jiffies + 250, 0
        for _ in range(249):
            assert s.wait(4).scan(due=False) == {}
        s.wait(4)
    assert s.seq == 0
    assert s.scan(due=False) == {"v0": 256}, "the first second without a fork"
