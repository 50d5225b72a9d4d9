"""Threads and their regions: who uses which memory, and from when on.

Every mapping that a question asks about is named ``region0``, ``region1``, ...; what
only keeps a thread busy is named ``base0`` and so on. Threads are bound to CPUs, because
the model has no load balancer, and run flat out. Two nodes, a CPU for each thread.

All take the number of threads, the moment of the one event in the run and its length;
a workload without an event does not look at the moment.
"""

from __future__ import annotations

from numalab.machine import Machine
from numalab.workload import Access, Churn, Task, Vma, Workload

REGION_MB = 24
"""Memory of a thread in numa01_THREAD_ALLOC, as the kernel test robot runs it."""
SHARED_REGIONS = 4
LARGE_MB = 192
"""A region of which two are more than one scan marks, so that one of them is half scanned."""
FILL_MS = 1000
"""How long the thread that fills regions late has for it."""


def _machine(threads: int, memory_mb: float) -> Machine:
    return Machine(nodes=2, cpus_per_node=threads + 1, memory_mb=round(memory_mb) + 128)


def _on_node_1(thread: int, threads: int) -> int:
    return threads + 1 + thread


def _alternating(thread: int, threads: int) -> int:
    return thread % 2 * (threads + 1) + thread // 2


def disjoint(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """Each thread has a region of its own, on the wrong node at first."""
    return Workload(
        name="disjoint",
        about="each thread has a region of its own, first touched on the other node",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(tasks, REGION_MB * tasks),
        vmas=tuple(Vma(name=f"region{i}", size_mb=REGION_MB) for i in range(tasks)),
        tasks=tuple(
            Task(name=f"t{i}", cpu=_on_node_1(i, tasks), access=(Access(vma=f"region{i}"),))
            for i in range(tasks)
        ),
    )


def shared(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """All threads, on one node, use all four regions, on the other node at first."""
    names = [f"region{i}" for i in range(SHARED_REGIONS)]
    return Workload(
        name="shared",
        about="all threads use all regions, first touched on the other node",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(tasks, REGION_MB * SHARED_REGIONS),
        vmas=tuple(Vma(name=name, size_mb=REGION_MB) for name in names),
        tasks=tuple(
            Task(
                name=f"t{i}",
                cpu=_on_node_1(i, tasks),
                access=tuple(Access(vma=name) for name in names),
            )
            for i in range(tasks)
        ),
    )


def exchanged(
    tasks: int, event_ms: float, duration_ms: float, size_mb: float = REGION_MB
) -> Workload:
    """Each thread has a region of its own; then pairs on different nodes exchange them.

    It stands for threads that the load balancer moves, or a pool that hands work over.
    """
    count = tasks // 2 * 2
    return Workload(
        name="exchanged",
        about="a region for each thread, exchanged between threads of different nodes",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(count, size_mb * count),
        vmas=tuple(
            Vma(name=f"region{i}", size_mb=size_mb, first_touch_node=i % 2) for i in range(count)
        ),
        tasks=tuple(
            Task(
                name=f"t{i}",
                cpu=_alternating(i, count),
                access=(
                    Access(vma=f"region{i}", stop_ms=event_ms),
                    Access(vma=f"region{i ^ 1}", start_ms=event_ms),
                ),
            )
            for i in range(count)
        ),
    )


def exchanged_large(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """Exchange regions of 192 MB, which several scans mark in parts."""
    return exchanged(tasks, event_ms, duration_ms, LARGE_MB)


def filled_late(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """Regions mapped at the start are filled late by one thread and used by others.

    Each of the ``tasks`` threads walks 4 MB of its own; the first four of them get a
    region each as well. The thread that fills them runs on the other node, and walks 4 MB of its
    own too; it fills for a second, and the users begin when it has stopped.
    """
    names = [f"region{i}" for i in range(min(tasks, SHARED_REGIONS))]
    late = [(Access(vma=name, start_ms=event_ms + FILL_MS),) for name in names]
    users = tuple(
        Task(
            name=f"t{i}",
            cpu=_on_node_1(i, tasks),
            access=(Access(vma=f"base{i}"), *(late[i] if i < len(late) else ())),
        )
        for i in range(tasks)
    )
    fill = tuple(Access(vma=n, start_ms=event_ms, stop_ms=event_ms + FILL_MS) for n in names)
    return Workload(
        name="filled-late",
        about="regions mapped early, filled late on the other node",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(tasks, REGION_MB * len(names) + 4 * tasks + 4),
        vmas=(
            *(Vma(name=f"base{i}", size_mb=4, first_touch_node=1) for i in range(tasks)),
            Vma(name=f"base{tasks}", size_mb=4),
            *(Vma(name=name, size_mb=REGION_MB, populated=0) for name in names),
        ),
        tasks=(*users, Task(name="fill", cpu=0, access=(Access(vma=f"base{tasks}"), *fill))),
    )


def born_late(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """Every ``event_ms`` each thread unmaps its region, maps a new one and fills it."""
    return Workload(
        name="born-late",
        about="each thread maps a new region",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(tasks, REGION_MB * tasks),
        churns=tuple(
            Churn(
                name=f"region{i}",
                size_mb=REGION_MB,
                lifetime_ms=event_ms,
                cpu=_alternating(i, tasks),
            )
            for i in range(tasks)
        ),
    )


def one_region(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """Threads of both nodes walk one region, as numa01 does."""
    return Workload(
        name="one-region",
        about="threads of both nodes walk one region",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(tasks, REGION_MB * tasks),
        vmas=(Vma(name="region0", size_mb=REGION_MB * tasks),),
        tasks=tuple(
            Task(name=f"t{i}", cpu=_alternating(i, tasks), access=(Access(vma="region0"),))
            for i in range(tasks)
        ),
    )


def short_lived(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """Threads map, fill and unmap 8 MB that live 700 ms on average."""
    return Workload(
        name="short-lived",
        about="regions that live shorter than the scan delay",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(tasks, 8 * tasks),
        churns=tuple(
            Churn(
                name=f"region{i}",
                size_mb=8,
                lifetime_ms=700,
                lifetime="exponential",
                gap_ms=10,
                cpu=_alternating(i, tasks),
            )
            for i in range(tasks)
        ),
    )


def one_thread(tasks: int, event_ms: float, duration_ms: float) -> Workload:
    """A lone thread uses one region, then four others in turn; all on the other node."""
    part = (duration_ms - event_ms) / 4
    first = Access(vma="region0", stop_ms=event_ms)
    later = tuple(
        Access(vma=f"region{i}", start_ms=event_ms + (i - 1) * part, stop_ms=event_ms + i * part)
        for i in range(1, 5)
    )
    return Workload(
        name="one-thread",
        about="a lone thread uses one region after another",
        duration_ms=duration_ms,
        sample_ms=1000,
        machine=_machine(1, 5 * REGION_MB),
        vmas=tuple(Vma(name=f"region{i}", size_mb=REGION_MB) for i in range(5)),
        tasks=(Task(name="t0", cpu=_on_node_1(0, 1), access=(first, *later)),),
    )
