"""A process with one mapping that stays and others that come and go."""

from __future__ import annotations

from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload

OLD_MB = 64
YOUNG_MB = 16


def lifetimes(
    *,
    scan_delay_ms: int,
    vma_lifetime_ms: float,
    pin_fraction: float,
    churns: int = 2,
    duration_ms: float = 60_000,
) -> Workload:
    """Return a thread with a lasting mapping and threads whose mappings are replaced.

    ``old`` holds 64 MB for the whole run; it was first touched on node 0, its one user runs
    on node 1, and a part of it can never follow. Each churn maps 16 MB, walks it, unmaps it
    when its (exponential) lifetime is over, and starts again; the first one runs on node 0,
    the next on node 1, and so on. It isolates what the scan delay of a new VMA saves
    (mappings gone before they are scanned) and what it costs (mappings that stay wait).

    Parameters
    ----------
    scan_delay_ms : int [ms]
        The knob; also how long a new VMA waits under policies that know such a delay.
    vma_lifetime_ms : float [ms]
        Mean lifetime of a churned mapping.
    pin_fraction : float
        Pages of ``old`` under a long-term pin, from its start.
    churns : int
        Threads that map and unmap.
    duration_ms : float [ms]
    """
    per_node = 1 + -(-churns // 2)
    walker = Task(name="walker", cpu=per_node, access=(Access(vma="old"),))
    young = tuple(
        Churn(
            name=f"young{i}",
            size_mb=YOUNG_MB,
            lifetime_ms=vma_lifetime_ms,
            lifetime="exponential",
            cpu=i % 2 * per_node + 1 + i // 2,
        )
        for i in range(churns)
    )
    return Workload(
        name="lifetimes",
        about="a lasting mapping on the wrong node, pinned in part, beside short-lived ones",
        duration_ms=duration_ms,
        sample_ms=duration_ms,
        machine=Machine(nodes=2, cpus_per_node=per_node, memory_mb=1024),
        tunables=Tunables(scan_delay_ms=scan_delay_ms),
        vmas=(Vma(name="old", size_mb=OLD_MB, pinned_fraction=pin_fraction),),
        tasks=(walker,),
        churns=young,
    )
