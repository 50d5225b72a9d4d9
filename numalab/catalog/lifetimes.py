"""A process with one mapping that stays and others that come and go."""

from __future__ import annotations

from numalab.fields import InputError
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload

LASTING_MB = 64
SHORT_LIVED_MB = 16


def lifetimes(
    *,
    scan_delay_ms: int,
    vma_lifetime_ms: float,
    pin_fraction: float,
    lifetime: str = "exponential",
    lifetime_shape: float = 0.5,
    walker_node: int = 1,
    churns: int = 2,
    churn_pin_fraction: float = 0.0,
    scale: int = 1,
    duration_ms: float = 60_000,
) -> Workload:
    """Return a thread with a lasting mapping and threads whose mappings are replaced.

    ``old`` holds 64 MB for the whole run; it was first touched on node 0, its one user runs
    on ``walker_node``, and a part of it can never follow. Each churn maps 16 MB that are filled
    on node 0, as by a producer, walks them, unmaps them when their lifetime is over, and starts
    again; the first one runs on node 0, where its pages are, the next on node 1, and so on. It
    isolates what the scan delay of a new VMA saves (mappings that are gone before they are
    scanned, or lie right) and what it costs (mappings on another node than their user).

    Parameters
    ----------
    scan_delay_ms : int [ms]
        The knob; also how long a new VMA waits under policies that know such a delay.
    vma_lifetime_ms : float [ms]
        Mean lifetime of a churned mapping.
    lifetime, lifetime_shape : str, float
        Its distribution, as of :class:`numalab.workload.Churn`.
    walker_node : int
        Node of the lasting mapping's user: 0 is where its pages are.
    pin_fraction : float
        Pages of ``old`` under a long-term pin, from its start.
    churns : int
        Threads that map and unmap.
    churn_pin_fraction : float
        Pages of each of their mappings under a long-term pin, for as long as it lives.
    scale : int
        Factor of all sizes.
    duration_ms : float [ms]

    Raises
    ------
    InputError
        For a node that the machine of two does not have, and as :class:`Churn` does.
    """
    if walker_node not in (0, 1):
        raise InputError(f"walker_node = {walker_node!r}: must be 0 or 1")
    per_node = 1 + -(-churns // 2)
    walker = Task(name="walker", cpu=walker_node * per_node, access=(Access(vma="old"),))
    short_lived = tuple(
        Churn(
            name=f"short_lived{i}",
            size_mb=SHORT_LIVED_MB * scale,
            lifetime_ms=vma_lifetime_ms,
            lifetime=lifetime,
            lifetime_shape=lifetime_shape,
            first_touch_node=0,
            pinned_fraction=churn_pin_fraction,
            cpu=i % 2 * per_node + 1 + i // 2,
        )
        for i in range(churns)
    )
    return Workload(
        name="lifetimes",
        about="a lasting mapping, pinned in part, and short-lived ones on and off their node",
        duration_ms=duration_ms,
        sample_ms=duration_ms,
        machine=Machine(nodes=2, cpus_per_node=per_node, memory_mb=1024 * scale),
        tunables=Tunables(scan_delay_ms=scan_delay_ms),
        vmas=(Vma(name="old", size_mb=LASTING_MB * scale, pinned_fraction=pin_fraction),),
        tasks=(walker,),
        churns=short_lived,
    )
