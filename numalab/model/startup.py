"""What is there when the tasks start: resident pages, and traces of a scan before that.

The recorder switches balancing on after the first touches and before the first clone.
A main thread that has used more CPU time than the scan delay by then scans at the next
tick, alone in its address space. The clone then zeroes ``numa_scan_seq``, but not what
the VMAs remember of that scan (Linux 6.7 and later).
"""

from __future__ import annotations

import numpy as np

from numalab.draws import draw_unit
from numalab.jit import jitted
from numalab.linux.fair_period import update_scan_period
from numalab.linux.fair_scan import FOREVER_NS, finish_scan, task_numa_work, task_tick_numa
from numalab.linux.structs import (
    NONE,
    START_JIFFIES,
    START_NS,
    VM_INACCESSIBLE,
    VM_THREAD_STACK,
)
from numalab.model.accesses import touch_rand
from numalab.model.running import waiting
from numalab.model.world import AROUND_CLONE, WHILE_CLONING, World
from numalab.population import ABSENT, END, NO_CPUPID, add, new_span, note


@jitted
def place_pages(pop, rows, resident):
    """Give each segment that is mapped its span and its first cohorts.

    Parameters
    ----------
    rows : int64[n, 5]
        (segment, node, prot_none, pinned, folios), by segment; a mapped one has at least one.
    resident : int64[n_segment] [pages]
        Filled with what is there at the start.
    """
    for i in range(rows.shape[0]):
        g, node, prot_none, pinned, count = rows[i]
        seg = pop.segments[g]
        if i == 0 or rows[i - 1, 0] != g:
            seg.span = new_span(pop, seg.lo, seg.hi, g)
        add(pop, seg.span, node, NO_CPUPID, prot_none, pinned, count)
        if node != ABSENT:
            pop.node_free[node] -= count * seg.unit
            resident[g] += count * seg.unit
            if prot_none:
                note(pop, g, count, 0)
    for g in range(resident.shape[0]):
        seg = pop.segments[g]
        if seg.span != END and resident[g] == 0:
            note(pop, g, 0, (seg.hi - seg.lo) // seg.unit)


@jitted
def count_resident(pop, owners, pages):
    """Add up resident pages by owner of the VMA and node; int64[n_owner, n_node] [pages]."""
    for g in range(pop.segments.shape[0]):
        seg = pop.segments[g]
        s = seg.span
        while s != END:
            c = pop.spans[s].cohort
            while c != END:
                it = pop.cohorts[c]
                if it.node != ABSENT:
                    pages[owners[seg.vma], it.node] += it.count * seg.unit
                c = it.next
            s = pop.spans[s].next


@jitted
def _hide_thread_stacks(mm, vmas, hidden, but_first):
    """Keep the scanner off the stacks of threads that do not exist yet, or let it near.

    ``but_first``: not off that of the first thread, the highest one: it is mapped before the clone.
    """
    first = NONE
    v = mm.mmap
    while v != NONE:
        if vmas[v].vm_flags & VM_THREAD_STACK:
            flags = vmas[v].vm_flags & ~VM_INACCESSIBLE
            vmas[v].vm_flags = flags | (VM_INACCESSIBLE if hidden else 0)
            first = v
        v = vmas[v].next
    if but_first and first != NONE:
        vmas[first].vm_flags &= ~VM_INACCESSIBLE


@jitted
def _touch_program(w, t, image, rng):
    """Touch every marked page of the program that a main thread uses at this point."""
    p = w.tasks[t]
    for a in range(p.image_access, p.end_access):
        if w.accesses[a].image == image and waiting(w, a):
            touch_rand(w, a, 1e9, 20.0 * w.accesses[a].pages, rng)


@jitted
def _scan_alone(w, b, mm, now_ns, rng):
    """Scan, and touch at once what the main thread is busy with."""
    task_numa_work(w, b.task, rng)
    finish_scan(mm, FOREVER_NS)
    w.clock[0].now_ns = START_NS + now_ns
    _touch_program(w, b.task, WHILE_CLONING, rng)
    if (b.last_ns if b.exact else now_ns) < b.stamp_ns:
        _touch_program(w, b.task, AROUND_CLONE, rng)


@jitted
def _run_alone(w, alone, phase_ns, rng):
    """Tick through the time in which main threads ran alone.

    The main thread is busy with its own stack and data, so it faults at once on what a scan
    marked of them, and its placement sees a pass that the clone then takes back. What threads
    share (the list of them, the flags) it touches before it makes the clone and when it has made
    it. If the scan came between, its placement runs again, because of the pass taken back, and has
    seen no local fault: the period doubles twice, and the process's next scan is a doubled period
    away. Between the two the time of the clone is stamped; how long the clone takes is drawn, up
    to a tick, unless it is known when the main thread scanned. It may run on another CPU than its
    task is bound to, which is bound later, and moves it: pages of that CPU's node are local to it,
    and a thread that is alone does not mark those.
    """
    k, clock = w.k[0], w.clock[0]
    for m in range(alone.shape[0]):
        b = alone[m]
        if b.first_ns >= b.last_ns:
            continue
        mm = w.mms[m]
        users, threads, following = mm.mm_users, mm.nr_threads, mm.numa_next_scan
        mm.mm_users, mm.nr_threads, mm.numa_next_scan = 1, 1, b.next_scan
        _hide_thread_stacks(mm, w.vmas, True, b.stack)
        p = w.tasks[b.task]
        own_cpu, free_to_move = p.cpu, p.free_to_move
        p.free_to_move = 0
        if b.cpu != NONE:
            p.cpu, p.node = b.cpu, b.cpu // w.cpus_per_node
        step = -(-(b.first_ns - phase_ns) // k.tick_ns)
        last_ns = b.last_ns + (0 if b.exact else int(draw_unit(rng) * k.tick_ns))
        while phase_ns + step * k.tick_ns < last_ns:
            clock.jiffies, clock.now_ns = START_JIFFIES + step, START_NS
            due = task_tick_numa(k, p, mm, clock.jiffies, w.groups, w.group_faults)
            if due or b.exact:
                _scan_alone(w, b, mm, phase_ns + step * k.tick_ns, rng)
            step += 1
        _hide_thread_stacks(mm, w.vmas, False, False)
        mm.mm_users, mm.nr_threads, mm.numa_next_scan = users, threads, following
        mm.numa_scan_seq = 0
        _touch_program(w, b.task, AROUND_CLONE, rng)
        alone_node = p.node
        p.cpu, p.node, p.free_to_move = own_cpu, own_cpu // w.cpus_per_node, free_to_move
        update_scan_period(w, p, alone_node, p.node)


def run_startup(w: World, alone: np.ndarray, phase_ns: int, rng: np.random.Generator) -> None:
    """Run what came before the start, if anything did; then forget what was counted."""
    if not np.any(alone["first_ns"] < alone["last_ns"]):
        return
    _run_alone(w, alone, phase_ns, rng)
    if w.log.rows[0].scans:
        w.speed["first_scan_ns"] = 0.0
    for counted in (w.stat, w.log.counts, w.log.rows):
        counted[:] = np.zeros(1, counted.dtype)
