"""The debugfs knobs of NUMA balancing, with the kernel's defaults."""

from __future__ import annotations

from dataclasses import dataclass

from numalab.fields import field, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunables:
    """What ``/sys/kernel/debug/sched/numa_balancing/`` and the sysctl hold.

    Defaults are those of Linux 6.1, 6.12 and 7.2 (kernel/sched/fair.c,
    ``sysctl_numa_balancing_*``).
    """

    numa_balancing: int = field(
        1, at_least=0, at_most=1, doc="sysctl kernel.numa_balancing: 0 off, 1 normal"
    )
    scan_delay_ms: int = field(
        1000, unit="ms", at_least=0, at_most=3_600_000, doc="wait before a task's first scan"
    )
    scan_period_min_ms: int = field(
        1000, unit="ms", at_least=1, at_most=3_600_000, doc="fastest pass of a task"
    )
    scan_period_max_ms: int = field(
        60000, unit="ms", at_least=1, at_most=3_600_000, doc="slowest pass of a task"
    )
    scan_size_mb: int = field(
        256, unit="MB", at_least=1, at_most=1 << 20, doc="memory to mark per scan"
    )

    def __post_init__(self) -> None:
        validate(self)
