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
from numalab.records import record, records

ABSENT = -1
"""Node of a cohort whose pages were never touched."""
NO_CPUPID = -1
END = -1
MAPPED, MARKED, ZAPPED = 0, 1, 2
"""``prot_none`` of a cohort: mapped; PROT_NONE; mapped by the host, but not (or not yet) by the
secondary MMU through which a guest touches it. A marked folio is not mapped there either."""

span_type = record("lo hi segment prev next cohort")
cohort_type = record("node last_cpupid prot_none pinned count next")
segment_type = record("lo hi vma unit span marked absent first_access nr_accesses tracked")
free_type = record("spans cohorts waiting")
"""Free spans and cohorts; folios that wait for an access, summed over accesses."""


class Population(NamedTuple):
    """Pools of spans and cohorts with their free lists, and the segments.

    ``free`` is one record of :data:`free_type`; the stacks list free slots. The accesses that
    reach segment ``s`` are ``access_of[first_access : first_access + nr_accesses]``;
    ``access_marked`` and ``access_absent`` count folios that they may find PROT_NONE or absent.
    ``lru_added`` counts the folios that each CPU put into its LRU batch.
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
    spans: int, reach: list[list[int]], access_task: list[int], tasks: int, nodes: int, cpus: int
) -> Population:
    """Return a population with nothing in it.

    Parameters
    ----------
    spans : int
        Room beyond one span a segment.
    reach : list of list of int
        Of each segment, the accesses that reach it.
    access_task : list of int
        Task of each access.
    """
    spans += len(reach)
    cohorts, accesses = 2 * spans, max(len(access_task), 1)
    segments = records(segment_type, len(reach))
    segments["nr_accesses"] = [len(found) for found in reach]
    segments["first_access"] = np.cumsum(segments["nr_accesses"]) - segments["nr_accesses"]
    return Population(
        records(span_type, spans),
        records(cohort_type, cohorts),
        segments,
        np.array([(spans, cohorts, 0)], free_type).view(np.recarray),
        np.arange(spans),
        np.arange(cohorts),
        np.array([a for found in reach for a in found] or [0]),
        np.zeros(accesses, np.int64),
        np.zeros(accesses, np.int64),
        np.array(access_task, np.int64),
        np.zeros(tasks, np.int64),
        np.zeros(nodes, np.int64),
        np.zeros(cpus, np.int64),
    )


@inlined
def _free_span(pop, s):
    free = pop.free[0]
    pop.free_spans[free.spans] = s
    free.spans += 1


@inlined
def _free_cohort(pop, c):
    free = pop.free[0]
    pop.free_cohorts[free.cohorts] = c
    free.cohorts += 1


@inlined
def new_span(pop, lo, hi, segment):
    """Take a span from the pool; raises MemoryError when the pool is empty."""
    free = pop.free[0]
    free.spans -= 1
    if free.spans < 0:
        raise MemoryError("span pool")
    s = pop.free_spans[free.spans]
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
    free = pop.free[0]
    free.cohorts -= 1
    if free.cohorts < 0:
        raise MemoryError("cohort pool")
    c = pop.free_cohorts[free.cohorts]
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
    _free_cohort(pop, c)


@inlined
def note(pop, segment, marked, absent):
    """Keep the counts of folios that a touch faults on: marked or zapped; absent."""
    seg = pop.segments[segment]
    seg.marked += marked
    seg.absent += absent
    pop.free[0].waiting += (marked + absent) * seg.nr_accesses
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
    _free_cohort(pop, b)
    _free_span(pop, s)
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
            _free_cohort(pop, c)
            c = it.next
        _free_span(pop, s)
        s = pop.spans[s].next
    seg.span = END
    note(pop, segment, -seg.marked, -seg.absent)
    return present
