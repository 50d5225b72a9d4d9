"""The workload: who maps what, who touches it, and for how long.

The nouns of a workload file; ``workload_file.load`` reads one. ``simulate`` runs it on
the model and ``record`` on a real kernel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from dataclasses import dataclass

from numalab.churn import Churn
from numalab.fields import InputError, check_names, field, late_field, unknown_name, validate
from numalab.machine import Machine, Speed
from numalab.plain import as_identity
from numalab.task import Access, Move, Task
from numalab.tunables import Tunables
from numalab.vma import GUESTS, Vma

TASK_POLICIES = ("default", "bind", "bind_balancing")

__all__ = ["Access", "Churn", "Move", "Process", "Task", "Vma", "Workload", "with_speed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What is said of a process as a whole; only needed to change a default."""

    name: str = field(doc="name")
    cpuset_mems: tuple[int, ...] = field((), doc="nodes of its cpuset; empty: no cpuset")
    stack_kb: int = late_field(
        128, unit="kB", at_least=16, at_most=1 << 20, doc="stack of each thread (glibc: 8192)"
    )

    policy: str = late_field(
        "default",
        choices=TASK_POLICIES,
        doc="policy of its tasks over all nodes, as numactl sets it; of mappings without their own",
    )

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name")
        if self.stack_kb % 4:
            raise InputError(
                f'process "{self.name}": stack_kb = {self.stack_kb} kB: must be whole pages of 4 kB'
            )
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

    def process(self, name: str) -> Process:
        """Return what is said of a process, or what holds where nothing is said."""
        return next((p for p in self.processes if p.name == name), Process(name=name))

    def identity(self) -> str:
        """SHA-256 of the canonical JSON form: two equal workloads have one identity."""
        text = json.dumps(as_identity(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _check_workload(w: Workload) -> None:
    names = Counter([v.name for v in w.vmas] + [t.name for t in w.threads])
    for name in (name for name, times in names.items() if times > 1):
        raise InputError(f"name {name!r} is used twice: every vma, task and churn needs its own")
    if all(isinstance(t, Task) and t.waits for t in w.threads):
        raise InputError(f'workload "{w.name}": no task and no churn: nothing would run')
    if w.sample_ms > w.duration_ms:
        raise InputError(
            f"sample_ms = {w.sample_ms:g} ms: must be at most duration_ms = {w.duration_ms:g} ms"
        )
    vmas = {v.name: v for v in w.vmas}
    for thread in w.threads:
        moves = thread.move if isinstance(thread, Task) else ()
        for cpu in (thread.cpu, *(m.cpu for m in moves)):
            if cpu >= w.machine.cpus:
                raise InputError(
                    f'"{thread.name}": cpu = {cpu}: the machine has CPUs 0 to {w.machine.cpus - 1}'
                )
        for move in moves:
            if move.at_ms >= w.duration_ms:
                raise InputError(
                    f'"{thread.name}": move at_ms = {move.at_ms:g} ms: the run ends at '
                    f"duration_ms = {w.duration_ms:g} ms"
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
    described = Counter(p.name for p in w.processes)
    for name, times in described.items():
        if name not in running:
            raise unknown_name("process", name, list(running))
        if times > 1:
            raise InputError(f'process "{name}" is described twice: name it once')
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
