"""What the benchmarks run."""

import dataclasses
from pathlib import Path

from numalab.machine import Machine, Speed
from numalab.tunables import Tunables
from numalab.workload import Access, Task, Vma, Workload
from numalab.workload_file import load

ROOT = Path(__file__).parent.parent
CONVERGE = ROOT / "data" / "workloads" / "private-converge.toml"


def converge():
    """One process, two flat-out walkers over 96 MiB each for 12 s; recorded on real kernels."""
    return load(CONVERGE)


def walkers(gib=64, tasks=8, nodes=2, vmas=None, seconds=60):
    """Tasks that walk flat out over equal parts of the memory, each on a CPU of its own.

    Without ``vmas`` each has one VMA; else one owner holds that many, and the tasks share
    them out. Memory lies on the nodes in turn, so about half is on the wrong one.
    """
    per_node = -(-tasks // nodes)
    machine = Machine(nodes=nodes, cpus_per_node=per_node, memory_mb=max(128, gib * 1024))
    if vmas is None:
        own = tuple(
            Vma(name=f"v{i}", size_mb=gib * 1024 / tasks, first_touch_node=i % nodes)
            for i in range(tasks)
        )
        access = [Access(vma=f"v{i}") for i in range(tasks)]
    else:
        own = (Vma(name="v", size_mb=gib * 2**18 // vmas / 256, count=vmas),)
        access = [Access(vma="v", lo=i / tasks, hi=(i + 1) / tasks) for i in range(tasks)]
    return Workload(
        name="walkers",
        duration_ms=1000 * seconds,
        machine=machine,
        vmas=own,
        tasks=tuple(Task(name=f"t{i}", cpu=i, access=(access[i],)) for i in range(tasks)),
    )


def small():
    """The same two walkers at 20 us a touch over 8 MiB: few enough touches to do one by one.

    A scan takes no time: whether a fault falls into one then decides nothing.
    """
    w = converge()
    speed = Speed(
        touch_walk_ns=20_000, touch_rand_ns=20_000, scan_call_ns=0, scan_page_ns=0, pte_update_ns=0
    )
    return dataclasses.replace(
        w,
        name="small",
        duration_ms=2000,
        machine=dataclasses.replace(w.machine, speed=speed),
        tunables=Tunables(scan_delay_ms=100, scan_period_min_ms=100),
        vmas=tuple(dataclasses.replace(v, size_mb=8) for v in w.vmas),
    )
