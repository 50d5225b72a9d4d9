"""Which pages are present: put in place before a run, and counted after it."""

from __future__ import annotations

from numalab.jit import jitted
from numalab.population import ABSENT, END, NO_CPUPID, add, new_span, note


@jitted
def settle(pop, rows, present):
    """Give each segment that is mapped its span and its first cohorts.

    Parameters
    ----------
    rows : int64[n, 5]
        (segment, node, prot_none, pinned, folios), by segment; a mapped one has at least one.
    present : int64[n_segment] [pages]
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
            present[g] += count * seg.unit
            if prot_none:
                note(pop, g, count, 0)
    for g in range(present.shape[0]):
        seg = pop.segments[g]
        if seg.span != END and present[g] == 0:
            note(pop, g, 0, (seg.hi - seg.lo) // seg.unit)


@jitted
def count_present(pop, owners, pages):
    """Add up present pages by owner of the VMA and node; int64[n_owner, n_node] [pages]."""
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
