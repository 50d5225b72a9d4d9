"""The address space a process starts with: the order of the recorder's program."""

import dataclasses
import itertools

import pytest

from numalab import policy
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.machine import Machine
from numalab.model.default_start import default_setup, first_touch_ms, possible_starts
from numalab.model.layout import IMAGE_KINDS, threads_of
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload

BIG = Machine(memory_mb=1 << 36)


def workload(*vmas, threads=1, machine=BIG, **more):
    tasks = tuple(Task(name=f"t{i}") for i in range(threads))
    return Workload(name="w", machine=machine, vmas=vmas, tasks=tasks, **more)


def only(w, kind):
    return [m for p in default_setup(w).processes for m in p.mappings if m.kind == kind]


MANY = workload(
    Vma(name="a", size_mb=3, count=3),
    Vma(name="b", size_mb=4, thp=True),
    Vma(name="c", size_mb=2, kind="hugetlb"),
    Vma(name="d", size_mb=1 / 256, kind="file_ro"),
    threads=3,
)


def test_mappings_lie_in_order_and_do_not_overlap():
    for process in default_setup(MANY).processes:
        for low, high in itertools.pairwise(process.mappings):
            assert low.start + low.pages <= high.start
        assert process.mappings[0].start >= 0
        assert all(m.pages > 0 for m in process.mappings)


def test_every_mapping_of_the_workload_is_there_whole():
    for vma in MANY.vmas:
        found = [m for m in default_setup(MANY).processes[0].mappings if m.owner == vma.name]
        assert sorted(m.offset for m in found) == [i * vma.pages for i in range(vma.count)]
        assert {m.pages for m in found} == {vma.pages}
        assert {m.kind for m in found} == {vma.kind}


def test_mappings_go_from_the_top_down_in_the_order_of_the_file():
    found = {}
    for m in default_setup(MANY).processes[0].mappings:
        found.setdefault(m.owner, []).append((m.offset, m.start))
    starts = [start for vma in MANY.vmas for _, start in sorted(found[vma.name])]
    assert starts == sorted(starts, reverse=True)


def test_huge_pages_are_aligned():
    for kind, owner in (("anon", "b"), ("hugetlb", "c")):
        assert all(m.start % 512 == 0 for m in only(MANY, kind) if m.owner == owner)


def test_each_mapping_has_a_guard_on_both_sides():
    mappings = default_setup(MANY).processes[0].mappings
    guards = [(m.start, m.start + m.pages) for m in mappings if m.kind == "guard"]
    for m in mappings:
        if m.owner in {v.name for v in MANY.vmas}:
            assert any(end == m.start for _, end in guards)
            assert any(start == m.start + m.pages for start, _ in guards)


def test_each_further_thread_has_a_stack_with_a_guard_below():
    stacks = only(MANY, "thread-stack")
    assert len(stacks) == 2
    guards = {m.start + m.pages for m in only(MANY, "guard")}
    assert all(m.start in guards for m in stacks)
    lowest = min(m.start for m in default_setup(MANY).processes[0].mappings if m.owner == "d")
    assert all(m.start < lowest for m in stacks)
    assert only(workload(), "thread-stack") == []


def test_the_image_is_named_in_the_dataset():
    owners = {m.owner for m in default_setup(MANY).processes[0].mappings}
    assert owners - {v.name for v in MANY.vmas} == set(IMAGE_KINDS.values())


def test_pids_count_up_over_processes_and_clocks_differ_by_thread():
    w = Workload(
        name="w",
        vmas=(Vma(name="a", size_mb=4, process="p"),),
        tasks=(Task(name="t0", process="p"), Task(name="t1", process="q")),
        churns=(Churn(name="c", size_mb=1, lifetime_ms=5, process="p"),),
    )
    setup = default_setup(w)
    assert threads_of(w, "p") == ["t0", "c"]
    assert setup.of("p").pids == (100, 101)
    assert setup.of("q").pids == (102,)
    busy = first_touch_ms(w, "p")
    assert setup.of("p").runtime_ms == (busy, 0.0)
    assert setup.of("p").reset_ms == -2.0, "its first clone"
    assert setup.of("q").reset_ms == -2.0, "its fork; it touches nothing before"


def test_a_lone_thread_was_forked_before_its_first_touches():
    w = workload(Vma(name="a", size_mb=8))
    assert default_setup(w).of("main").reset_ms == pytest.approx(-first_touch_ms(w, "main") - 2)


def test_first_touches_take_the_machine_s_time():
    small = workload(Vma(name="a", size_mb=8, populated=0.5))
    assert first_touch_ms(small, "main") == pytest.approx(1024 * 500 / 1e6)
    huge = workload(Vma(name="a", size_mb=8, thp=True, count=2))
    assert first_touch_ms(huge, "main") == pytest.approx(8 * 0.1)


def test_a_process_that_is_not_there_is_named():
    with pytest.raises(InputError, match='holds no process "other"'):
        default_setup(MANY).of("other")


def test_more_than_an_address_space_is_refused():
    with pytest.raises(InputError, match="an address space has 2\\^35"):
        default_setup(workload(Vma(name="a", size_mb=1 << 30)))
    with pytest.raises(InputError, match="an address space has 2\\^35"):
        default_setup(workload(Vma(name="a", size_mb=1 << 12, count=1 << 15)))


def test_no_mapping_lies_below_the_program():
    """What fits stays above the program; one MB more is refused."""
    with pytest.raises(InputError, match="are free for them") as caught:
        default_setup(workload(Vma(name="a", size_mb=133_600_000)))
    words = str(caught.value).split()
    room = int(words[words.index("MB", words.index("2^35")) - 1])
    mappings = default_setup(workload(Vma(name="a", size_mb=room - 1))).processes[0].mappings
    (own,) = (m for m in mappings if m.owner == "a")
    (heap,) = (m for m in mappings if m.kind == "heap")
    assert 0 < own.start - heap.start - heap.pages < 1024
    for low, high in itertools.pairwise(mappings):
        assert low.start + low.pages <= high.start
    with pytest.raises(InputError, match="an address space has 2\\^35"):
        default_setup(workload(Vma(name="a", size_mb=room + 1)))


def test_each_process_has_an_address_space_of_its_own():
    vmas = tuple(Vma(name=p, size_mb=1 << 26, process=p) for p in "ab")
    tasks = tuple(Task(name=f"t{p}", process=p) for p in "ab")
    setup = default_setup(Workload(name="w", machine=BIG, vmas=vmas, tasks=tasks))
    assert len(setup.processes) == 2


@pytest.mark.parametrize("sizes", [(1 << 29,), (1 << 26, 1 << 26)])
def test_churns_larger_than_the_address_space_are_refused(sizes):
    churns = tuple(Churn(name=f"c{i}", size_mb=mb, lifetime_ms=10) for i, mb in enumerate(sizes))
    w = Workload(name="w", machine=BIG, duration_ms=50, sample_ms=50, churns=churns)
    with pytest.raises(InputError, match=r'process "main": .* lower size_mb'):
        simulate(w, policy.get("linux-6.12"))


def test_a_setup_of_other_clocks_moves_the_first_scan():
    """The first pass is due scan_delay after the reset that the setup tells of."""
    w = workload(Vma(name="a", size_mb=1), threads=2, machine=Machine(), duration_ms=3000)
    w = dataclasses.replace(
        w, tasks=tuple(dataclasses.replace(t, access=(Access(vma="a"),)) for t in w.tasks)
    )
    plain = default_setup(w)
    firsts = []
    for reset_ms in (-2.0, 1000.0):
        process = dataclasses.replace(plain.processes[0], reset_ms=reset_ms)
        ds = simulate(w, policy.get("linux-6.1"), setup=type(plain)(processes=(process,)))
        firsts.append(float(ds["chunk_ms"].min()))
    assert 996 <= firsts[0] <= 1100
    assert 1998 <= firsts[1] <= 2110


def test_a_start_that_nobody_recorded_may_be_one_of_three():
    """Touching 512 MB takes 66 ms: with a delay of 50 ms the main thread may have scanned."""
    w = workload(Vma(name="a", size_mb=512), Vma(name="b", size_mb=1))
    w = dataclasses.replace(w, tasks=(Task(name="m", waits=True), Task(name="t")))
    assert possible_starts(w) == (default_setup(w),), "1000 ms are more than it has used"
    w = dataclasses.replace(w, tunables=Tunables(scan_delay_ms=50))
    starts = possible_starts(w)
    default, *ways = starts[0], *starts[3:]
    assert starts == (default, default, default, *ways)
    assert default == default_setup(w)
    assert not default.scanned_before
    assert default.of("main").alone_ms is None
    for one, before, stack in zip(ways, (1, 0, 0), (False, False, True), strict=True):
        main = one.of("main")
        assert one.scanned_before
        assert main.alone_ms == main.reset_ms - before
        assert main.alone_stack == stack
        assert main.fork_ms < main.balancing_ms < main.alone_ms


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12"])
def test_what_was_scanned_before_the_first_clone_is_not_scanned_again_at_once(name):
    """numab_state outlives the clone: of 6.12 the first scan after it finds nothing to do."""
    w = workload(Vma(name="a", size_mb=512))
    tasks = (Task(name="m", waits=True), Task(name="t", access=(Access(vma="a"),)))
    delay = Tunables(scan_delay_ms=50, scan_size_mb=1024)
    w = dataclasses.replace(w, tasks=tasks, tunables=delay, duration_ms=250)
    plain, *_, scanned = (
        simulate(w, policy.get(name), setup=setup).isel(replicate=0) for setup in possible_starts(w)
    )
    first = [float(ds["chunk_ms"].min()) for ds in (plain, scanned)]
    assert first[0] < 70
    assert (first[1] > first[0] + 20) == (name == "linux-6.12")
