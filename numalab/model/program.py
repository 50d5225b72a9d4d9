"""Pages of the recorder's program: which are in use, and who touches them.

What differs of them from run to run is drawn here and nowhere else, so that runs whose draws
agree can share a layout.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from typing import NamedTuple

import numpy as np

from numalab.model.layout import Mapping, Setup, threads_of, vcpus_of
from numalab.workload import Churn, Task, Workload

_OWN = {"file-data": 3, "data": 6, "heap": 3, "stack": 2, "thread-stack": 1, "vcpu": 1}
"""Present pages of the recorder's program that belong to one process alone; the rest of data
and heap is the parent's as well after a fork (copy-on-write), and so is never marked.
Measured on all three kernels, balancing off: Private_Clean + Private_Dirty in /proc/PID/smaps."""
_IN_USE = {"data": 2, "heap": 2, "stack": 1, "thread-stack": 1, "vcpu": 1}
"""How many of those its threads go on touching while they run: Referenced in smaps, 0.1 ms
and 100 ms after clear_refs. One of the heap's is the main thread's own (its TLS). A vCPU's
is what it shares with KVM (struct kvm_run)."""
_MORE_WITH_GUEST = {"data": (2, 1)}
"""What a process with a KVM guest has more of the two; its program is a little longer."""
_IN_BATCH = {"data": 1.0, "heap": 1.0, "stack": 0.5, "thread-stack": 1.0}
"""How often the one that was written last still waits in a CPU's LRU batch (see
:mod:`numalab.linux.swap`): KPF_LRU in /proc/kpageflags, fifteen boots of three kernels."""

_TOUCHES_PER_S = 1e4
"""A running thread touches each page of the program that it uses at least this often."""
_GUEST_BATCH = 4096
"""Touches of a vCPU between two looks of its thread at the program's own pages."""

Pages = tuple[int, ...]
"""Pages on each node."""


class Drawn(NamedTuple):
    """Present pages of one mapping that its process owns alone."""

    last: Pages
    """In use, and still waiting in a CPU's LRU batch."""
    in_use: Pages
    idle: Pages


_NOTHING = Drawn((), (), ())

Program = Table[tuple[int, int], Drawn]
"""By process and mapping; mappings of the workload's own VMAs are not in it."""


def _some(present: Pages, pages: int, draws: np.random.Generator) -> Pages:
    """Draw pages without replacement; how many of them lie on each node."""
    pages = min(pages, sum(present))
    if len(present) < 2:
        return tuple(pages for _ in present)
    return tuple(int(n) for n in draws.multivariate_hypergeometric(present, pages))


def _less(more: Pages, fewer: Pages) -> Pages:
    return tuple(a - b for a, b in zip(more, fewer, strict=True))


def _draw_mapping(
    mapping: Mapping, draws_state: bool, guest: bool, draws: np.random.Generator
) -> Drawn:
    """Draw one mapping of the program.

    ``draws_state``: threads of the process keep the state of a random generator, which
    lies on one more page of the data. ``guest``: it has a KVM guest.
    """
    kind = mapping.kind
    if not mapping.present:
        draws.random()
        return _NOTHING
    extra = 1 if kind == "data" and draws_state else 0
    more_own, more_used = _MORE_WITH_GUEST.get(kind, (0, 0)) if guest else (0, 0)
    own = mapping.present
    if kind == "shared":
        used = _some(own, 1, draws) if guest else own
    else:
        own = _some(own, _OWN.get(kind, 0) + extra + more_own, draws)
        used = _some(own, _IN_USE.get(kind, 0) + extra + more_used, draws)
    last = _some(used, _IN_BATCH.get(kind, 0) > draws.random(), draws)
    return Drawn(last, _less(used, last), _less(own, used))


def _draws_state(workload: Workload, process: str) -> bool:
    """Say whether a thread of a process draws at random: where to touch, or a lifetime."""
    return any(
        isinstance(t, Churn) or any(a.pattern != "walk" for a in t.access)
        for t in workload.threads
        if t.process == process
    )


def draw_program(workload: Workload, setup: Setup, draws: np.random.Generator) -> Program:
    """Draw the program's own pages of every process, in the order of its mappings."""
    own = {v.name for v in workload.vmas}
    drawn = {}
    for m, name in enumerate(workload.process_names):
        state = _draws_state(workload, name)
        guest = any(t.process == name for t in vcpus_of(workload))
        for number, mapping in enumerate(setup.of(name).mappings):
            if mapping.owner not in own:
                drawn[m, number] = _draw_mapping(mapping, state, guest, draws)
    return drawn


def parts_of(mapping: Mapping, drawn: Drawn) -> list[tuple[str, Pages, bool]]:
    """Return the parts of a mapping that hold pages: name, pages, whether they wait in a batch.

    Idle pages have no name: nobody touches them.
    """
    rest = "main-heap" if mapping.kind == "heap" else mapping.kind
    parts = ((mapping.kind, drawn.last, True), (rest, drawn.in_use, False), ("", drawn.idle, False))
    return [part for part in parts if sum(part[1])]


def parts_used(workload: Workload, thread: Task | Churn) -> list[tuple[str, slice]]:
    """Return the parts that a thread touches: name, and which of the process's of that name.

    What a vCPU's thread shares with KVM is mapped in the tasks' order.
    """
    index = threads_of(workload, thread.process).index(thread.name)
    stack = slice(-index, -index + 1 or None) if index else slice(None)
    used = [("thread-stack" if index else "stack", stack)]
    kinds = ["data", "file-data", "heap", "shared"] + ([] if index else ["main-heap"])
    used += [(kind, slice(None)) for kind in kinds]
    vcpus = [t.name for t in vcpus_of(workload) if t.process == thread.process]
    if thread.name in vcpus:
        k = vcpus.index(thread.name)
        used.append(("vcpu", slice(k, k + 1)))
    return used


def touches_per_s(workload: Workload, thread: Task | Churn) -> float:
    """Return how often a thread touches each page of the program that it uses."""
    if all(t.name != thread.name for t in vcpus_of(workload)):
        return _TOUCHES_PER_S
    return 1e9 / (_GUEST_BATCH * workload.machine.speed.vcpu_touch_walk_ns)
