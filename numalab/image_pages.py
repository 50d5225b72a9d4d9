"""The pages of the recorder's program that its threads use besides the workload's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from numalab import hardware as hw
from numalab.layout import Mapping, threads_of, vcpus_of
from numalab.machine import Speed
from numalab.segments import Plan, Segment
from numalab.workload import Churn, Task, Workload

_IMAGE_TOUCHES_PER_S = 1e4
"""A running thread touches each page of the program that it uses at least this often."""
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
_GUEST_BATCH = 4096
"""Touches of a vCPU between two looks of its thread at the program's own pages."""
_IN_BATCH = {"data": 1.0, "heap": 1.0, "stack": 0.5, "thread-stack": 1.0}
"""How often the one that was written last still waits in a CPU's LRU batch (see
:mod:`numalab.linux.swap`): KPF_LRU in /proc/kpageflags, fifteen boots of three kernels."""
_SHARED_WITH_PARENT = ("data", "file-data", "heap")


def _some(present: np.ndarray, pages: int, draws: np.random.Generator) -> np.ndarray:
    """Draw pages without replacement; how many of them lie on each node."""
    return draws.multivariate_hypergeometric(present, min(pages, int(present.sum())))


def plan_image(
    plan: Plan,
    process: str,
    mapping: Mapping,
    draws_state: bool,
    guest: bool,
    draws: np.random.Generator,
) -> list[int]:
    """Lay out the present pages of a mapping of the program: in use, and not.

    ``draws_state``: threads of the process keep the state of a random generator, which
    lies on one more page of the data. ``guest``: it has a KVM guest.
    """
    kind = mapping.kind
    present = np.array(mapping.present, dtype=np.int64)
    extra = 1 if kind == "data" and draws_state else 0
    more_own, more_used = _MORE_WITH_GUEST.get(kind, (0, 0)) if guest else (0, 0)
    own = present
    if kind != "shared":
        own = _some(present, _OWN.get(kind, 0) + extra + more_own, draws)
    if kind == "shared":
        used = _some(own, 1, draws) if guest else own
    else:
        used = _some(own, _IN_USE.get(kind, 0) + extra + more_used, draws)
    last = _some(used, _IN_BATCH.get(kind, 0) > draws.random(), draws)
    rest = "main-heap" if kind == "heap" else kind
    found = []
    at = 0
    for name, pages in ((kind, last), (rest, used - last), ("", own - used)):
        if pages.sum():
            count = tuple(int(n) for n in pages)
            if name:
                plan.image.setdefault((process, name), []).append(len(plan.segments))
            found.append(len(plan.segments))
            seg = Segment(at, at + sum(count), 1, None, count, mapping.start)
            seg.in_batch = bool(name) and pages is last
            plan.segments.append(seg)
            at += sum(count)
    return found


def draws_state(workload: Workload, process: str) -> bool:
    """Say whether a thread of a process draws at random: where to touch, or a lifetime."""
    return any(
        isinstance(t, Churn) or any(a.pattern != "walk" for a in t.access)
        for t in workload.threads
        if t.process == process
    )


def _image_access(g: int, seg: Segment, stack: bool, vcpu: bool, speed: Speed) -> dict[str, Any]:
    pages = sum(seg.present)
    rate = 1e9 / (_GUEST_BATCH * speed.vcpu_touch_walk_ns) if vcpu else _IMAGE_TOUCHES_PER_S
    return {
        "touch_ns": speed.touch_rand_ns,
        "pattern": hw.RAND,
        "first_segment": g,
        "nr_segments": 1,
        "pages": pages,
        "pages_per_ns": pages * rate / 1e9,
        "stop_ns": 1 << 62,
        "image": 2 if seg.in_batch and not stack else 1,
    }


def _vcpu_page(plan: Plan, workload: Workload, thread: Task | Churn) -> list[int]:
    """Segment that a vCPU's thread shares with KVM: they are made in the tasks' order."""
    vcpus = [t.name for t in vcpus_of(workload) if t.process == thread.process]
    if thread.name not in vcpus:
        return []
    k = vcpus.index(thread.name)
    return plan.image.get((thread.process, "vcpu"), [])[k : k + 1]


def image_accesses(plan: Plan, workload: Workload, thread: Task | Churn) -> list[dict[str, Any]]:
    """List what a thread touches of the program; before its own accesses, all the time."""
    process = thread.process
    index = threads_of(workload, process).index(thread.name)
    if index:
        stacks = plan.image.get((process, "thread-stack"), [])[::-1][index - 1 : index]
    else:
        stacks = plan.image.get((process, "stack"), [])
    kinds = [*_SHARED_WITH_PARENT, "shared"] + ([] if index else ["main-heap"])
    used = [g for kind in kinds for g in plan.image.get((process, kind), [])]
    vcpu = any(t.name == thread.name for t in vcpus_of(workload))
    used += _vcpu_page(plan, workload, thread)
    speed = workload.machine.speed
    rows = [_image_access(g, plan.segments[g], True, vcpu, speed) for g in stacks]
    return rows + [_image_access(g, plan.segments[g], False, vcpu, speed) for g in used]
