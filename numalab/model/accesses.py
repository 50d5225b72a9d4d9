"""How accesses find folios that wait: at random over a range, or walking through it."""

from __future__ import annotations

import math

from numalab.draws import draw_below, draw_binomial
from numalab.jit import inlined, jitted, merged
from numalab.linux.memory import migration_ns
from numalab.linux.structs import VM_SHMEM
from numalab.linux.swap import PINNED
from numalab.model.faults import WALK, touch_all, touch_cohort
from numalab.population import ABSENT, END, ZAPPED, join_left, split
from numalab.units import HPAGE_PMD_NR

LONG_TOUCH_NS = 5e4
"""From here on a touch may begin in what is left of a tick, and end in a later one. What shorter
ones leave over is lost: less than a twentieth of a part of 1 ms."""


@inlined
def _has_time(left_ns, touch_ns):
    """Say whether a touch may begin when so much time is left."""
    return left_ns >= touch_ns or (left_ns > 0.0 and touch_ns > LONG_TOUCH_NS)


@jitted
def _draw_cohorts(w, t, g, p_touch, rng):
    """Touch each marked, zapped or absent folio of a segment with probability ``p_touch``."""
    pop = w.pop
    spent = 0.0
    s = pop.segments[g].span
    while s != END:
        c = pop.spans[s].cohort
        while c != END:
            following = pop.cohorts[c].next
            if pop.cohorts[c].prot_none or pop.cohorts[c].node == ABSENT:
                n = pop.cohorts[c].count
                touched = n if p_touch >= 1.0 else draw_binomial(rng, n, p_touch)
                if touched:
                    spent += touch_cohort(w, t, s, c, touched)
            c = following
        s = pop.spans[s].next
    return spent


@merged
def _pick_folio(w, t, g, rank):
    """Touch the ``rank``-th marked, zapped or absent folio of a segment."""
    pop = w.pop
    s = pop.segments[g].span
    while s != END:
        c = pop.spans[s].cohort
        while c != END:
            it = pop.cohorts[c]
            if it.prot_none or it.node == ABSENT:
                if rank < it.count:
                    return touch_cohort(w, t, s, c, 1)
                rank -= it.count
            c = it.next
        s = pop.spans[s].next
    return 0.0


@inlined
def _rand_touches(w, a, m, rng):
    """Make ``m`` touches at random over the range of an access; return ns spent in faults.

    Each folio is touched with probability 1 - exp(-m * unit / pages), independently.
    """
    access = w.accesses[a]
    pop = w.pop
    spent = 0.0
    for g in range(access.first_segment, access.first_segment + access.nr_segments):
        waiting = pop.segments[g].marked + pop.segments[g].absent
        if waiting == 0:
            continue
        p_touch = -math.expm1(-m * pop.segments[g].unit / access.pages)
        if p_touch * waiting > 4.0:
            spent += _draw_cohorts(w, access.task, g, p_touch, rng)
            continue
        for _ in range(draw_binomial(rng, waiting, p_touch)):
            left = pop.segments[g].marked + pop.segments[g].absent
            spent += _pick_folio(w, access.task, g, draw_below(rng, left))
    return spent


@inlined
def _costliest_fault(w, a):
    """What a fault of an access takes at most [ns]: a migration, and a fill of a guest's entry.

    A migration that fails takes other time: of a range that holds pinned folios, if the kernel
    marks such.
    """
    speed, access = w.speed[0], w.accesses[a]
    seg = w.pop.segments[access.first_segment]
    huge, vma = seg.unit == HPAGE_PMD_NR, w.vmas[seg.vma]
    fault = speed.hint_fault_huge_ns if huge else speed.hint_fault_ns
    migrate = migration_ns(w, vma, huge, False)
    if access.pinned and w.k[0].pinned_filter == 1 and (huge or vma.vm_flags & VM_SHMEM != 0):
        migrate = max(migrate, migration_ns(w, vma, huge, True))
    return access.refault_ns + fault + migrate


@jitted
def touch_rand(w, a, budget_ns, most, rng):
    """Touch at random until the time or the number of touches is used up.

    Returns
    -------
    spent : float [ns]
    """
    access = w.accesses[a]
    touch = access.touch_ns
    fault = _costliest_fault(w, a)
    spent = 0.0
    left = most
    while left >= 1.0 and _has_time(budget_ns - spent, touch):
        waiting = w.pop.access_marked[a] + w.pop.access_absent[a]
        m = min(left, max(1.0, (budget_ns - spent) / touch))
        if waiting * fault > 0.25 * (budget_ns - spent):
            density = waiting * w.pop.segments[access.first_segment].unit / access.pages
            m = min(m, max(1.0, (budget_ns - spent) / (touch + density * fault)))
            m = min(m, max(1.0, access.pages * 0.25))
        spent += m * touch
        access.touches += m
        left -= m
        if waiting:
            faults = _rand_touches(w, a, m, rng)
            spent += faults
            w.tasks[access.task].fault_ns += faults
    return spent


@jitted
def _segment_at(w, access, offset):
    """Segment of an access that holds a page offset of the concatenated mappings."""
    low = access.first_segment
    high = access.first_segment + access.nr_segments - 1
    while low < high:
        mid = (low + high + 1) // 2
        if w.bases[mid] <= offset:
            low = mid
        else:
            high = mid - 1
    return low


@inlined
def _walk_span(w, a, budget_ns, most, rng):
    """Walk from where the access is to at most the end of its span; return (pages, ns spent)."""
    pop = w.pop
    access = w.accesses[a]
    touch = access.touch_ns
    offset = access.lo + access.position
    g = _segment_at(w, access, offset)
    page = pop.segments[g].lo + offset - w.bases[g]
    unit = pop.segments[g].unit
    s = pop.segments[g].span
    while pop.spans[s].hi <= page:
        s = pop.spans[s].next
    room = pop.spans[s].hi - page
    waiting = 0
    zapped = 0
    remote = 0
    failing = 0
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        if it.prot_none or it.node == ABSENT:
            waiting += it.count
            if it.prot_none == ZAPPED:
                zapped += it.count
            elif it.prot_none and it.node != w.tasks[access.task].node:
                if it.pinned == PINNED:
                    failing += it.count
                else:
                    remote += it.count
        c = it.next
    pages = min(room, max(1, int(min(most, budget_ns / touch))))
    if waiting == 0:
        return pages, pages * touch
    folios = (pop.spans[s].hi - pop.spans[s].lo) // unit
    speed = w.speed[0]
    huge, vma = unit == HPAGE_PMD_NR, w.vmas[pop.segments[g].vma]
    fault = speed.hint_fault_huge_ns if huge else speed.hint_fault_ns
    faults = (waiting - zapped) * fault + waiting * access.refault_ns
    faults += remote * migration_ns(w, vma, huge, False)
    if failing:
        faults += failing * migration_ns(w, vma, huge, True)
    per_folio = unit * touch + faults / folios
    pages = min(pages, max(1, math.ceil(budget_ns / per_folio) * unit))
    first = pop.segments[g].lo + (page - pop.segments[g].lo) // unit * unit
    last = min(first + (page + pages - first + unit - 1) // unit * unit, pop.spans[s].hi)
    if first > pop.spans[s].lo:
        s = split(pop, s, first, rng)
    if last < pop.spans[s].hi:
        split(pop, s, last, rng)
    faults = touch_all(w, access.task, s)
    w.tasks[access.task].fault_ns += faults
    s = join_left(pop, s)
    if pop.spans[s].next != END:
        join_left(pop, pop.spans[s].next)
    return pages, pages * touch + faults


@jitted
def touch_walk(w, a, budget_ns, most, rng):
    """Touch in order until the time or the number of touches is used up.

    Returns
    -------
    spent : float [ns]
    """
    access = w.accesses[a]
    touch = access.touch_ns
    spent = 0.0
    left = most
    while left >= 1.0 and _has_time(budget_ns - spent, touch):
        if w.pop.access_marked[a] + w.pop.access_absent[a] == 0:
            return spent + _touch_mapped(access, budget_ns - spent, left)
        pages, cost = _walk_span(w, a, budget_ns - spent, left, rng)
        access.position = (access.position + pages) % access.pages
        access.touches += pages
        left -= pages
        spent += cost
    return spent


@inlined
def _touch_mapped(access, budget_ns, most):
    """Touch while nothing waits for the access; return ns spent."""
    touches = min(most, max(1.0, budget_ns / access.touch_ns))
    if access.pattern == WALK:
        touches = float(int(touches))
        access.position = (access.position + int(touches)) % access.pages
    access.touches += touches
    return touches * access.touch_ns


@inlined
def touch(w, a, budget_ns, most, rng):
    """Run one access; return ns spent."""
    access = w.accesses[a]
    if most < 1.0 or not _has_time(budget_ns, access.touch_ns):
        return 0.0
    if w.pop.access_marked[a] + w.pop.access_absent[a] == 0:
        return _touch_mapped(access, budget_ns, most)
    if access.pattern == WALK:
        return touch_walk(w, a, budget_ns, most, rng)
    return touch_rand(w, a, budget_ns, most, rng)
