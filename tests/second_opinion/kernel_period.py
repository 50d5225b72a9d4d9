"""kernel/sched/fair.c, the bounds of the scan period: resident memory, and the group's faults."""

from __future__ import annotations

from tests.second_opinion.objects import Group, Sim, Thread

MAX_SCAN_WINDOW = 2560


def round_up(x: int, y: int) -> int:
    """Round up to a multiple of y if y is a power of two, as include/linux/math.h does.

    With another y it is no rounding: 72 MB and 67 MB a scan are one window (fidelity.md 2.5).
    """
    return ((x - 1) | (y - 1)) + 1


def task_nr_scan_windows(sim: Sim, p: Thread) -> int:
    """How many scans of scan_size the resident memory needs; at least one."""
    nr_scan_pages = sim.w.tunables.scan_size_mb << 8
    return round_up(p.mm.rss or nr_scan_pages, nr_scan_pages) // nr_scan_pages


def task_scan_min(sim: Sim, p: Thread) -> int:
    """Shortest scan period [ms]."""
    scan_size = sim.w.tunables.scan_size_mb
    floor = 1000 // max(1, MAX_SCAN_WINDOW // scan_size)
    return max(floor, sim.w.tunables.scan_period_min_ms // task_nr_scan_windows(sim, p))


def group_faults_shared(group: Group) -> int:
    """Shared faults of a group on all nodes."""
    return sum(n for (kind, _, priv), n in group.faults.items() if kind == "mem" and not priv)


def group_faults_priv(group: Group) -> int:
    """Private faults of a group on all nodes."""
    return sum(n for (kind, _, priv), n in group.faults.items() if kind == "mem" and priv)


def _scaled(p: Thread, period: int) -> int:
    """A period times the group's tasks times its share of shared faults."""
    group = p.numa_group
    if group is None:
        return period
    shared = group_faults_shared(group)
    return period * group.refcount * (shared + 1) // (group_faults_priv(group) + shared + 1)


def task_scan_start(sim: Sim, p: Thread) -> int:
    """Scan period that a task starts with [ms]."""
    smin = task_scan_min(sim, p)
    return max(smin, _scaled(p, smin))


def task_scan_max(sim: Sim, p: Thread) -> int:
    """Longest scan period [ms]."""
    smax = sim.w.tunables.scan_period_max_ms // task_nr_scan_windows(sim, p)
    return max(task_scan_min(sim, p), smax, _scaled(p, smax))
