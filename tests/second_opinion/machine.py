"""The machine before the start: address spaces, threads, pages; and mappings that come and go."""

from __future__ import annotations

import math
import random

from numalab.model.layout import Mapping, ProcessSetup, Setup
from numalab.policy import Policy
from numalab.workload import Access, Churn, Task, Vma, Workload
from tests.second_opinion import kernel_scan
from tests.second_opinion.kernel_memory import go_on_moving, pages_of, populate
from tests.second_opinion.objects import Mapped, Mm, Page, Sim, Thread, Touching

ABOVE_MMAP_BASE = ("vvar", "vdso", "stack")
NSEC_PER_MSEC = 1_000_000


def machine(w: Workload, policy: Policy, setup: Setup, phase_ns: int, seed: int) -> Sim:
    """Everything as it is when the tasks start."""
    tick_ns = (1_000_000_000 + w.machine.hz // 2) // w.machine.hz
    sim = Sim(w=w, policy=policy, rng=random.Random(seed), tick_ns=tick_ns, phase_ns=phase_ns)
    sim.free = [w.machine.memory_mb * 256 for _ in range(w.machine.nodes)]
    sim.curr = [None for _ in range(w.machine.cpus)]
    sim.turn = list(sim.curr)
    sim.min_vruntime = [0 for _ in sim.curr]
    specs = {v.name: v for v in w.vmas}
    for name in w.process_names:
        sim.mms.append(_process(sim, setup.of(name), specs))
    _threads(sim, setup)
    return sim


def _process(sim: Sim, setup: ProcessSetup, specs: dict[str, Vma]) -> Mm:
    """An address space with its pages."""
    if setup.balancing_ms < setup.reset_ms:
        raise NotImplementedError("balancing on before the first clone")
    mm = Mm(name=setup.name, vmas=[_mapped(sim, m, specs) for m in setup.mappings])
    mm.rss = sum(page.present for vma in mm.vmas for page in vma.pages)
    for process in sim.w.processes:
        if process.name == setup.name:
            mm.cpuset_mems = process.cpuset_mems
    elapsed = int(setup.reset_ms * NSEC_PER_MSEC) - sim.phase_ns
    at_reset = sim.jiffies + elapsed // sim.tick_ns + 1
    delay = kernel_scan.msecs_to_jiffies(sim.w.tunables.scan_delay_ms, sim.w.machine.hz)
    mm.numa_next_scan = at_reset + delay
    return mm


def _mapped(sim: Sim, mapping: Mapping, specs: dict[str, Vma]) -> Mapped:
    """A VMA with its pages; those of guards are left out, nobody can see them."""
    spec = specs.get(mapping.owner)
    vma = Mapped(
        vm_start=mapping.start,
        vm_end=mapping.start + mapping.pages,
        kind=mapping.kind,
        owner=mapping.owner,
        offset=mapping.offset,
        mempolicy=spec.policy if spec else "default",
    )
    if mapping.kind == "guard":
        return vma
    vma.pages = pages_of(vma, thp=bool(spec and spec.thp))
    if spec:
        _first_touch(sim, vma, spec)
    elif any(mapping.present):
        raise NotImplementedError("pages of the program: see bare_setup()")
    return vma


def folios(pages: list[Page]) -> list[Page]:
    """Each folio of a list of pages once, in order."""
    return list({id(page): page for page in pages}.values())


def _first_touch(sim: Sim, vma: Mapped, spec: Vma) -> None:
    """Populate the head of a workload's VMA, and pin as many pages as it says of those."""
    units = folios(vma.pages)
    nodes = sim.w.machine.nodes
    present = units[: math.ceil(round(len(vma.pages) * spec.populated) / units[0].nr)]
    for i, page in enumerate(present):
        turn = i if spec.policy == "interleave" else 0
        populate(sim, page, (spec.first_touch_node + turn) % nodes)
    number = math.ceil(round(len(vma.pages) * spec.pinned_fraction) / units[0].nr)
    scattered = spec.pin_placement == "scattered"
    for page in sim.rng.sample(present, number) if scattered else present[:number]:
        page.pinned = True


def _threads(sim: Sim, setup: Setup) -> None:
    """Make the threads: those bound to a CPU keep to it, others go where fewest are.

    A thread that waits is no load.
    """
    load = [0] * sim.w.machine.cpus
    for spec in sim.w.threads:
        if spec.cpu >= 0:
            load[spec.cpu] += not _waits(spec)
    for spec in sim.w.threads:
        mm = next(mm for mm in sim.mms if mm.name == spec.process)
        process = setup.of(spec.process)
        index = len(mm.tasks)
        cpu = spec.cpu
        if cpu < 0:
            cpu = load.index(min(load))
            load[cpu] += not _waits(spec)
        p = Thread(spec=spec, pid=process.pids[index], mm=mm, cpu=cpu, bound=spec.cpu >= 0)
        p.mempolicy = sim.w.process(spec.process).policy
        if isinstance(spec, Task):
            p.moves = [(round(m.at_ms * NSEC_PER_MSEC), m.cpu) for m in spec.move]
        mm.tasks.append(p)
        p.sum_exec_runtime = int(process.runtime_ms[index] * NSEC_PER_MSEC)
        p.streams = _streams(sim, p)
        kernel_scan.init_numa_balancing(sim, p, main=index == 0)


def _waits(spec: Task | Churn) -> bool:
    """Whether a thread sleeps all the time."""
    return isinstance(spec, Task) and spec.waits


def _streams(sim: Sim, p: Thread) -> list[Touching]:
    """What a task touches."""
    if isinstance(p.spec, Churn):
        return []
    return [_stream(sim, p.mm, access) for access in p.spec.access]


def _stream(sim: Sim, mm: Mm, access: Access) -> Touching:
    """One access; a hot one draws from two parts of its range."""
    speed = sim.w.machine.speed
    everything = [
        page
        for vma in sorted((v for v in mm.vmas if v.owner == access.vma), key=lambda v: v.offset)
        for page in vma.pages
    ]
    number = len(everything)
    pages = everything[round(access.lo * number) : round(access.hi * number)]
    hot = max(1, round(len(pages) * access.hot_fraction))
    hot = hot if access.pattern == "hot" else len(pages)
    return Touching(
        pages=pages[:hot],
        cold=pages[hot:],
        hot_share=access.hot_share,
        walk=access.pattern == "walk",
        touch_ns=speed.touch_walk_ns if access.pattern == "walk" else speed.touch_rand_ns,
        rate=access.pages_per_s,
        write=access.write,
        start_ns=access.start_ms * NSEC_PER_MSEC,
        stop_ns=access.stop_ms * NSEC_PER_MSEC,
    )


def mmap(sim: Sim, mm: Mm, churn: Churn) -> Mapped:
    """Map into the highest hole that fits; huge folios lie aligned."""
    below = [vma for vma in mm.vmas if vma.kind not in ABOVE_MMAP_BASE]
    for i in range(len(below) - 1, -1, -1):
        top = below[i].vm_start
        bottom = below[i - 1].vm_end if i else 0
        start = top - churn.pages
        if churn.thp:
            start -= start % 512
        if start >= bottom:
            break
    vma = Mapped(vm_start=start, vm_end=start + churn.pages, kind="anon", owner=churn.name)
    vma.pages = pages_of(vma, thp=churn.thp)
    mm.vmas.append(vma)
    mm.vmas.sort(key=lambda v: v.vm_start)
    return vma


def munmap(sim: Sim, mm: Mm, vma: Mapped) -> None:
    """Unmap and free the pages; of one that is moved nothing is left to unmap."""
    for t in mm.tasks:
        if t.moving and t.moving.page.vma is vma:
            go_on_moving(t, math.inf)
    for page in folios(vma.pages):
        if page.present:
            sim.free[page.node] += page.nr
            mm.rss -= page.nr
    mm.vmas.remove(vma)


def lifetime_ms(sim: Sim, churn: Churn) -> float:
    """Draw how long a mapping lives."""
    mean, shape, rng = churn.lifetime_ms, churn.lifetime_shape, sim.rng
    if churn.lifetime == "exponential":
        life = rng.expovariate(1 / mean)
    elif churn.lifetime == "uniform":
        life = rng.uniform(mean * (1 - shape), mean * (1 + shape))
    elif churn.lifetime == "lognormal":
        life = mean * rng.lognormvariate(-shape * shape / 2, shape)
    elif churn.lifetime == "pareto":
        life = mean * (shape - 1) / shape * rng.paretovariate(shape)
    else:
        life = mean
    return max(life, 1.0)
