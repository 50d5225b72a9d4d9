"""Workloads that both programs run on every kernel, side by side."""

from __future__ import annotations

from numalab.record.programs import PROGRAMS, RECORDER
from numalab.workload import TASK_POLICIES, Workload
from numalab.workload_file import parse

HEAD = """
[workload]
name = "NAME"
format = 2
duration_ms = MS
sample_ms = 500
[machine]
nodes = 2
cpus_per_node = 1
memory_mb = 512
[tunables]
scan_delay_ms = 50
scan_period_min_ms = 100
scan_period_max_ms = 400
"""
PACED = """
[[vma]]
name = "a"
size_mb = 8
[[vma]]
name = "fresh"
size_mb = 12
populated = 0.0
[[vma]]
name = "b"
size_mb = 8
kind = "shmem"
first_touch_node = 1
[[task]]
name = "spins"
cpu = 0
busy = true
access = [{vma = "a", pages_per_s = 5000}]
move = [{at_ms = 2000, cpu = 1}]
[[task]]
name = "sleeps"
cpu = 0
access = [{vma = "fresh", pages_per_s = 1000, stop_ms = 3000}]
move = [{at_ms = 1000, cpu = 1}]
[[task]]
name = "late"
cpu = 1
access = [{vma = "b", pattern = "rand", pages_per_s = 2000, start_ms = 1000, write = false}]
"""
MIXED = """
[[vma]]
name = "huge"
size_mb = 8
thp = true
process = "p"
[[vma]]
name = "small"
size_mb = 0.5
count = 8
populated = 0.5
process = "p"
[[vma]]
name = "pinned"
size_mb = 4
pinned_fraction = 0.5
first_touch_node = 1
process = "q"
[[vma]]
name = "hugeshmem"
size_mb = 4
kind = "shmem"
thp = true
process = "q"
[[task]]
name = "flat"
process = "p"
cpu = 0
access = [{vma = "huge"}, {vma = "small", hi = 0.5}]
move = [{at_ms = 700, cpu = 1}]
[[task]]
name = "hot"
process = "q"
cpu = 0
access = [
    {vma = "pinned", pattern = "hot", pages_per_s = 20000},
    {vma = "hugeshmem", pattern = "rand", pages_per_s = 500},
]
"""
STACKS = """
[[task]]
name = "t"
cpu = 0
[[churn]]
name = "c"
cpu = 1
size_mb = 8
lifetime_ms = 400
first_touch_node = 0
"""


def _workload(name: str, ms: int, text: str) -> Workload:
    return parse(HEAD.replace("NAME", name).replace("MS", str(ms)) + text)


OF_TASKS = """
[[process]]
name = "main"
policy = "POLICY"
[[vma]]
name = "a"
size_mb = 8
[[task]]
name = "t"
cpu = 1
access = [{vma = "a"}]
"""
PACED_MS = 4000
WORKLOADS = {
    w.name: w
    for w in (
        _workload("paced", PACED_MS, PACED),
        _workload("mixed", 2000, MIXED),
        _workload("stacks", 1000, STACKS),
        *(_workload(policy, 800, OF_TASKS.replace("POLICY", policy)) for policy in TASK_POLICIES),
    )
}
BOTH = ("paced", "mixed")
"""Of these the foreign program can do what is in ``BOTH``, and the policies."""
JOBS = {
    (by, name): (by, workload)
    for by in PROGRAMS
    for name, workload in WORKLOADS.items()
    if by == RECORDER or name in (*BOTH, *TASK_POLICIES)
}
"""Program and workload to the same; in the order in which a boot runs them."""
