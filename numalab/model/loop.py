"""The tick loop: tasks run, VMAs come and go, ticks start scans."""

from __future__ import annotations

from numalab.draws import draw_below, draw_unit
from numalab.jit import inlined, jitted
from numalab.linux.fair_scan import finish_scan, task_numa_work, task_tick_numa
from numalab.linux.structs import NONE, START_JIFFIES, START_NS
from numalab.model.churn import turn_churns
from numalab.model.running import (
    contended,
    next_change,
    run_flat_out,
    run_rated,
    take_samples,
    touch_resident,
    wants_cpu,
)
from numalab.model.skippable import run_skippable, scan_under_way, skippable_ticks

SUBSTEPS = 4
"""Parts of a tick in which tasks take turns while folios wait for several of them, or while a
scan is under way."""


@inlined
def _run_tick(w, tick_ns, elapsed_ns, jiffies, now_ns, rng):
    """Let every task run for one tick."""
    parts = 1
    if w.pop.free[0].waiting and (contended(w) or scan_under_way(w)):
        parts = SUBSTEPS
    part_ns = tick_ns / parts
    ntasks = w.tasks.shape[0]
    ncpus = w.cpu_task.shape[0]
    for part in range(parts):
        at_ns = now_ns + int(part * part_ns)
        for m in range(w.mms.shape[0]):
            finish_scan(w.mms[m], at_ns)
        for i in range(2 * ntasks):
            t = (i + jiffies + part) % ntasks
            p = w.tasks[t]
            if p.wants_cpu == 0 or not (p.rated or w.pop.task_waiting[t]):
                continue
            if (p.debt_ns > 0) != (i >= ntasks) or p.debt_ns >= (part + 1) * part_ns:
                continue  # whoever is still in a scan comes last, or not yet
            if p.debt_ns:
                finish_scan(w.mms[p.mm], at_ns + int(part_ns))
            w.current[p.cpu] = t
            ns = run_rated(w, t, part_ns, elapsed_ns, jiffies, at_ns, rng)
            p.running += int(ns)
            if p.wants_cpu == 1:
                w.cpu_used_ns[p.cpu] += ns
        for i in range(ncpus):
            cpu = (i + jiffies + part) % ncpus
            t = w.cpu_task[cpu]
            if t == NONE:
                continue
            p = w.tasks[t]
            w.current[cpu] = t
            budget = tick_ns * (part + 1) / parts - w.cpu_used_ns[cpu] - p.debt_ns - p.running
            if budget <= 0 or p.spins:
                continue
            if p.debt_ns:
                finish_scan(w.mms[p.mm], at_ns + int(part_ns))
            if w.pop.task_waiting[t] == 0:
                touch_resident(w, t, budget, elapsed_ns)
                p.running += int(budget)
                continue
            ns = run_flat_out(w, t, budget, elapsed_ns, jiffies, at_ns, rng)
            p.running += int(ns)


@jitted
def _current_at_tick(w, cpu, tick_ns, rng):
    """Task that the tick finds running on a CPU, or NONE when it is idle."""
    if w.cpu_used_ns[cpu] > 0.0:
        u = draw_unit(rng) * tick_ns
        if u < w.cpu_used_ns[cpu]:
            for t in range(w.tasks.shape[0]):
                p = w.tasks[t]
                if p.wants_cpu == 1 and p.cpu == cpu:
                    u -= p.running
                    if u < 0:
                        return t
    return w.cpu_task[cpu]


@jitted
def run(w, lifetimes, phase_ns, ticks, sample_ns, samples, seqs, rng):
    """Run the world for a number of ticks.

    Parameters
    ----------
    w : World
    lifetimes : int64[n_churn, n] [ns]
    phase_ns : int [ns]
        From the start to the first tick.
    sample_ns : int [ns]
        Time between samples.
    samples, seqs : records of ``vmstat`` [n_sample], int64[n_sample, n_process]
        Filled with the counters and ``numa_scan_seq``.

    Returns
    -------
    int
        Samples filled.
    """
    k = w.k[0]
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
        if elapsed_ns >= turn_ns:
            turn_ns = turn_churns(w, lifetimes, elapsed_ns)
            change_ns = -1
        if elapsed_ns >= change_ns:
            change_ns = next_change(w, elapsed_ns)
            for t in range(ntasks):
                w.tasks[t].wants_cpu = wants_cpu(w, t, elapsed_ns)
        if step:
            to_turn = -((elapsed_ns - turn_ns) // tick_ns)
            most = min(ticks - step, (change_ns - elapsed_ns) // tick_ns, to_turn)
            to_sample = max(1, (sample * sample_ns - elapsed_ns) // tick_ns)
            skipped = skippable_ticks(w, most, to_sample, jiffies - 1)
            if skipped > 0:
                run_skippable(w, skipped, elapsed_ns, jiffies - 1, START_NS + elapsed_ns, rng)
                step += skipped
                sample = take_samples(
                    w, sample, phase_ns + (step - 1) * tick_ns, sample_ns, samples, seqs
                )
                continue
        w.cpu_task[:] = NONE
        w.cpu_used_ns[:] = 0.0
        for t in range(ntasks):
            p = w.tasks[t]
            p.running = 0
            if p.wants_cpu == 2:
                other = w.cpu_task[p.cpu]
                if other == NONE or p.vruntime < w.tasks[other].vruntime:
                    w.cpu_task[p.cpu] = t
        length = phase_ns if step == 0 else tick_ns
        _run_tick(w, length, elapsed_ns, jiffies - 1, START_NS + elapsed_ns, rng)
        end_ns = phase_ns + step * tick_ns
        sample = take_samples(w, sample, end_ns, sample_ns, samples, seqs)
        for t in range(ntasks):
            p = w.tasks[t]
            ran = p.running
            if w.cpu_task[p.cpu] == t:
                ran = max(0, int(length - w.cpu_used_ns[p.cpu]))
                p.debt_ns = max(0, p.debt_ns + p.running - ran)
            p.sum_exec_runtime += int(ran * kept)
            p.vruntime += ran
        step += 1
        if step > ticks:
            break
        turn = draw_below(rng, ncpus) if ntasks > 1 else 0
        for i in range(ncpus):
            cpu = (i + turn) % ncpus
            t = _current_at_tick(w, cpu, tick_ns, rng)
            w.current[cpu] = t
            if t == NONE:
                continue
            p = w.tasks[t]
            mm = w.mms[p.mm]
            if task_tick_numa(k, p, mm, jiffies, w.groups, w.group_faults):
                spent = task_numa_work(
                    k, t, w.tasks, mm, w.vmas, w.pop, w.stat[0], w.log, jiffies,
                    START_NS + end_ns, w.groups, w.group_faults, rng, w.speed[0],
                )  # fmt: skip
                p.debt_ns += spent
    return sample
