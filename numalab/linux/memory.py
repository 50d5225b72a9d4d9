"""mm/memory.c: the hint fault, for many equal folios at once.

The kernel's task_numa_fault() takes a page count; a cohort is a folio with many pages.
"""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.fair_fault import (
    TNF_FAULT_LOCAL,
    TNF_MIGRATE_FAIL,
    TNF_MIGRATED,
    cpupid,
    should_numa_migrate_memory,
    task_numa_fault,
)
from numalab.linux.mmu_notifier import notified
from numalab.linux.pids_active import vma_set_access_pid_bit
from numalab.linux.structs import (
    BY_MIGRATION,
    NUMA_NO_NODE,
    VM_POLICY_MOF,
    VM_SHMEM,
    VM_TASK_POLICY_MOF,
    VM_UNMOVABLE,
)
from numalab.linux.swap import PINNED, folio_add_lru, in_lru_batch
from numalab.units import HPAGE_PMD_NR, NR_MAX_MIGRATE_PAGES_RETRY


@inlined
def _unmaps(k, vma, pinned):
    """How often a migration unmaps its folio, and so notifies.

    One that is pinned and anonymous is unmapped in each pass.
    """
    once = k.unmap_once and vma.vm_flags & VM_SHMEM != 0
    return NR_MAX_MIGRATE_PAGES_RETRY if pinned and not once else 1


@inlined
def migration_ns(w, vma, huge, pinned):
    """What a migration takes, or of a pinned folio its failure in so many passes [ns].

    A notification takes its sender time if somebody listens.
    """
    speed = w.speed[0]
    notified_ns = _unmaps(w.k[0], vma, pinned) * speed.notify_ns if vma.subscriber else 0.0
    if pinned:
        passed = speed.failed_pass_huge_ns if huge else speed.failed_pass_ns
        return notified_ns + NR_MAX_MIGRATE_PAGES_RETRY * passed
    return notified_ns + (speed.migrate_huge_ns if huge else speed.migrate_page_ns)


@inlined
def mpol_misplaced(w, vma, p, page_nid, last):
    """Say where the folio should be and its new last_cpupid.

    Mirrors mpol_misplaced(). With the default policy a page on the faulting CPU's node is
    not misplaced, before last_cpupid is exchanged; with MPOL_BIND and MPOL_F_NUMA_BALANCING,
    over all nodes, of the mapping or of the task, it is exchanged by every fault.

    Returns
    -------
    tuple of (int, int)
        Target node or -1; last_cpupid.
    """
    if page_nid == p.node and not vma.vm_flags & (VM_POLICY_MOF | VM_TASK_POLICY_MOF):
        return -1, last
    new = cpupid(p)
    if page_nid == p.node:
        return -1, new
    follow = should_numa_migrate_memory(w, p, last, page_nid, p.node)
    return (p.node if follow else -1), new


@jitted
def _changes_the_task(p, mm, jiffies):
    """Say whether the next fault may run the task's placement or move it."""
    if jiffies <= p.numa_migrate_retry:
        return False
    moves = p.free_to_move and p.numa_preferred_nid not in (NUMA_NO_NODE, p.node)
    return moves or p.numa_scan_seq != mm.numa_scan_seq


@inlined
def do_numa_page(w, t, vma, cohort, unit, count):
    """Handle hint faults of one task on ``count`` folios of a cohort.

    Mirrors do_numa_page() and do_huge_pmd_numa_page(), mm/memory.c and mm/huge_memory.c.
    A fault that may run the task's placement, or move the task, is handled alone, since it
    changes what the next ones see; of folios that go to a nearly full node those that fit
    are handled first. A full node, or a folio that is on no LRU list (it waits in a batch, is a
    kernel page that a driver mapped, or another task has isolated it), fails before
    migrate_pages() and so is not counted in pgmigrate_fail. A folio that
    faults is not mapped by a guest: its migration zaps nothing.

    Returns
    -------
    handled : int
        Folios handled by this call, 1 or ``count``.
    node, last_cpupid : int
        Where they are now, and their new last_cpupid.
    isolated : bool
        A migration was tried, and left the entries read-only.
    spent : float [ns]
    wants_to_move : bool
    """
    k, p, pop = w.k[0], w.tasks[t], w.pop
    stat, log, speed = w.stat[0], w.log, w.speed[0]
    page_nid, last, mark = cohort.node, cohort.last_cpupid, cohort.pinned
    huge = unit == HPAGE_PMD_NR
    target, new_last = mpol_misplaced(w, vma, p, page_nid, last)
    n = 1 if _changes_the_task(p, w.mms[p.mm], w.clock[0].jiffies) else count
    stays = target >= 0 and (
        pop.node_free[target] < unit
        or in_lru_batch(k, pop, mark)
        or mark < 0
        or vma.vm_flags & VM_UNMOVABLE != 0
    )
    if target >= 0 and mark != PINNED and not stays:
        n = min(n, pop.node_free[target] // unit)
    vma_set_access_pid_bit(k, vma, p, huge)
    flags = 0
    stat.numa_hint_faults += n
    if page_nid == p.node:
        stat.numa_hint_faults_local += n
        flags |= TNF_FAULT_LOCAL
    spent = n * (speed.hint_fault_huge_ns if huge else speed.hint_fault_ns)
    nid = page_nid
    pages = n * unit
    if target >= 0 and stays:
        flags |= TNF_MIGRATE_FAIL
    elif target >= 0:
        spent += n * migration_ns(w, vma, huge, mark == PINNED)
        unmaps = n * _unmaps(k, vma, mark == PINNED)
        if mark == PINNED:
            flags |= TNF_MIGRATE_FAIL
            stat.pgmigrate_fail += pages
        else:
            flags |= TNF_MIGRATED
            stat.numa_pages_migrated += pages
            stat.pgmigrate_success += pages
            pop.node_free[target] -= pages
            pop.node_free[page_nid] += pages
            nid = target
            folio_add_lru(k, pop, p.cpu, n, huge or k.migration_drains)
        log.counts[vma.owner].notifier_calls[BY_MIGRATION] += unmaps
        log.counts[vma.owner].notifier_pages[BY_MIGRATION] += unmaps * unit
        notified(log, vma, unmaps, 0, 0)
    wants_to_move = task_numa_fault(w, t, last, nid, pages, flags)
    return n, nid, new_last, target >= 0 and not stays, spent, wants_to_move
