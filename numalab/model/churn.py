"""VMAs that come and go: the address space as a list, mmap's search, churns' lives."""

from __future__ import annotations

from numalab.jit import jitted
from numalab.linux.structs import NONE
from numalab.linux.swap import PINNED, lru_add_drain
from numalab.model.faults import populate
from numalab.population import ABSENT, END, NO_CPUPID, add, clear_segment, new_span, note


@jitted
def link_vma(mm, vmas, v):
    """Put a VMA into its address space, in address order."""
    before = NONE
    at = mm.mmap
    while at != NONE and vmas[at].vm_start < vmas[v].vm_start:
        before = at
        at = vmas[at].next
    vmas[v].next = at
    if before == NONE:
        mm.mmap = v
    else:
        vmas[before].next = v


@jitted
def link_vmas(mms, vmas, order):
    """Put VMAs into their address spaces; from the highest down each goes in front."""
    for v in order:
        link_vma(mms[vmas[v].vm_mm], vmas, v)


@jitted
def unlink_vma(mm, vmas, v):
    """Take a VMA out of its address space."""
    if mm.mmap == v:
        mm.mmap = vmas[v].next
        return
    at = mm.mmap
    while vmas[at].next != v:
        at = vmas[at].next
    vmas[at].next = vmas[v].next


@jitted
def find_hole(mm, vmas, pages, align):
    """Highest free range of ``pages`` below ``mmap_base``, as mmap searches top-down."""
    best = -1
    end = 0
    at = mm.mmap
    while at != NONE:
        start = min(vmas[at].vm_start, mm.mmap_base)
        hole = (start - pages) // align * align
        if hole >= end:
            best = hole
        end = vmas[at].vm_end
        if end >= mm.mmap_base:
            return best
        at = vmas[at].next
    hole = (mm.mmap_base - pages) // align * align
    return hole if hole >= end else best


@jitted
def _map(w, churn):
    """Map a churn's VMA with its guard pages, and fill it if it starts on a node."""
    vma = w.vmas[churn.vma]
    mm = w.mms[vma.vm_mm]
    access = w.accesses[churn.access]
    g = vma.first_segment
    seg = w.pop.segments[g]
    start = find_hole(mm, w.vmas, churn.pages + 2, seg.unit) + 1
    if seg.unit > 1:
        start = find_hole(mm, w.vmas, churn.pages + 2 * seg.unit, seg.unit) + seg.unit
    vma.vm_start, vma.vm_end = start, start + churn.pages
    vma.numab_state = 0
    vma.pids_active0, vma.pids_active1, vma.next_pid_slot = 0, 0, 0
    vma.pinned_until, vma.seen, vma.seen_pinned = 0, 0, 0
    guard = w.vmas[churn.guard]
    guard.vm_start, guard.vm_end = start - 1, start
    guard.numab_state = 0
    link_vma(mm, w.vmas, churn.vma)
    link_vma(mm, w.vmas, churn.guard)
    seg.lo, seg.hi = start, start + churn.pages
    access.position, access.carry = 0, 0.0
    w.tasks[churn.task].wake_ns = w.clock[0].elapsed_ns
    _fill(w, churn, g)


@jitted
def _fill(w, churn, g):
    """Give a new mapping its pages: those that are pinned or start on a node are there at once."""
    pop, p = w.pop, w.tasks[churn.task]
    seg = pop.segments[g]
    border = seg.lo + churn.pinned
    note(pop, g, 0, churn.pages // seg.unit)
    seg.span = END
    spent = 0.0
    for pin, lo, hi in ((PINNED, seg.lo, border), (0, border, seg.hi)):
        if lo == hi:
            continue
        s = new_span(pop, lo, hi, g)
        if seg.span == END:
            seg.span = s
        else:
            pop.spans[s].prev, pop.spans[seg.span].next = seg.span, s
        folios = (hi - lo) // seg.unit
        add(pop, s, ABSENT, NO_CPUPID, 0, pin, folios)
        if pin or churn.node != NONE:
            node = p.node if churn.node == NONE else churn.node
            spent += populate(w, churn.task, s, pop.spans[s].cohort, folios, node)
    p.debt_ns += int(spent)
    p.fault_ns += spent


@jitted
def _unmap(w, churn):
    """Unmap a churn's VMA."""
    vma = w.vmas[churn.vma]
    mm = w.mms[vma.vm_mm]
    present = clear_segment(w.pop, vma.first_segment)
    lru_add_drain(w.k[0], w.pop, w.tasks[churn.task].cpu)
    mm.rss -= present * w.pop.segments[vma.first_segment].unit
    unlink_vma(mm, w.vmas, churn.vma)
    unlink_vma(mm, w.vmas, churn.guard)


@jitted
def turn_churns(w, lifetimes, elapsed_ns):
    """Start and end the lives that are due by ``elapsed_ns``; return when the next one is."""
    soonest = 1 << 62
    for c in range(w.churns.shape[0]):
        churn = w.churns[c]
        while churn.next_ns <= elapsed_ns:
            if churn.alive:
                _unmap(w, churn)
                churn.alive = 0
                churn.next_ns += churn.gap_ns
            if churn.next_ns <= elapsed_ns:
                _map(w, churn)
                churn.alive = 1
                churn.next_ns += lifetimes[c, churn.turn]
                churn.turn = (churn.turn + 1) % lifetimes.shape[1]
        access = w.accesses[churn.access]
        access.stop_ns = (1 << 62) if churn.alive else 0
        soonest = min(soonest, churn.next_ns)
    return soonest
