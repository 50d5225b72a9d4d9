"""Assemble the engine's world: segments, VMAs, accesses and the first population."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as plain
from typing import Any

import numpy as np

from numalab import hardware as hw
from numalab import population as pn
from numalab.build import (
    ScanLog,
    borders_of,
    churn_type,
    kernel_record,
    mapping_flags,
    mm_record,
    node_free,
    owners_of,
    place_tasks,
    ranges_of,
    speed_record,
    task_record,
)
from numalab.dataset import REASONS
from numalab.layout import ProcessSetup, Setup, threads_of
from numalab.linux import structs as st
from numalab.mmap import link_vma
from numalab.policy import Policy
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC
from numalab.workload import Task, Vma, Workload

MAX_CHUNKS = 1 << 16
_IMAGE_TOUCHES_PER_NS = 1e-6
"""A thread touches each page of its stack and of its data about once a millisecond."""


@dataclass(slots=True)
class _Segment:
    lo: int
    hi: int
    unit: int
    owner: Vma | None
    present: tuple[int, ...] = ()
    start: int = 0
    vma: int = -1


@dataclass(slots=True)
class _Plan:
    """What is laid out, as lists, before the arrays are made."""

    segments: list[_Segment] = plain(default_factory=list)
    vmas: list[dict[str, Any]] = plain(default_factory=list)
    accesses: list[dict[str, Any]] = plain(default_factory=list)
    churns: list[dict[str, int]] = plain(default_factory=list)
    of_owner: dict[str, list[int]] = plain(default_factory=dict)
    of_mapping: dict[tuple[str, int], list[int]] = plain(default_factory=dict)
    image: dict[tuple[str, str], list[int]] = plain(default_factory=dict)


@dataclass(slots=True)
class Assembly:
    """The world and what the loop needs beside it."""

    world: hw.World
    access_ptr: np.ndarray
    spins: np.ndarray
    churns: np.ndarray


def _plan_segments(plan: _Plan, workload: Workload) -> None:
    for vma in workload.vmas:
        borders = borders_of(workload, vma)
        unit = HPAGE_PMD_NR if vma.thp else 1
        for lo, hi in zip(borders, borders[1:], strict=False):
            g = len(plan.segments)
            plan.segments.append(_Segment(lo, hi, unit, vma))
            plan.of_owner.setdefault(vma.name, []).append(g)
            plan.of_mapping.setdefault((vma.name, lo // vma.pages * vma.pages), []).append(g)


def _plan_mappings(plan: _Plan, workload: Workload, m: int, process: ProcessSetup) -> None:
    owners = owners_of(workload)
    vmas = {v.name: v for v in workload.vmas}
    for mapping in process.mappings:
        vma = vmas.get(mapping.owner)
        found = plan.of_mapping.get((mapping.owner, mapping.offset), []) if vma else []
        if vma is None and sum(mapping.present):
            found = [len(plan.segments)]
            pages = sum(mapping.present)
            plan.segments.append(_Segment(0, pages, 1, None, mapping.present))
            key = (process.name, mapping.kind)
            plan.image.setdefault(key, []).extend(found)
        for g in found:
            seg = plan.segments[g]
            seg.vma = len(plan.vmas)
            seg.start = mapping.start + (seg.lo - mapping.offset if vma else 0)
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


def _plan_churns(plan: _Plan, workload: Workload) -> None:
    owners = owners_of(workload)
    processes = list(workload.process_names)
    for i, churn in enumerate(workload.churns):
        g = len(plan.segments)
        unit = HPAGE_PMD_NR if churn.thp else 1
        plan.segments.append(_Segment(0, churn.pages, unit, None, start=-1, vma=len(plan.vmas)))
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


def _own_accesses(plan: _Plan, workload: Workload, task: Task) -> list[dict[str, Any]]:
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


def _image_access(g: int, pages: int) -> dict[str, Any]:
    return {
        "pattern": hw.RAND,
        "first_segment": g,
        "nr_segments": 1,
        "pages": pages,
        "pages_per_ns": pages * _IMAGE_TOUCHES_PER_NS,
        "stop_ns": 1 << 62,
        "image": 1,
    }


def _plan_accesses(plan: _Plan, workload: Workload) -> np.ndarray:
    """List the accesses of every thread; return the pointer array."""
    ptr = [0]
    for i, thread in enumerate((*workload.tasks, *workload.churns)):
        if isinstance(thread, Task):
            rows = _own_accesses(plan, workload, thread)
        else:
            churn = plan.churns[i - len(workload.tasks)]
            churn["access"] = len(plan.accesses)
            rows = [
                {
                    "pattern": hw.WALK if thread.pattern == "walk" else hw.RAND,
                    "first_segment": plan.vmas[churn["vma"]]["first_segment"],
                    "nr_segments": 1,
                    "pages": thread.pages,
                    "flat_out": int(thread.pages_per_s == 0),
                    "pages_per_ns": thread.pages_per_s / 1e9,
                    "share": 1.0,
                }
            ]
        index = threads_of(workload, thread.process).index(thread.name)
        stacks = plan.image.get((thread.process, "thread-stack"), [])[::-1]
        own = stacks[index - 1 : index] if index else plan.image.get((thread.process, "stack"), [])
        for g in (*own, *plan.image.get((thread.process, "data"), [])):
            rows.append(_image_access(g, plan.segments[g].hi))
        plan.accesses += [{"task": i, **row} for row in rows]
        ptr.append(len(plan.accesses))
    return np.array(ptr)


def _fill(records: np.ndarray, rows: list[dict[str, Any]]) -> None:
    for i, row in enumerate(rows):
        for name, value in row.items():
            records[i][name] = value


def _first_cohorts(pop: pn.Population, s: int, seg: _Segment, workload: Workload) -> int:
    """Put the first pages of a segment in place; return pages present."""
    folios = (seg.hi - seg.lo) // seg.unit
    vma = seg.owner
    if vma is None:
        for node, count in enumerate(seg.present):
            pn.add(pop, s, node, pn.NO_CPUPID, 0, 0, count)
            pop.node_free[node] -= count
        return sum(seg.present)
    inside = seg.lo % vma.pages
    if inside >= round(vma.pages * vma.populated):
        pn.add(pop, s, pn.ABSENT, pn.NO_CPUPID, 0, 0, folios)
        return 0
    if vma.pin_placement == "head":
        pinned = folios if inside < round(vma.pages * vma.pinned_fraction) else 0
    else:
        share = vma.pinned_fraction / vma.populated
        pinned = round(folios * share)
    nodes = workload.machine.nodes if vma.policy == "interleave" else 1
    for pin, count in ((1, pinned), (0, folios - pinned)):
        for i in range(nodes):
            part = count // nodes + (1 if i < count % nodes else 0)
            node = (vma.first_touch_node + i) % workload.machine.nodes
            pn.add(pop, s, node, pn.NO_CPUPID, 0, pin, part)
            pop.node_free[node] -= part * seg.unit
    return folios * seg.unit


def _populate(plan: _Plan, workload: Workload, room: int) -> tuple[pn.Population, np.ndarray]:
    """Make the population; return it with the pages present of each segment."""
    reach: list[list[int]] = [[] for _ in plan.segments]
    for a, row in enumerate(plan.accesses):
        for g in range(row["first_segment"], row["first_segment"] + row["nr_segments"]):
            reach[g].append(a)
    links = [a for found in reach for a in found]
    pop = pn.empty(
        len(plan.segments) + room,
        len(plan.segments),
        [row["task"] for row in plan.accesses],
        len(links),
        len(workload.tasks) + len(workload.churns),
        workload.machine.nodes,
    )
    for found in reach:
        if len({plan.accesses[a]["task"] for a in found}) > 1:
            for a in (a for a in found if "image" not in plan.accesses[a]):
                plan.accesses[a]["shared"] = 1
    pop.access_of[: len(links)] = links
    pop.node_free[:] = node_free(workload)
    present = np.zeros(len(plan.segments), np.int64)
    at = 0
    for g, seg in enumerate(plan.segments):
        r = pop.segments[g]
        r.lo, r.hi = seg.start, seg.start + seg.hi - seg.lo
        r.unit, r.vma, r.span = seg.unit, seg.vma, pn.END
        r.first_access, r.nr_accesses = at, len(reach[g])
        at += len(reach[g])
        if seg.start < 0:
            continue
        s = pn.new_span(pop, r.lo, r.hi, g)
        r.span = s
        present[g] = _first_cohorts(pop, s, seg, workload)
        if not present[g]:
            pn.note(pop, g, 0, (seg.hi - seg.lo) // seg.unit)
    return pop, present


def assemble(workload: Workload, policy: Policy, setup: Setup, room: int) -> Assembly:
    """Build the world of a run.

    Parameters
    ----------
    workload : Workload
    policy : Policy
    setup : Setup
        The address space and clocks of every process at the start.
    room : int
        Spans beyond the first ones that the pools hold.
    """
    plan = _Plan()
    names = workload.process_names
    _plan_segments(plan, workload)
    for m, name in enumerate(names):
        _plan_mappings(plan, workload, m, setup.of(name))
    _plan_churns(plan, workload)
    ptr = _plan_accesses(plan, workload)
    pop, present = _populate(plan, workload, room)
    vmas = st.records(st.vm_area_struct, len(plan.vmas))
    _fill(vmas, plan.vmas)
    accesses = st.records(hw.access_type, len(plan.accesses))
    _fill(accesses, plan.accesses)
    churns = st.records(churn_type, len(plan.churns))
    _fill(churns, plan.churns)
    mms = st.records(st.mm_struct, len(names))
    for m, name in enumerate(names):
        mm_record(mms[m], workload, setup.of(name))
    in_place = [v for v in range(len(vmas)) if vmas[v].vm_end]
    for v in sorted(in_place, key=lambda v: -vmas[v].vm_start):
        link_vma(mms[vmas[v].vm_mm], vmas, v)
    for g, seg in enumerate(plan.segments):
        mms[vmas[seg.vma].vm_mm].rss += present[g]
    threads = (*workload.tasks, *workload.churns)
    tasks = st.records(st.task_struct, len(threads))
    for i, thread in enumerate(threads):
        task_record(tasks[i], thread, workload, setup)
        own = accesses[ptr[i] : ptr[i + 1]]
        tasks[i].rated = int(np.any((own["flat_out"] == 0) & (own["image"] == 0)))
    load = place_tasks(tasks, workload)
    owners, nodes = len(owners_of(workload)), workload.machine.nodes
    world = hw.World(
        kernel_record(workload, policy),
        speed_record(workload),
        tasks,
        mms,
        vmas,
        pop,
        np.array([seg.lo for seg in plan.segments]),
        accesses,
        st.records(st.vmstat, 1),
        ScanLog(
            np.zeros((owners, len(REASONS)), np.int64),
            *(np.zeros(owners, np.int64) for _ in range(4)),
            np.zeros((MAX_CHUNKS, 7), np.int64),
            np.zeros(1, np.int64),
            np.zeros(1, np.int64),
        ),
        np.zeros((len(threads), 4, nodes, 2), np.int64),
        st.records(st.numa_group, len(threads)),
        np.zeros((len(threads), 2, nodes, 2), np.int64),
        np.full(workload.machine.cpus, st.NONE),
        load,
        workload.machine.cpus_per_node,
    )
    spins = np.array([isinstance(t, Task) and not t.access for t in threads])
    return Assembly(world, ptr, spins, churns)
