"""From the trace of a recorded run to tables: chunks walked, VMAs skipped, notifications sent.

A notification is one event of ``kvm_unmap_hva_range``, which KVM traces for every MMU
notifier range of the process that owns the guest, whatever the guest maps. It is by a
``scan`` when its thread is inside change_prot_numa(), by a ``migrate`` when the migration of
a page by a hint fault follows (``mm_migrate_pages``, reason numa_misplaced), else ``other``:
a copy on write, a kernel thread that compacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numalab.captures import runlog
from numalab.captures.start import AddressSpace
from numalab.dataset import REASONS, WHYS
from numalab.model.layout import Setup, threads_of
from numalab.units import PAGE_BYTES
from numalab.workload import Workload

_CHUNK = ("ms", "scan", "task", "vma", "start", "pages", "updated")
_NOTIFY = ("ms", "task", "vma", "start", "pages", "why", "chunk")
_SCAN, _MIGRATE, _OTHER = range(len(WHYS))


class _Reader:
    """Goes through the trace once and remembers what is open in each thread."""

    def __init__(
        self, workload: Workload, setup: Setup, vmas: Sequence[str], tasks: Sequence[str]
    ) -> None:
        self.vmas = list(vmas)
        self.spaces = {p.name: AddressSpace(p, workload) for p in setup.processes}
        self.owner = {
            pid: (tasks.index(task), process.name)
            for process in setup.processes
            for task, pid in zip(threads_of(workload, process.name), process.pids, strict=True)
        }
        self.guests = {
            name: sum(v.subscriber == "kvm" for v in workload.vmas if v.process == name)
            for name in self.spaces
        }
        self.chunks: list[list[float]] = []
        self.notices: list[tuple[float, ...]] = []
        self.skips = np.zeros((len(vmas), len(REASONS)), dtype=np.int64)
        self._open: dict[int, int] = {}
        self._bounds: dict[int, tuple[int, int]] = {}
        self._new_scan = set(self.owner)
        self._number: dict[int, int] = {}
        self._scans = 0
        self._traced: dict[int, int] = {}

    def read(self, event: runlog.Event) -> None:
        """Take one event; of threads that are not the workload's only notifications count."""
        tid = event.tid
        if event.name == runlog.NOTIFIED:
            self._notification(event)
        elif tid not in self.owner:
            return
        elif event.name == "scan":
            self._new_scan.add(tid)
        elif event.name == "chunk":
            self._chunk(event)
        elif event.name == "chunk_end" and tid in self._open:
            self.chunks[self._open.pop(tid)][-1] = event.fields["n"]
        elif event.name == "sched_skip_vma_numa" and event.reason in REASONS:
            self._skip(event)

    def _chunk(self, event: runlog.Event) -> None:
        tid, value = event.tid, event.fields
        task, process = self.owner[tid]
        if tid in self._new_scan:
            self._number[tid], self._scans = self._scans, self._scans + 1
            self._new_scan.discard(tid)
        self._bounds[tid] = (value["vm_start"], value["vm_end"])
        label, page = self.spaces[process].locate(value["start"], *self._bounds[tid])
        pages = (value["end"] - value["start"]) // PAGE_BYTES
        self._open[tid] = len(self.chunks)
        row = [event.ms, self._number[tid], task, self.vmas.index(label), page, pages, 0]
        self.chunks.append(row)

    def _skip(self, event: runlog.Event) -> None:
        start, end = event.fields["vm_start"], event.fields["vm_end"]
        label, _ = self.spaces[self.owner[event.tid][1]].locate(start, start, end)
        if event.reason == "inaccessible" and label == "image:other":
            label = "image:guards"
        self.skips[self.vmas.index(label), REASONS.index(event.reason)] += 1

    def _notification(self, event: runlog.Event) -> None:
        """Take an event of KVM, which traces a notification once for each guest of a process."""
        tid = event.tid
        start, end = event.fields["start"], event.fields["end"]
        task, process = self.owner.get(tid) or (-1, self._process_with(start, end))
        traced = self._traced.get(tid, 0) + event.fields["calls"]
        calls, self._traced[tid] = divmod(traced, self.guests[process] or 1)
        chunk = self._open.get(tid, -1)
        why = _SCAN if chunk >= 0 else _MIGRATE if event.reason == "migrate" else _OTHER
        bounds = self._bounds[tid] if chunk >= 0 else (start, end)
        label, page = self.spaces[process].locate(start, *bounds)
        pages = (end - start) // PAGE_BYTES
        row = (event.ms, task, self.vmas.index(label), page, pages, why, chunk)
        self.notices += [row] * calls

    def _process_with(self, start: int, end: int) -> str:
        """Process with a guest that has something mapped there, else the first with a guest."""
        names = [name for name, guests in self.guests.items() if guests]
        for name in names:
            if self.spaces[name].locate(start, start, end)[0] != "image:other":
                return name
        return names[0]


def scans(
    log: runlog.RunLog, workload: Workload, setup: Setup, vmas: Sequence[str], tasks: Sequence[str]
) -> dict[str, Any]:
    """Return the variables of the schema that the trace of a run gives.

    Parameters
    ----------
    log : RunLog
    workload : Workload
    setup : Setup
        Where everything stood at the start.
    vmas, tasks : sequence of str
        The labels that the tables point into.
    """
    reader = _Reader(workload, setup, vmas, tasks)
    for event in log.events:
        if 0 <= event.ms <= workload.duration_ms:
            reader.read(event)
    table = np.array(reader.chunks, dtype=np.float64).reshape(-1, len(_CHUNK))
    chunks = dict(zip(_CHUNK, table.T, strict=True))
    vma = chunks["vma"].astype(np.int64)
    variables: dict[str, Any] = {f"chunk_{name}": column for name, column in chunks.items()}
    variables["scan_calls"] = np.bincount(vma, minlength=len(vmas))
    variables["scan_pages"] = np.bincount(vma, weights=chunks["pages"], minlength=len(vmas))
    missing = log.get("missing", "")
    if "sched_skip_vma_numa" not in missing:
        variables["skips"] = reader.skips
    if "guests" in log and runlog.NOTIFIED not in missing:
        variables |= _notices(reader, chunks["updated"])
    return variables


def _notices(reader: _Reader, updated: np.ndarray) -> dict[str, Any]:
    """Return the table of notifications and the counts of it."""
    table = np.array(reader.notices, dtype=np.float64).reshape(-1, len(_NOTIFY))
    columns = dict(zip(_NOTIFY, table.T, strict=True))
    vma, pages, why, chunk = (
        columns[name].astype(np.int64) for name in ("vma", "pages", "why", "chunk")
    )
    calls = np.zeros((len(reader.vmas), len(WHYS)), dtype=np.int64)
    notified = np.zeros_like(calls)
    np.add.at(calls, (vma, why), 1)
    np.add.at(notified, (vma, why), pages)
    wasted = why == _SCAN
    wasted[wasted] = updated[chunk[wasted]] == 0
    return {
        **{f"notify_{name}": column for name, column in columns.items()},
        "notifier_calls": calls,
        "notifier_pages": notified,
        "notifier_wasted_pages": np.bincount(
            vma[wasted], weights=pages[wasted], minlength=len(reader.vmas)
        ),
    }


def guests(log: runlog.RunLog, vmas: Sequence[str]) -> dict[str, Any]:
    """Return what KVM counted for the guests: faults that filled an entry, flush requests.

    Nothing of a kernel whose debugfs does not tell.
    """
    rows = [line.split() for line in log.get("guests", "").splitlines()]
    variables: dict[str, Any] = {}
    for column, name in ((1, "refaults"), (3, "remote_flushes")):
        counts = {row[0]: int(row[column]) for row in rows}
        if counts and min(counts.values()) >= 0:
            variables[name] = [counts.get(vma, 0) for vma in vmas]
    return variables
