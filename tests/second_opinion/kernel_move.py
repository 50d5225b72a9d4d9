"""kernel/sched/core.c and fair.c: a thread goes to another CPU because its affinity changes."""

from __future__ import annotations

from tests.second_opinion import kernel_fault
from tests.second_opinion.objects import Sim, Thread


def sched_setaffinity(sim: Sim, p: Thread, cpu: int) -> None:
    """Bind a thread to a CPU; it goes there at once, awake or asleep."""
    migrate_task_rq_fair(sim, p, cpu)
    p.cpu = cpu


def migrate_task_rq_fair(sim: Sim, p: Thread, new_cpu: int) -> None:
    """Tell the scan period that a thread leaves its CPU; the thread is still on the old one."""
    kernel_fault.update_scan_period(sim, p, new_cpu)
