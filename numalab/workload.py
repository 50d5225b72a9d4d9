"""The workload: who maps what, who touches it, and for how long.

The nouns of a workload file; ``workload_file.load`` reads one. ``simulate`` runs it on
the model and ``record`` on a real kernel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass

from numalab.fields import InputError, check_names, field, late_field, unknown_name, validate
from numalab.machine import Machine, Speed
from numalab.plain import as_identity
from numalab.tunables import Tunables
from numalab.units import HPAGE_PMD_NR, PAGES_PER_MB, align_up
from numalab.vma import GUESTS, MAX_MB, Vma, check_pages

PATTERNS = ("walk", "rand", "hot")
LIFETIMES = ("fixed", "exponential", "uniform", "lognormal", "pareto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a task touches: a range of a VMA, in a pattern, at a rate."""

    vma: str = field(doc="the VMA touched")
    lo: float = field(0.0, at_least=0, at_most=1, doc="start of the range, fraction of the VMA")
    hi: float = field(1.0, at_least=0, at_most=1, doc="end of the range, fraction of the VMA")
    pattern: str = field("walk", choices=PATTERNS, doc="in order, at random, or hot and cold")
    pages_per_s: float = field(
        0.0, unit="1/s", at_least=0, at_most=1e10, doc="page touches a second; 0: flat out"
    )
    write: bool = field(True, doc="write (true) or only read")
    hot_fraction: float = field(0.1, at_least=1e-6, at_most=1, doc="hot part of the range (hot)")
    hot_share: float = field(0.9, at_least=0, at_most=1, doc="touches that go to it (hot)")
    start_ms: float = field(0.0, unit="ms", at_least=0, at_most=1e9, doc="begins")
    stop_ms: float = field(1e9, unit="ms", at_least=0, at_most=1e9, doc="ends")

    def __post_init__(self) -> None:
        validate(self)
        if self.lo >= self.hi:
            raise InputError(f"access: lo = {self.lo:g}: must be below hi = {self.hi:g}")
        if self.start_ms >= self.stop_ms:
            raise InputError(
                f"access: start_ms = {self.start_ms:g} ms: must be before stop_ms = "
                f"{self.stop_ms:g} ms"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A thread. Without accesses it spins; it keeps to ``cpu``, or is free to move (-1)."""

    name: str = field(doc="name, unique in the workload")
    process: str = field("main", doc="the process it belongs to")
    cpu: int = field(-1, at_least=-1, at_most=65535, doc="CPU it is bound to; -1: free to move")
    access: tuple[Access, ...] = field((), doc="what it touches")

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name", "process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """A thread that maps a VMA, touches it for a lifetime, unmaps it, and starts again."""

    name: str = field(doc="name, unique in the workload; also names its VMAs")
    size_mb: float = field(
        unit="MB", at_least=1 / PAGES_PER_MB, at_most=MAX_MB, doc="size of each mapping"
    )
    lifetime_ms: float = field(
        unit="ms", at_least=1, at_most=1e9, doc="how long a mapping lives (mean or fixed)"
    )
    lifetime: str = field("fixed", choices=LIFETIMES, doc="distribution of the lifetime")
    lifetime_shape: float = field(
        0.5, at_least=0.01, at_most=100, doc="uniform: half width / mean; lognormal: sigma; pareto"
    )
    gap_ms: float = field(0.0, unit="ms", at_least=0, at_most=1e9, doc="pause between mappings")
    process: str = field("main", doc="the process it belongs to")
    cpu: int = field(-1, at_least=-1, at_most=65535, doc="CPU it is bound to; -1: free to move")
    thp: bool = field(False, doc="2 MiB folios; without it MADV_NOHUGEPAGE")
    pattern: str = field("walk", choices=("walk", "rand"), doc="how it touches the mapping")
    pages_per_s: float = field(
        0.0, unit="1/s", at_least=0, at_most=1e10, doc="page touches a second; 0: flat out"
    )
    write: bool = field(True, doc="write (true) or only read")
    first_touch_node: int = late_field(
        -1,
        at_least=-1,
        at_most=63,
        doc="node that it is filled on at once; -1: as its thread comes to touch it",
    )
    pinned_fraction: float = late_field(
        0.0,
        at_least=0,
        at_most=1,
        doc="fraction of the pages, from the head, filled at once and pinned until the unmap",
    )

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name", "process")
        where = f'churn "{self.name}"'
        check_pages(where, self.size_mb)
        if self.thp and self.size_mb % 2:
            raise InputError(f"{where}: thp needs a multiple of 2 MB")
        if self.lifetime == "uniform" and self.lifetime_shape > 1:
            raise InputError(f"{where}: lifetime_shape = {self.lifetime_shape:g}: at most 1")
        if self.lifetime == "pareto" and self.lifetime_shape <= 1:
            raise InputError(
                f"{where}: lifetime_shape = {self.lifetime_shape:g}: pareto needs more than 1"
            )

    @property
    def pages(self) -> int:
        """4 KiB pages of one mapping."""
        return round(self.size_mb * PAGES_PER_MB)

    @property
    def pinned_pages(self) -> int:
        """Those of them that are pinned: the first ones, in whole folios."""
        unit = HPAGE_PMD_NR if self.thp else 1
        return int(align_up(round(self.pages * self.pinned_fraction), unit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What is said of a process as a whole; only needed to change a default."""

    name: str = field(doc="name")
    cpuset_mems: tuple[int, ...] = field((), doc="nodes of its cpuset; empty: no cpuset")

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name")
        for node in self.cpuset_mems:
            if self.cpuset_mems.count(node) > 1:
                raise InputError(f'process "{self.name}": cpuset_mems holds {node} twice')


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Machine, tunables, VMAs and tasks of one run."""

    name: str = field(doc="name of the workload")
    about: str = field("", doc="what it isolates, in one line")
    duration_ms: float = field(
        20000.0, unit="ms", at_least=1, at_most=86_400_000, doc="length of the run"
    )
    sample_ms: float = field(
        250.0, unit="ms", at_least=1, at_most=86_400_000, doc="time between samples"
    )
    machine: Machine = field(Machine(), doc="the machine")
    tunables: Tunables = field(Tunables(), doc="the knobs")
    processes: tuple[Process, ...] = field((), doc="processes that are not plain")
    vmas: tuple[Vma, ...] = field((), doc="mappings")
    tasks: tuple[Task, ...] = field((), doc="threads")
    churns: tuple[Churn, ...] = field((), doc="threads that map and unmap")

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name")
        _check_workload(self)

    @property
    def threads(self) -> tuple[Task | Churn, ...]:
        """All threads: tasks, then churns, as listed."""
        return (*self.tasks, *self.churns)

    @property
    def process_names(self) -> tuple[str, ...]:
        """Processes in the order in which their first thread is listed."""
        return tuple(dict.fromkeys(thread.process for thread in self.threads))

    def identity(self) -> str:
        """SHA-256 of the canonical JSON form: two equal workloads have one identity."""
        text = json.dumps(as_identity(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _check_workload(w: Workload) -> None:
    names = [v.name for v in w.vmas] + [t.name for t in w.threads]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"name {name!r} is used twice: every vma, task and churn needs its own"
            )
    if not w.tasks and not w.churns:
        raise InputError(f'workload "{w.name}": no task and no churn: nothing would run')
    if w.sample_ms > w.duration_ms:
        raise InputError(
            f"sample_ms = {w.sample_ms:g} ms: must be at most duration_ms = {w.duration_ms:g} ms"
        )
    vmas = {v.name: v for v in w.vmas}
    for thread in w.threads:
        if thread.cpu >= w.machine.cpus:
            raise InputError(
                f'"{thread.name}": cpu = {thread.cpu}: the machine has CPUs 0 to '
                f"{w.machine.cpus - 1}"
            )
    for task in w.tasks:
        for access in task.access:
            if access.vma not in vmas:
                raise unknown_name(f'vma in task "{task.name}"', access.vma, list(vmas))
            if vmas[access.vma].process != task.process:
                raise InputError(
                    f'task "{task.name}" of process "{task.process}" touches vma '
                    f'"{access.vma}" of process "{vmas[access.vma].process}"'
                )
            if access.write and vmas[access.vma].kind == "file_ro":
                raise InputError(
                    f'task "{task.name}": write = true on vma "{access.vma}" of kind file_ro'
                )
        _check_vcpu(task, vmas)
    running = set(w.process_names)
    for vma in w.vmas:
        if vma.process not in running:
            raise InputError(f'vma "{vma.name}": process "{vma.process}" has no task')
    for process in w.processes:
        if process.name not in running:
            raise unknown_name("process", process.name, list(running))
        if [p.name for p in w.processes].count(process.name) > 1:
            raise InputError(f'process "{process.name}" is described twice: name it once')
    _check_memory(w)


def _check_vcpu(task: Task, vmas: dict[str, Vma]) -> None:
    """A task that touches the memory of a guest is a vCPU: it touches nothing else."""
    touched = list(dict.fromkeys(access.vma for access in task.access))
    guests = [name for name in touched if vmas[name].subscriber in GUESTS]
    others = [name for name in touched if name != guests[0]] if guests else []
    if others:
        raise InputError(
            f'task "{task.name}": touches vma "{others[0]}": it is a vCPU of the guest whose '
            f'memory is vma "{guests[0]}", and may touch nothing else; give '
            f'"{others[0]}" a task of its own'
        )


def _check_memory(w: Workload) -> None:
    room = w.machine.nodes * w.machine.memory_mb
    total = sum(v.size_mb * v.count for v in w.vmas) + sum(c.size_mb for c in w.churns)
    if total > room:
        raise InputError(
            f"the mappings hold {total:g} MB, {w.machine.nodes} nodes of memory_mb = "
            f"{w.machine.memory_mb} hold {room}: there is no swap"
        )
    on_node = [0.0] * w.machine.nodes
    starts = [(f'vma "{v.name}"', v.first_touch_node) for v in w.vmas]
    for where, node in starts + [(f'churn "{c.name}"', c.first_touch_node) for c in w.churns]:
        if node >= w.machine.nodes:
            raise InputError(
                f"{where}: first_touch_node = {node}: the machine has "
                f"nodes 0 to {w.machine.nodes - 1}"
            )
    for vma in w.vmas:
        spread = range(w.machine.nodes) if vma.policy == "interleave" else (vma.first_touch_node,)
        for node in spread:
            on_node[node] += vma.size_mb * vma.count * vma.populated / len(spread)
    for churn in w.churns:
        if churn.first_touch_node >= 0:
            on_node[churn.first_touch_node] += churn.size_mb
    for node, mb in enumerate(on_node):
        if mb > w.machine.memory_mb:
            raise InputError(
                f"node {node}: {mb:g} MB are first touched there, memory_mb = {w.machine.memory_mb}"
            )
    for process in w.processes:
        for node in process.cpuset_mems:
            if not isinstance(node, int) or not 0 <= node < w.machine.nodes:
                raise InputError(
                    f'process "{process.name}": cpuset_mems holds {node!r}: the machine has nodes '
                    f"0 to {w.machine.nodes - 1}"
                )


def with_speed(workload: Workload, speed: Speed) -> Workload:
    """Return the workload on a machine that runs at another (measured) speed."""
    machine = dataclasses.replace(workload.machine, speed=speed)
    return dataclasses.replace(workload, machine=machine)
