"""mm/mprotect.c: which MMU-notifier ranges a walk sends, before it looks at any entry.

A page table that is there is enough, whoever of the address space filled it: v6.1 starts at
the first populated PMD of each GiB, v6.12 and v7.2 at the first populated PUD of each 512 GiB.
"""

from __future__ import annotations

from numalab.jit import jitted
from numalab.linux.structs import NONE
from numalab.population import ABSENT, END
from numalab.units import PMD_PAGES, PUD_PAGES, align_up

P4D_PAGES = 512 * PUD_PAGES


@jitted
def _own_table(pop, vma, lo, hi, unit):
    """First address of [lo, hi) whose table a present folio of the VMA lies in, or ``hi``."""
    base = lo // unit * unit
    best = hi
    for g in range(vma.first_segment, vma.first_segment + vma.nr_segments):
        seg = pop.segments[g]
        if seg.hi <= base or seg.lo >= align_up(best, unit):
            continue
        if seg.absent == 0 and seg.span != END:
            best = min(best, max(lo, seg.lo // unit * unit))
            continue
        s = seg.span
        while s != END and pop.spans[s].lo < align_up(best, unit):
            if pop.spans[s].hi > base:
                c = pop.spans[s].cohort
                while c != END and pop.cohorts[c].node == ABSENT:
                    c = pop.cohorts[c].next
                if c != END:
                    best = min(best, max(lo, pop.spans[s].lo // unit * unit))
                    break
            s = pop.spans[s].next
    return best


@jitted
def _first_table(w, mm, vma, lo, hi, unit):
    """First address of [lo, hi) with a populated table of ``unit`` pages, or ``hi``."""
    pop, vmas = w.pop, w.vmas
    best = _own_table(pop, vma, lo, hi, unit)
    if best == lo:
        return best
    v = mm.mmap
    while v != NONE and vmas[v].vm_start < align_up(best, unit):
        if vmas[v].vm_end > lo // unit * unit:
            best = min(best, _own_table(pop, vmas[v], lo, best, unit))
        v = vmas[v].next
    return best


@jitted
def notifier_ranges(w, mm, vma, start, end):
    """Find the ranges that one walk over [start, end) notifies; put them into ``w.log.ranges``.

    Mirrors change_pmd_range(), v6.1 (one call each GiB, from the first populated PMD), and
    change_pud_range(), v6.12 and v7.2 (one call each 512 GiB, from the first populated PUD).

    Returns
    -------
    int
        Calls.
    """
    k, ranges = w.k[0], w.log.ranges
    outer = P4D_PAGES if k.notifier_per_pud else PUD_PAGES
    inner = PUD_PAGES if k.notifier_per_pud else PMD_PAGES
    calls = 0
    lo = start
    while lo < end:
        hi = min((lo // outer + 1) * outer, end)
        first = _first_table(w, mm, vma, lo, hi, inner)
        if first < hi:
            ranges[calls].start, ranges[calls].end = first, hi
            calls += 1
        lo = hi
    return calls
