"""Skippable stretches: ticks in which nothing happens but counting, run as one."""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.structs import NUMA_NO_NODE
from numalab.model.faults import FOREVER, WALK
from numalab.model.running import is_active, own_waiting, run_flat_out, touch_resident, waiting
from numalab.units import NSEC_PER_MSEC, msecs_to_jiffies


@jitted
def scan_under_way(w):
    """Say whether a scan that ends a pass has not ended yet."""
    for m in range(w.mms.shape[0]):
        if w.mms[m].reset_at_ns:
            return True
    return False


@inlined
def _is_placed(w, t):
    """Say whether a task's hint faults would change nothing but counts and pages.

    Its placement is done for this pass, and it will not move.
    """
    p = w.tasks[t]
    if p.numa_scan_seq != w.mms[p.mm].numa_scan_seq:
        return False
    return not p.free_to_move or p.numa_preferred_nid in (NUMA_NO_NODE, p.node)


@inlined
def skippable_ticks(w, most, to_sample, jiffies):
    """Ticks after ``jiffies`` that can be run as one, at most ``most``.

    Every running task is flat out and has its CPU to itself; folios of the workload wait
    only for one task each, whose faults change nothing but counts; no page of the program
    is due to be touched; and no tick before the last of them starts a scan. Samples end such
    a stretch while folios wait.
    """
    tick_ns = w.k[0].tick_ns
    if w.open_isolations[0] or scan_under_way(w):
        return 0
    if w.pop.free[0].waiting:
        most = min(most, to_sample)
        for a in range(w.accesses.shape[0]):
            access = w.accesses[a]
            if not waiting(w, a):
                continue
            if access.image and not is_active(access, w.clock[0].elapsed_ns):
                continue  # of a thread that waits
            if access.image:
                most = min(most, int((1.0 - access.carry) / (access.pages_per_ns * tick_ns)))
            elif access.shared or not access.flat_out:
                return 0
    for t in range(w.tasks.shape[0]):
        p = w.tasks[t]
        if p.queued or p.wants_cpu == 1 or (p.wants_cpu == 0 and p.debt_ns):
            return 0
        if p.wants_cpu == 0:
            continue
        if w.cpu_load[p.cpu] > 1 or (own_waiting(w, t) and not _is_placed(w, t)):
            return 0
        if p.rated:
            return 0
        most = min(most, _ticks_before_scan(w, p, jiffies))
    return most


@inlined
def _ticks_before_scan(w, p, jiffies):
    """Ticks of a task that runs all the time, none of which makes it queue a scan.

    A tick at which the task's own clock passes its next scan time queues nothing while the
    mm's next scan is still to come, and only puts the task's time off by a period
    (:func:`numalab.linux.fair_scan.task_tick_numa`). With ``lost_share`` the clock falls behind
    the ticks: such a tick is skipped only if it comes surely before the mm's time.
    """
    k = w.k[0]
    mm = w.mms[p.mm]
    if k.numa_balancing == 0 or mm.opt_out:
        return FOREVER
    period = p.numa_scan_period * NSEC_PER_MSEC
    left = p.node_stamp + period - p.sum_exec_runtime
    if p.node_stamp == 0 or period < k.tick_ns:
        return left // k.tick_ns
    closed = mm.numa_next_scan - jiffies - 1
    if left < 0:  # behind by more than a period: it passes its time at every tick
        return closed
    slowest = k.tick_ns * (1.0 - w.speed[0].lost_share)
    while int(left / slowest) + 2 <= closed:
        left += period
    return left // k.tick_ns


@inlined
def _put_off(w, p, began, ticks):
    """Put a task's next scan off as the ticks of a stretch did: a period each, at most one a tick.

    ``began``: its runtime before the stretch [ns].
    """
    if w.k[0].numa_balancing == 0 or w.mms[p.mm].opt_out or p.node_stamp == 0:
        return
    period = p.numa_scan_period * NSEC_PER_MSEC
    a_tick = (p.sum_exec_runtime - began) / ticks
    tick = 1
    while tick <= ticks and began + int(tick * a_tick) > p.node_stamp + period:
        p.node_stamp += period
        tick += 1
    while tick <= ticks and p.sum_exec_runtime > p.node_stamp + period:
        p.node_stamp += period


@jitted
def _renew_retry(k, p, first, last):
    """Renew ``numa_migrate_retry`` as faults at every jiffy of [first, last] would."""
    if p.numa_preferred_nid == NUMA_NO_NODE:
        return
    interval = min(k.hz, msecs_to_jiffies(p.numa_scan_period, k.hz) // 16)
    if first > p.numa_migrate_retry:
        p.numa_migrate_retry = first + interval
    while last > p.numa_migrate_retry:
        p.numa_migrate_retry += 1 + interval


@inlined
def _one_walk(w, t):
    """Say whether a task does nothing but walk through one access."""
    elapsed_ns = w.clock[0].elapsed_ns
    walks, others = 0, 0
    for a in range(w.tasks[t].first_access, w.tasks[t].end_access):
        access = w.accesses[a]
        if access.flat_out and is_active(access, elapsed_ns):
            if access.pattern == WALK:
                walks += 1
            else:
                others += 1
    return walks == 1 and others == 0


@inlined
def _walk_on(w, t, budget_ns, length_ns, rng):
    """Let a task that does nothing but walk do so for a stretch: all of its faults in one go."""
    p = w.tasks[t]
    retry = p.numa_migrate_retry
    faults = w.stat[0].numa_hint_faults
    ns = run_flat_out(w, t, budget_ns, rng)
    p.debt_ns = max(0, int(ns - budget_ns))
    faults = w.stat[0].numa_hint_faults - faults
    if faults:
        p.numa_migrate_retry = retry
        busy = ns if own_waiting(w, t) else faults * w.speed[0].hint_fault_ns
        k, jiffies = w.k[0], w.clock[0].jiffies
        _renew_retry(k, p, jiffies, jiffies + int(min(busy, length_ns - 1) // k.tick_ns))


@inlined
def _tick_on(w, t, ticks, rng):
    """Let a task run for ticks, one at a time while folios wait for it.

    How much of its time each access gets depends on how many still wait, so their faults
    cannot be had in one go.
    """
    tick_ns, clock = w.k[0].tick_ns, w.clock[0]
    jiffies, now_ns = clock.jiffies, clock.now_ns
    debt = w.tasks[t].debt_ns
    done = 0
    while done < ticks and own_waiting(w, t):
        budget = float(tick_ns - debt)
        spent = 0
        if budget > 0:
            clock.jiffies, clock.now_ns = jiffies + done, now_ns + done * tick_ns
            spent = int(run_flat_out(w, t, budget, rng))
        debt = max(0, debt + spent - tick_ns)
        done += 1
    clock.jiffies, clock.now_ns = jiffies, now_ns
    rest = (ticks - done) * tick_ns - debt
    if rest > 0:
        touch_resident(w, t, float(rest))
    w.tasks[t].debt_ns = max(0, -rest)


@jitted
def run_skippable(w, ticks, rng):
    """Run ``ticks`` ticks as one."""
    k = w.k[0]
    length = ticks * k.tick_ns
    for t in range(w.tasks.shape[0]):
        p = w.tasks[t]
        if p.wants_cpu != 2:
            continue
        began = p.sum_exec_runtime
        p.sum_exec_runtime += int(length * (1.0 - w.speed[0].lost_share))
        p.vruntime += length
        p.slice_ns += length
        p.ran_ns += length
        _put_off(w, p, began, ticks)
        if p.debt_ns >= length:
            p.debt_ns -= length
            continue
        w.current[p.cpu] = t
        for a in range(p.image_access, p.first_access):
            if waiting(w, a):
                w.accesses[a].carry += w.accesses[a].pages_per_ns * length
        if not own_waiting(w, t) or not _one_walk(w, t):
            _tick_on(w, t, ticks, rng)
            continue
        _walk_on(w, t, float(length - p.debt_ns), length, rng)
