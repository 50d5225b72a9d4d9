"""The scan period in kernel/sched/fair.c: its bounds, its start, how it adapts.

Written from the behaviour of Linux 6.1.192, 6.12.107 and 7.2.13, which agree here.
"""

from __future__ import annotations

from numalab.jit import jitted
from numalab.linux.structs import NONE, NUMA_NO_NODE, STATS_MEM
from numalab.units import msecs_to_jiffies

MAX_SCAN_WINDOW = 2560
NUMA_PERIOD_SLOTS = 10
NUMA_PERIOD_THRESHOLD = 7


@jitted
def task_nr_scan_windows(k, mm):
    """Windows of ``scan_size_mb`` in the resident set; an empty one counts as one.

    The kernel's round_up() is for powers of two only; with another ``scan_size_mb`` it does
    something else, and so does this.

    Mirrors task_nr_scan_windows(), kernel/sched/fair.c, v6.1 to v7.2.
    """
    nr_scan_pages = k.scan_size_mb << 8
    rss = mm.rss
    if rss <= 0:
        rss = nr_scan_pages
    return (((rss - 1) | (nr_scan_pages - 1)) + 1) // nr_scan_pages


@jitted
def task_scan_min(k, mm):
    """Shortest scan period of a task [ms].

    Mirrors task_scan_min(), kernel/sched/fair.c, v6.1 to v7.2.
    """
    scan_size = k.scan_size_mb
    windows = 1
    if scan_size < MAX_SCAN_WINDOW:
        windows = MAX_SCAN_WINDOW // scan_size
    floor = 1000 // windows
    scan = k.scan_period_min_ms // task_nr_scan_windows(k, mm)
    return max(floor, scan)


@jitted
def _group_shares(p, groups, group_faults):
    """Return (shared, private) faults of the task's group, all nodes, memory side."""
    shared = 0
    private = 0
    for nid in range(group_faults.shape[2]):
        shared += group_faults[p.numa_group, STATS_MEM, nid, 0]
        private += group_faults[p.numa_group, STATS_MEM, nid, 1]
    return shared, private


@jitted
def task_scan_start(k, mm, p, groups, group_faults):
    """Scan period a task starts with [ms].

    Mirrors task_scan_start(), kernel/sched/fair.c, v6.1 to v7.2.
    """
    smin = task_scan_min(k, mm)
    period = smin
    if p.numa_group != NONE:
        shared, private = _group_shares(p, groups, group_faults)
        period = smin * groups[p.numa_group].refcount
        period = period * (shared + 1) // (private + shared + 1)
    return max(smin, period)


@jitted
def task_scan_max(k, mm, p, groups, group_faults):
    """Longest scan period of a task [ms].

    Mirrors task_scan_max(), kernel/sched/fair.c, v6.1 to v7.2.
    """
    smin = task_scan_min(k, mm)
    smax = k.scan_period_max_ms // task_nr_scan_windows(k, mm)
    if p.numa_group != NONE:
        shared, private = _group_shares(p, groups, group_faults)
        period = smax * groups[p.numa_group].refcount
        period = period * (shared + 1) // (private + shared + 1)
        smax = max(smax, period)
    return max(smin, smax)


@jitted
def update_task_scan_period(w, p, shared, private):
    """Adapt the scan period to what the last pass found.

    Mirrors update_task_scan_period(). The failed-migration count is not cleared on the
    early path, so one failure makes every later placement double the period; it is since
    e81ee0630837.
    """
    k, mm = w.k[0], w.mms[p.mm]
    remote = p.locality_remote
    local = p.locality_local
    if local + shared == 0 or p.locality_failed:
        p.numa_scan_period = min(p.numa_scan_period_max, p.numa_scan_period << 1)
        mm.numa_next_scan = w.clock[0].jiffies + msecs_to_jiffies(p.numa_scan_period, k.hz)
        if k.locality_reset:
            p.locality_remote, p.locality_local, p.locality_failed = 0, 0, 0
        return
    period_slot = (p.numa_scan_period + NUMA_PERIOD_SLOTS - 1) // NUMA_PERIOD_SLOTS
    lr_ratio = local * NUMA_PERIOD_SLOTS // (local + remote)
    ps_ratio = private * NUMA_PERIOD_SLOTS // (private + shared)
    if ps_ratio >= NUMA_PERIOD_THRESHOLD:
        slot = ps_ratio - NUMA_PERIOD_THRESHOLD
        diff = max(1, slot) * period_slot
    elif lr_ratio >= NUMA_PERIOD_THRESHOLD:
        slot = lr_ratio - NUMA_PERIOD_THRESHOLD
        diff = max(1, slot) * period_slot
    else:
        ratio = max(lr_ratio, ps_ratio)
        diff = -(NUMA_PERIOD_THRESHOLD - ratio) * period_slot
    smin = task_scan_min(k, mm)
    smax = task_scan_max(k, mm, p, w.groups, w.group_faults)
    p.numa_scan_period = min(max(p.numa_scan_period + diff, smin), smax)
    p.locality_remote = 0
    p.locality_local = 0
    p.locality_failed = 0


@jitted
def update_scan_period(w, p, src_nid, dst_nid):
    """Restart the period when a task moves to another node's CPU.

    Mirrors update_scan_period().
    """
    if not p.has_faults:
        return
    if src_nid == dst_nid:
        return
    if p.numa_scan_seq:
        if dst_nid == p.numa_preferred_nid:
            return
        if p.numa_preferred_nid != NUMA_NO_NODE and src_nid != p.numa_preferred_nid:
            return
    p.numa_scan_period = task_scan_start(w.k[0], w.mms[p.mm], p, w.groups, w.group_faults)
