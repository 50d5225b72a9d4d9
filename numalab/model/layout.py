"""The address space a process starts with, and when its threads came to be.

A recording says where every VMA was (:func:`numalab.captures.start.setup`); without one see
:mod:`numalab.model.default_start`.
"""

from __future__ import annotations

from dataclasses import dataclass

from numalab.fields import InputError
from numalab.vma import GUESTS
from numalab.workload import Task, Workload

IMAGE_KINDS = {
    "text": "image:text",
    "file-data": "image:data",
    "data": "image:data",
    "heap": "image:heap",
    "thread-stack": "image:thread-stacks",
    "guard": "image:guards",
    "vdso": "image:vdso",
    "vvar": "image:vdso",
    "stack": "image:stack",
    "shared": "image:other",
    "other": "image:other",
    "vcpu": "image:other",
}
"""Kind of a mapping that is not the workload's own to its name in the Dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One VMA at the start: ``[start, start + pages)`` in pages."""

    start: int
    pages: int
    kind: str
    """A workload kind (anon, shmem, ...), or a key of :data:`IMAGE_KINDS`."""
    owner: str
    """VMA of the workload it belongs to, or the ``image:`` name."""
    offset: int = 0
    """First page in the concatenated mappings of the owner."""
    present: tuple[int, ...] = ()
    """Pages present on each node at the start; of the workload's own VMAs the workload says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSetup:
    """One process at the start instant; threads in the workload's order, tasks then churns."""

    name: str
    mappings: tuple[Mapping, ...]
    pids: tuple[int, ...]
    runtime_ms: tuple[float, ...]
    """CPU time of each thread at the start."""
    reset_ms: float
    """When the fork or the first clone reset the scan clock, before the start (negative)."""
    fork_ms: float = 0.0
    """When the process was forked; only looked at if ``balancing_ms`` is before ``reset_ms``."""
    alone_cpu: int = -1
    """CPU on which the main thread scanned before the start; -1: that of its task."""
    alone_ms: float | None = None
    """When the main thread scanned before the first clone, if that was seen; inf: it did not."""
    alone_stack: bool = False
    """Whether that scan found the stack of the first thread, which is mapped before the clone."""
    balancing_ms: float = 0.0
    """When balancing was switched on; from then to the first clone the main thread runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All processes at the start instant."""

    processes: tuple[ProcessSetup, ...]
    scan_factors: tuple[float, ...] = ()
    """How much longer scans take than the machine's speed says, drawn from anew for each; empty:
    drawn by ``scan_spread``."""
    scanned_before: bool = False
    """Whether anybody scanned before the start: then no scan is the first of the boot."""

    def of(self, name: str) -> ProcessSetup:
        """Return the setup of a process.

        Raises
        ------
        InputError
            If there is no such process.
        """
        for process in self.processes:
            if process.name == name:
                return process
        raise InputError(f'the setup holds no process "{name}"')


def threads_of(workload: Workload, process: str) -> list[str]:
    """Names of the threads of a process: tasks, then churns, in the workload's order."""
    return [t.name for t in workload.threads if t.process == process]


def vcpus_of(workload: Workload) -> list[Task]:
    """Tasks that are vCPUs: those that touch the memory of a guest."""
    guests = {v.name for v in workload.vmas if v.subscriber in GUESTS}
    return [t for t in workload.tasks if any(a.vma in guests for a in t.access)]
