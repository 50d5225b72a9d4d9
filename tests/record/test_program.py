"""The program that a workload becomes."""

from __future__ import annotations

import pytest

from numalab.fields import InputError
from numalab.machine import Machine
from numalab.record.program import access_range, pinned_pages, populated_pages, program
from numalab.workload import Access, Churn, Move, Process, Task, Vma, Workload


def test_every_part_of_a_workload_becomes_a_line() -> None:
    workload = Workload(
        name="w",
        processes=(Process(name="p", cpuset_mems=(0, 1)),),
        vmas=(Vma(name="v", size_mb=2, process="p", kind="shmem", policy="interleave"),),
        tasks=(Task(name="t", cpu=1, process="p", access=(Access(vma="v", pattern="hot"),)),),
        churns=(Churn(name="c", size_mb=1, lifetime_ms=300, process="p", pinned_fraction=0.5),),
    )
    lines = program(workload, seed=7).splitlines()
    assert lines[0] == "run w 20000000000 250000000 7 1 1"
    assert "process p 0,1" in lines
    assert "vma v 1 0 512 1 0 512 0 0 3 0" in lines
    assert "access 0 0 512 2 0.0 1 51 0.9 0 1000000000000000" in lines
    assert "churn 256 0 300000000 0 0.5 0 0 0.0 1 -1 128" in lines
    assert lines[-1] == "go"


_OWN_STACKS = Workload(
    name="w",
    processes=(Process(name="main", stack_kb=8192, policy="bind_balancing"),),
    vmas=(Vma(name="v", size_mb=2),),
    tasks=(
        Task(name="m", waits=True),
        Task(
            name="t",
            cpu=1,
            busy=True,
            access=(Access(vma="v", pages_per_s=10),),
            move=(Move(at_ms=5, cpu=0), Move(at_ms=7.5, cpu=1)),
        ),
    ),
)


def _threads(workload: Workload, by: str = "recorder") -> list[str]:
    lines = program(workload, by=by).splitlines()
    return lines[next(i for i, x in enumerate(lines) if x.startswith("process")) : -1]


def test_what_a_thread_is_beside_its_accesses_becomes_lines_of_their_own() -> None:
    assert _threads(_OWN_STACKS) == [
        "process main -",
        "stack 8388608",
        "policy 2",
        "vma v 0 0 512 1 0 512 0 0 0 0",
        "thread m -1",
        "waits",
        "thread t 1",
        "busy",
        "access 0 0 512 0 10.0 1 51 0.9 0 1000000000000000",
        "move 5000000 0",
        "move 7500000 1",
    ]


def test_a_workload_without_them_has_no_such_line() -> None:
    workload = Workload(name="w", tasks=(Task(name="t"),))
    assert _threads(workload) == ["process main -", "thread t -1"]


def test_the_foreign_program_gets_the_same_lines_and_its_name() -> None:
    assert _threads(_OWN_STACKS, by="foreign") == _threads(_OWN_STACKS)
    lines = [program(_OWN_STACKS, by=by).splitlines() for by in ("recorder", "foreign")]
    assert lines[1] == [lines[0][0], "foreign", *lines[0][1:]]


def test_vmas_are_numbered_in_the_order_of_their_processes() -> None:
    workload = Workload(
        name="w",
        vmas=(Vma(name="b", size_mb=1, process="q"), Vma(name="a", size_mb=1, process="p")),
        tasks=(
            Task(name="t", process="p", access=(Access(vma="a"),)),
            Task(name="u", process="q", access=(Access(vma="b"),)),
        ),
    )
    lines = [x.split()[:2] for x in program(workload).splitlines() if x.startswith(("vma", "acc"))]
    assert lines == [["vma", "a"], ["access", "0"], ["vma", "b"], ["access", "1"]]


@pytest.mark.parametrize("pinned", [0.0, 0.25, 0.5, 1.0])
def test_huge_pages_are_populated_and_pinned_whole(pinned: float) -> None:
    vma = Vma(name="v", size_mb=10, thp=True, pinned_fraction=pinned)
    assert populated_pages(vma) == 2560
    assert pinned_pages(vma) % 512 == 0
    assert abs(pinned_pages(vma) - pinned * 2560) <= 256


def test_a_range_is_never_empty_and_stays_inside() -> None:
    vma = Vma(name="v", size_mb=1 / 256, count=3)
    assert access_range(Access(vma="v", lo=0.99, hi=1.0), vma) == (2, 3, 1)
    assert access_range(Access(vma="v"), vma) == (0, 3, 1)


def test_what_only_the_model_can_do_is_refused() -> None:
    workload = Workload(
        name="w",
        vmas=(Vma(name="v", size_mb=1, kind="file_ro", pinned_fraction=1),),
        tasks=(Task(name="t"),),
    )
    with pytest.raises(InputError, match="cannot be pinned by io_uring"):
        program(workload)


def _guest(subscriber: str, size_mb: float = 2, pattern: str = "walk") -> Workload:
    access = (Access(vma="m", pattern=pattern),)
    return Workload(
        name="w",
        machine=Machine(memory_mb=4096),
        vmas=(Vma(name="m", size_mb=size_mb, subscriber=subscriber),),
        tasks=(Task(name="t", access=access),),
    )


def test_the_memory_of_a_guest_is_marked() -> None:
    assert "vma m 0 0 512 1 0 512 0 0 0 1" in program(_guest("kvm", pattern="rand")).splitlines()


@pytest.mark.parametrize(
    ("workload", "line"),
    [
        (_guest("sev"), 'subscriber = "sev": the recorder cannot run one: use simulate'),
        (_guest("gpu"), 'subscriber = "gpu": the recorder cannot run one: use simulate'),
        (_guest("kvm", 3002), "size_mb = 3002 MB: the recorder runs KVM guests of at most 3000"),
        (_guest("kvm", pattern="hot"), 'pattern = "hot": .* use walk or rand'),
    ],
)
def test_guests_that_only_the_model_can_run_are_refused(workload: Workload, line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        program(workload)
    assert "\n" not in str(caught.value)
