"""A huge folio whose migration is under way when its task loses the CPU, or others run beside it.

Mirrors migrate_misplaced_folio() (mm/migrate.c, v6.1 to v7.2): a folio is taken off its LRU list
first, then one is allocated and zeroed for it, and only then is it unmapped and copied. Until it is
unmapped, whoever else touches it takes a hint fault, cannot isolate it, and counts a failed
migration. Zeroing 2 MiB takes long where the kernel zeroes what it allocates (``init_on_alloc``): a
migration that fails, which does all but copy, measures it.

Only folios that several tasks may touch, and only the last one of a task's faults, whose cost goes
beyond the task's time, are seen between its two halves; migrations of 4 KiB pages are too short.
"""

from __future__ import annotations

from numalab.draws import draw_unit
from numalab.jit import inlined, jitted
from numalab.population import END, MAPPED, MARKED, add, note, take
from numalab.units import HPAGE_PMD_NR

NOTHING, DONE, OPEN = 0, 1, 2
"""Of a task: it migrated nothing, or a folio in its last faults, or is in the midst of that."""


@inlined
def isolated_by(t):
    """Mark (``pinned`` of a cohort) of a folio that a task has isolated."""
    return -1 - t


@inlined
def note_migration(w, t, s, node, nid, last_cpupid, pinned):
    """Remember the last huge folio that a task migrated, if others may touch it as well."""
    pop = w.pop
    seg = pop.segments[pop.spans[s].segment]
    shared = seg.nr_accesses > 1 and w.accesses[pop.access_of[seg.first_access]].shared
    if shared and seg.unit == HPAGE_PMD_NR and nid != node:
        it = w.isolations[t]
        it.state, it.segment = DONE, pop.spans[s].segment
        it.source, it.target, it.last_cpupid, it.pinned = node, nid, last_cpupid, pinned


@jitted
def _folio(pop, it, mark, migrated):
    """Span and cohort of a folio with a mark, or END and END.

    ``migrated``: of one that a task has just migrated; else the mark is of that folio only.
    """
    s = pop.segments[it.segment].span
    while s != END:
        c = pop.spans[s].cohort
        while c != END:
            cohort = pop.cohorts[c]
            found = not migrated or (
                cohort.node == it.target
                and cohort.last_cpupid == it.last_cpupid
                and cohort.prot_none == MAPPED
            )
            if found and cohort.pinned == mark:
                return s, c
            c = cohort.next
        s = pop.spans[s].next
    return END, END


@jitted
def leave_open(w, t, beyond_ns, part_ns, rng):
    """Take a task's last migration back to where its folio is isolated, if it has got no further.

    When in this part of the tick the fault began is not known: that it has got no further by the
    end is as likely as the time in which it is isolated is part of it.

    Parameters
    ----------
    beyond_ns : float
        What the task's last faults took beyond its time.
    part_ns : float
        Length of this part of the tick.
    """
    it, pop, speed = w.isolations[t], w.pop, w.speed[0]
    if it.state != DONE:
        return
    it.state = NOTHING
    it.rest_ns = max(0, int(speed.migrate_huge_ns - speed.failed_pass_huge_ns))
    if not it.rest_ns < beyond_ns <= speed.migrate_huge_ns:  # unmapped, or not begun yet
        return
    if draw_unit(rng) * part_ns >= speed.failed_pass_huge_ns:
        return
    s, c = _folio(pop, it, it.pinned, True)
    if c == END:
        return
    it.state = OPEN
    w.open_isolations[0] += 1
    take(pop, s, c, 1)
    add(pop, s, it.source, it.last_cpupid, MARKED, isolated_by(t), 1)
    note(pop, it.segment, 1, 0)


@jitted
def complete(w, t):
    """End the migration that a task is in the midst of."""
    it, pop = w.isolations[t], w.pop
    open_before = it.state == OPEN
    it.state = NOTHING
    if not open_before:
        return
    w.open_isolations[0] -= 1
    s, c = _folio(pop, it, isolated_by(t), False)
    folio = pop.cohorts[c]
    marked, last_cpupid = folio.prot_none, folio.last_cpupid
    take(pop, s, c, 1)
    add(pop, s, it.target, last_cpupid, MAPPED, it.pinned, 1)
    if marked:
        note(pop, it.segment, -1, 0)


@jitted
def complete_unmapped(w, part_start_ns):
    """End the migrations whose folios are unmapped by now: nobody finds them any more.

    Parameters
    ----------
    part_start_ns : float
        From the start of the tick.
    """
    for t in range(w.tasks.shape[0]):
        if w.isolations[t].state == OPEN:
            p = w.tasks[t]
            ahead = p.debt_ns
            if w.cpu_task[p.cpu] == t:
                ahead += p.running + w.cpu_used_ns[p.cpu] - part_start_ns
            if ahead <= w.isolations[t].rest_ns:
                complete(w, t)


@jitted
def complete_all(w):
    """End every migration that is under way."""
    for t in range(w.tasks.shape[0]):
        complete(w, t)
