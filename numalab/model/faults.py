"""What the CPUs touch: accesses meet cohorts. The only jitted code without a C counterpart.

An access touches folios of a range, in order (walk) or at random. Touching a PROT_NONE
folio is a hint fault, touching an absent one populates it on the toucher's node. Both
take time, and so slow a task that runs flat out.
"""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.fair_period import update_scan_period
from numalab.linux.memory import do_numa_page
from numalab.linux.mmu_notifier import is_guest
from numalab.linux.structs import VM_PRIVATE
from numalab.linux.swap import batched, folio_add_lru
from numalab.model.batches import waiting, waits_here
from numalab.model.isolation import note_migration
from numalab.population import ABSENT, END, MAPPED, NO_CPUPID, ZAPPED, add, note, take
from numalab.units import HPAGE_PMD_NR

WALK, RAND = 0, 1
FOREVER = 1 << 60


@jitted
def update_min_vruntime(w):
    """Raise the least vruntime of each CPU to that of the tasks that want it all the time.

    It never falls, as ``cfs_rq->min_vruntime``: who comes to a CPU that was idle for a while does
    not begin behind one that has run there before.
    """
    for cpu in range(w.min_vruntime.shape[0]):
        least = FOREVER
        for t in range(w.tasks.shape[0]):
            p = w.tasks[t]
            if p.cpu == cpu and (p.wants_cpu == 2 or p.behind):
                least = min(least, p.vruntime)
        if least != FOREVER:
            w.min_vruntime[cpu] = max(w.min_vruntime[cpu], least)


@jitted
def move_task(w, t, cpu):
    """Put a task on another CPU.

    As migrate_task_rq_fair(), v6.1 to v7.2: what it is behind or ahead of the others goes with it,
    and the period of its scans may restart.
    """
    p = w.tasks[t]
    source = p.node
    update_min_vruntime(w)
    p.vruntime += w.min_vruntime[cpu] - w.min_vruntime[p.cpu]
    w.cpu_load[p.cpu] -= 1
    w.cpu_load[cpu] += 1
    p.cpu = cpu
    p.slice_ns = 0
    p.node = cpu // w.cpus_per_node
    update_scan_period(w, p, source, p.node)


@jitted
def _move_to_preferred(w, t):
    """Move a free task to the least loaded CPU of its preferred node, if that helps."""
    p = w.tasks[t]
    if not p.free_to_move:
        return
    best = p.cpu
    for cpu in range(
        p.numa_preferred_nid * w.cpus_per_node, (p.numa_preferred_nid + 1) * w.cpus_per_node
    ):
        if w.cpu_load[cpu] + 1 < w.cpu_load[best] + (1 if best != p.cpu else 0) + 1:
            best = cpu
    if best != p.cpu:
        move_task(w, t, best)


@jitted
def _node_with_room(pop, node, unit):
    """Node that an absent folio is populated on: the toucher's, or the emptiest if it is full."""
    if pop.node_free[node] >= unit:
        return node
    best = node
    for other in range(pop.node_free.shape[0]):
        if pop.node_free[other] > pop.node_free[best]:
            best = other
    return best


@jitted
def populate(w, t, s, c, count, wanted):
    """Populate absent folios of a cohort on a node, as far as it has room; return ns spent."""
    pop, p, speed = w.pop, w.tasks[t], w.speed[0]
    unit = pop.segments[pop.spans[s].segment].unit
    pinned = pop.cohorts[c].pinned
    left = count
    while left > 0:
        node = _node_with_room(pop, wanted, unit)
        room = pop.node_free[node] // unit
        n = min(left, room) if room > 0 else left
        add(pop, s, node, NO_CPUPID, 0, pinned, n)
        pop.node_free[node] -= n * unit
        left -= n
    folio_add_lru(w.k[0], pop, p.cpu, count, unit > 1)
    take(pop, s, c, count)
    note(pop, pop.spans[s].segment, 0, -count)
    w.mms[p.mm].rss += count * unit
    cost = speed.first_touch_huge_ns if unit == HPAGE_PMD_NR else speed.first_touch_ns
    return count * cost


@jitted
def _refault(w, vma, unit, count):
    """Count faults of a guest on folios that it has not mapped; return ns spent."""
    w.log.counts[vma.owner].refaults += count
    speed = w.speed[0]
    return count * (speed.refault_huge_ns if unit == HPAGE_PMD_NR else speed.refault_ns)


@inlined
def _loses_cpupid(w, vma, seg):
    """Say whether folios that a migration left read-only lose their last_cpupid by a write.

    Mirrors do_wp_page() and wp_page_reuse(), mm/memory.c, since 6a56ccbcf6c6 (6.2). Huge folios
    and shared memory keep theirs. The write is taken to come at once, whoever does it.
    """
    if seg.unit > 1 or not vma.vm_flags & VM_PRIVATE:
        return False
    for i in range(seg.first_access, seg.first_access + seg.nr_accesses):
        access = w.accesses[w.pop.access_of[i]]
        if access.write and access.start_ns <= w.clock[0].elapsed_ns < access.stop_ns:
            return True
    return False


@inlined
def touch_cohort(w, t, s, c, count):
    """Touch ``count`` folios of one cohort (marked, zapped or absent); return ns spent."""
    pop = w.pop
    seg = pop.segments[pop.spans[s].segment]
    vma = w.vmas[seg.vma]
    p = w.tasks[t]
    unit = seg.unit
    it = pop.cohorts[c]
    spent = _refault(w, vma, unit, count) if is_guest(vma) else 0.0
    if it.node == ABSENT:
        return spent + populate(w, t, s, c, count, p.node)
    node, last, pinned = it.node, it.last_cpupid, it.pinned
    if it.prot_none == ZAPPED:
        add(pop, s, node, last, MAPPED, pinned, count)
        take(pop, s, c, count)
        note(pop, pop.spans[s].segment, -count, 0)
        return spent
    left = count
    while left > 0:
        waits = batched(w.k[0], pop, p.cpu)
        handled, nid, new_last, isolated, cost, wants_to_move = do_numa_page(
            w, t, vma, it, unit, left
        )
        if isolated and w.k[0].resets_cpupid and _loses_cpupid(w, vma, seg):
            new_last = NO_CPUPID
        mark = pinned
        if seg.tracked and nid != node:
            mark = 0 if w.k[0].migration_drains else waits
        if nid != node and waits_here(w, seg):
            waits, mark = waiting(w, p.cpu, pop.spans[s].segment, handled)
            add(pop, s, nid, new_last, 0, 0, handled - waits)
            add(pop, s, nid, new_last, 0, mark, waits)
        else:
            add(pop, s, nid, new_last, 0, mark, handled)
        note_migration(w, t, s, node, nid, new_last, pinned)
        take(pop, s, c, handled)
        left -= handled
        spent += cost
        if wants_to_move:
            _move_to_preferred(w, t)
    note(pop, pop.spans[s].segment, -count, 0)
    return spent


@jitted
def touch_all(w, t, s):
    """Touch every folio of a span; return ns spent in faults."""
    spent = 0.0
    c = w.pop.spans[s].cohort
    while c != END:
        following = w.pop.cohorts[c].next
        if w.pop.cohorts[c].prot_none or w.pop.cohorts[c].node == ABSENT:
            spent += touch_cohort(w, t, s, c, w.pop.cohorts[c].count)
        c = following
    return spent
