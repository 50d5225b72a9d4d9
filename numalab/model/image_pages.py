"""The pages of the recorder's program that its threads use besides the workload's own."""

from __future__ import annotations

from typing import Any

from numalab.machine import Speed
from numalab.model import hardware as hw
from numalab.model.image import Drawn
from numalab.model.layout import Mapping, threads_of, vcpus_of
from numalab.model.segments import Plan, Segment
from numalab.workload import Churn, Task, Workload

_IMAGE_TOUCHES_PER_S = 1e4
"""A running thread touches each page of the program that it uses at least this often."""
_GUEST_BATCH = 4096
"""Touches of a vCPU between two looks of its thread at the program's own pages."""
_SHARED_WITH_PARENT = ("data", "file-data", "heap")


def plan_image(plan: Plan, process: str, mapping: Mapping, drawn: Drawn) -> list[int]:
    """Lay out the present pages of a mapping of the program: in use, and not."""
    kind = mapping.kind
    rest = "main-heap" if kind == "heap" else kind
    found = []
    at = 0
    for name, count, in_batch in (
        (kind, drawn.last, True),
        (rest, drawn.in_use, False),
        ("", drawn.idle, False),
    ):
        if sum(count):
            if name:
                plan.image.setdefault((process, name), []).append(len(plan.segments))
            found.append(len(plan.segments))
            seg = Segment(at, at + sum(count), 1, None, count, mapping.start)
            seg.in_batch = in_batch
            plan.segments.append(seg)
            at += sum(count)
    return found


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
