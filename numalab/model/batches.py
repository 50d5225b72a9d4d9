"""Pages of the workload that wait in an LRU batch of the CPU that migrated them.

From 6.7 a migrated page waits like a new one (see :mod:`numalab.linux.swap`). Until its CPU has
added more, another task that finds it misplaced cannot isolate it: the migration fails, and the
period of that task doubles. Only pages that several tasks touch are told apart, as who alone
touches a page finds it where he left it; and of each CPU those of one segment, of which it migrated
last.
"""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.structs import NONE
from numalab.linux.swap import batched
from numalab.population import END, add, take


@inlined
def waits_here(w, seg):
    """Say whether migrated folios of a segment are told apart while they wait in a batch."""
    if w.k[0].migration_drains or seg.unit > 1 or seg.tracked or seg.nr_accesses < 2:
        return False
    return w.accesses[w.pop.access_of[seg.first_access]].shared != 0


@jitted
def _let_go(pop, g, mark):
    """Take the mark off the folios of a segment that have it."""
    s = pop.segments[g].span
    while s != END:
        c = pop.spans[s].cohort
        while c != END:
            it = pop.cohorts[c]
            following = it.next
            if it.pinned == mark:
                node, last, prot_none, count = it.node, it.last_cpupid, it.prot_none, it.count
                take(pop, s, c, count)
                add(pop, s, node, last, prot_none, 0, count)
            c = following
        s = pop.spans[s].next


@jitted
def waiting(w, cpu, g, count):
    """Return how many of the folios that a CPU has just migrated wait in its batch, and their mark.

    Those of the CPU's batch before, or of another segment, lose theirs.

    Parameters
    ----------
    g : int
        Their segment.
    count : int
        Folios that :func:`numalab.linux.swap.folio_add_lru` has counted already.
    """
    k, pop, it = w.k[0], w.pop, w.batches[cpu]
    mark = batched(k, pop, cpu)
    if it.mark != mark or it.segment != g:
        if it.segment != NONE:
            _let_go(pop, it.segment, it.mark)
        it.segment, it.mark = g, mark
    return min(count, pop.lru_added[cpu] % k.lru_batch), mark
