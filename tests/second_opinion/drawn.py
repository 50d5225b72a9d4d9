"""Small random workloads in which nothing is left to chance once they are drawn.

No page of the program is touched, no scan varies in length, and no two tasks compete for a
scan or a page: a process has one thread that runs, and others that sleep to the end.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from numalab.machine import Machine, Speed
from numalab.policy import NAMES, Policy, get, with_rules
from numalab.tunables import Tunables
from numalab.workload import Access, Process, Task, Vma, Workload

NEVER_MS = 1e8


@st.composite
def speeds(draw: Any) -> Speed:
    """Costs in whole touches, so that what does not fit before a tick fits exactly after it.

    The engine does a tick's touches at once and both carry what is left of the tick, but of an
    act longer than two touches neither says on which side of a tick it lies.
    """
    touch = draw(st.sampled_from([4000.0, 20_000.0, 50_000.0]))
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
    rule = draw(st.sampled_from(sorted(k for k, v in policy.rules().items() if v in (True, False))))
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
def accesses(draw: Any, found: list[Vma]) -> tuple[Access, ...]:
    """What a task walks over: a range of one of the first two mappings."""
    vma = draw(st.sampled_from(found[:2]))
    parts = 8
    if vma.thp or vma.kind == "hugetlb":
        parts = {512: 1, 1024: 2, 2048: 4}.get(vma.pages * vma.count, 1)
    lo, hi = sorted(draw(st.lists(st.integers(0, parts), min_size=2, max_size=2, unique=True)))
    write = vma.kind != "file_ro" and draw(st.booleans())
    return (Access(vma=vma.name, lo=lo / parts, hi=hi / parts, write=write),)


@st.composite
def threads(draw: Any, process: str, cpu: int, found: list[Vma]) -> list[Task]:
    """The threads of a process: one that runs, and sleepers."""
    if not found:
        return [Task(name=f"{process}0", process=process, cpu=cpu)]
    tasks = [Task(name=f"{process}0", process=process, cpu=cpu, access=draw(accesses(found)))]
    for i in range(draw(st.sampled_from([1, 1, 1, 2, 0]))):
        asleep = (Access(vma=found[0].name, pages_per_s=1.0, start_ms=NEVER_MS, write=False),)
        tasks.append(Task(name=f"{process}s{i}", process=process, cpu=cpu, access=asleep))
    return tasks


@st.composite
def workloads(draw: Any) -> Workload:
    """One to three processes on CPUs of their own."""
    machine = draw(machines)
    duration_ms = float(draw(st.sampled_from([300, 700, 1500])))
    number = draw(st.sampled_from([1, 1, 1, 2, 3]))
    free = list(draw(st.permutations(range(machine.cpus))))
    all_vmas: list[Vma] = []
    all_tasks: list[Task] = []
    processes = []
    for i in range(min(number, machine.cpus)):
        name = f"p{i}"
        found = [
            draw(vmas(f"v{i}{j}", name, machine.nodes, untouched=j > 1))
            for j in range(draw(st.sampled_from([1, 2, 2, 3, 5, 0])))
        ]
        all_vmas += found
        all_tasks += draw(threads(name, free.pop(), found))
        if draw(st.integers(0, 4)) == 0:
            nodes = draw(st.lists(st.integers(0, machine.nodes - 1), min_size=1, unique=True))
            processes.append(Process(name=name, cpuset_mems=tuple(nodes)))
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
