"""Tasks of one CPU take turns: who has it in a tick, and when a scan that is queued runs."""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.fair_scan import task_numa_work
from numalab.linux.structs import NONE
from numalab.units import NSEC_PER_MSEC

SCHED_LATENCY_NS = 6 * NSEC_PER_MSEC
"""``sysctl_sched_latency`` (CFS, until 6.5), before it is scaled."""
SCHED_BASE_SLICE_NS = NSEC_PER_MSEC * 3 // 4
"""``sysctl_sched_base_slice`` (EEVDF, from 6.6; 0.7 ms from 6.15), before it is scaled; of CFS the
least slice."""


@inlined
def _slice_ns(w, cpu):
    """Time that a task has a CPU for before another one gets it [ns].

    Mirrors sched_slice(), kernel/sched/fair.c, v6.1, for tasks of one weight; with EEVDF a task
    asks for a base slice at a time.
    """
    k = w.k[0]
    if k.eevdf:
        return SCHED_BASE_SLICE_NS * k.sched_scaling
    return max(SCHED_LATENCY_NS // max(1, w.cpu_flat[cpu]), SCHED_BASE_SLICE_NS) * k.sched_scaling


@inlined
def _goes_before(w, p, other):
    """Say whether one of two tasks of a CPU that both want it has it in the next tick.

    Who has not used up its slice goes on, as check_preempt_tick() of CFS and update_deadline() of
    EEVDF leave it; else who ran least comes next. A slice begins when a task gets the CPU from
    another one: who is chosen again has used it up.
    """
    a_slice = _slice_ns(w, p.cpu)
    if 0 < p.slice_ns < a_slice:
        return True
    if 0 < other.slice_ns < a_slice:
        return False
    return p.vruntime < other.vruntime


@inlined
def _contends(p):
    """Say whether a task wants its CPU all the time: one that sleeps comes first when it wakes."""
    return p.wants_cpu == 2 or p.behind


@jitted
def take_seats(w):
    """Give each CPU to one of the tasks that want it all the time, until the next tick.

    ``cpu_task`` is who of those that run flat out has what is left: it has the CPU too while a task
    that is behind has its turn, and is done before the tick.
    """
    ntasks = w.tasks.shape[0]
    w.cpu_task[:] = NONE
    w.cpu_turn[:] = NONE
    w.cpu_flat[:] = 0
    shared = False
    for t in range(ntasks):
        p = w.tasks[t]
        if _contends(p):
            shared |= w.cpu_flat[p.cpu] > 0
            w.cpu_flat[p.cpu] += 1
            w.cpu_turn[p.cpu] = t
            if p.wants_cpu == 2:
                w.cpu_task[p.cpu] = t
    if shared:
        _choose(w)
    for t in range(ntasks):
        p = w.tasks[t]
        if w.cpu_turn[p.cpu] != t:
            p.slice_ns = 0
        if p.wants_cpu == 1 and not p.behind and w.cpu_turn[p.cpu] != NONE:
            _place(w, p)


@jitted
def _choose(w):
    """Choose where several tasks want a CPU."""
    w.cpu_task[:] = NONE
    w.cpu_turn[:] = NONE
    for t in range(w.tasks.shape[0]):
        p = w.tasks[t]
        if not _contends(p):
            continue
        other = w.cpu_turn[p.cpu]
        if other == NONE or _goes_before(w, p, w.tasks[other]):
            w.cpu_turn[p.cpu] = t
        other = w.cpu_task[p.cpu]
        if p.wants_cpu == 2 and (other == NONE or _goes_before(w, p, w.tasks[other])):
            w.cpu_task[p.cpu] = t


@inlined
def _place(w, p):
    """Let a task that sleeps not save up time: mirrors place_entity(), v6.1 and v6.12."""
    credit = 0
    if not w.k[0].eevdf:
        credit = SCHED_LATENCY_NS * w.k[0].sched_scaling // 2
    other = w.cpu_task[p.cpu] if w.cpu_task[p.cpu] != NONE else w.cpu_turn[p.cpu]
    p.vruntime = max(p.vruntime, w.tasks[other].vruntime - credit)


@jitted
def _is_preempted(w, t):
    """Say whether the tick that found a task running gives its CPU to another one."""
    p = w.tasks[t]
    if p.wants_cpu != 2 or w.cpu_flat[p.cpu] < 2:
        return False
    for i in range(w.tasks.shape[0]):
        other = w.tasks[i]
        if i == t or not _contends(other) or other.cpu != p.cpu:
            continue
        if _goes_before(w, other, p) or (i < t and not _goes_before(w, p, other)):
            return True
    return False


@inlined
def _scan(w, t, rng):
    p = w.tasks[t]
    w.queued[0] -= p.queued
    p.queued = 0
    spent = task_numa_work(w, t, rng)
    if spent:  # not called in vain
        w.mms[p.mm].scanner = t
    p.debt_ns += spent
    p.scan_ns += spent


@jitted
def scan_soon(w, t, rng):
    """Run the scan that a tick has queued, now or when the task has its CPU again.

    Task work runs on the way back to user space, where the kernel looks first whether another
    task is to run (exit_to_user_mode_loop(), kernel/entry/common.c, v6.1 to v7.2); the same tick
    has decided that before it queued the scan (task_tick_fair()). A task that sleeps between its
    touches scans at once.
    """
    w.tasks[t].queued = 1
    w.queued[0] += 1
    if not _is_preempted(w, t):
        _scan(w, t, rng)


@jitted
def run_queued_scans(w, rng):
    """Run the scans of tasks that have their CPU again."""
    for t in range(w.tasks.shape[0]):
        p = w.tasks[t]
        if p.queued and (p.wants_cpu == 1 or w.cpu_task[p.cpu] == t):
            w.current[p.cpu] = t
            _scan(w, t, rng)


@jitted
def hold_scans(w, length_ns):
    """Put off the end of each scan whose task waits for its CPU: it scans in its own time."""
    for m in range(w.mms.shape[0]):
        mm = w.mms[m]
        if mm.reset_at_ns:
            p = w.tasks[mm.scanner]
            if p.debt_ns and _contends(p) and w.cpu_turn[p.cpu] != mm.scanner:
                mm.reset_at_ns += length_ns
