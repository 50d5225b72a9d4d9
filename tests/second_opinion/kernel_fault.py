"""kernel/sched/fair.c, the faults: statistics, placement, groups and the scan period."""

from __future__ import annotations

from collections import Counter

from tests.second_opinion import kernel_period, kernel_scan
from tests.second_opinion.objects import NUMA_NO_NODE, Group, Page, Sim, Thread

NUMA_PERIOD_SLOTS = 10
NUMA_PERIOD_THRESHOLD = 7
ACTIVE_NODE_FRACTION = 3
LOAD_AVG_MAX = 47742
MIGRATED, NO_GROUP, SHARED, FAULT_LOCAL, MIGRATE_FAIL = 1, 2, 4, 8, 16


def cpu_pid_to_cpupid(cpu: int, pid: int) -> int:
    """Pack a CPU and the low byte of a pid."""
    return cpu << 8 | (pid & 0xFF)


def cpupid_to_pid(cpupid: int) -> int:
    """Low byte of the pid; 0xff if unset, or if the pid ends in it."""
    return cpupid & 0xFF


def cpupid_to_cpu(cpupid: int) -> int:
    """CPU of a cpupid."""
    return cpupid >> 8


def cpupid_pid_unset(cpupid: int) -> bool:
    """Whether no pid is stored, or one that ends in 0xff (fidelity.md 2.11)."""
    return cpupid_to_pid(cpupid) == 0xFF


def cpupid_match_pid(p: Thread, cpupid: int) -> bool:
    """Whether the low byte of the task's pid is the one stored."""
    return (p.pid & 0xFF) == cpupid_to_pid(cpupid)


def group_faults(group: Group, nid: int) -> int:
    """Faults of a group on the memory of a node."""
    return group.faults["mem", nid, 0] + group.faults["mem", nid, 1]


def group_faults_cpu(group: Group, nid: int) -> int:
    """Faults of a group from the CPUs of a node."""
    return group.faults["cpu", nid, 0] + group.faults["cpu", nid, 1]


def numa_is_active_node(nid: int, group: Group) -> bool:
    """Whether a node does more than a third of the busiest one's faults."""
    return group_faults_cpu(group, nid) * ACTIVE_NODE_FRACTION > group.max_faults_cpu


def numa_group_count_active_nodes(sim: Sim, group: Group) -> None:
    """Count the nodes that a group is active on."""
    nodes = range(sim.w.machine.nodes)
    group.max_faults_cpu = max(group_faults_cpu(group, nid) for nid in nodes)
    group.active_nodes = sum(numa_is_active_node(nid, group) for nid in nodes)


def should_numa_migrate_memory(sim: Sim, p: Thread, page: Page, src_nid: int, dst_cpu: int) -> bool:
    """Whether a page should follow the task that faulted; remembers the task."""
    group = p.numa_group
    dst_nid = sim.node_of(dst_cpu)
    last_cpupid = page.last_cpupid
    page.last_cpupid = cpu_pid_to_cpupid(dst_cpu, p.pid)
    mine = cpupid_match_pid(p, last_cpupid)
    unset = cpupid_pid_unset(last_cpupid)
    early = p.numa_preferred_nid == NUMA_NO_NODE or p.numa_scan_seq <= 4
    if early and (unset or mine):
        return True
    if not unset and sim.node_of(cpupid_to_cpu(last_cpupid)) != dst_nid:
        return False
    if mine or group is None:
        return True
    dst, src = group_faults_cpu(group, dst_nid), group_faults_cpu(group, src_nid)
    if dst > src * ACTIVE_NODE_FRACTION:
        return True
    return dst * group_faults(group, src_nid) * 3 > src * group_faults(group, dst_nid) * 4


def task_numa_fault(
    sim: Sim, p: Thread, last_cpupid: int, mem_node: int, pages: int, flags: int
) -> None:
    """Account a hint fault to the task that took it."""
    cpu_node = sim.node_of(p.cpu)
    local = bool(flags & FAULT_LOCAL)
    if p.numa_faults is None:
        p.numa_faults = Counter()
        p.total_numa_faults = 0
        p.numa_faults_locality = [0, 0, 0]
    unset = last_cpupid == -1  # all of it, and not cpupid_pid_unset(): kernel.md 1.9
    priv = unset or cpupid_match_pid(p, last_cpupid)
    if not priv and not flags & NO_GROUP:
        priv = task_numa_group(sim, p, last_cpupid, flags)
    group = p.numa_group
    if not priv and not local and group is not None and group.active_nodes > 1:
        local = numa_is_active_node(cpu_node, group) and numa_is_active_node(mem_node, group)
    if sim.jiffies > p.numa_migrate_retry:
        task_numa_placement(sim, p)
        numa_migrate_preferred(sim, p)
    if flags & MIGRATED:
        p.numa_pages_migrated += pages
    if flags & MIGRATE_FAIL:
        p.numa_faults_locality[2] += pages
    p.numa_faults["membuf", mem_node, int(priv)] += pages
    p.numa_faults["cpubuf", cpu_node, int(priv)] += pages
    p.numa_faults_locality[local] += pages


def task_numa_group(sim: Sim, p: Thread, cpupid: int, flags: int) -> bool:
    """Join the group of the task that touched the page before; whether the fault stays private."""
    assert p.numa_faults is not None
    if p.numa_group is None:
        stats = {k: n for k, n in p.numa_faults.items() if k[0] in ("mem", "cpu")}
        p.numa_group = Group(
            gid=sim.groups, faults=Counter(stats), total_faults=p.total_numa_faults
        )
        sim.groups += 1
    other = sim.curr[cpupid_to_cpu(cpupid)]
    if other is None or not cpupid_match_pid(other, cpupid) or other.numa_group is None:
        return False
    mine, theirs = p.numa_group, other.numa_group
    if theirs is mine or mine.nr_tasks > theirs.nr_tasks:
        return False
    if mine.nr_tasks == theirs.nr_tasks and mine.gid > theirs.gid:
        return False
    if other.mm is not p.mm and not flags & SHARED:
        return True
    for key in list(p.numa_faults):
        if key[0] in ("mem", "cpu"):
            mine.faults[key] -= p.numa_faults[key]
            theirs.faults[key] += p.numa_faults[key]
    mine.total_faults -= p.total_numa_faults
    theirs.total_faults += p.total_numa_faults
    mine.nr_tasks -= 1
    mine.refcount -= 1
    theirs.nr_tasks += 1
    theirs.refcount += 1
    p.numa_group = theirs
    return False


def numa_get_avg_runtime(sim: Sim, p: Thread) -> tuple[int, int]:
    """CPU time since the last placement and how long ago that was [ns]."""
    runtime, now = p.sum_exec_runtime, sim.tick_time_ns + sim.tick_ns
    if p.last_task_numa_placement:
        delta = runtime - p.last_sum_exec_runtime
        period = max(0, now - p.last_task_numa_placement)
    else:
        delta, period = LOAD_AVG_MAX, LOAD_AVG_MAX
    p.last_sum_exec_runtime = runtime
    p.last_task_numa_placement = now
    return delta, period


def task_numa_placement(sim: Sim, p: Thread) -> None:
    """Once a pass: age the statistics, choose the preferred node, adapt the period."""
    seq = sim.scan_seq(p.mm, p)
    if p.numa_scan_seq == seq:
        return
    p.numa_scan_seq = seq
    p.numa_scan_period_max = kernel_period.task_scan_max(sim, p)
    total_faults = p.numa_faults_locality[0] + p.numa_faults_locality[1]
    runtime, period = numa_get_avg_runtime(sim, p)
    faults, group = p.numa_faults, p.numa_group
    assert faults is not None
    kinds = [0, 0]
    max_faults, max_nid = 0, NUMA_NO_NODE
    for nid in range(sim.w.machine.nodes):
        on_node = 0
        for priv in (0, 1):
            mem, cpu = ("mem", nid, priv), ("cpu", nid, priv)
            diff = faults["membuf", nid, priv] - faults[mem] // 2
            kinds[priv] += faults["membuf", nid, priv]
            weight = (runtime << 16) // (period + 1)
            weight = weight * faults["cpubuf", nid, priv] // (total_faults + 1)
            f_diff = weight - faults[cpu] // 2
            faults["membuf", nid, priv] = faults["cpubuf", nid, priv] = 0
            faults[mem] += diff
            faults[cpu] += f_diff
            p.total_numa_faults += diff
            if group is not None:
                group.faults[mem] += diff
                group.faults[cpu] += f_diff
                group.total_faults += diff
            on_node += faults[mem] if group is None else group.faults[mem]
        if on_node > max_faults:
            max_faults, max_nid = on_node, nid
    if group is not None:
        numa_group_count_active_nodes(sim, group)
    if max_faults:
        p.numa_preferred_nid = max_nid
    update_task_scan_period(sim, p, shared=kinds[0], private=kinds[1])


def update_task_scan_period(sim: Sim, p: Thread, shared: int, private: int) -> None:
    """Adapt how often a task scans to what its faults were like.

    Up to 7.2 the early exit leaves numa_faults_locality[] as it is, so that one failed migration
    is seen again by each later placement (kernel.md 1.9). e81ee0630837 "sched/fair: Reset NUMA
    fault locality after scan period update" (tip/sched/core, September 2026; today.md 0) clears
    it there too, whichever of the two conditions led there.
    """
    remote, local, failed = p.numa_faults_locality
    if local + shared == 0 or failed:
        p.numa_scan_period = min(p.numa_scan_period_max, p.numa_scan_period * 2)
        wait = kernel_scan.msecs_to_jiffies(p.numa_scan_period, sim.w.machine.hz)
        p.mm.numa_next_scan = sim.jiffies + wait
        if sim.policy.locality_reset:
            p.numa_faults_locality = [0, 0, 0]
        return
    slot = -(-p.numa_scan_period // NUMA_PERIOD_SLOTS)
    lr_ratio = NUMA_PERIOD_SLOTS * local // (local + remote)
    ps_ratio = NUMA_PERIOD_SLOTS * private // (private + shared)
    if ps_ratio >= NUMA_PERIOD_THRESHOLD:
        diff = max(1, ps_ratio - NUMA_PERIOD_THRESHOLD) * slot
    elif lr_ratio >= NUMA_PERIOD_THRESHOLD:
        diff = max(1, lr_ratio - NUMA_PERIOD_THRESHOLD) * slot
    else:
        diff = -(NUMA_PERIOD_THRESHOLD - max(lr_ratio, ps_ratio)) * slot
    smallest, largest = kernel_period.task_scan_min(sim, p), kernel_period.task_scan_max(sim, p)
    p.numa_scan_period = min(max(p.numa_scan_period + diff, smallest), largest)
    p.numa_faults_locality = [0, 0, 0]


def numa_migrate_preferred(sim: Sim, p: Thread) -> None:
    """Now and then, move a free task to its preferred node."""
    if p.numa_preferred_nid == NUMA_NO_NODE or p.numa_faults is None:
        return
    hz = sim.w.machine.hz
    wait = min(hz, kernel_scan.msecs_to_jiffies(p.numa_scan_period, hz) // 16)
    p.numa_migrate_retry = sim.jiffies + wait
    if sim.node_of(p.cpu) != p.numa_preferred_nid and not p.bound:
        task_numa_migrate(sim, p)


def task_numa_migrate(sim: Sim, p: Thread) -> None:
    """Go to the least loaded CPU of the preferred node, unless it is busier than this one."""
    threads = Counter(t.cpu for mm in sim.mms for t in mm.tasks if not t.waits)
    per_node = sim.w.machine.cpus_per_node
    first = p.numa_preferred_nid * per_node
    best = min(range(first, first + per_node), key=lambda cpu: threads[cpu])
    if threads[best] <= threads[p.cpu]:
        update_scan_period(sim, p, best)
        p.cpu = best


def update_scan_period(sim: Sim, p: Thread, new_cpu: int) -> None:
    """Start the period anew if a task leaves its preferred node.

    Asks whether numa_faults is allocated: from the first hint fault on (kernel.md 1.9).
    """
    src_nid, dst_nid = sim.node_of(p.cpu), sim.node_of(new_cpu)
    if p.numa_faults is None or src_nid == dst_nid:
        return
    preferred = p.numa_preferred_nid
    if p.numa_scan_seq and (
        dst_nid == preferred or (preferred != NUMA_NO_NODE and src_nid != preferred)
    ):
        return
    p.numa_scan_period = kernel_period.task_scan_start(sim, p)
