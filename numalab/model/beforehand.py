"""What the kernel did to a process before its tasks started: a scan as a single thread.

The recorder switches balancing on after the first touches and before the first clone.
A main thread that has used more CPU time than the scan delay by then scans at the next
tick, alone in its address space. The clone then zeroes ``numa_scan_seq``, but not what
the VMAs remember of that scan (Linux 6.7 and later).
"""

from __future__ import annotations

import numpy as np

from numalab.draws import draw_unit
from numalab.jit import jitted
from numalab.linux.fair_scan import FOREVER_NS, finish_scan, task_numa_work, task_tick_numa
from numalab.linux.structs import (
    NONE,
    START_JIFFIES,
    START_NS,
    VM_INACCESSIBLE,
    VM_THREAD_STACK,
)
from numalab.model.accesses import touch_rand
from numalab.model.hardware import World
from numalab.model.running import waiting

before_type = np.dtype(
    [
        ("task", "i8"),
        ("first_ns", "i8"),
        ("last_ns", "i8"),
        ("next_scan", "i8"),
    ]
)
"""Main thread; from when to when it runs alone [ns from the start]; jiffy of its first scan."""


@jitted
def _hide_thread_stacks(mm, vmas, hidden):
    """Keep the scanner off the stacks of threads that do not exist yet, or let it near."""
    v = mm.mmap
    while v != NONE:
        if vmas[v].vm_flags & VM_THREAD_STACK:
            flags = vmas[v].vm_flags & ~VM_INACCESSIBLE
            vmas[v].vm_flags = flags | (VM_INACCESSIBLE if hidden else 0)
        v = vmas[v].next


@jitted
def _run_alone(w, before, phase_ns, rng):
    """Tick through the time in which main threads ran alone.

    The main thread is busy with its own stack and data, so it faults at once on what a scan
    marked of them, and its placement sees a pass that the clone then takes back; but not on
    those pages of data and heap that threads only use once they run their tasks. The
    time of the clone is stamped before it is made; how long that takes is drawn, up to a tick.
    """
    k = w.k[0]
    for m in range(before.shape[0]):
        b = before[m]
        if b.first_ns >= b.last_ns:
            continue
        mm = w.mms[m]
        users, threads, following = mm.mm_users, mm.nr_threads, mm.numa_next_scan
        mm.mm_users, mm.nr_threads, mm.numa_next_scan = 1, 1, b.next_scan
        _hide_thread_stacks(mm, w.vmas, True)
        p = w.tasks[b.task]
        step = -(-(b.first_ns - phase_ns) // k.tick_ns)
        last_ns = b.last_ns + int(draw_unit(rng) * k.tick_ns)
        while phase_ns + step * k.tick_ns < last_ns:
            if task_tick_numa(k, p, mm, START_JIFFIES + step, w.groups, w.group_faults):
                task_numa_work(
                    k, b.task, w.tasks, mm, w.vmas, w.pop, w.stat[0], w.log,
                    START_JIFFIES + step, START_NS, w.groups, w.group_faults, rng, w.speed[0],
                )  # fmt: skip
                finish_scan(mm, FOREVER_NS)
                for a in range(p.image_access, p.end_access):
                    if w.accesses[a].image == 1 and waiting(w, a):
                        touch_rand(
                            w, a, 1e9, 20.0 * w.accesses[a].pages, START_JIFFIES + step,
                            START_NS + phase_ns + step * k.tick_ns, rng,
                        )  # fmt: skip
            step += 1
        _hide_thread_stacks(mm, w.vmas, False)
        mm.mm_users, mm.nr_threads, mm.numa_next_scan = users, threads, following
        mm.numa_scan_seq = 0


def run_before(w: World, before: np.ndarray, phase_ns: int, rng: np.random.Generator) -> None:
    """Run what came before the start, if anything did; then forget what was counted."""
    if not np.any(before["first_ns"] < before["last_ns"]):
        return
    _run_alone(w, before, phase_ns, rng)
    for counted in (w.stat, w.log.counts, w.log.rows):
        counted[:] = np.zeros(1, counted.dtype)
