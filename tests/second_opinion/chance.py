"""Workloads with chance in them: which page is touched, who wins a scan, how long a VMA lives."""

import dataclasses

from numalab.machine import Machine, Speed
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Move, Process, Task, Vma, Workload, with_speed

SPEED = Speed(touch_walk_ns=10_000, touch_rand_ns=10_000)


def workload(name, vmas, *tasks, churns=(), processes=()):
    return Workload(
        name=name,
        duration_ms=700,
        sample_ms=700,
        machine=Machine(speed=SPEED),
        tunables=Tunables(scan_delay_ms=60, scan_period_min_ms=60, scan_size_mb=2),
        vmas=vmas,
        tasks=tasks,
        churns=churns,
        processes=processes,
    )


def task(i, vma, cpu, pattern="rand", rate=0.0, write=True, **other):
    access = Access(vma=vma, pattern=pattern, pages_per_s=rate, write=write)
    return Task(name=f"t{i}", cpu=cpu, access=(access,), **other)


WAITS = Task(name="waits", waits=True)


def two(thp_a=False, thp_b=False, mb=8):
    return (Vma(name="a", size_mb=mb, thp=thp_a), Vma(name="b", size_mb=mb, thp=thp_b))


CASES = {
    # two tasks on two nodes fault on the same pages and join a group
    "shared pages": (
        "linux-6.12",
        workload("shared", two()[:1], task(0, "a", 0), task(1, "a", 1)),
    ),
    # both fetch pages; last_cpupid stays the reader's until the writer comes by
    "a reader and a writer": (
        "linux-6.12",
        workload("mixed", two()[:1], task(0, "a", 0, write=False), task(1, "a", 1)),
    ),
    # two tasks on each CPU take turns
    "shared CPUs": (
        "linux-6.1",
        workload("cpus", two(mb=5), *(task(i, "ab"[i // 2], i % 2) for i in range(4))),
    ),
    "huge folios": (
        "linux-7.2",
        workload("huge", two(True, True), *(task(i, "ab"[i % 2], i % 2) for i in range(4))),
    ),
    "mappings that come and go": (
        "linux-6.4",
        workload(
            "churn",
            two(mb=4)[:1],
            task(0, "a", 0, "walk"),
            churns=(
                Churn(name="c", size_mb=2, lifetime_ms=60, lifetime="exponential", gap_ms=5, cpu=1),
            ),
        ),
    ),
    # each mapping starts on the other node, and some live long enough to be brought home
    "mappings filled elsewhere": (
        "linux-7.2",
        workload(
            "filled",
            two(mb=4)[:1],
            task(0, "a", 0, "walk"),
            churns=(
                Churn(
                    name="c",
                    size_mb=2,
                    lifetime_ms=400,
                    lifetime="exponential",
                    gap_ms=5,
                    cpu=1,
                    first_touch_node=0,
                ),
            ),
        ),
    ),
    # a kernel that marks pinned huge folios; the rest is filled by the thread
    "mappings with a pinned head": (
        "linux-6.12",
        workload(
            "pinned",
            two(mb=4)[:1],
            task(0, "a", 0, "walk"),
            churns=(
                Churn(
                    name="c",
                    size_mb=8,
                    thp=True,
                    lifetime_ms=200,
                    lifetime="exponential",
                    gap_ms=5,
                    cpu=1,
                    pinned_fraction=0.4,
                ),
            ),
        ),
    ),
    # the head can never be brought home, the rest is
    "mappings pinned elsewhere": (
        "linux-6.1",
        workload(
            "pinned-far",
            two(mb=4)[:1],
            task(0, "a", 0, "walk"),
            churns=(
                Churn(
                    name="c",
                    size_mb=2,
                    lifetime_ms=400,
                    lifetime="exponential",
                    gap_ms=5,
                    cpu=1,
                    first_touch_node=0,
                    pinned_fraction=0.5,
                ),
            ),
        ),
    ),
    # a tick finds a task running with the probability that is its share
    "rates": (
        "linux-6.7",
        workload(
            "rates",
            two(),
            task(0, "a", 0, "hot", 20_000),
            task(1, "a", 1, "rand", 20_000),
            task(2, "b", 1, "rand", 20_000),
        ),
    ),
    # two take turns on a CPU, and a third wakes there now and then
    "busy threads": (
        "linux-6.12",
        workload(
            "busy",
            two(),
            WAITS,
            task(0, "a", 0, rate=20_000, busy=True),
            task(1, "b", 1, rate=9_000, busy=True),
            task(2, "a", 1, rate=4_000, busy=True),
            task(3, "b", 1, rate=10_000),
            processes=(Process(name="main", stack_kb=1024),),
        ),
    ),
    # it comes to a CPU where another wakes now and then, and to the node of the pages
    "a thread that changes node": (
        "linux-6.7",
        workload(
            "moves",
            two(mb=4)[:1],
            WAITS,
            task(0, "a", 0, rate=20_000),
            task(1, "a", 1, rate=50_000, busy=True, move=(Move(at_ms=301, cpu=0),)),
        ),
    ),
    # local faults exchange cpupids too, so that both find the other's on a page more often
    "a balanced policy of tasks": (
        "linux-6.12",
        workload(
            "balanced",
            two()[:1],
            WAITS,
            task(0, "a", 0),
            task(1, "a", 1, write=False),
            processes=(Process(name="main", policy="bind_balancing"),),
        ),
    ),
    # a scan of 2 MB takes 13 ms, three ticks; what is due meanwhile is touched afterwards
    "rates and slow scans": (
        "linux-6.1",
        with_speed(
            workload(
                "slow", two(), task(0, "a", 0, "rand", 20_000), task(1, "b", 1, "walk", 9_000)
            ),
            dataclasses.replace(SPEED, pte_update_ns=25_000),
        ),
    ),
}
"""Name of a case to kernel and workload."""
