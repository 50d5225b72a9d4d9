"""The fault half of kernel/sched/fair.c: statistics, placement, period control, migration.

Written from the behaviour of Linux 6.1.192, 6.12.107 and 7.2.13, which agree here.
``w.faults`` is ``numa_faults`` of all tasks: int64[task, 4, node, 2], the second axis
NUMA_MEM, NUMA_CPU, NUMA_MEMBUF, NUMA_CPUBUF, the last 0 shared, 1 private;
``w.current`` int64[cpu], the task running there or -1.
"""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.fair_period import task_scan_max, update_task_scan_period
from numalab.linux.structs import (
    NONE,
    NUMA_NO_NODE,
    STATS_CPU,
    STATS_CPUBUF,
    STATS_MEM,
    STATS_MEMBUF,
)
from numalab.units import msecs_to_jiffies

TNF_MIGRATED = 0x01
TNF_NO_GROUP = 0x02
TNF_SHARED = 0x04
TNF_FAULT_LOCAL = 0x08
TNF_MIGRATE_FAIL = 0x10

ACTIVE_NODE_FRACTION = 3
LOAD_AVG_MAX = 47742


@jitted
def cpupid(p):
    """last_cpupid of a task: its CPU and the low 8 bits of its pid."""
    return (p.cpu << 8) | (p.pid & 0xFF)


@jitted
def cpupid_match_pid(p, last):
    """Say whether the low 8 bits of the pid match."""
    return (last & 0xFF) == (p.pid & 0xFF)


@jitted
def cpupid_pid_unset(last):
    """Say whether a last_cpupid holds no pid; a pid that ends in 0xff looks like none."""
    return (last & 0xFF) == 0xFF


@jitted
def _group_faults_cpu(group_faults, g, nid):
    return group_faults[g, STATS_CPU, nid, 0] + group_faults[g, STATS_CPU, nid, 1]


@jitted
def _group_faults(group_faults, g, nid):
    return group_faults[g, STATS_MEM, nid, 0] + group_faults[g, STATS_MEM, nid, 1]


@jitted
def numa_is_active_node(groups, group_faults, g, nid):
    """Mirrors numa_is_active_node()."""
    faults = _group_faults_cpu(group_faults, g, nid)
    return faults * ACTIVE_NODE_FRACTION > groups[g].max_faults_cpu


@inlined
def should_numa_migrate_memory(w, p, last, src_nid, dst_nid):
    """Say whether a page follows the CPU that faulted on it.

    Mirrors should_numa_migrate_memory(), normal (not tiering) path; the caller has
    exchanged last_cpupid.
    """
    unset = cpupid_pid_unset(last)
    if (p.numa_preferred_nid == NUMA_NO_NODE or p.numa_scan_seq <= 4) and (
        unset or cpupid_match_pid(p, last)
    ):
        return True
    if not unset and (last >> 8) // w.cpus_per_node != dst_nid:
        return False
    if cpupid_match_pid(p, last):
        return True
    g = p.numa_group
    if g == NONE:
        return True
    cpu_dst = _group_faults_cpu(w.group_faults, g, dst_nid)
    cpu_src = _group_faults_cpu(w.group_faults, g, src_nid)
    if cpu_dst > cpu_src * ACTIVE_NODE_FRACTION:
        return True
    mem_dst = _group_faults(w.group_faults, g, dst_nid)
    mem_src = _group_faults(w.group_faults, g, src_nid)
    return cpu_dst * mem_src * 3 > cpu_src * mem_dst * 4


@jitted
def _numa_get_avg_runtime(p, now_ns):
    """Return (runtime, period) since the last placement [ns], as numa_get_avg_runtime()."""
    if p.last_task_numa_placement:
        runtime = p.sum_exec_runtime - p.last_sum_exec_runtime
        period = max(now_ns - p.last_task_numa_placement, 0)
    else:
        runtime = LOAD_AVG_MAX
        period = LOAD_AVG_MAX
    p.last_sum_exec_runtime = p.sum_exec_runtime
    p.last_task_numa_placement = now_ns
    return runtime, period


@jitted
def numa_group_count_active_nodes(groups, group_faults, g):
    """Count the nodes a group runs on. Mirrors numa_group_count_active_nodes()."""
    most = 0
    for nid in range(group_faults.shape[2]):
        most = max(most, _group_faults_cpu(group_faults, g, nid))
    active = 0
    for nid in range(group_faults.shape[2]):
        if _group_faults_cpu(group_faults, g, nid) * ACTIVE_NODE_FRACTION > most:
            active += 1
    groups[g].max_faults_cpu = most
    groups[g].active_nodes = active


@jitted
def task_numa_placement(w, t):
    """Once per completed pass: fold the buffers, choose the preferred node, adapt the period.

    Mirrors task_numa_placement(). Differs: every node has CPUs, and distances between
    nodes are uniform, so preferred_group_nid() returns the node with most faults.
    """
    p = w.tasks[t]
    mm, faults = w.mms[p.mm], w.faults
    groups, group_faults = w.groups, w.group_faults
    if p.numa_scan_seq == mm.numa_scan_seq:
        return
    p.numa_scan_seq = mm.numa_scan_seq
    p.numa_scan_period_max = task_scan_max(w.k[0], mm, p, groups, group_faults)
    total = p.locality_remote + p.locality_local
    runtime, period = _numa_get_avg_runtime(p, w.clock[0].now_ns)
    shared = 0
    private = 0
    g = p.numa_group
    max_faults = 0
    max_nid = NUMA_NO_NODE
    for nid in range(faults.shape[2]):
        node_faults = 0
        group_node_faults = 0
        for priv in range(2):
            membuf = faults[t, STATS_MEMBUF, nid, priv]
            diff = membuf - faults[t, STATS_MEM, nid, priv] // 2
            if priv:
                private += membuf
            else:
                shared += membuf
            weight = ((runtime << 16) // (period + 1)) * faults[t, STATS_CPUBUF, nid, priv]
            f_diff = weight // (total + 1) - faults[t, STATS_CPU, nid, priv] // 2
            faults[t, STATS_MEMBUF, nid, priv] = 0
            faults[t, STATS_CPUBUF, nid, priv] = 0
            faults[t, STATS_MEM, nid, priv] += diff
            faults[t, STATS_CPU, nid, priv] += f_diff
            node_faults += faults[t, STATS_MEM, nid, priv]
            p.total_numa_faults += diff
            if g != NONE:
                group_faults[g, STATS_MEM, nid, priv] += diff
                group_faults[g, STATS_CPU, nid, priv] += f_diff
                groups[g].total_faults += diff
                group_node_faults += group_faults[g, STATS_MEM, nid, priv]
        most = node_faults if g == NONE else group_node_faults
        if most > max_faults:
            max_faults = most
            max_nid = nid
    if g != NONE:
        numa_group_count_active_nodes(groups, group_faults, g)
    if max_faults and max_nid != p.numa_preferred_nid:
        p.numa_preferred_nid = max_nid
    update_task_scan_period(w, p, shared, private)


@jitted
def task_numa_group(w, t, last, flags):
    """Join the group of the task that touched the page last; return priv.

    Mirrors task_numa_group().
    """
    tasks, faults = w.tasks, w.faults
    groups, group_faults = w.groups, w.group_faults
    p = tasks[t]
    if p.numa_group == NONE:
        p.numa_group = t
        groups[t].refcount = 1
        groups[t].nr_tasks = 1
        groups[t].active_nodes = 1
        groups[t].max_faults_cpu = 0
        groups[t].total_faults = p.total_numa_faults
        for stat in range(STATS_MEMBUF):
            for nid in range(faults.shape[2]):
                for priv in range(2):
                    group_faults[t, stat, nid, priv] = faults[t, stat, nid, priv]
    other = w.current[last >> 8]
    if other == NONE or not cpupid_match_pid(tasks[other], last):
        return 0
    g = tasks[other].numa_group
    mine = p.numa_group
    if NONE in (g, mine) or g == mine:
        return 0
    if groups[mine].nr_tasks > groups[g].nr_tasks:
        return 0
    if groups[mine].nr_tasks == groups[g].nr_tasks and mine > g:
        return 0
    if tasks[other].mm != p.mm and not flags & TNF_SHARED:
        return 1
    for stat in range(STATS_MEMBUF):
        for nid in range(faults.shape[2]):
            for priv in range(2):
                group_faults[mine, stat, nid, priv] -= faults[t, stat, nid, priv]
                group_faults[g, stat, nid, priv] += faults[t, stat, nid, priv]
    groups[mine].total_faults -= p.total_numa_faults
    groups[g].total_faults += p.total_numa_faults
    groups[mine].nr_tasks -= 1
    groups[g].nr_tasks += 1
    groups[mine].refcount -= 1
    groups[g].refcount += 1
    p.numa_group = g
    return 0


@jitted
def numa_migrate_preferred(k, p, jiffies):
    """Set the time of the next placement; say whether the task would rather be elsewhere.

    Mirrors numa_migrate_preferred(); the move itself is the caller's.
    """
    if p.numa_preferred_nid == NUMA_NO_NODE:
        return False
    interval = min(k.hz, msecs_to_jiffies(p.numa_scan_period, k.hz) // 16)
    p.numa_migrate_retry = jiffies + interval
    return p.node != p.numa_preferred_nid


@inlined
def task_numa_fault(w, t, last, mem_node, pages, flags):
    """Account hint faults of one task on ``pages`` 4 KiB pages that end up on ``mem_node``.

    Mirrors task_numa_fault().

    Returns
    -------
    bool
        True when the task wants to move to its preferred node.
    """
    p = w.tasks[t]
    groups, group_faults = w.groups, w.group_faults
    p.has_faults = 1
    if last == NONE:
        priv = 1
    else:
        priv = 1 if cpupid_match_pid(p, last) else 0
        if not priv and not flags & TNF_NO_GROUP:
            priv = task_numa_group(w, t, last, flags)
    local = 1 if flags & TNF_FAULT_LOCAL else 0
    g = p.numa_group
    if (
        not priv
        and not local
        and g != NONE
        and groups[g].active_nodes > 1
        and numa_is_active_node(groups, group_faults, g, p.node)
        and numa_is_active_node(groups, group_faults, g, mem_node)
    ):
        local = 1
    wants_to_move = False
    jiffies = w.clock[0].jiffies
    if jiffies > p.numa_migrate_retry:
        task_numa_placement(w, t)
        wants_to_move = numa_migrate_preferred(w.k[0], p, jiffies)
    if flags & TNF_MIGRATED:
        p.numa_pages_migrated += pages
    if flags & TNF_MIGRATE_FAIL:
        p.locality_failed += pages
    w.faults[t, STATS_MEMBUF, mem_node, priv] += pages
    w.faults[t, STATS_CPUBUF, p.node, priv] += pages
    if local:
        p.locality_local += pages
    else:
        p.locality_remote += pages
    return wants_to_move
