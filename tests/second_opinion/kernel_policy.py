"""mm/mempolicy.c: which memory policy holds, and where it wants a page."""

from __future__ import annotations

from tests.second_opinion import kernel_fault
from tests.second_opinion.objects import NUMA_NO_NODE, Mapped, Page, Sim, Thread


def has_mof(mempolicy: str) -> bool:
    """Whether a policy has MPOL_F_MOF: without one of its own, a task has the nodes' default."""
    return mempolicy in ("default", "bind_balancing")


def vma_policy_mof(sim: Sim, p: Thread, vma: Mapped) -> bool:
    """Whether the memory policy that holds for the VMA has MPOL_F_MOF.

    Without a policy of its own it has the scanning task's, unless shmem's get_policy() is asked:
    that returns NULL, which means no up to 6.12, and in 7.2 the task's too (kernel.md 1.8).
    """
    if vma.mempolicy != "default":
        return has_mof(vma.mempolicy)
    return has_mof(p.mempolicy) and (sim.policy.shmem_task_policy or not vma.on_tmpfs)


def get_vma_policy(p: Thread, vma: Mapped) -> str:
    """Policy of the VMA, or of the task that faults in it."""
    return p.mempolicy if vma.mempolicy == "default" else vma.mempolicy


def mpol_misplaced(sim: Sim, p: Thread, page: Page) -> int:
    """Node that a page should move to, or NUMA_NO_NODE.

    Only the default policy is content with a local page before it asks (kernel.md 1.9). Memory
    under MPOL_BIND with MPOL_F_NUMA_BALANCING is bound to all nodes here (fidelity.md 2.1).
    """
    thisnid = sim.node_of(p.cpu)
    if get_vma_policy(p, page.vma) == "default" and page.node == thisnid:
        return NUMA_NO_NODE
    if not kernel_fault.should_numa_migrate_memory(sim, p, page, page.node, p.cpu):
        return NUMA_NO_NODE
    return NUMA_NO_NODE if page.node == thisnid else thisnid
