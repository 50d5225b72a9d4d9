"""What the CPUs touch: accesses meet cohorts. The only jitted code without a C counterpart.

An access touches folios of a range, in order (walk) or at random. Touching a PROT_NONE
folio is a hint fault, touching an absent one populates it on the toucher's node. Both
take time, and so slow a task that runs flat out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numalab.draws import draw_below, draw_binomial
from numalab.jit import jitted

from numalab.linux.fair_fault import update_scan_period
from numalab.linux.memory import do_numa_page
from numalab.population import ABSENT, END, NO_CPUPID, add, join_left, note, split, take
from numalab.units import HPAGE_PMD_NR

WALK, RAND = 0, 1
FOREVER = 1 << 60

access_type = np.dtype(
    [
        ("task", "i8"),
        ("pattern", "i8"),
        ("first_segment", "i8"),
        ("nr_segments", "i8"),
        ("lo", "i8"),
        ("pages", "i8"),
        ("position", "i8"),
        ("flat_out", "i8"),
        ("image", "i8"),
        ("shared", "i8"),
        ("start_ns", "i8"),
        ("stop_ns", "i8"),
        ("pages_per_ns", "f8"),
        ("share", "f8"),
        ("carry", "f8"),
        ("touches", "f8"),
    ]
)
"""``lo`` and ``position`` are page offsets in the concatenated mappings of the VMA."""

speed_type = np.dtype(
    [
        ("touch_walk_ns", "f8"),
        ("touch_rand_ns", "f8"),
        ("first_touch_ns", "f8"),
        ("first_touch_huge_ns", "f8"),
        ("hint_fault_ns", "f8"),
        ("migrate_page_ns", "f8"),
        ("hint_fault_huge_ns", "f8"),
        ("migrate_huge_ns", "f8"),
        ("scan_call_ns", "f8"),
        ("scan_page_ns", "f8"),
        ("pte_update_ns", "f8"),
    ]
)


class World(NamedTuple):
    """Everything the tick loop reads and writes; arrays of records and numbers."""

    k: np.ndarray
    speed: np.ndarray
    tasks: np.ndarray
    mms: np.ndarray
    vmas: np.ndarray
    pop: NamedTuple
    bases: np.ndarray
    accesses: np.ndarray
    stat: np.ndarray
    log: NamedTuple
    faults: np.ndarray
    groups: np.ndarray
    group_faults: np.ndarray
    current: np.ndarray
    cpu_load: np.ndarray
    cpus_per_node: int


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
    if best == p.cpu:
        return
    source = p.node
    w.cpu_load[p.cpu] -= 1
    w.cpu_load[best] += 1
    p.cpu = best
    p.node = best // w.cpus_per_node
    update_scan_period(w.k[0], p, w.mms[p.mm], source, p.node, w.groups, w.group_faults)


@jitted
def _touch_cohort(w, t, s, c, count, jiffies, now_ns):
    """Touch ``count`` folios of one cohort (PROT_NONE or absent); return ns spent."""
    pop = w.pop
    seg = pop.segments[pop.spans[s].segment]
    vma = w.vmas[seg.vma]
    p = w.tasks[t]
    mm = w.mms[p.mm]
    speed = w.speed[0]
    unit = seg.unit
    it = pop.cohorts[c]
    spent = 0.0
    if it.node == ABSENT:
        add(pop, s, p.node, NO_CPUPID, 0, it.pinned, count)
        take(pop, s, c, count)
        note(pop, pop.spans[s].segment, 0, -count)
        mm.rss += count * unit
        pop.node_free[p.node] -= count * unit
        cost = speed.first_touch_huge_ns if unit == HPAGE_PMD_NR else speed.first_touch_ns
        return count * cost
    node, last, pinned = it.node, it.last_cpupid, it.pinned
    left = count
    while left > 0:
        handled, nid, new_last, cost, wants_to_move = do_numa_page(
            w.k[0], t, w.tasks, mm, vma, node, last, pinned, unit, left, pop, w.stat[0], w.log,
            jiffies, now_ns, w.current, w.cpus_per_node, w.faults, w.groups, w.group_faults,
            speed,
        )  # fmt: skip
        add(pop, s, nid, new_last, 0, pinned, handled)
        take(pop, s, c, handled)
        left -= handled
        spent += cost
        if wants_to_move:
            _move_to_preferred(w, t)
    note(pop, pop.spans[s].segment, -count, 0)
    return spent


@jitted
def _touch_all(w, t, s, jiffies, now_ns):
    """Touch every folio of a span; return ns spent in faults."""
    spent = 0.0
    c = w.pop.spans[s].cohort
    while c != END:
        following = w.pop.cohorts[c].next
        if w.pop.cohorts[c].prot_none or w.pop.cohorts[c].node == ABSENT:
            spent += _touch_cohort(w, t, s, c, w.pop.cohorts[c].count, jiffies, now_ns)
        c = following
    return spent


@jitted
def _draw_cohorts(w, t, g, p_touch, jiffies, now_ns, rng):
    """Touch each PROT_NONE or absent folio of a segment with probability ``p_touch``."""
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
                    spent += _touch_cohort(w, t, s, c, touched, jiffies, now_ns)
            c = following
        s = pop.spans[s].next
    return spent


@jitted
def _pick_folio(w, t, g, rank, jiffies, now_ns):
    """Touch the ``rank``-th PROT_NONE or absent folio of a segment."""
    pop = w.pop
    s = pop.segments[g].span
    while s != END:
        c = pop.spans[s].cohort
        while c != END:
            it = pop.cohorts[c]
            if it.prot_none or it.node == ABSENT:
                if rank < it.count:
                    return _touch_cohort(w, t, s, c, 1, jiffies, now_ns)
                rank -= it.count
            c = it.next
        s = pop.spans[s].next
    return 0.0


@jitted
def _rand_touches(w, a, m, jiffies, now_ns, rng):
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
            spent += _draw_cohorts(w, access.task, g, p_touch, jiffies, now_ns, rng)
            continue
        for _ in range(draw_binomial(rng, waiting, p_touch)):
            left = pop.segments[g].marked + pop.segments[g].absent
            spent += _pick_folio(w, access.task, g, draw_below(rng, left), jiffies, now_ns)
    return spent


@jitted
def touch_rand(w, a, budget_ns, most, jiffies, now_ns, rng):
    """Touch at random until the time or the number of touches is used up.

    Returns
    -------
    spent : float [ns]
    """
    access = w.accesses[a]
    touch = w.speed[0].touch_rand_ns
    fault = w.speed[0].hint_fault_ns
    spent = 0.0
    left = most
    while left >= 1.0 and budget_ns - spent >= touch:
        waiting = w.pop.access_marked[a] + w.pop.access_absent[a]
        m = min(left, (budget_ns - spent) / touch)
        if waiting * fault > 0.25 * (budget_ns - spent):
            density = waiting * w.pop.segments[access.first_segment].unit / access.pages
            m = min(m, max(1.0, (budget_ns - spent) / (touch + density * fault)))
            m = min(m, max(1.0, access.pages * 0.25))
        spent += m * touch
        access.touches += m
        left -= m
        if waiting:
            spent += _rand_touches(w, a, m, jiffies, now_ns, rng)
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


@jitted
def _walk_span(w, a, g, page, budget_ns, most, jiffies, now_ns, rng):
    """Walk from ``page`` to at most the end of its span; return (pages, ns spent)."""
    pop = w.pop
    access = w.accesses[a]
    touch = w.speed[0].touch_walk_ns
    unit = pop.segments[g].unit
    s = pop.segments[g].span
    while pop.spans[s].hi <= page:
        s = pop.spans[s].next
    room = pop.spans[s].hi - page
    waiting = 0
    far = 0
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        if it.prot_none or it.node == ABSENT:
            waiting += it.count
            if it.prot_none and it.node != w.tasks[access.task].node:
                far += it.count
        c = it.next
    pages = min(room, max(1, int(min(most, budget_ns / touch))))
    if waiting == 0:
        return pages, pages * touch
    folios = (pop.spans[s].hi - pop.spans[s].lo) // unit
    speed = w.speed[0]
    fault = speed.hint_fault_huge_ns if unit == HPAGE_PMD_NR else speed.hint_fault_ns
    migrate = speed.migrate_huge_ns if unit == HPAGE_PMD_NR else speed.migrate_page_ns
    per_folio = unit * touch + (waiting * fault + far * migrate) / folios
    pages = min(pages, max(1, int(math.ceil(budget_ns / per_folio)) * unit))
    first = pop.segments[g].lo + (page - pop.segments[g].lo) // unit * unit
    last = min(first + (page + pages - first + unit - 1) // unit * unit, pop.spans[s].hi)
    if first > pop.spans[s].lo:
        s = split(pop, s, first, rng)
    if last < pop.spans[s].hi:
        split(pop, s, last, rng)
    spent = _touch_all(w, access.task, s, jiffies, now_ns) + pages * touch
    s = join_left(pop, s)
    if pop.spans[s].next != END:
        join_left(pop, pop.spans[s].next)
    return pages, spent


@jitted
def touch_walk(w, a, budget_ns, most, jiffies, now_ns, rng):
    """Touch in order until the time or the number of touches is used up.

    Returns
    -------
    spent : float [ns]
    """
    access = w.accesses[a]
    touch = w.speed[0].touch_walk_ns
    spent = 0.0
    left = most
    while left >= 1.0 and budget_ns - spent >= touch:
        if w.pop.access_marked[a] + w.pop.access_absent[a] == 0:
            pages = int(min(left, (budget_ns - spent) / touch))
            access.position = (access.position + pages) % access.pages
            access.touches += pages
            return spent + pages * touch
        offset = access.lo + access.position
        g = _segment_at(w, access, offset)
        page = w.pop.segments[g].lo + offset - w.bases[g]
        pages, cost = _walk_span(w, a, g, page, budget_ns - spent, left, jiffies, now_ns, rng)
        pages = min(pages, access.pages - access.position)
        access.position = (access.position + pages) % access.pages
        access.touches += pages
        left -= pages
        spent += cost
    return spent


@jitted
def touch(w, a, budget_ns, most, jiffies, now_ns, rng):
    """Run one access; return ns spent."""
    if w.accesses[a].pattern == WALK:
        return touch_walk(w, a, budget_ns, most, jiffies, now_ns, rng)
    return touch_rand(w, a, budget_ns, most, jiffies, now_ns, rng)
