"""Lay out a run as lists: segments, VMAs, churns and accesses, before arrays are made."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from numalab.linux import structs as st
from numalab.machine import Speed
from numalab.model import hardware as hw
from numalab.model.build import borders_of, mapping_flags, owners_of, ranges_of
from numalab.model.image import Image
from numalab.model.image_pages import image_accesses, plan_image
from numalab.model.layout import ProcessSetup
from numalab.model.segments import Plan, Segment
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC
from numalab.vma import GUESTS, SUBSCRIBERS
from numalab.workload import Access, Task, Vma, Workload


def plan_segments(plan: Plan, workload: Workload) -> None:
    """Lay out the segments of every VMA of the workload, in the order of their offsets."""
    for vma in workload.vmas:
        borders = borders_of(workload, vma)
        unit = HPAGE_PMD_NR if vma.thp else 1
        for lo, hi in itertools.pairwise(borders):
            g = len(plan.segments)
            plan.segments.append(Segment(lo, hi, unit, vma))
            plan.of_owner.setdefault(vma.name, []).append(g)
            plan.of_mapping.setdefault((vma.name, lo // vma.pages * vma.pages), []).append(g)


def plan_mappings(
    plan: Plan, workload: Workload, m: int, process: ProcessSetup, bound: bool, image: Image
) -> None:
    """Lay out the VMAs of one process, in the order of its setup; ``bound``: see the policy."""
    owners = owners_of(workload)
    vmas = {v.name: v for v in workload.vmas}
    for number, mapping in enumerate(process.mappings):
        vma = vmas.get(mapping.owner)
        found = plan.of_mapping.get((mapping.owner, mapping.offset), []) if vma else []
        if vma is None:
            found = plan_image(plan, process.name, mapping, image[m, number])
        for g in found:
            seg = plan.segments[g]
            seg.vma = len(plan.vmas)
            seg.start = mapping.start + seg.lo - mapping.offset
        plan.vmas.append(
            {
                "vm_start": mapping.start,
                "vm_end": mapping.start + mapping.pages,
                "vm_flags": mapping_flags(mapping.kind, vma, bound),
                "vm_mm": m,
                "subscriber": SUBSCRIBERS.index(vma.subscriber) if vma else 0,
                "owner": owners.index(mapping.owner),
                "offset": mapping.offset,
                "first_segment": found[0] if found else 0,
                "nr_segments": len(found),
            }
        )


def plan_churns(plan: Plan, workload: Workload) -> None:
    """Lay out a VMA and its lower guard for every churn; they come to life in the loop."""
    owners = owners_of(workload)
    processes = list(workload.process_names)
    for i, churn in enumerate(workload.churns):
        g = len(plan.segments)
        unit = HPAGE_PMD_NR if churn.thp else 1
        plan.segments.append(Segment(0, churn.pages, unit, None, start=-1, vma=len(plan.vmas)))
        base = {"vm_mm": processes.index(churn.process), "offset": 0}
        plan.vmas.append(
            {
                **base,
                "vm_flags": st.VM_PRIVATE | (st.VM_THP if churn.thp else 0),
                "owner": owners.index(churn.name),
                "first_segment": g,
                "nr_segments": 1,
            }
        )
        guard = {
            **base,
            "vm_flags": st.VM_PRIVATE | st.VM_INACCESSIBLE,
            "owner": owners.index("image:guards"),
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
                    "pattern": hw.WALK if access.pattern == "walk" else hw.RAND,
                    "first_segment": reached[0],
                    "nr_segments": len(reached),
                    "lo": plan.segments[reached[0]].lo,
                    "pages": plan.segments[reached[-1]].hi - plan.segments[reached[0]].lo,
                    "flat_out": int(access.pages_per_s == 0),
                    "pages_per_ns": access.pages_per_s * share / 1e9,
                    "share": share,
                    **times,
                    "start_ns": int(access.start_ms * NSEC_PER_MSEC),
                    "stop_ns": int(access.stop_ms * NSEC_PER_MSEC),
                }
            )
    return rows


def plan_accesses(plan: Plan, workload: Workload) -> np.ndarray:
    """List the accesses of every thread; return the pointer array."""
    ptr = [0]
    for i, thread in enumerate(workload.threads):
        rows = image_accesses(plan, workload, thread)
        if isinstance(thread, Task):
            rows += _own_accesses(plan, workload, thread)
        else:
            churn = plan.churns[i - len(workload.tasks)]
            churn["access"] = len(plan.accesses) + len(rows)
            rows.append(
                {
                    "pattern": hw.WALK if thread.pattern == "walk" else hw.RAND,
                    "first_segment": plan.vmas[churn["vma"]]["first_segment"],
                    "nr_segments": 1,
                    "pages": thread.pages,
                    "flat_out": int(thread.pages_per_s == 0),
                    "pages_per_ns": thread.pages_per_s / 1e9,
                    "touch_ns": _touch_ns(thread.pattern, workload.machine.speed),
                    "share": 1.0,
                }
            )
        plan.accesses += [{"task": i, **row} for row in rows]
        ptr.append(len(plan.accesses))
    return np.array(ptr)
