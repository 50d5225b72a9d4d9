"""Virtual machines as workloads: memory of a guest, touched by its vCPU threads."""

from __future__ import annotations

from numalab.machine import Machine
from numalab.workload import Access, Task, Vma, Workload


def guest(
    *,
    memory_mb: int,
    vcpus: int,
    pin_fraction: float,
    thp: bool,
    kind: str = "anon",
    duration_ms: float = 60_000,
) -> Workload:
    """Return a guest whose memory lies on node 0 and whose vCPUs run on two nodes.

    Every vCPU is busy and touches the whole memory at random, a page every 10 us. It
    isolates what the scan does to memory that everybody uses and that is pinned in part.

    Parameters
    ----------
    memory_mb : int [MB]
    vcpus : int
        Threads, spread evenly over two nodes, each on a CPU of its own.
    pin_fraction : float
        Pages under a long-term pin, from the start of the memory.
    thp : bool
        Backed by 2 MiB folios.
    kind : str
        ``anon`` or ``shmem`` (a memfd).
    duration_ms : float [ms]
    """
    per_node = -(-vcpus // 2)
    machine = Machine(nodes=2, cpus_per_node=per_node, memory_mb=2 * memory_mb)
    touching = Access(vma="ram", pattern="rand", pages_per_s=1e5)
    spin = Vma(name="vcpu-state", size_mb=0.0625 * vcpus)
    tasks = tuple(
        Task(
            name=f"vcpu{i}",
            cpu=i // 2 + i % 2 * per_node,
            access=(touching, Access(vma="vcpu-state", lo=i / vcpus, hi=(i + 1) / vcpus)),
        )
        for i in range(vcpus)
    )
    ram = Vma(name="ram", size_mb=memory_mb, kind=kind, thp=thp, pinned_fraction=pin_fraction)
    return Workload(
        name="guest",
        about="a virtual machine's memory, pinned in part",
        duration_ms=duration_ms,
        machine=machine,
        vmas=(ram, spin),
        tasks=tasks,
    )
