"""The page population: counts of exchangeable pages instead of pages.

A *span* is a range of pages of one VMA with the same accessors and the same scan
history; a *cohort* is how many of its folios agree on (node, last_cpupid, prot_none,
pinned). Cost and memory follow the number of spans, never the number of pages.

A *segment* is a range between two borders of accesses; spans never cross one. All
positions are page numbers of the address space, all counts are folios of ``unit``
4 KiB pages (1 or 512).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numalab.draws import draw_hypergeometric
from numalab.jit import inlined, jitted

ABSENT = -1
"""Node of a cohort whose pages were never touched."""
NO_CPUPID = -1
END = -1
MAPPED, MARKED, ZAPPED = 0, 1, 2
"""``prot_none`` of a cohort: mapped; PROT_NONE; mapped by the host, but not (or not yet) by the
secondary MMU through which a guest touches it. A marked folio is not mapped there either."""

span_type = np.dtype(
    [
        ("lo", "i8"),
        ("hi", "i8"),
        ("segment", "i8"),
        ("prev", "i8"),
        ("next", "i8"),
        ("cohort", "i8"),
    ]
)
cohort_type = np.dtype(
    [
        ("node", "i8"),
        ("last_cpupid", "i8"),
        ("prot_none", "i8"),
        ("pinned", "i8"),
        ("count", "i8"),
        ("next", "i8"),
    ]
)
segment_type = np.dtype(
    [
        ("lo", "i8"),
        ("hi", "i8"),
        ("vma", "i8"),
        ("unit", "i8"),
        ("span", "i8"),
        ("marked", "i8"),
        ("absent", "i8"),
        ("first_access", "i8"),
        ("nr_accesses", "i8"),
        ("tracked", "i8"),
    ]
)


class Population(NamedTuple):
    """Pools of spans and cohorts with their free lists, and the segments.

    ``free`` holds [free spans, free cohorts, folios that wait for an access]; the stacks
    list free slots. The accesses
    that reach segment ``s`` are ``access_of[first_access : first_access + nr_accesses]``;
    ``access_marked`` and ``access_absent`` count folios that they may find PROT_NONE or
    absent. ``lru_added`` counts the folios that each CPU put into its LRU batch.
    """

    spans: Any
    cohorts: Any
    segments: Any
    free: Any
    free_spans: Any
    free_cohorts: Any
    access_of: Any
    access_marked: Any
    access_absent: Any
    access_task: Any
    task_waiting: Any
    node_free: Any
    lru_added: Any


def empty(
    spans: int,
    segments: int,
    access_task: list[int],
    links: int,
    tasks: int,
    nodes: int,
    cpus: int,
) -> Population:
    """Return a population with nothing in it and room for the given numbers."""
    cohorts = 2 * spans
    accesses = len(access_task)
    return Population(
        np.zeros(spans, span_type).view(np.recarray),
        np.zeros(cohorts, cohort_type).view(np.recarray),
        np.zeros(segments, segment_type).view(np.recarray),
        np.array([spans, cohorts, 0]),
        np.arange(spans),
        np.arange(cohorts),
        np.zeros(max(links, 1), np.int64),
        np.zeros(max(accesses, 1), np.int64),
        np.zeros(max(accesses, 1), np.int64),
        np.array(access_task, np.int64),
        np.zeros(tasks, np.int64),
        np.zeros(nodes, np.int64),
        np.zeros(cpus, np.int64),
    )


@inlined
def new_span(pop, lo, hi, segment):
    """Take a span from the pool; raises MemoryError when the pool is empty."""
    pop.free[0] -= 1
    if pop.free[0] < 0:
        raise MemoryError("span pool")
    s = pop.free_spans[pop.free[0]]
    span = pop.spans[s]
    span.lo, span.hi, span.segment = lo, hi, segment
    span.prev, span.next, span.cohort = END, END, END
    return s


@inlined
def add(pop, s, node, last_cpupid, prot_none, pinned, count):
    """Add ``count`` folios with these properties to span ``s``."""
    if count <= 0:
        return
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        if (
            it.node == node
            and it.last_cpupid == last_cpupid
            and it.prot_none == prot_none
            and it.pinned == pinned
        ):
            it.count += count
            return
        c = it.next
    pop.free[1] -= 1
    if pop.free[1] < 0:
        raise MemoryError("cohort pool")
    c = pop.free_cohorts[pop.free[1]]
    it = pop.cohorts[c]
    it.node, it.last_cpupid, it.prot_none, it.pinned = node, last_cpupid, prot_none, pinned
    it.count = count
    it.next = pop.spans[s].cohort
    pop.spans[s].cohort = c


@inlined
def take(pop, s, c, count):
    """Remove ``count`` folios from cohort ``c`` of span ``s``, freeing it when empty."""
    it = pop.cohorts[c]
    it.count -= count
    if it.count > 0:
        return
    previous = END
    at = pop.spans[s].cohort
    while at != c:
        previous = at
        at = pop.cohorts[at].next
    if previous == END:
        pop.spans[s].cohort = it.next
    else:
        pop.cohorts[previous].next = it.next
    pop.free_cohorts[pop.free[1]] = c
    pop.free[1] += 1


@inlined
def note(pop, segment, marked, absent):
    """Keep the counts of folios that a touch faults on: marked or zapped; absent."""
    seg = pop.segments[segment]
    seg.marked += marked
    seg.absent += absent
    pop.free[2] += (marked + absent) * seg.nr_accesses
    for i in range(seg.first_access, seg.first_access + seg.nr_accesses):
        pop.access_marked[pop.access_of[i]] += marked
        pop.access_absent[pop.access_of[i]] += absent
        pop.task_waiting[pop.access_task[pop.access_of[i]]] += marked + absent


@inlined
def split(pop, s, at, rng):
    """Split span ``s`` at page ``at``; pages of a mixed span are drawn without order.

    Returns
    -------
    int
        The new span ``[at, hi)``, linked behind ``s``.
    """
    segment = pop.spans[s].segment
    unit = pop.segments[segment].unit
    lo, hi = pop.spans[s].lo, pop.spans[s].hi
    right = new_span(pop, at, hi, segment)
    follower = pop.spans[s].next
    pop.spans[right].prev, pop.spans[right].next = s, follower
    pop.spans[s].next, pop.spans[s].hi = right, at
    if follower != END:
        pop.spans[follower].prev = right
    left_room = (at - lo) // unit
    rest = (hi - lo) // unit
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        following = it.next
        stay = draw_hypergeometric(rng, it.count, rest - it.count, left_room)
        rest -= it.count
        left_room -= stay
        move = it.count - stay
        add(pop, right, it.node, it.last_cpupid, it.prot_none, it.pinned, move)
        if move > 0:
            take(pop, s, c, move)
        c = following
    return right


@inlined
def join_left(pop, s):
    """Join a span to its left neighbour if both hold one cohort and the same; return it."""
    left = pop.spans[s].prev
    if left == END:
        return s
    a, b = pop.spans[left].cohort, pop.spans[s].cohort
    if a == END or b == END:
        return s
    one, two = pop.cohorts[a], pop.cohorts[b]
    if (
        one.next != END
        or two.next != END
        or one.node != two.node
        or one.last_cpupid != two.last_cpupid
        or one.prot_none != two.prot_none
        or one.pinned != two.pinned
    ):
        return s
    one.count += two.count
    pop.spans[left].hi = pop.spans[s].hi
    follower = pop.spans[s].next
    pop.spans[left].next = follower
    if follower != END:
        pop.spans[follower].prev = left
    pop.free_cohorts[pop.free[1]] = b
    pop.free[1] += 1
    pop.free_spans[pop.free[0]] = s
    pop.free[0] += 1
    return left


@jitted
def clear_segment(pop, segment):
    """Free every span and cohort of a segment, as munmap does; return the folios present."""
    seg = pop.segments[segment]
    present = 0
    s = seg.span
    while s != END:
        c = pop.spans[s].cohort
        while c != END:
            it = pop.cohorts[c]
            if it.node != ABSENT:
                present += it.count
                pop.node_free[it.node] += it.count * seg.unit
            pop.free_cohorts[pop.free[1]] = c
            pop.free[1] += 1
            c = it.next
        pop.free_spans[pop.free[0]] = s
        pop.free[0] += 1
        s = pop.spans[s].next
    seg.span = END
    note(pop, segment, -seg.marked, -seg.absent)
    return present
