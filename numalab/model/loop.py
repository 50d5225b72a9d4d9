"""The tick loop: tasks run, VMAs come and go, ticks start scans."""

from __future__ import annotations

from numalab.draws import draw_below, draw_unit
from numalab.jit import inlined, jitted
from numalab.linux.fair_scan import finish_scan, task_tick_numa
from numalab.linux.structs import NONE, START_JIFFIES, START_NS
from numalab.model.churn import turn_churns
from numalab.model.isolation import complete, complete_all, complete_unmapped, leave_open
from numalab.model.running import (
    contended,
    fall_due,
    has_time,
    move_tasks,
    next_change,
    owed,
    run_flat_out,
    run_rated,
    stands_still,
    take_samples,
    touch_resident,
    wake_up,
)
from numalab.model.skippable import run_skippable, scan_under_way, skippable_ticks
from numalab.model.turns import hold_scans, run_queued_scans, scan_soon, take_seats

SUBSTEPS = 4
"""Parts of a tick in which tasks take turns while folios wait for several of them, or while a
scan is under way."""


@inlined
def _pay(w, t, end_ns):
    """Let a task that does not run flat out pay for its scans and faults, as its CPU has time.

    ``end_ns`` is the end of this part, from the start of the tick.
    """
    p = w.tasks[t]
    p.paid_ns, p.in_debt = 0, p.debt_ns > 0
    if p.in_debt and p.wants_cpu != 2 and has_time(w, t):
        free = int(end_ns - w.cpu_used_ns[p.cpu])
        p.paid_ns = max(0, min(p.debt_ns, free))
        if p.paid_ns:
            p.debt_ns -= p.paid_ns
            p.running += p.paid_ns
            w.current[p.cpu] = t
            w.cpu_used_ns[p.cpu] += p.paid_ns


@inlined
def _rated_budget(w, t, end_ns, part_ns):
    """Time that a task has for rated accesses in the part of a tick that ends at ``end_ns`` [ns].

    One that runs flat out has none while another has its CPU.
    """
    p = w.tasks[t]
    left = end_ns - w.cpu_used_ns[p.cpu]
    if p.wants_cpu == 2:
        return min(part_ns, left - p.debt_ns - p.running) if w.cpu_task[p.cpu] == t else 0.0
    if p.debt_ns or not has_time(w, t):
        return 0.0
    return min(part_ns - p.paid_ns, left)


@inlined
def _rank(w, t):
    """When a task's rated accesses come: it has woken up, it has its turn, it is in a scan."""
    p = w.tasks[t]
    if not (p.behind or p.in_debt):
        return 0
    return 1 if w.cpu_turn[p.cpu] == t and not p.in_debt else 2


@jitted
def _run_tick(w, tick_ns, rng):
    """Let every task run for one tick."""
    clock = w.clock[0]
    jiffies, now_ns = clock.jiffies, clock.now_ns
    parts = 1
    if w.pop.free[0].waiting and (contended(w) or scan_under_way(w)):
        parts = SUBSTEPS
    part_ns = tick_ns / parts
    ntasks = w.tasks.shape[0]
    ncpus = w.cpu_task.shape[0]
    for part in range(parts):
        clock.now_ns = now_ns + int(part * part_ns)
        for m in range(w.mms.shape[0]):
            finish_scan(w.mms[m], clock.now_ns)
        end_ns = (part + 1) * part_ns
        if w.open_isolations[0]:
            complete_unmapped(w, part * part_ns)
        for i in range(2 * ntasks):
            t = (i + jiffies + part) % ntasks
            if (w.cpu_turn[w.tasks[t].cpu] == t) == (i < ntasks):
                _pay(w, t, end_ns)
        for t in range(ntasks):
            w.tasks[t].rank = _rank(w, t)
        for i in range(3 * ntasks):
            t = (i + jiffies + part) % ntasks
            p = w.tasks[t]
            if p.rank != i // ntasks or p.wants_cpu == 0:
                continue
            if not (p.rated or w.pop.task_waiting[t]):
                continue
            fall_due(w, t, part_ns)
            budget = _rated_budget(w, t, end_ns, part_ns)
            if budget <= 0:
                continue
            if p.in_debt:
                finish_scan(w.mms[p.mm], clock.now_ns + int(part_ns))
            cpu = p.cpu  # it may move
            w.current[cpu] = t
            if w.isolations[t].state:
                complete(w, t)
            ns = run_rated(w, t, budget, rng)
            if w.isolations[t].state:
                leave_open(w, t, ns - budget, part_ns, rng)
            if p.wants_cpu == 2:
                p.running += int(ns)
                continue
            late = max(0, int(ns - budget))
            p.debt_ns += late
            p.running += int(ns) - late
            w.cpu_used_ns[cpu] += int(ns) - late
        for i in range(ncpus):
            cpu = (i + jiffies + part) % ncpus
            t = w.cpu_task[cpu]
            if t == NONE:
                continue
            p = w.tasks[t]
            w.current[cpu] = t
            budget = tick_ns * (part + 1) / parts - w.cpu_used_ns[cpu] - p.debt_ns - p.running
            if budget <= 0:
                continue
            if p.debt_ns:
                finish_scan(w.mms[p.mm], clock.now_ns + int(part_ns))
            if w.pop.task_waiting[t] == 0:
                touch_resident(w, t, budget)
                p.running += int(budget)
                continue
            if w.isolations[t].state:
                complete(w, t)
            ns = run_flat_out(w, t, budget, rng)
            if w.isolations[t].state:
                leave_open(w, t, ns - budget, part_ns, rng)
            p.running += int(ns)


@jitted
def _current_at_tick(w, cpu, tick_ns, rng):
    """Task that the tick finds running on a CPU, or NONE when it is idle."""
    if w.cpu_used_ns[cpu] > 0.0:
        u = draw_unit(rng) * tick_ns
        if u < w.cpu_used_ns[cpu]:
            for t in range(w.tasks.shape[0]):
                p = w.tasks[t]
                if p.wants_cpu != 2 and p.cpu == cpu:
                    u -= p.running
                    if u < 0:
                        return t
    return w.cpu_task[cpu]


@jitted
def run(w, lifetimes, phase_ns, ticks, into, rng):
    """Run the world for a number of ticks.

    Parameters
    ----------
    w : World
    lifetimes : int64[n_churn, n] [ns]
    phase_ns : int [ns]
        From the start to the first tick.
    into : Samples
        Filled.

    Returns
    -------
    int
        Samples filled.
    """
    k, clock = w.k[0], w.clock[0]
    tick_ns = k.tick_ns
    ntasks = w.tasks.shape[0]
    ncpus = w.current.shape[0]
    kept = 1.0 - w.speed[0].lost_share
    sample = 0
    change_ns, turn_ns = -1, (1 << 62 if w.churns.shape[0] == 0 else -1)
    step = 0
    while step <= ticks:
        elapsed_ns = max(phase_ns + (step - 1) * tick_ns, 0)
        jiffies = START_JIFFIES + step
        clock.elapsed_ns, clock.now_ns = elapsed_ns, START_NS + elapsed_ns
        clock.jiffies = jiffies - 1
        if elapsed_ns >= turn_ns:
            turn_ns = turn_churns(w, lifetimes, elapsed_ns)
            change_ns = -1
        if elapsed_ns >= change_ns:
            move_tasks(w, elapsed_ns)
            change_ns = next_change(w, elapsed_ns)
            wake_up(w, elapsed_ns)
        if step:
            to_turn = -((elapsed_ns - turn_ns) // tick_ns)
            most = min(ticks - step, (change_ns - elapsed_ns) // tick_ns, to_turn)
            to_sample = max(1, (sample * into.every_ns - elapsed_ns) // tick_ns)
            skipped = skippable_ticks(w, most, to_sample, jiffies - 1)
            if skipped > 0:
                run_skippable(w, skipped, rng)
                step += skipped
                sample = take_samples(w, sample, phase_ns + (step - 1) * tick_ns, into)
                continue
        for t in range(ntasks):
            p = w.tasks[t]
            p.running, p.tick_cpu, p.owed_ns = 0, p.cpu, owed(w, t)
            p.behind = p.wants_cpu != 2 and p.owed_ns > 0
        take_seats(w)
        if w.queued[0]:
            run_queued_scans(w, rng)
        w.cpu_used_ns[:] = 0.0
        length = phase_ns if step == 0 else tick_ns
        hold_scans(w, length)
        _run_tick(w, length, rng)
        end_ns = phase_ns + step * tick_ns
        sample = take_samples(w, sample, end_ns, into)
        for t in range(ntasks):
            p = w.tasks[t]
            ran = p.running
            if w.cpu_task[p.tick_cpu] == t:
                ran = max(0, int(length - w.cpu_used_ns[p.tick_cpu]))
                p.debt_ns = max(0, p.debt_ns + p.running - ran)
            elif p.wants_cpu != 2 and stands_still(w, t, length, SUBSTEPS):
                raise RuntimeError("a task waits beside a CPU that has time: a fault of the model")
            if w.cpu_turn[p.tick_cpu] == t:
                p.slice_ns += int(ran * kept)
            p.sum_exec_runtime += int(ran * kept)
            p.vruntime += ran
            p.ran_ns += ran
        step += 1
        if step > ticks:
            break
        clock.jiffies, clock.now_ns = jiffies, START_NS + end_ns
        turn = draw_below(rng, ncpus) if ntasks > 1 else 0
        for i in range(ncpus):
            cpu = (i + turn) % ncpus
            t = _current_at_tick(w, cpu, tick_ns, rng)
            w.current[cpu] = t
            if t == NONE:
                continue
            p = w.tasks[t]
            if p.queued:
                continue
            if task_tick_numa(k, p, w.mms[p.mm], jiffies, w.groups, w.group_faults):
                scan_soon(w, t, rng)
    complete_all(w)
    return sample
