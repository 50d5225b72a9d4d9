"""Small random workloads in which nothing is left to chance once they are drawn.

No page of the program is touched, no scan varies in length, and no two tasks compete for a
scan or a page: a process has one thread that runs, and others that sleep to the end. A thread
that computes between touches does so to the end; one that changes its CPU finds nobody there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from numalab.machine import Machine, Speed
from numalab.policy import NAMES, Policy, get, with_rules
from numalab.tunables import Tunables
from numalab.workload import Access, Move, Process, Task, Vma, Workload
from tests.second_opinion.reference import phase_of

NEVER_MS = 1e8


@st.composite
def speeds(draw: Any) -> Speed:
    """Costs in whole touches, so that what does not fit before a tick fits exactly after it.

    A quarter tick holds whole touches too: see ``differences.TOUCHES_LOST``.
    The engine does a tick's touches at once and both carry what is left of the tick, but of an
    act longer than two touches neither says on which side of a tick it lies.
    """
    touch = draw(st.sampled_from([5000.0, 25_000.0, 50_000.0]))
    fault = draw(st.sampled_from([0.0, touch]))

    def cost(*times: float) -> float:
        return touch * draw(st.sampled_from(times))

    return Speed(
        touch_walk_ns=touch,
        first_touch_ns=0.0,
        first_touch_huge_ns=0.0,
        hint_fault_ns=fault,
        migrate_page_ns=cost(0, 1, 2) if fault else 0.0,
        hint_fault_huge_ns=fault,
        migrate_huge_ns=cost(0, 1, 10) if fault else 0.0,
        scan_call_ns=cost(0, 1, 40),
        scan_page_ns=cost(0, 1),
        pte_update_ns=cost(0, 1),
        scan_spread=0.0,
        lost_share=0.0,
    )


tunables = st.builds(
    Tunables,
    scan_delay_ms=st.sampled_from([0, 7, 20, 60]),
    scan_period_min_ms=st.sampled_from([10, 33, 100]),
    scan_period_max_ms=st.sampled_from([20, 400, 3000]),
    scan_size_mb=st.sampled_from([1, 2, 3, 8, 1000, 2600]),
)
machines = st.builds(
    Machine,
    nodes=st.sampled_from([2, 2, 2, 3, 1]),
    cpus_per_node=st.sampled_from([2, 4]),
    memory_mb=st.just(128),
    hz=st.sampled_from([100, 250, 1000]),
    speed=speeds(),
)


@st.composite
def policies(draw: Any) -> Policy:
    """Any generation or proposal, now and then with one rule turned round."""
    policy = get(draw(st.sampled_from(NAMES)))
    if draw(st.integers(0, 3)):
        return policy
    rule = draw(
        st.sampled_from(sorted(k for k, v in policy.rules().items() if isinstance(v, bool)))
    )
    return with_rules(policy, "drawn", **{rule: not policy.rules()[rule]})


@st.composite
def vmas(draw: Any, name: str, process: str, nodes: int, untouched: bool) -> Vma:
    """A small mapping of any kind; pages are absent only where nobody touches them."""
    kind = draw(st.sampled_from(["anon"] * 6 + ["shmem", "shmem", "file_ro", "file_rw", "hugetlb"]))
    thp = kind in ("anon", "shmem") and draw(st.booleans())
    if thp or kind == "hugetlb":
        size_mb = float(draw(st.sampled_from([2, 4, 8])))
    else:
        size_mb = 48 * draw(st.integers(1, 22)) / 256  # all cuts are whole pages, on each node
    policies = ["default"] * 6 + ["bind", "bind_balancing", "interleave"]
    policy = draw(st.sampled_from(policies[:8] if size_mb in (2.0, 4.0, 8.0) else policies))
    turns = policy == "interleave"  # the engine's turns start anew at each part of the pages
    populated = draw(st.sampled_from([1.0, 0.5, 0.0])) if untouched and not turns else 1.0
    return Vma(
        name=name,
        process=process,
        size_mb=size_mb,
        count=draw(st.sampled_from([1, 1, 1, 2, 3])),
        kind=kind,
        thp=thp,
        first_touch_node=draw(st.integers(0, nodes - 1)),
        populated=populated,
        pinned_fraction=0.0 if turns else draw(st.sampled_from([0, 0, populated, populated / 2])),
        policy=policy,
    )


@st.composite
def accesses(draw: Any, found: list[Vma], busy: bool) -> tuple[Access, ...]:
    """What a task walks over: a range of one of the first two mappings; busy ones at a rate."""
    vma = draw(st.sampled_from(found[:2]))
    parts = 8
    if vma.thp or vma.kind == "hugetlb":
        parts = {512: 1, 1024: 2, 2048: 4}.get(vma.pages * vma.count, 1)
    lo, hi = sorted(draw(st.lists(st.integers(0, parts), min_size=2, max_size=2, unique=True)))
    write = vma.kind != "file_ro" and draw(st.booleans())
    rate = draw(st.sampled_from([70.0, 900.0, 3000.0])) if busy else 0.0
    return (Access(vma=vma.name, lo=lo / parts, hi=hi / parts, write=write, pages_per_s=rate),)


@st.composite
def moves(draw: Any, cpus: list[int], ticks: int) -> tuple[Move, ...]:
    """Changes between CPUs that nobody else has, after some ticks: see ``on_ticks``.

    Where faults take time, neither side says on which node a fault lies that spans a tick.
    """
    when = draw(st.lists(st.integers(1, ticks), max_size=3, unique=True))
    return tuple(Move(at_ms=n, cpu=cpus[(i + 1) % len(cpus)]) for i, n in enumerate(sorted(when)))


def on_ticks(w: Workload, seed: int) -> Workload:
    """Put each move on the tick of the seed's run whose number it has: the engine rounds up."""
    phase = phase_of(w, seed)
    tick_ns = 1_000_000_000 // w.machine.hz
    tasks = tuple(
        replace(
            task,
            move=tuple(replace(m, at_ms=(phase + m.at_ms * tick_ns) / 1e6) for m in task.move),
        )
        for task in w.tasks
    )
    return replace(w, tasks=tasks)


@st.composite
def threads(draw: Any, process: str, cpus: list[int], ticks: int, found: list[Vma]) -> list[Task]:
    """The threads of a process: one that runs, others that sleep or wait, before it or after."""
    busy = draw(st.booleans())
    runs = Task(
        name=f"{process}0",
        process=process,
        cpu=cpus[0],
        busy=busy,
        access=draw(accesses(found, busy)) if found else (),
        move=draw(moves(cpus, ticks)) if len(cpus) > 1 else (),
    )
    others = []
    for i in range(draw(st.sampled_from([1, 1, 1, 2, 0]))):
        name = f"{process}s{i}"
        if not found or draw(st.booleans()):
            others.append(Task(name=name, process=process, waits=True))
        else:
            asleep = (Access(vma=found[0].name, pages_per_s=1.0, start_ms=NEVER_MS, write=False),)
            others.append(Task(name=name, process=process, cpu=cpus[0], access=asleep))
    return [*others, runs] if draw(st.booleans()) else [runs, *others]


@st.composite
def described(draw: Any, name: str, nodes: int) -> Process:
    """What is said of a process."""
    some = st.lists(st.integers(0, nodes - 1), min_size=1, unique=True)
    return Process(
        name=name,
        cpuset_mems=tuple(draw(some)) if draw(st.booleans()) else (),
        stack_kb=draw(st.sampled_from([16, 128, 8192])),
        policy=draw(st.sampled_from(["default", "bind", "bind_balancing", "bind_balancing"])),
    )


@st.composite
def workloads(draw: Any) -> Workload:
    """One to three processes on CPUs of their own, or two that take turns on one."""
    machine = draw(machines)
    duration_ms = float(draw(st.sampled_from([300, 700, 1500])))
    ticks = int(duration_ms * machine.hz / 1000) - 2
    number = draw(st.sampled_from([1, 1, 1, 2, 3]))
    free = list(draw(st.permutations(range(machine.cpus))))
    all_vmas: list[Vma] = []
    all_tasks: list[Task] = []
    processes = []
    shared = number > 1 and draw(st.booleans())
    for i in range(min(number, machine.cpus)):
        name = f"p{i}"
        found = [
            draw(vmas(f"v{i}{j}", name, machine.nodes, untouched=j > 1))
            for j in range(draw(st.sampled_from([1, 2, 2, 3, 5, 0])))
        ]
        all_vmas += found
        cpus = [free[0]] if shared and i < 2 else [free.pop()]
        if not shared and not machine.speed.hint_fault_ns and len(free) >= number:
            cpus.append(free.pop())
        all_tasks += draw(threads(name, cpus, ticks, found))
        if draw(st.integers(0, 2)) == 0:
            processes.append(draw(described(name, machine.nodes)))
    return Workload(
        name="drawn",
        duration_ms=duration_ms,
        sample_ms=duration_ms,
        machine=machine,
        tunables=draw(tunables),
        processes=tuple(processes),
        vmas=tuple(all_vmas),
        tasks=tuple(all_tasks),
    )
