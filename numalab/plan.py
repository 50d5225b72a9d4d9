"""Lay out a run as lists: segments, VMAs, churns and accesses, before arrays are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from dataclasses import field as plain
from typing import Any

import numpy as np

from numalab import hardware as hw
from numalab.build import borders_of, mapping_flags, owners_of, ranges_of
from numalab.image import Drawn, Image
from numalab.layout import Mapping, ProcessSetup, threads_of
from numalab.linux import structs as st
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC
from numalab.workload import Churn, Task, Vma, Workload

_IMAGE_TOUCHES_PER_S = 1e4
"""A running thread touches each page of the program that it uses at least this often."""
_SHARED_WITH_PARENT = ("data", "file-data", "heap")


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

    segments: list[Segment] = plain(default_factory=list)
    vmas: list[dict[str, Any]] = plain(default_factory=list)
    accesses: list[dict[str, Any]] = plain(default_factory=list)
    churns: list[dict[str, int]] = plain(default_factory=list)
    of_owner: dict[str, list[int]] = plain(default_factory=dict)
    of_mapping: dict[tuple[str, int], list[int]] = plain(default_factory=dict)
    image: dict[tuple[str, str], list[int]] = plain(default_factory=dict)


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


def _plan_image(plan: Plan, process: str, mapping: Mapping, drawn: Drawn) -> list[int]:
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


def plan_mappings(
    plan: Plan, workload: Workload, m: int, process: ProcessSetup, image: Image
) -> None:
    """Lay out the VMAs of one process, in the order of its setup."""
    owners = owners_of(workload)
    vmas = {v.name: v for v in workload.vmas}
    for number, mapping in enumerate(process.mappings):
        vma = vmas.get(mapping.owner)
        found = plan.of_mapping.get((mapping.owner, mapping.offset), []) if vma else []
        if vma is None:
            found = _plan_image(plan, process.name, mapping, image[m, number])
        for g in found:
            seg = plan.segments[g]
            seg.vma = len(plan.vmas)
            seg.start = mapping.start + seg.lo - mapping.offset
        plan.vmas.append(
            {
                "vm_start": mapping.start,
                "vm_end": mapping.start + mapping.pages,
                "vm_flags": mapping_flags(mapping.kind, vma),
                "vm_mm": m,
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
            }
        )


def _own_accesses(plan: Plan, workload: Workload, task: Task) -> list[dict[str, Any]]:
    vmas = {v.name: v for v in workload.vmas}
    rows = []
    for access in task.access:
        found = plan.of_owner[access.vma]
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
                    "start_ns": int(access.start_ms * NSEC_PER_MSEC),
                    "stop_ns": int(access.stop_ms * NSEC_PER_MSEC),
                }
            )
    return rows


def _image_access(g: int, seg: Segment, stack: bool) -> dict[str, Any]:
    pages = sum(seg.present)
    return {
        "pattern": hw.RAND,
        "first_segment": g,
        "nr_segments": 1,
        "pages": pages,
        "pages_per_ns": pages * _IMAGE_TOUCHES_PER_S / 1e9,
        "stop_ns": 1 << 62,
        "image": 2 if seg.in_batch and not stack else 1,
    }


def _image_accesses(plan: Plan, workload: Workload, thread: Task | Churn) -> list[dict[str, Any]]:
    """List what a thread touches of the program; before its own accesses, all the time."""
    process = thread.process
    index = threads_of(workload, process).index(thread.name)
    if index:
        stacks = plan.image.get((process, "thread-stack"), [])[::-1][index - 1 : index]
    else:
        stacks = plan.image.get((process, "stack"), [])
    kinds = [*_SHARED_WITH_PARENT, "shared"] + ([] if index else ["main-heap"])
    used = [g for kind in kinds for g in plan.image.get((process, kind), [])]
    rows = [_image_access(g, plan.segments[g], True) for g in stacks]
    return rows + [_image_access(g, plan.segments[g], False) for g in used]


def plan_accesses(plan: Plan, workload: Workload) -> np.ndarray:
    """List the accesses of every thread; return the pointer array."""
    ptr = [0]
    for i, thread in enumerate(workload.threads):
        rows = _image_accesses(plan, workload, thread)
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
                    "share": 1.0,
                }
            )
        plan.accesses += [{"task": i, **row} for row in rows]
        ptr.append(len(plan.accesses))
    return np.array(ptr)
