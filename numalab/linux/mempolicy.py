"""mm/mempolicy.c and the walk it starts: which VMAs are suitable, which entries change."""

from __future__ import annotations

from numalab.draws import draw_unit
from numalab.jit import jitted
from numalab.linux.mprotect import notifier_ranges
from numalab.linux.structs import (
    BY_SCAN,
    VM_BOUND,
    VM_FILE_LRU,
    VM_HUGETLB,
    VM_NO_MIGRATE,
    VM_POLICY_MOF,
    VM_PRIVATE,
    VM_SHMEM,
    VM_SPECIAL,
)
from numalab.linux.swap import PINNED, in_lru_batch
from numalab.population import ABSENT, END, add, join_left, note, split, take
from numalab.units import HPAGE_PMD_NR


@jitted
def vma_policy_mof(k, vma):
    """Say whether the VMA's memory policy migrates on fault.

    Mirrors vma_policy_mof(), mm/mempolicy.c. Until v6.12 a shmem VMA without a shared
    policy of its own answers no; v7.2 falls back to the task's policy.
    """
    if vma.vm_flags & VM_POLICY_MOF:
        return True
    if vma.vm_flags & VM_BOUND:
        return False
    return not (vma.vm_flags & VM_SHMEM and not k.shmem_task_policy)


@jitted
def vma_unsuitable(k, vma):
    """First test of task_numa_work(): not migratable, no MOF policy, hugetlb, MIXEDMAP."""
    if vma.vm_flags & (VM_NO_MIGRATE | VM_HUGETLB):
        return True
    return not vma_policy_mof(k, vma)


@jitted
def may_mark(k, mm, vma, unit, node, pinned, scan_node, batched=False):
    """Say whether change_prot_numa() would mark a present entry that is not yet marked.

    ``batched``: the page waits in an LRU batch, which holds a reference.

    Mirrors the tests of change_pte_range() and change_huge_pmd() (v6.1, v6.12) and of
    folio_can_map_prot_numa() (v7.2): see "Per-entry skip rules" in docs/model.md.
    """
    if vma.vm_flags & VM_SPECIAL:
        return False
    private = vma.vm_flags & VM_PRIVATE != 0
    huge = unit == HPAGE_PMD_NR
    checked = not huge or k.pinned_filter == 2
    if pinned == PINNED and checked and (private or k.pinned_filter == 2):
        return False
    if batched and private and k.page_count_rule and not huge:
        return False
    if vma.vm_flags & VM_FILE_LRU and checked:
        return False
    spared = mm.mm_users == 1 and (not huge or k.single_thread_rule_thp)
    return not (private and spared and node == scan_node)


@jitted
def _mark_span(k, mm, vma, s, unit, scan_node, pop):
    """Mark the cohorts of one span; return (folios marked, folios present)."""
    marked = 0
    present = 0
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        following = it.next
        if it.node != ABSENT:
            present += it.count
            batched = in_lru_batch(k, pop, it.pinned)
            if it.prot_none == 0 and may_mark(
                k, mm, vma, unit, it.node, it.pinned, scan_node, batched
            ):
                n = it.count
                marked += n
                add(pop, s, it.node, it.last_cpupid, 1, it.pinned, n)
                take(pop, s, c, n)
        c = following
    return marked, present


@jitted
def change_prot_numa(
    k, mm, vmas, vma, scan_node, start, end, pop, stat, log, t, time_ns, rng, speed
):  # fmt: skip
    """Mark the eligible entries of ``[start, end)`` PROT_NONE.

    Mirrors change_prot_numa(), mm/mempolicy.c, and the walk in mm/mprotect.c.

    Returns
    -------
    updated : int
        Entries changed, 512 for a huge PMD.
    spent : int [ns]
        Time the call took on this machine.
    """
    updated = 0
    looked = 0
    entries = 0
    calls, notified = notifier_ranges(k, mm, vmas, vma, pop, start, end)
    for g in range(vma.first_segment, vma.first_segment + vma.nr_segments):
        seg = pop.segments[g]
        if seg.hi <= start or seg.lo >= end:
            continue
        marked_here = 0
        s = seg.span
        while s != END:
            if pop.spans[s].hi <= start:
                s = pop.spans[s].next
                continue
            if pop.spans[s].lo >= end:
                break
            if pop.spans[s].lo < start:
                s = split(pop, s, start, rng)
            if pop.spans[s].hi > end:
                split(pop, s, end, rng)
            marked, present = _mark_span(k, mm, vma, s, seg.unit, scan_node, pop)
            marked_here += marked
            looked += present
            s = join_left(pop, s)
            s = pop.spans[s].next
        if marked_here:
            note(pop, g, marked_here, 0)
            updated += marked_here * seg.unit
            entries += marked_here
            if seg.unit == HPAGE_PMD_NR:
                stat.numa_huge_pte_updates += marked_here
    stat.numa_pte_updates += updated
    log.notifier_calls[vma.owner, BY_SCAN] += calls
    log.notifier_pages[vma.owner, BY_SCAN] += notified
    if updated == 0:
        log.notifier_wasted_pages[vma.owner] += notified
    row = log.rows[0]
    if row < log.chunks.shape[0]:
        chunk = log.chunks[row]
        chunk[0] = time_ns
        chunk[1] = log.scans[0]
        chunk[2] = t
        chunk[3] = vma.owner
        chunk[4] = start - vma.vm_start + vma.offset
        chunk[5] = end - start
        chunk[6] = updated
    log.rows[0] = row + 1
    log.scan_calls[vma.owner] += 1
    log.scan_pages[vma.owner] += end - start
    spent = speed.scan_call_ns + looked * speed.scan_page_ns + entries * speed.pte_update_ns
    if updated and mm.mm_users > 1 and draw_unit(rng) < speed.late_flush_share:
        spent += speed.late_flush_ns
    return updated, int(spent)
