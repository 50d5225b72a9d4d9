"""Virtual machines as workloads: memory of a guest, touched by its vCPU threads."""

from __future__ import annotations

from numalab.fields import InputError
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Task, Vma, Workload

_DEFAULTS = Tunables()


def guest(
    *,
    memory_mb: int,
    vcpus: int,
    pin_fraction: float,
    thp: bool,
    subscriber: str = "kvm",
    placement: str = "head",
    away: bool = False,
    duration_ms: float = 60_000,
    tunables: Tunables = _DEFAULTS,
) -> Workload:
    """Return a guest whose memory lies on node 0 and whose vCPUs run on two nodes.

    Every vCPU is busy and touches the whole memory at random. It isolates what the scan does
    to memory that everybody uses and that is pinned in part.

    Parameters
    ----------
    memory_mb : int [MB]
    vcpus : int
        Threads, spread evenly over two nodes, each on a CPU of its own.
    pin_fraction : float
        Pages under a long-term pin.
    thp : bool
        Backed by 2 MiB folios.
    subscriber : str
        ``kvm``, or ``sev``: caches are flushed besides.
    placement : str
        Where pinned pages lie: ``head`` or ``scattered``.
    away : bool
        All vCPUs run on node 1, as if they had been moved away from the memory.
    duration_ms : float [ms]
    tunables : Tunables
        The knobs of the host's kernel.
    """
    per_node = vcpus if away else -(-vcpus // 2)
    tasks = tuple(
        Task(
            name=f"vcpu{i}",
            cpu=per_node + i if away else i // 2 + i % 2 * per_node,
            access=(Access(vma="ram", pattern="rand"),),
        )
        for i in range(vcpus)
    )
    ram = Vma(
        name="ram",
        size_mb=memory_mb,
        thp=thp,
        pinned_fraction=pin_fraction,
        pin_placement=placement,
        subscriber=subscriber,
    )
    return Workload(
        name="guest",
        about="a virtual machine's memory, pinned in part",
        duration_ms=duration_ms,
        machine=Machine(nodes=2, cpus_per_node=per_node, memory_mb=2 * memory_mb),
        tunables=tunables,
        vmas=(ram,),
        tasks=tasks,
    )


def gpu_process(
    *,
    memory_mb: int,
    registered: float,
    threads: int = 4,
    duration_ms: float = 60_000,
) -> Workload:
    """Return a process that registers a share of its memory with a GPU.

    All memory is first touched on node 0 by an initialiser. Half of the threads run on the
    other node; each thread is busy and has a part of both regions of its own, so that NUMA
    balancing has something to gain. Notifications that overlap the registered region
    evict the GPU's queues.

    Parameters
    ----------
    memory_mb : int [MB]
        Of both regions together.
    registered : float
        Share of the memory that the GPU registers, strictly between 0 and 1.
    threads : int
        Even.
    duration_ms : float [ms]

    Raises
    ------
    InputError
        For an odd number of threads.
    """
    if threads % 2:
        raise InputError(f"threads = {threads}: must be even, half of them on each node")
    shares = {"buffers": registered, "heap": 1.0 - registered}
    vmas = tuple(
        Vma(
            name=name,
            size_mb=max(2, round(memory_mb * share / 2) * 2),
            subscriber="gpu" if name == "buffers" else "none",
        )
        for name, share in shares.items()
    )
    per_node = threads // 2
    tasks = tuple(
        Task(
            name=f"t{i}",
            cpu=i // 2 + i % 2 * per_node,
            access=tuple(
                Access(
                    vma=name,
                    pattern="rand",
                    lo=i / threads,
                    hi=(i + 1) / threads,
                )
                for name in shares
            ),
        )
        for i in range(threads)
    )
    return Workload(
        name="gpu-process",
        about="a process that registers part of its memory with a GPU",
        duration_ms=duration_ms,
        machine=Machine(nodes=2, cpus_per_node=per_node, memory_mb=2 * memory_mb),
        vmas=vmas,
        tasks=tasks,
    )
