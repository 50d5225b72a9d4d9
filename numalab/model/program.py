"""Pages of the recorder's program: which are in use, and who touches them.

What differs of them from run to run is drawn here and nowhere else, so that runs whose draws
agree can share a layout.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numalab.model.layout import Mapping, Setup, threads_of, vcpus_of
from numalab.workload import Churn, Task, Workload

_PARENTS = {"data": 2, "heap": 1, "file-data": 0}
"""Present pages of the recorder's program that are its parent's too (copy-on-write after a fork)
and so are never marked; threads that draw at random write to one of those of the data, and so
does a guest. Measured on all three kernels: what the first scan with several threads marks."""
_OWN = {"stack": 2, "thread-stack": 1, "vcpu": 1}
"""Of these mappings, how many present pages are not the parent's; of the others none."""
_IN_USE = {"data": 2, "heap": 2, "stack": 1, "thread-stack": 1, "vcpu": 1}
"""How many of those its threads go on touching while they run: Referenced in smaps, 0.1 ms
and 100 ms after clear_refs. One of the heap's is the main thread's own (its TLS). A vCPU's
is what it shares with KVM (struct kvm_run)."""
_WRITTEN_TOGETHER = 4
"""Pages of data that a main thread writes while it lays out memory, so on one node: page faults of
24 boots after a scan named four (the list of threads, and three of the C library)."""
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


def _node_written(mappings: Sequence[Mapping]) -> int | None:
    """Node on which a main thread wrote what it goes on using of its data and heap.

    It wrote them while it laid out memory, on a CPU of its own beside its parent, which had written
    the shared page: so on another node than that page, if one holds _WRITTEN_TOGETHER pages of the
    data or more; else both were on one node. Seen in the faults of 24 boots of three kernels. None
    where it is not known: pages are shared on several nodes, or nothing is said of nodes.
    """
    shared, data = (
        [m.present for m in mappings if m.kind == kind and any(m.present)]
        for kind in ("shared", "data")
    )
    if len(shared) != 1 or len(data) != 1 or len(data[0]) < 2 or len(data[0]) != len(shared[0]):
        return None
    elsewhere = [n for n, pages in enumerate(shared[0]) if not pages]
    if len(elsewhere) + 1 != len(data[0]):
        return None
    node = max(elsewhere, key=lambda n: data[0][n])
    return node if data[0][node] >= _WRITTEN_TOGETHER else int(np.argmax(shared[0]))


def _draw_mapping(
    mapping: Mapping,
    draws_state: bool,
    guest: bool,
    written: int | None,
    draws: np.random.Generator,
) -> Drawn:
    """Draw one mapping of the program.

    ``draws_state``: threads of the process keep the state of a random generator, which
    lies on one more page of the data. ``guest``: it has a KVM guest. ``written``: the node that
    holds the pages in use of data and heap, if that is known.
    """
    kind = mapping.kind
    if not mapping.present:
        draws.random()
        return _NOTHING
    extra = (draws_state + guest) if kind == "data" else 0
    present = mapping.present
    if kind == "shared":
        used = _some(present, 1, draws) if guest else present
        own = sum(present)
    else:
        in_use, own = _IN_USE.get(kind, 0) + extra, _OWN.get(kind, 0)
        if kind in _PARENTS:
            own = sum(present) - (max(1, _PARENTS[kind] - extra) if _PARENTS[kind] else 0)
        used = _some(present, in_use, draws)
        together = kind in ("data", "heap") and written is not None and written < len(present)
        if together and present[written or 0] >= in_use:
            used = tuple(in_use * (n == written) for n in range(len(present)))
    idle = _some(_less(present, used), max(0, own - sum(used)), draws)
    last = _some(used, _IN_BATCH.get(kind, 0) > draws.random(), draws)
    return Drawn(last, _less(used, last), idle)


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
        state, mappings = _draws_state(workload, name), setup.of(name).mappings
        written = _node_written(mappings)
        guest = any(t.process == name for t in vcpus_of(workload))
        for number, mapping in enumerate(mappings):
            if mapping.owner not in own:
                drawn[m, number] = _draw_mapping(mapping, state, guest, written, draws)
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
