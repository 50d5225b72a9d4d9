"""The initial world of a run: a plan becomes arrays, with the first pages in place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numalab import population as pn
from numalab.linux import structs as st
from numalab.linux.swap import batched
from numalab.model.churn import link_vmas
from numalab.model.inputs import (
    filled,
    kernel_record,
    mm_records,
    move_records,
    placed,
    scan_log,
    speed_record,
    task_row,
)
from numalab.model.layout import Setup
from numalab.model.plan import (
    Plan,
    Segment,
    plan_accesses,
    plan_churns,
    plan_mappings,
    plan_segments,
)
from numalab.model.program import Program, draw_program
from numalab.model.startup import place_pages
from numalab.model.world import (
    MAX_EVENTS,
    World,
    access_type,
    batch_type,
    churn_type,
    clock_type,
    isolation_type,
)
from numalab.policy import Policy
from numalab.records import records
from numalab.schema import vmstat
from numalab.units import PAGES_PER_MB
from numalab.vma import GUESTS
from numalab.workload import Workload

_ADDED_BEFORE_SCANS = 5
"""Pages that the recorder itself puts into each CPU's LRU batch before the first scan: in 3 of
15 boots the batches had been emptied 0.9 s after the start, as about 5 pages would do."""


class Drawn(NamedTuple):
    """What differs from run to run before it starts."""

    program: Program
    lru_added: np.ndarray
    """Folios that wait in the LRU batch of each CPU; int64[n_cpu]."""

    @classmethod
    def before(
        cls, workload: Workload, policy: Policy, setup: Setup, draws: np.random.Generator
    ) -> Drawn:
        """Draw it for a run."""
        program = draw_program(workload, setup, draws)
        return cls(program, draws.integers(0, policy.lru_batch, workload.machine.cpus))


def _first_cohorts(seg: Segment, workload: Workload, marks: list[int]) -> list[Any]:
    """Return the first pages of a segment: (node, state, pinned or in a batch, folios).

    Pages of a node came there through the batch of its first CPU, whose mark is in ``marks``. A
    guest has touched nothing.
    """
    folios = (seg.hi - seg.lo) // seg.unit
    vma = seg.owner
    if vma is None:
        return [(n, 0, marks[n] * seg.in_batch, count) for n, count in enumerate(seg.present)]
    inside = seg.lo % vma.pages
    if inside >= round(vma.pages * vma.populated):
        return [(pn.ABSENT, 0, 0, folios)]
    if vma.pin_placement == "head":
        pinned = folios if inside < round(vma.pages * vma.pinned_fraction) else 0
    else:
        share = vma.pinned_fraction / vma.populated
        pinned = round(folios * share)
    nodes = workload.machine.nodes if vma.policy == "interleave" else 1
    found = []
    state = pn.ZAPPED if vma.subscriber in GUESTS else pn.MAPPED
    for pin, count in ((1, pinned), (0, folios - pinned)):
        for i in range(nodes):
            part = count // nodes + (1 if i < count % nodes else 0)
            found.append(((vma.first_touch_node + i) % workload.machine.nodes, state, pin, part))
    return found


def _populate(
    plan: Plan, workload: Workload, room: int, k: Any, lru_added: np.ndarray
) -> tuple[pn.Population, np.ndarray]:
    """Make the population; return it with the pages present of each segment."""
    reach: list[list[int]] = [[] for _ in plan.segments]
    for a, row in enumerate(plan.accesses):
        for g in range(row["first_segment"], row["first_segment"] + row["nr_segments"]):
            reach[g].append(a)
    owners, machine = [row["task"] for row in plan.accesses], workload.machine
    pop = pn.empty(room, reach, owners, len(workload.threads), machine.nodes, machine.cpus)
    for found in reach:
        if len({plan.accesses[a]["task"] for a in found}) > 1:
            for a in (a for a in found if "image" not in plan.accesses[a]):
                plan.accesses[a]["shared"] = 1
    pop.node_free[:] = machine.memory_mb * PAGES_PER_MB
    pop.lru_added[:] = lru_added
    first_cpus = range(0, machine.cpus, machine.cpus_per_node)
    marks = [int(batched(k, pop, cpu)) for cpu in first_cpus]
    segments = pop.segments
    segments["lo"] = [seg.start for seg in plan.segments]
    segments["hi"] = [seg.start + seg.hi - seg.lo for seg in plan.segments]
    segments["unit"] = [seg.unit for seg in plan.segments]
    segments["vma"] = [seg.vma for seg in plan.segments]
    segments["tracked"] = [
        seg.start >= 0 and seg.owner is None and seg.present != () for seg in plan.segments
    ]
    rows = [
        (g, *cohort)
        for g, seg in enumerate(plan.segments)
        if seg.start >= 0
        for cohort in _first_cohorts(seg, workload, marks) or [(pn.ABSENT, 0, 0, 0)]
    ]
    segments["span"] = pn.END
    present = np.zeros(len(plan.segments), np.int64)
    place_pages(pop, np.array(rows, np.int64).reshape(-1, 5), present)
    pop.lru_added[:] += _ADDED_BEFORE_SCANS
    return pop, present


def assemble(
    workload: Workload, policy: Policy, setup: Setup, room: int, draws: np.random.Generator
) -> World:
    """Build the world of a run.

    Parameters
    ----------
    workload : Workload
    policy : Policy
    setup : Setup
        The address space and clocks of every process at the start.
    room : int
        Spans beyond the first ones that the pools hold.
    draws : numpy.random.Generator
        For what differs from run to run before it starts.
    """
    return lay_out(workload, policy, setup, room, Drawn.before(workload, policy, setup, draws))


def lay_out(
    workload: Workload,
    policy: Policy,
    setup: Setup,
    room: int,
    drawn: Drawn,
    events: int = MAX_EVENTS,
) -> World:
    """Build the world of a run from what was drawn for it; see :func:`assemble`.

    Parameters
    ----------
    events : int
        Rows of the tables of chunks and of notifications.
    """
    plan = Plan()
    names = workload.process_names
    plan_segments(plan, workload)
    for m, name in enumerate(names):
        plan_mappings(plan, workload, m, setup.of(name), policy.bound, drawn.program)
    plan_churns(plan, workload)
    ptr = plan_accesses(plan, workload)
    kernel = kernel_record(workload, policy)
    pop, present = _populate(plan, workload, room, kernel[0], drawn.lru_added)
    vmas = filled(st.vm_area_struct, plan.vmas)
    mms = mm_records(workload, setup, policy)
    in_place = np.flatnonzero(vmas["vm_end"])
    link_vmas(mms, vmas, in_place[np.argsort(-vmas["vm_start"][in_place], kind="stable")])
    np.add.at(mms["rss"], vmas["vm_mm"][pop.segments["vma"]], present)
    cpus, load = placed(workload)
    rows = []
    for i, (thread, cpu) in enumerate(zip(workload.threads, cpus, strict=True)):
        own = plan.accesses[ptr[i] : ptr[i + 1]]
        mine = [row for row in own if "image" not in row]
        accesses = {
            "rated": any(not row["flat_out"] for row in mine),
            "image_access": ptr[i],
            "first_access": ptr[i + 1] - len(mine),
            "end_access": ptr[i + 1],
        }
        on = {"cpu": cpu, "node": cpu // workload.machine.cpus_per_node}
        rows.append(task_row(workload, setup, thread) | accesses | on)
    nodes, speed = workload.machine.nodes, speed_record(workload)
    if setup.scanned_before:
        speed["first_scan_ns"] = 0.0
    return World(
        records(clock_type, 1),
        kernel,
        speed,
        filled(st.task_struct, rows),
        mms,
        vmas,
        pop,
        np.array([seg.lo for seg in plan.segments], np.int64),
        filled(access_type, plan.accesses),
        records(vmstat, 1),
        scan_log(workload, events),
        np.zeros((len(rows), 4, nodes, 2), np.int64),
        records(st.numa_group, len(rows)),
        np.zeros((len(rows), 2, nodes, 2), np.int64),
        np.full(workload.machine.cpus, st.NONE),
        load,
        np.full(workload.machine.cpus, st.NONE),
        np.full(workload.machine.cpus, st.NONE),
        np.zeros(workload.machine.cpus, np.int64),
        np.zeros(workload.machine.cpus, np.int64),
        np.zeros(workload.machine.cpus),
        filled(churn_type, plan.churns),
        move_records(workload),
        np.zeros(1, np.int64),
        np.array(setup.scan_factors, np.float64),
        records(isolation_type, len(rows)),
        np.zeros(1, np.int64),
        filled(batch_type, [{"segment": st.NONE}] * workload.machine.cpus),
        workload.machine.cpus_per_node,
    )
