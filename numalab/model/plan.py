"""Lay out a run as lists: segments, VMAs, churns and accesses, before arrays are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from numalab.linux import structs as st
from numalab.machine import Speed
from numalab.model.faults import RAND, WALK
from numalab.model.inputs import borders_of, mapping_flags, owners_of, ranges_of
from numalab.model.layout import Mapping, ProcessSetup
from numalab.model.program import Drawn, Program, parts_of, parts_used, touches_per_s
from numalab.model.world import AROUND_CLONE, WHILE_CLONING
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC
from numalab.vma import GUESTS, SUBSCRIBERS
from numalab.workload import Access, Churn, Task, Vma, Workload


@dataclass(slots=True)
class Segment:
    """A range of folios between two borders of accesses, before it is a record."""

    lo: int
    hi: int
    unit: int
    owner: Vma | None
    present: tuple[int, ...] = ()
    start: int = 0
    vma: int = -1
    in_batch: bool = False


@dataclass(slots=True)
class Plan:
    """What is laid out, as lists, before the arrays are made."""

    segments: list[Segment] = field(default_factory=list)
    vmas: list[dict[str, Any]] = field(default_factory=list)
    accesses: list[dict[str, Any]] = field(default_factory=list)
    churns: list[dict[str, int]] = field(default_factory=list)
    of_owner: dict[str, list[int]] = field(default_factory=dict)
    of_mapping: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    program: dict[tuple[str, str], list[int]] = field(default_factory=dict)


def plan_segments(plan: Plan, workload: Workload) -> None:
    """Lay out the segments of every VMA of the workload, in the order of their offsets."""
    accesses: dict[str, list[Access]] = {}
    for access in (access for task in workload.tasks for access in task.access):
        accesses.setdefault(access.vma, []).append(access)
    for vma in workload.vmas:
        borders = borders_of(vma, accesses.get(vma.name, ()))
        unit = HPAGE_PMD_NR if vma.thp else 1
        for lo, hi in itertools.pairwise(borders):
            g = len(plan.segments)
            plan.segments.append(Segment(lo, hi, unit, vma))
            plan.of_owner.setdefault(vma.name, []).append(g)
            plan.of_mapping.setdefault((vma.name, lo // vma.pages * vma.pages), []).append(g)


def plan_mappings(
    plan: Plan, workload: Workload, m: int, process: ProcessSetup, bound: bool, program: Program
) -> None:
    """Lay out the VMAs of one process, in the order of its setup; ``bound``: see the policy."""
    owners = {name: i for i, name in enumerate(owners_of(workload))}
    vmas = {v.name: v for v in workload.vmas}
    policy = workload.process(process.name).policy
    for number, mapping in enumerate(process.mappings):
        vma = vmas.get(mapping.owner)
        found = plan.of_mapping.get((mapping.owner, mapping.offset), []) if vma else []
        if vma is None:
            found = _plan_program(plan, process.name, mapping, program[m, number])
        for g in found:
            seg = plan.segments[g]
            seg.vma = len(plan.vmas)
            seg.start = mapping.start + seg.lo - mapping.offset
        plan.vmas.append(
            {
                "vm_start": mapping.start,
                "vm_end": mapping.start + mapping.pages,
                "vm_flags": mapping_flags(mapping.kind, vma, bound, policy),
                "vm_mm": m,
                "subscriber": SUBSCRIBERS.index(vma.subscriber) if vma else 0,
                "owner": owners[mapping.owner],
                "offset": mapping.offset,
                "first_segment": found[0] if found else 0,
                "nr_segments": len(found),
            }
        )


def _plan_program(plan: Plan, process: str, mapping: Mapping, drawn: Drawn) -> list[int]:
    """Lay out the pages of a mapping of the program."""
    first, at = len(plan.segments), 0
    for name, present, in_batch in parts_of(mapping, drawn):
        if name:
            plan.program.setdefault((process, name), []).append(len(plan.segments))
        seg = Segment(at, at + sum(present), 1, None, present, mapping.start, in_batch=in_batch)
        plan.segments.append(seg)
        at = seg.hi
    return list(range(first, len(plan.segments)))


def plan_churns(plan: Plan, workload: Workload) -> None:
    """Lay out a VMA and its lower guard for every churn; they come to life in the loop."""
    owners = {name: i for i, name in enumerate(owners_of(workload))}
    processes = list(workload.process_names)
    for i, churn in enumerate(workload.churns):
        g = len(plan.segments)
        unit = HPAGE_PMD_NR if churn.thp else 1
        plan.segments.append(Segment(0, churn.pages, unit, None, start=-1, vma=len(plan.vmas)))
        base = {"vm_mm": processes.index(churn.process), "offset": 0}
        flags = mapping_flags("anon", None, task_policy=workload.process(churn.process).policy)
        plan.vmas.append(
            {
                **base,
                "vm_flags": flags | (st.VM_THP if churn.thp else 0),
                "owner": owners[churn.name],
                "first_segment": g,
                "nr_segments": 1,
            }
        )
        guard = {
            **base,
            "vm_flags": st.VM_PRIVATE | st.VM_INACCESSIBLE,
            "owner": owners["image:guards"],
        }
        plan.vmas.append(guard)
        plan.churns.append(
            {
                "task": len(workload.tasks) + i,
                "vma": len(plan.vmas) - 2,
                "guard": len(plan.vmas) - 1,
                "pages": churn.pages,
                "gap_ns": int(churn.gap_ms * NSEC_PER_MSEC),
                "node": churn.first_touch_node,
                "pinned": churn.pinned_pages,
            }
        )


def _touch_ns(pattern: str, speed: Speed) -> float:
    return speed.touch_walk_ns if pattern == "walk" else speed.touch_rand_ns


def _times(access: Access, vma: Vma, speed: Speed) -> dict[str, float]:
    """What a touch takes: of a task, or of a vCPU."""
    if vma.subscriber not in GUESTS:
        return {"touch_ns": _touch_ns(access.pattern, speed)}
    walks = access.pattern == "walk"
    return {
        "touch_ns": speed.vcpu_touch_walk_ns if walks else speed.vcpu_touch_rand_ns,
        "refault_ns": speed.refault_huge_ns if vma.thp else speed.refault_ns,
    }


def _own_accesses(plan: Plan, workload: Workload, task: Task) -> list[dict[str, Any]]:
    vmas = {v.name: v for v in workload.vmas}
    rows = []
    for access in task.access:
        found = plan.of_owner[access.vma]
        times = _times(access, vmas[access.vma], workload.machine.speed)
        for lo, hi, share in ranges_of(access, vmas[access.vma]):
            reached = [g for g in found if lo <= plan.segments[g].lo < hi]
            rows.append(
                {
                    "pattern": WALK if access.pattern == "walk" else RAND,
                    "first_segment": reached[0],
                    "nr_segments": len(reached),
                    "lo": plan.segments[reached[0]].lo,
                    "pages": plan.segments[reached[-1]].hi - plan.segments[reached[0]].lo,
                    "flat_out": int(access.pages_per_s == 0),
                    "write": int(access.write),
                    "pinned": int(vmas[access.vma].pinned_fraction > 0),
                    "pages_per_ns": access.pages_per_s * share / 1e9,
                    "share": share,
                    **times,
                    "start_ns": int(access.start_ms * NSEC_PER_MSEC),
                    "stop_ns": int(access.stop_ms * NSEC_PER_MSEC),
                }
            )
    return rows


def _program_accesses(plan: Plan, workload: Workload, thread: Task | Churn) -> list[dict[str, Any]]:
    """List what a thread touches of the program, all the time; one that waits, at the start."""
    rate = touches_per_s(workload, thread)
    waits = isinstance(thread, Task) and thread.waits
    rows = []
    for name, which in parts_used(workload, thread):
        for g in plan.program.get((thread.process, name), [])[which]:
            seg = plan.segments[g]
            late = name == "shared" or (name == "data" and not seg.in_batch)
            rows.append(
                {
                    "touch_ns": workload.machine.speed.touch_rand_ns,
                    "pattern": RAND,
                    "first_segment": g,
                    "nr_segments": 1,
                    "pages": sum(seg.present),
                    "pages_per_ns": sum(seg.present) * rate / 1e9,
                    "stop_ns": 0 if waits else 1 << 62,
                    "image": AROUND_CLONE if late else WHILE_CLONING,
                    "write": 1,
                }
            )
    return rows


def plan_accesses(plan: Plan, workload: Workload) -> list[int]:
    """List the accesses of every thread; return the pointer array."""
    ptr = [0]
    for i, thread in enumerate(workload.threads):
        rows = _program_accesses(plan, workload, thread)
        if isinstance(thread, Task):
            rows += _own_accesses(plan, workload, thread)
        else:
            churn = plan.churns[i - len(workload.tasks)]
            churn["access"] = len(plan.accesses) + len(rows)
            rows.append(
                {
                    "pattern": WALK if thread.pattern == "walk" else RAND,
                    "first_segment": plan.vmas[churn["vma"]]["first_segment"],
                    "nr_segments": 1,
                    "pages": thread.pages,
                    "flat_out": int(thread.pages_per_s == 0),
                    "write": int(thread.write),
                    "pinned": int(thread.pinned_pages > 0),
                    "pages_per_ns": thread.pages_per_s / 1e9,
                    "touch_ns": _touch_ns(thread.pattern, workload.machine.speed),
                    "share": 1.0,
                }
            )
        plan.accesses += [{"task": i, **row} for row in rows]
        ptr.append(len(plan.accesses))
    return ptr
