"""The scan half of kernel/sched/fair.c: when a task scans, and which VMAs it skips.

Written from the behaviour of Linux 6.1.192, 6.12.107 and 7.2.13; a rule that a kernel
does not have is switched off in the ``sched_numa`` record. Read next to fair.c, in C's
order of tests.
"""

from __future__ import annotations

from numalab.draws import draw_below, draw_lognormal
from numalab.jit import jitted
from numalab.linux.fair_period import task_scan_max, task_scan_start
from numalab.linux.mempolicy import change_prot_numa, vma_unsuitable
from numalab.linux.pids_active import keeps_state, pid_reset, vma_pid_active
from numalab.linux.structs import NONE, VM_FILE_RO, VM_INACCESSIBLE
from numalab.schema import REASONS
from numalab.units import NSEC_PER_MSEC, PMD_PAGES, align_up, msecs_to_jiffies

FOREVER_NS = 1 << 62
NEARLY_ALL = 0.9
"""Share of pinned folios from which on the remedy pinned-vma-mark leaves a VMA alone."""
PINNED_VMA_MS = 60_000
"""How long the remedy pinned-vma-mark leaves a VMA alone: scan_period_max_ms's default."""

(
    SKIP_UNSUITABLE,
    SKIP_SHARED_RO,
    SKIP_INACCESSIBLE,
    SKIP_SCAN_DELAY,
    SKIP_PID_INACTIVE,
    SKIP_IGNORE_PID,
    SKIP_SEQ_COMPLETED,
) = range(len(REASONS))


@jitted
def task_tick_numa(k, p, mm, jiffies, groups, group_faults):
    """Decide at a tick whether the running task queues ``task_numa_work``.

    Mirrors task_tick_numa(), kernel/sched/fair.c, v6.1 to v7.2.

    Returns
    -------
    bool
        True when the work is queued (it runs on the way back to user space).
    """
    if k.numa_balancing == 0 or mm.opt_out:
        return False
    now = p.sum_exec_runtime
    period = p.numa_scan_period * NSEC_PER_MSEC
    if now > p.node_stamp + period:
        if p.node_stamp == 0:
            p.numa_scan_period = task_scan_start(k, mm, p, groups, group_faults)
        p.node_stamp += period
        return jiffies >= mm.numa_next_scan
    return False


@jitted
def vma_is_accessed(k, mm, vma, p):
    """Say whether the scanning task may scan a VMA; the second value is IGNORE_PID.

    Mirrors vma_is_accessed(), kernel/sched/fair.c, v6.12; Linux kernel commits
    fc137c0ddab2 (6.4), b7a5b537c55c (6.7), 84db47ca7146 (6.7), f22cde4371f3 (6.13).

    Returns
    -------
    tuple of (bool, bool)
        Scan it; and whether it is scanned only because a scan of it is unfinished.
    """
    first_seq = vma.start_scan_seq if k.start_scan_seq else 0
    if mm.numa_scan_seq - first_seq < 2:
        return True, False
    if vma_pid_active(k, vma, p):
        return True, False
    if k.partial_vma and mm.numa_scan_offset > vma.vm_start:
        return True, True
    if k.thread_count_rule and mm.numa_scan_seq > vma.prev_scan_seq + mm.nr_threads:
        return True, False
    return False, False


@jitted
def reset_ptenuma_scan(mm):
    """End a pass: the sequence goes up, the offset back to 0.

    Mirrors reset_ptenuma_scan(), kernel/sched/fair.c, v6.1 to v7.2.
    """
    mm.numa_scan_seq += 1
    mm.numa_scan_offset = 0


@jitted
def finish_scan(mm, now_ns):
    """End the pass whose scan is over by ``now_ns``."""
    if mm.reset_at_ns and mm.reset_at_ns <= now_ns:
        mm.reset_at_ns = 0
        reset_ptenuma_scan(mm)


@jitted
def find_vma(mm, vmas, address):
    """First VMA that ends above an address, or NONE."""
    v = mm.mmap
    while v != NONE and vmas[v].vm_end <= address:
        v = vmas[v].next
    return v


@jitted
def _init_numab_state(k, mm, vma, now):
    vma.numab_state = 1
    vma.start_scan_seq = mm.numa_scan_seq
    vma.next_scan = now + msecs_to_jiffies(k.vma_delay_ms, k.hz)
    vma.pids_active_reset = vma.next_scan + msecs_to_jiffies(4 * k.scan_delay_ms, k.hz)
    vma.prev_scan_seq = mm.numa_scan_seq - 1


@jitted
def judge_pinned(k, vma, now):
    """At the end of a VMA, decide whether to leave it alone for a while. A remedy, no kernel's."""
    if k.pinned_vma_mark and vma.seen_pinned > NEARLY_ALL * vma.seen:
        vma.pinned_until = now + msecs_to_jiffies(PINNED_VMA_MS, k.hz)
    vma.seen, vma.seen_pinned = 0, 0


@jitted
def _skip_reason(w, mm, vma, p, now, pids_forced):
    """Return the reason to skip a VMA, or NONE; and whether IGNORE_PID is traced.

    Mirrors the tests of task_numa_work(), in C's order. ``now`` was sampled when the work
    began, the jiffies are read again here.
    """
    k, jiffies = w.k[0], w.clock[0].jiffies
    if vma_unsuitable(k, vma) or now < vma.pinned_until:
        return SKIP_UNSUITABLE, False
    if vma.vm_flags & VM_FILE_RO:
        return SKIP_SHARED_RO, False
    if vma.vm_flags & VM_INACCESSIBLE:
        return SKIP_INACCESSIBLE, False
    if vma.numab_state == 0 and keeps_state(k):
        _init_numab_state(k, mm, vma, now)
    if k.vma_scan_delay and mm.numa_scan_seq != 0 and jiffies < vma.next_scan:
        return SKIP_SCAN_DELAY, False
    if k.pid_reset_early:
        pid_reset(k, mm, vma, jiffies)
    if k.seq_completed and vma.prev_scan_seq == mm.numa_scan_seq:
        mm.numa_scan_offset = vma.vm_end
        return SKIP_SEQ_COMPLETED, False
    if k.pid_filter and not pids_forced:
        accessed, ignore_pid = vma_is_accessed(k, mm, vma, p)
        if not accessed:
            return SKIP_PID_INACTIVE, False
        if not k.pid_reset_early:
            pid_reset(k, mm, vma, jiffies)
        return NONE, ignore_pid
    return NONE, False


@jitted
def task_numa_work(w, t, rng):
    """Scan: mark up to ``scan_size_mb`` of the address space PROT_NONE.

    Mirrors task_numa_work(), kernel/sched/fair.c, v6.1 (baseline), v6.4, v6.7, v6.12, v7.2.

    Returns
    -------
    int [ns]
        Time the scan took on this machine. The clock goes on meanwhile, and is put back.

    Differs
    -------
    The pages are marked at once, but the end of the pass waits until the scan's time is
    over (``reset_at_ns``), so that faults of other tasks meanwhile see the old sequence.
    The allocation of numab_state never fails and mmap_lock is never contended.
    """
    k, p, log, speed, clock = w.k[0], w.tasks[t], w.log, w.speed[0], w.clock[0]
    mm, vmas = w.mms[p.mm], w.vmas
    now, began_ns = clock.jiffies, clock.now_ns
    if k.one_node_cpuset and k.cpusets_enabled and mm.mems_allowed_one:
        return 0
    if mm.numa_next_scan == 0:
        mm.numa_next_scan = now + msecs_to_jiffies(k.scan_delay_ms, k.hz)
    if now < mm.numa_next_scan:
        return 0
    if p.numa_scan_period == 0:
        p.numa_scan_period_max = task_scan_max(k, mm, p, w.groups, w.group_faults)
        p.numa_scan_period = task_scan_start(k, mm, p, w.groups, w.group_faults)
    finish_scan(mm, FOREVER_NS)
    mm.numa_next_scan = now + msecs_to_jiffies(p.numa_scan_period, k.hz)
    p.node_stamp += 2 * k.tick_ns
    budget = k.scan_size_mb << 8
    virtual = budget * 8
    cost = 0
    log.rows[0].scans += 1
    pids_skipped = False
    pids_forced = False
    done = False
    v = NONE
    while not done:
        start = mm.numa_scan_offset
        v = find_vma(mm, vmas, start)
        if v == NONE:
            reset_ptenuma_scan(mm)
            start = 0
            v = find_vma(mm, vmas, start)
        while v != NONE:
            vma = vmas[v]
            clock.jiffies = now + cost // k.tick_ns
            reason, ignore_pid = _skip_reason(w, mm, vma, p, now, pids_forced)
            if ignore_pid:
                log.counts[vma.owner].skips[SKIP_IGNORE_PID] += 1
            if reason != NONE:
                log.counts[vma.owner].skips[reason] += 1
                if reason == SKIP_PID_INACTIVE:
                    pids_skipped = True
                v = vma.next
                continue
            while True:
                start = max(start, vma.vm_start)
                end = min(align_up(start + budget, PMD_PAGES), vma.vm_end)
                clock.now_ns = began_ns + cost
                updated, spent = change_prot_numa(w, t, vma, start, end, rng)
                cost += spent
                if updated:
                    budget -= end - start
                virtual -= end - start
                start = end
                if budget <= 0 or virtual <= 0:
                    done = True
                    break
                if end == vma.vm_end:
                    break
            if start == vma.vm_end:
                judge_pinned(k, vma, now)
            if done:
                break
            vma.prev_scan_seq = mm.numa_scan_seq
            if pids_forced:
                done = True
                break
            v = vma.next
        if done:
            break
        if v == NONE and k.forced_scan and not pids_forced and pids_skipped:
            pids_forced = True
            continue
        done = True
    clock.jiffies, clock.now_ns = now, began_ns
    if w.scan_factors.shape[0]:
        cost = int(cost * w.scan_factors[draw_below(rng, w.scan_factors.shape[0])])
    elif speed.scan_spread > 0.0:
        cost = int(cost * draw_lognormal(rng, speed.scan_spread))
    if log.rows[0].scans == 1:
        cost += int(speed.first_scan_ns)
    if v != NONE:
        mm.numa_scan_offset = start
    elif cost == 0:
        reset_ptenuma_scan(mm)
    else:
        mm.reset_at_ns = began_ns + cost
    if cost >= k.tick_ns:
        p.node_stamp += 32 * (cost // k.tick_ns * k.tick_ns)
    return cost
