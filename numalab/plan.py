"""Lay out a run as lists: segments, VMAs, churns and accesses, before arrays are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from dataclasses import field as plain
from typing import Any

import numpy as np

from numalab import hardware as hw
from numalab.build import borders_of, mapping_flags, owners_of, ranges_of
from numalab.layout import Mapping, ProcessSetup, threads_of
from numalab.linux import structs as st
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC
from numalab.workload import Churn, Task, Vma, Workload

_IMAGE_TOUCHES_PER_S = 1e4
"""A running thread touches each page of the program that it uses at least this often."""
_OWN = {"file-data": 3, "data": 6, "heap": 3, "stack": 2, "thread-stack": 1}
"""Present pages of the recorder's program that belong to one process alone; the rest of data
and heap is the parent's as well after a fork (copy-on-write), and so is never marked.
Measured on all three kernels, balancing off: Private_Clean + Private_Dirty in /proc/PID/smaps."""
_IN_USE = {"data": 2, "heap": 2, "stack": 1, "thread-stack": 1}
"""How many of those its threads go on touching while they run: Referenced in smaps, 0.1 ms
and 100 ms after clear_refs. One of the heap's is the main thread's own (its TLS)."""
_IN_BATCH = {"data": 1.0, "heap": 1.0, "stack": 0.5, "thread-stack": 1.0}
"""How often the one that was written last still waits in a CPU's LRU batch (see
:mod:`numalab.linux.swap`): KPF_LRU in /proc/kpageflags, fifteen boots of three kernels."""
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


def _some(present: np.ndarray, pages: int, draws: np.random.Generator) -> np.ndarray:
    """Draw pages without replacement; how many of them lie on each node."""
    return draws.multivariate_hypergeometric(present, min(pages, int(present.sum())))


def _plan_image(
    plan: Plan, process: str, mapping: Mapping, draws_state: bool, draws: np.random.Generator
) -> list[int]:
    """Lay out the present pages of a mapping of the program: in use, and not.

    ``draws_state``: threads of the process keep the state of a random generator, which
    lies on one more page of the data.
    """
    kind = mapping.kind
    present = np.array(mapping.present, dtype=np.int64)
    extra = 1 if kind == "data" and draws_state else 0
    own = present
    if kind != "shared":
        own = _some(present, _OWN.get(kind, 0) + extra, draws)
    used = own if kind == "shared" else _some(own, _IN_USE.get(kind, 0) + extra, draws)
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


def _draws_state(workload: Workload, process: str) -> bool:
    """Say whether a thread of a process draws at random: where to touch, or a lifetime."""
    return any(
        isinstance(t, Churn) or any(a.pattern != "walk" for a in t.access)
        for t in workload.threads
        if t.process == process
    )


def plan_mappings(
    plan: Plan, workload: Workload, m: int, process: ProcessSetup, draws: np.random.Generator
) -> None:
    """Lay out the VMAs of one process, in the order of its setup."""
    owners = owners_of(workload)
    vmas = {v.name: v for v in workload.vmas}
    drawing = _draws_state(workload, process.name)
    for mapping in process.mappings:
        vma = vmas.get(mapping.owner)
        found = plan.of_mapping.get((mapping.owner, mapping.offset), []) if vma else []
        if vma is None:
            found = _plan_image(plan, process.name, mapping, drawing, draws)
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
