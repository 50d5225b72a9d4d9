"""mm/mmu_notifier.c and who listens: what one notification does to a secondary MMU.

Written from the behaviour of KVM on x86 (virt/kvm/kvm_main.c, arch/x86/kvm) in Linux 6.1.192,
6.12.107 and 7.2.13, and of amdgpu's userptr notifiers: all of the range is zapped, whatever the
host is about to change in it.
"""

from __future__ import annotations

from numalab.jit import jitted
from numalab.linux.swap import PINNED
from numalab.population import ABSENT, END, MAPPED, ZAPPED, add, take

KVM, SEV, GPU = 1, 2, 3
"""``subscriber`` of a VMA; 0 none. In the order of :data:`numalab.vma.SUBSCRIBERS`."""

BEFORE, LATE, EACH_FOLIO = range(3)
"""When a scan notifies: the range before it looks, as every kernel does; from the first entry
that it changes on; each folio that it changes. In the order of ``policy.NOTIFIERS``."""


@jitted
def is_guest(vma):
    """Say whether the VMA is touched through a guest's page tables."""
    return vma.subscriber in (KVM, SEV)


@jitted
def notified(log, vma, calls, zapped, flushes):
    """Count what ``calls`` notifications of a VMA do: zaps, flushes, evictions.

    A guest's TLBs are flushed where something was zapped. SEV's caches are flushed whenever a
    memory slot overlaps (kvm_arch_guest_memory_reclaimed()), a GPU's queues are evicted, or
    its fences waited for, whatever was mapped.
    """
    if vma.subscriber == 0:
        return
    count = log.counts[vma.owner]
    if vma.subscriber == GPU:
        count.evictions += calls
        return
    count.zapped += zapped
    count.remote_flushes += flushes
    if vma.subscriber == SEV:
        count.cache_flushes += calls


@jitted
def zap_span(k, pop, s):
    """Unmap the folios of a span from the guest; return how many entries that were.

    With ``numa_range_flag`` the subscriber knows that it is NUMA balancing that calls, and
    keeps pinned folios.
    """
    zapped = 0
    c = pop.spans[s].cohort
    while c != END:
        it = pop.cohorts[c]
        following = it.next
        kept = k.numa_range_flag and it.pinned == PINNED
        if it.node != ABSENT and it.prot_none == MAPPED and not kept:
            n = it.count
            zapped += n
            add(pop, s, it.node, it.last_cpupid, ZAPPED, it.pinned, n)
            take(pop, s, c, n)
        c = following
    return zapped
