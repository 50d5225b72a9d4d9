"""The world of a run: arrays of records that the tick loop reads and writes."""

from __future__ import annotations

from typing import Any, NamedTuple

from numalab.records import record

MAX_EVENTS = 1 << 16
"""Rows of the tables of chunks and of notifications."""

WHILE_CLONING = 1
AROUND_CLONE = 2
"""Pages of the program that a main thread uses while it makes its first thread; or that it uses
just before, when it stamps the time, and when the thread is made."""

access_type = record(
    "task pattern first_segment nr_segments lo pages position flat_out write image shared "
    "pinned start_ns stop_ns",
    floats="pages_per_ns share touch_ns refault_ns carry touches",
)
"""``lo`` and ``position`` are page offsets in the concatenated mappings of the VMA; ``image``
is 0 for an access of the workload; for pages of the program WHILE_CLONING or AROUND_CLONE, as its
main thread touches them first. ``pinned``: some of its folios are pinned.
``refault_ns`` is what a vCPU's touch of a folio costs that its guest has not mapped, 0 for other
tasks."""

churn_type = record("task vma guard access pages alive next_ns turn gap_ns node pinned")

move_type = record("task cpu at_ns done")
"""A change of CPU that the workload asks for."""

isolation_type = record("state segment source target last_cpupid pinned rest_ns")
"""The last huge folio that a task migrated (see :mod:`numalab.model.isolation`): between which
nodes, how others see it, and how long it takes from where it is unmapped [ns]."""

batch_type = record("segment mark")
"""Segment of the folios that a CPU migrated last, and that wait in its LRU batch, or NONE; their
mark (see :mod:`numalab.linux.swap`)."""

clock_type = record("jiffies now_ns elapsed_ns")
"""``now_ns`` goes on within a tick and within a scan; ``elapsed_ns`` is from the start of
the run to the start of the tick."""

walk_type = record("calls zapped updated entries seen pinned")
"""What one walk of a scan found: notifications; entries that a guest lost; pages and entries that
changed; folios present and pinned ones among them."""

alone_type = record("task cpu first_ns last_ns stamp_ns next_scan stack exact")
"""Main thread; CPU on which it runs alone, or NONE: its own; from when to when, and when it stamped
the time of the first clone [ns from the start]; jiffy of its first scan; whether the first thread's
stack is mapped; whether it scans at the one tick in this time for sure."""


class ScanLog(NamedTuple):
    """What the engine counts beside vmstat."""

    counts: Any
    """By VMA as reported: records of :data:`numalab.schema.counts_type`."""
    chunks: Any
    notices: Any
    ranges: Any
    """Room for the notifications of one walk."""
    walk: Any
    """One record of :data:`walk_type`: the walk under way."""
    rows: Any
    """One record of :data:`numalab.linux.structs.log_rows`."""


class Samples(NamedTuple):
    """Counters at the sample times of a run."""

    vmstat: Any
    """Records of :data:`numalab.schema.vmstat`, one a sample."""
    seqs: Any
    """``numa_scan_seq``; int64[n_sample, n_process]."""
    every_ns: int


class World(NamedTuple):
    """Everything the tick loop reads and writes; arrays of records and numbers."""

    clock: Any
    """One record of :data:`clock_type`."""
    k: Any
    speed: Any
    tasks: Any
    mms: Any
    vmas: Any
    pop: Any
    bases: Any
    accesses: Any
    stat: Any
    log: Any
    faults: Any
    groups: Any
    group_faults: Any
    current: Any
    cpu_load: Any
    cpu_task: Any
    """Task of each CPU that runs flat out in this tick, or NONE."""
    cpu_turn: Any
    """Task of each CPU whose turn it is, of those that run flat out or are behind, or NONE."""
    cpu_flat: Any
    """Tasks of each CPU that run flat out or are behind."""
    min_vruntime: Any
    """Of each CPU, as of the last time that a task came or went [ns]."""
    cpu_used_ns: Any
    """What others used of this tick on each CPU."""
    churns: Any
    moves: Any
    """Records of :data:`move_type`."""
    queued: Any
    """How many tasks have a scan queued; int64[1]."""
    scan_factors: Any
    """See :class:`numalab.model.layout.Setup`; float64[n]."""
    isolations: Any
    """Records of :data:`isolation_type`, one for each task."""
    open_isolations: Any
    """How many of them are under way; int64[1]."""
    batches: Any
    """Records of :data:`batch_type`, one for each CPU."""
    cpus_per_node: int
