"""mm/swap.c: new pages wait in a batch of their CPU before they get onto an LRU list.

A page in a batch has one reference more, and cannot be isolated for migration. Most pages
leave the batch as soon as it is full; the last few of a process stay until their CPU adds
more. From 5.18 to 6.6 a migrated page goes to its list at once, with all the batch
(migration_drains: c3096e6782b7, until eebb3dabbb5c). Folios of small tracked segments (the
program's own pages) carry the mark, and migrated ones (:mod:`numalab.model.batches`).

The mark is a cohort's ``pinned``: 0 not, 1 pinned, 2 and more waiting in the batch of a CPU, with
how often that batch had been drained when the page came in; below 0 isolated by a task.
"""

from __future__ import annotations

from numalab.jit import jitted

PINNED = 1
_FIRST_BATCH = 2


@jitted
def batched(k, pop, cpu):
    """Return the mark of a page that gets into the batch of a CPU now."""
    drained = pop.lru_added[cpu] // k.lru_batch
    return _FIRST_BATCH + cpu + drained * pop.lru_added.shape[0]


@jitted
def in_lru_batch(k, pop, mark):
    """Say whether a page with this mark still waits in a batch, off every LRU list."""
    if mark < _FIRST_BATCH:
        return False
    cpus = pop.lru_added.shape[0]
    cpu = (mark - _FIRST_BATCH) % cpus
    return pop.lru_added[cpu] // k.lru_batch == (mark - _FIRST_BATCH) // cpus


@jitted
def folio_add_lru(k, pop, cpu, folios, large):
    """Count folios that a CPU adds; a large one drains the batch. Mirrors folio_add_lru()."""
    pop.lru_added[cpu] += folios
    if large:
        lru_add_drain(k, pop, cpu)


@jitted
def lru_add_drain(k, pop, cpu):
    """Empty the batch of a CPU, as munmap() does. Mirrors lru_add_drain()."""
    pop.lru_added[cpu] = (pop.lru_added[cpu] // k.lru_batch + 1) * k.lru_batch
