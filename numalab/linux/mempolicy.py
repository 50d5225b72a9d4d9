"""mm/mempolicy.c and the walk it starts: which VMAs are suitable, which entries change."""

from __future__ import annotations

from numalab.draws import draw_unit
from numalab.jit import jitted
from numalab.linux.mmu_notifier import BEFORE, EACH_FOLIO, LATE, is_guest, notified, zap_span
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
from numalab.population import ABSENT, END, MAPPED, MARKED, add, join_left, note, split, take
from numalab.units import HPAGE_PMD_NR


@jitted
def vma_policy_mof(k, vma):
    """Say whether the VMA's memory policy migrates on fault.

    Mirrors vma_policy_mof(), mm/mempolicy.c. Until v6.12 a shmem VMA without a shared
    policy of its own answers no; v7.2 falls back to the task's policy. What that policy says of a
    mapping without its own is in the mapping's flags: VM_BOUND, or VM_TASK_POLICY_MOF.
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
def may_mark(w, mm, vma, cohort, unit, scan_node):
    """Say whether change_prot_numa() would mark the entries of a cohort, if they are not marked.

    A page that waits in an LRU batch has a reference more.

    Mirrors the tests of change_pte_range() and change_huge_pmd() (v6.1, v6.12) and of
    folio_can_map_prot_numa() (v7.2): see "Per-entry skip rules" in docs/model.md.
    """
    if vma.vm_flags & VM_SPECIAL:
        return False
    k = w.k[0]
    private = vma.vm_flags & VM_PRIVATE != 0
    huge = unit == HPAGE_PMD_NR
    checked = not huge or k.pinned_filter == 2
    if cohort.pinned == PINNED and checked and (private or k.pinned_filter == 2):
        return False
    if private and k.page_count_rule and not huge and in_lru_batch(k, w.pop, cohort.pinned):
        return False
    if vma.vm_flags & VM_FILE_LRU and checked:
        return False
    spared = mm.mm_users == 1 and (not huge or k.single_thread_rule_thp)
    return not (private and spared and cohort.node == scan_node)


@jitted
def _mark_span(w, mm, vma, s, unit, scan_node):
    """Mark the cohorts of one span, and count in ``w.log.walk`` what is there and what changes.

    Returns
    -------
    tuple of (int, int)
        Folios marked; those of them that were mapped (in a guest: by the guest).
    """
    pop, walk = w.pop, w.log.walk[0]
    marked = 0
    mapped = 0
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        following = it.next
        if it.node != ABSENT:
            walk.seen += it.count
            if it.pinned == PINNED:
                walk.pinned += it.count
            if it.prot_none != MARKED and may_mark(w, mm, vma, it, unit, scan_node):
                n = it.count
                marked += n
                if it.prot_none == MAPPED:
                    mapped += n
                add(pop, s, it.node, it.last_cpupid, MARKED, it.pinned, n)
                take(pop, s, c, n)
        c = following
    walk.entries += marked
    walk.updated += marked * unit
    return marked, mapped


@jitted
def _notify_of_scan(w, t, vma, unit):
    """Count the notifications of a walk, whose ranges ``w.log.ranges`` holds, and list them.

    All entries that the walk zapped stand with the first of them.
    """
    log, walk = w.log, w.log.walk[0]
    notified_pages = 0
    if w.k[0].notifier == EACH_FOLIO:
        walk.calls = walk.entries
        notified_pages = walk.entries * unit
        flushes = walk.zapped
    else:
        for i in range(walk.calls):
            sent = log.ranges[i]
            notified_pages += sent.end - sent.start
            row = log.rows[0].notices
            if row < log.notices.shape[0]:
                notice = log.notices[row]
                notice.ns = w.clock[0].now_ns
                notice.task = t
                notice.vma = vma.owner
                notice.start = sent.start - vma.vm_start + vma.offset
                notice.pages = sent.end - sent.start
                notice.why = BY_SCAN
                notice.chunk = log.rows[0].chunks
                notice.zapped = walk.zapped if i == 0 else 0
            log.rows[0].notices = row + 1
        flushes = walk.calls if walk.zapped else 0
    count = log.counts[vma.owner]
    count.notifier_calls[BY_SCAN] += walk.calls
    count.notifier_pages[BY_SCAN] += notified_pages
    if walk.updated == 0:
        count.notifier_wasted_pages += notified_pages
    notified(log, vma, walk.calls, walk.zapped, flushes)


@jitted
def _log_chunk(w, t, vma, start, end):
    log = w.log
    row = log.rows[0].chunks
    if row < log.chunks.shape[0]:
        chunk = log.chunks[row]
        chunk.ns = w.clock[0].now_ns
        chunk.scan = log.rows[0].scans
        chunk.task = t
        chunk.vma = vma.owner
        chunk.start = start - vma.vm_start + vma.offset
        chunk.pages = end - start
        chunk.updated = log.walk[0].updated
    log.rows[0].chunks = row + 1
    count = log.counts[vma.owner]
    count.scan_calls += 1
    count.scan_pages += end - start


@jitted
def change_prot_numa(w, t, vma, start, end, rng):
    """Mark the eligible entries of ``[start, end)`` PROT_NONE.

    Mirrors change_prot_numa(), mm/mempolicy.c, and the walk in mm/mprotect.c.

    Returns
    -------
    updated : int
        Entries changed, 512 for a huge PMD.
    spent : int [ns]
        Time the call took on this machine.

    Differs
    -------
    Where a remedy notifies late, the first entry that changes is taken for the first of its
    span: the folios of a span have no order.
    """
    k, pop, speed, walk = w.k[0], w.pop, w.speed[0], w.log.walk[0]
    p = w.tasks[t]
    mm = w.mms[p.mm]
    walk.calls, walk.zapped, walk.updated, walk.entries, walk.seen, walk.pinned = 0, 0, 0, 0, 0, 0
    unit = 1
    guest = is_guest(vma)
    if k.notifier == BEFORE:
        walk.calls = notifier_ranges(w, mm, vma, start, end)
    zapping = guest and walk.calls > 0
    for g in range(vma.first_segment, vma.first_segment + vma.nr_segments):
        seg = pop.segments[g]
        if seg.hi <= start or seg.lo >= end:
            continue
        unit = seg.unit
        marked_here = 0
        waiting_here = 0
        zapped_here = 0
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
            if zapping and k.notifier == BEFORE:
                zapped_here += zap_span(k, pop, s)
            marked, mapped = _mark_span(w, mm, vma, s, unit, p.node)
            marked_here += marked
            waiting_here += mapped
            if k.notifier == LATE:
                if marked and walk.calls == 0:
                    walk.calls = 1
                    zapping = guest
                    w.log.ranges[0].start, w.log.ranges[0].end = pop.spans[s].lo, end
                if zapping:
                    zapped_here += zap_span(k, pop, s)
            s = join_left(pop, s)
            s = pop.spans[s].next
        if waiting_here or zapped_here:
            note(pop, g, waiting_here + zapped_here, 0)
        if guest:
            walk.zapped += waiting_here + zapped_here
        if marked_here and unit == HPAGE_PMD_NR:
            w.stat[0].numa_huge_pte_updates += marked_here
    w.stat[0].numa_pte_updates += walk.updated
    _notify_of_scan(w, t, vma, unit)
    _log_chunk(w, t, vma, start, end)
    spent = speed.scan_call_ns + walk.seen * speed.scan_page_ns + walk.entries * speed.pte_update_ns
    if guest:
        spent += walk.calls * speed.notify_ns
        spent += walk.zapped * (speed.zap_page_ns if unit == 1 else speed.zap_huge_ns)
    if walk.updated and mm.mm_users > 1 and draw_unit(rng) < speed.late_flush_share:
        spent += speed.late_flush_ns
    vma.seen += walk.seen
    vma.seen_pinned += walk.pinned
    return walk.updated, int(spent)
