"""When a task scans, which VMAs it skips and in what order, how far it walks."""

import itertools

import pytest

from numalab.linux.fair_scan import (
    FOREVER_NS,
    find_vma,
    finish_scan,
    reset_ptenuma_scan,
    task_tick_numa,
    vma_is_accessed,
)
from numalab.linux.structs import VM_INACCESSIBLE, pid_bucket
from tests.linux.parts import fill, kernel, mm, no_groups, tasks, vma
from tests.scanner import GIB, Scanner

MS = 1_000_000
MB1 = {"size_mb": 1}
ALL = ("linux-6.1", "linux-6.12", "linux-7.2")
PER_VMA = ("linux-6.12", "linux-7.2")


def tick(runtime_ms, jiffies=1000, name="linux-6.12", next_scan=1000, rules=None, **values):
    p = tasks(sum_exec_runtime=int(runtime_ms * MS), **values)[0]
    k = kernel(name, rules=rules)
    queued = task_tick_numa(k, p, mm(rss=4 << 16, numa_next_scan=next_scan), jiffies, *no_groups())
    return bool(queued), int(p.node_stamp), int(p.numa_scan_period)


@pytest.mark.parametrize("name", ALL)
def test_the_tick_waits_for_more_than_a_period_of_own_runtime(name):
    assert tick(1500, name=name, node_stamp=500 * MS) == (False, 500 * MS, 1000)
    assert tick(1501, name=name, node_stamp=500 * MS) == (True, 1500 * MS, 1000)


def test_the_first_tick_sets_the_period_and_advances_by_the_old_one():
    """4 windows: task_scan_start is 250 ms; the stamp moves by the 1000 ms of before."""
    assert tick(1001) == (True, 1000 * MS, 250)


def test_the_stamp_moves_even_if_it_is_too_early_for_the_address_space():
    assert tick(1501, jiffies=999, node_stamp=500 * MS) == (False, 1500 * MS, 1000)
    assert tick(1501, jiffies=1000, node_stamp=500 * MS)[0]


def test_nothing_happens_at_ticks_with_balancing_off():
    assert tick(9000, rules={"numa_balancing": 0}) == (False, 0, 1000)


def accessed(rules, *, seq, start=0, bit="", offset=0, prev=0, threads=2):
    k = kernel(rules=rules)
    p = tasks()[0]
    mask = 1 << pid_bucket(int(p.pid))
    v = vma(
        start_scan_seq=start, prev_scan_seq=prev,
        pids_active0=mask if bit == "old" else 0, pids_active1=mask if bit == "new" else 0,
    )  # fmt: skip
    m = mm(numa_scan_seq=seq, numa_scan_offset=int(v.vm_start) + offset, nr_threads=threads)
    scan, ignore = vma_is_accessed(k, m, v, p)
    return bool(scan), bool(ignore)


def test_two_sequences_are_free():
    assert accessed({}, seq=8, start=7) == (True, False)
    assert accessed({}, seq=9, start=7, prev=8) == (False, False)
    assert accessed({}, seq=0, start=7) == (True, False), "negative after a fork"


def test_in_6_4_the_two_sequences_are_those_of_the_address_space():
    old = {"start_scan_seq": 0, "thread_count_rule": 0, "partial_vma": 0}
    assert accessed(old, seq=1, start=1) == (True, False)
    assert accessed(old, seq=2, start=2) == (False, False)


@pytest.mark.parametrize("bit", ["old", "new"])
def test_a_bit_of_either_window_counts(bit):
    assert accessed({}, seq=50, prev=50, bit=bit) == (True, False)


def test_a_bit_of_another_bucket_does_not_count():
    k, p = kernel(), tasks()[0]
    others = ((1 << 63) - 1) & ~(1 << pid_bucket(int(p.pid)))
    v = vma(prev_scan_seq=50, pids_active0=others, pids_active1=others)
    m = mm(numa_scan_seq=50, numa_scan_offset=0)
    assert not vma_is_accessed(k, m, v, p)[0]


def test_the_bit_of_bucket_63_counts():
    p = tasks(pid=next(i for i in range(1, 9999) if pid_bucket(i) == 63))[0]
    v = vma(prev_scan_seq=50, pids_active1=-(1 << 63))
    assert vma_is_accessed(kernel(), mm(numa_scan_seq=50), v, p)[0]


def test_a_half_scanned_vma_is_finished_and_told_so():
    assert accessed({}, seq=50, prev=50, offset=1) == (True, True)
    assert accessed({}, seq=50, prev=50, offset=0) == (False, False)
    assert accessed({"partial_vma": 0}, seq=50, prev=50, offset=1) == (False, False)


@pytest.mark.parametrize("threads", [1, 2, 40])
def test_after_as_many_sequences_as_threads_it_is_scanned(threads):
    assert accessed({}, seq=50 + threads, prev=50, threads=threads) == (False, False)
    assert accessed({}, seq=51 + threads, prev=50, threads=threads) == (True, False)
    off = {"thread_count_rule": 0}
    assert accessed(off, seq=51 + threads, prev=50, threads=threads) == (False, False)


def test_the_rules_are_asked_in_the_order_of_fair_c():
    """Only the unfinished VMA is traced as ignore_pid_inactive, and only if no earlier rule
    lets it through; the thread count is asked last, so it never hides the trace."""
    for free, bit, partial, count in itertools.product([False, True], repeat=4):
        found = accessed(
            {}, seq=50, start=49 if free else 0, bit="new" if bit else "",
            offset=int(partial), prev=40 if count else 50,
        )  # fmt: skip
        assert found == (free or bit or partial or count, partial and not (free or bit))


def test_the_end_of_a_pass_raises_the_sequence_and_zeroes_the_offset():
    m = mm(numa_scan_seq=4, numa_scan_offset=99, reset_at_ns=500)
    finish_scan(m, 499)
    assert (int(m.numa_scan_seq), int(m.numa_scan_offset)) == (4, 99)
    finish_scan(m, 500)
    finish_scan(m, FOREVER_NS)
    assert (int(m.numa_scan_seq), int(m.numa_scan_offset), int(m.reset_at_ns)) == (5, 0, 0)
    reset_ptenuma_scan(m)
    assert int(m.numa_scan_seq) == 6


def test_the_vma_found_is_the_first_that_ends_above_the_address():
    s = Scanner("linux-6.12", [MB1, MB1])
    first, second = s.vmas[0], s.vmas[1]
    order = list(s.vmas["vm_start"]).index

    def at(address):
        return find_vma(s.mm, s.vmas, address)

    assert at(0) == order(first.vm_start)
    assert at(first.vm_end - 1) == order(first.vm_start)
    assert at(first.vm_end) == order(second.vm_start)
    assert at(second.vm_end) == -1


@pytest.mark.parametrize("name", ALL)
def test_an_address_space_fresh_from_exec_only_arms_the_delay(name):
    s = Scanner(name, [MB1])
    s.mm.numa_next_scan = 0
    assert s.scan(due=False) == {}
    assert s.mm.numa_next_scan == s.jiffies + 250
    assert s.wait(996).scan(due=False) == {}
    assert s.wait(4).scan(due=False) == {"v0": 256}


@pytest.mark.parametrize("name", ALL)
def test_a_scan_moves_the_stamp_two_ticks_and_the_next_one_a_period(name):
    s = Scanner(name, [MB1])
    s.world.tasks[0].numa_scan_period = 117
    s.scan()
    assert s.world.tasks[0].node_stamp == 8 * MS
    assert s.mm.numa_next_scan == s.jiffies + 30


def test_a_period_of_zero_is_set_from_the_resident_set():
    s = Scanner("linux-6.12", [{"size_mb": 1024}])
    s.world.tasks[0].numa_scan_period = 0
    s.scan()
    p = s.world.tasks[0]
    assert (int(p.numa_scan_period), int(p.numa_scan_period_max)) == (250, 15000)


@pytest.mark.parametrize("name", ALL)
def test_a_chunk_ends_on_a_2_mib_border_beyond_the_budget(name):
    s = Scanner(name, [{"size_mb": 600}], threads=2, base=(1 << 20) + 3)
    assert s.scan() == {"v0": 65536 + 509}
    assert s.mm.numa_scan_offset % 512 == 0
    assert s.wait(1000).scan() == {"v0": 65536}


@pytest.mark.parametrize("name", ALL)
def test_the_budget_is_shared_by_the_vmas_of_a_pass(name):
    s = Scanner(name, [{"size_mb": 100}] * 4, threads=2)
    assert s.scan() == {"v0": 25600, "v1": 25600, "v2": 65536 - 51200}
    assert s.wait(1000).scan() == {"v2": 25600 - 14336, "v3": 25600}


@pytest.mark.parametrize("name", ALL)
def test_the_virtual_budget_is_shared_by_vmas_that_cannot_be_marked(name):
    s = Scanner(name, [{"size_mb": 1536, "pinned_fraction": 1.0}] * 2, threads=2)
    assert s.scan() == {"v0": 6 * GIB // 4, "v1": 2 * GIB - 6 * GIB // 4}
    assert s.calls == {"v0": 6, "v1": 2}


@pytest.mark.parametrize("name", ALL)
def test_a_chunk_is_charged_whole_even_if_little_of_it_changed(name):
    s = Scanner(name, [{"size_mb": 512, "pinned_fraction": 0.49}], threads=2)
    assert s.scan() == {"v0": 65536}
    assert s.stat.numa_pte_updates == 65536 - round(0.49 * 131072)


@pytest.mark.parametrize("name", ALL)
def test_entries_marked_before_and_absent_ones_do_not_count_as_updates(name):
    s = Scanner(name, [{"size_mb": 512, "populated": 0.125}], threads=2)
    s.scan()
    first = int(s.stat.numa_pte_updates)
    assert first == 16384
    s.wait(5000).scan()
    s.mm.numa_scan_offset = 0
    s.wait(5000).scan()
    assert s.stat.numa_pte_updates == first


@pytest.mark.parametrize("name", PER_VMA)
def test_a_vma_whose_last_chunk_ends_the_budget_is_not_completed(name):
    s = Scanner(name, [{"size_mb": 256}, MB1], threads=2)
    assert s.scan() == {"v0": 65536}
    assert s.mm.numa_scan_offset == s.vmas[0].vm_end
    assert s.vmas[0].prev_scan_seq == -1
    s.mm.numa_scan_offset = 0
    assert "v0" in s.wait(1000).scan(), "so it is not skipped as seq_completed"


@pytest.mark.parametrize("name", ALL)
def test_an_offset_behind_the_last_vma_ends_the_pass_and_starts_over(name):
    s = Scanner(name, [MB1], threads=2)
    s.mm.numa_scan_offset = 1 << 34
    assert s.scan() == ({"v0": 256} if name == "linux-6.1" else {})
    assert s.seq == 2, "once at the start, once at the end"


def scan_with_flags(name, flags):
    s = Scanner(name, [MB1], threads=2)
    s.vmas[0].vm_flags |= flags
    s.mm.numa_scan_seq = 5
    s.scan()
    return s.skipped.get("v0"), int(s.vmas[0].numab_state)


@pytest.mark.parametrize("name", ALL)
def test_a_vma_has_the_first_reason_that_holds(name):
    from numalab.linux.structs import VM_FILE_RO, VM_HUGETLB, VM_NO_MIGRATE

    assert scan_with_flags(name, VM_NO_MIGRATE | VM_FILE_RO | VM_INACCESSIBLE)[0] == "unsuitable"
    assert scan_with_flags(name, VM_HUGETLB)[0] == "unsuitable"
    assert scan_with_flags(name, VM_FILE_RO | VM_INACCESSIBLE) == ("shared_ro", 0)
    assert scan_with_flags(name, VM_INACCESSIBLE) == ("inaccessible", 0)
    late = ("scan_delay", 1) if name != "linux-6.1" else (None, 0)
    assert scan_with_flags(name, 0) == late


@pytest.mark.parametrize("name", PER_VMA)
def test_the_delay_comes_before_completion_and_completion_before_the_pid(name):
    s = Scanner(name, [MB1], threads=2)
    s.scan()
    fill(s.vmas[0], prev_scan_seq=40, start_scan_seq=0)
    s.mm.numa_scan_seq = 40
    assert s.wait(100).scan() == {}
    assert s.skipped == {"v0": "scan_delay"}
    s.mm.numa_scan_seq, s.mm.numa_scan_offset = 40, 0
    s.wait(2000).scan()
    assert s.skipped == {"v0": "seq_completed"}
    s.mm.numa_scan_seq, s.mm.numa_scan_offset, s.vmas[0].prev_scan_seq = 40, 0, 39
    walked = s.wait(2000).scan()
    assert (s.skipped, walked) == ({"v0": "pid_inactive"}, {"v0": 256}), "then forced"


@pytest.mark.parametrize("name", PER_VMA)
def test_the_state_of_a_new_vma_is_that_of_its_first_visit(name):
    s = Scanner(name, [MB1])
    s.mm.numa_scan_seq = 6
    s.scan()
    v = s.vmas[0]
    assert (int(v.start_scan_seq), int(v.prev_scan_seq)) == (6, 5)
    assert v.next_scan == s.jiffies + 250
    assert v.pids_active_reset == s.jiffies + 250 + 1000


@pytest.mark.parametrize("name", PER_VMA)
def test_windows_age_by_their_period_and_not_from_now(name):
    s = Scanner(name, [MB1], threads=2)
    s.scan()
    reset = int(s.vmas[0].pids_active_reset)
    s.vmas[0].start_scan_seq = 1000
    s.wait(60_000).scan()
    assert s.vmas[0].pids_active_reset == reset + 1000
    s.wait(4).scan()
    assert s.vmas[0].pids_active_reset == reset + 2000, "still long ago: the next visit shifts too"


@pytest.mark.parametrize("name", PER_VMA)
def test_the_forced_retry_is_a_visit_too_and_ages_the_window_again(name):
    s = Scanner(name, [MB1], threads=2)
    s.scan()
    reset = int(s.vmas[0].pids_active_reset)
    fill(s.vmas[0], start_scan_seq=-9)
    s.fault_in(0, task=1)
    s.wait(60_000).scan()
    assert s.skipped == {"v0": "pid_inactive"}
    assert s.vmas[0].pids_active_reset == reset + 2000
    assert not s.has_bit(0, task=1)


@pytest.mark.parametrize("name", ALL)
def test_time_of_a_scan_is_32_fold_charged_in_whole_ticks(name):
    s = Scanner(name, [{"size_mb": 64}], threads=2)
    s.world.speed[0].scan_page_ns = 500.0  # 16384 pages: 8.192 ms, two ticks of 4 ms
    s.scan()
    assert s.world.tasks[0].node_stamp == 8 * MS + 32 * 8 * MS
    s = Scanner(name, [{"size_mb": 64}], threads=2)
    s.world.speed[0].scan_page_ns = 200.0  # less than a tick: runtime does not move
    s.scan()
    assert s.world.tasks[0].node_stamp == 8 * MS


@pytest.mark.parametrize("name", ALL)
def test_a_scan_that_takes_time_ends_its_pass_when_it_is_over(name):
    s = Scanner(name, [MB1], threads=2)
    s.world.speed[0].scan_call_ns = 1000.0
    w = s.world
    from numalab.linux.fair_scan import task_numa_work

    s.mm.numa_next_scan = s.jiffies
    w.clock[0].jiffies, w.clock[0].now_ns = s.jiffies, 10**12
    spent = task_numa_work(w, 0, s.rng)
    assert spent == 1000
    assert s.seq == 0
    finish_scan(s.mm, 10**12 + 999)
    assert s.seq == 0
    finish_scan(s.mm, 10**12 + 1000)
    assert s.seq == 1


def test_scan_times_vary_by_the_spread_of_the_machine():
    def times(spread):
        s = Scanner("linux-6.1", [{"size_mb": 64}], threads=2)
        s.world.speed[0].scan_page_ns = 5000.0
        s.world.speed[0].scan_spread = spread
        found = []
        for _ in range(30):
            before = int(s.world.tasks[0].node_stamp)
            s.wait(1000).scan()
            found.append(int(s.world.tasks[0].node_stamp) - before)
        return found

    assert set(times(0.0)) == {8 * MS + 32 * 80 * MS}
    spread = times(0.5)
    assert len(set(spread)) > 10
    assert 60 * MS < sorted(spread)[15] / 32 < 110 * MS, "the median stays"


@pytest.mark.parametrize("name", PER_VMA)
def test_a_delay_of_its_own_stands_in_for_the_knob_in_a_vma_and_nowhere_else(name):
    s = Scanner(name, [MB1], rules={"vma_delay_ms": 4000})
    s.mm.numa_scan_seq = 6
    s.scan()
    v = s.vmas[0]
    assert v.next_scan == s.jiffies + 1000
    assert v.pids_active_reset == v.next_scan + 1000, "four times the knob, as ever"
    assert s.wait(3000).scan() == {}
    assert s.wait(1100).scan() == {"v0": 256}
