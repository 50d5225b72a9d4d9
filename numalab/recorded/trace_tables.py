"""From the trace of a recorded run to tables: chunks walked, VMAs skipped, notifications sent.

A notification is one event of ``kvm_unmap_hva_range``, which KVM traces for every MMU
notifier range of the process that owns the guest, whatever the guest maps. It is by a
``scan`` when its thread is inside change_prot_numa(), by a ``migrate`` when the migration of
a page by a hint fault follows (``mm_migrate_pages``, reason numa_misplaced), else ``other``:
a copy on write, a kernel thread that compacts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numalab import dataset
from numalab.recorded import runlog
from numalab.units import PAGE_BYTES
from numalab.workload import Workload

_CHUNK = ("ms", "scan", "task", "vma", "start", "pages", "updated")
_NOTIFY = ("ms", "task", "vma", "start", "pages", "why", "chunk")
_SCAN, _MIGRATE, _OTHER = range(len(dataset.WHYS))


class _Reader:
    """Goes through the trace once and remembers what is open in each thread."""

    def __init__(
        self, workload: Workload, setup: runlog.Setup, vmas: list[str], threads: list[str]
    ) -> None:
        self.vmas = vmas
        self.layouts = {p.name: runlog.Layout(p, workload) for p in setup.processes}
        self.owner = {
            t.tid: (threads.index(t.name), t.process, self.layouts[t.process])
            for t in setup.threads
        }
        self.guests = {
            name: sum(v.subscriber == "kvm" for v in workload.vmas if v.process == name)
            for name in self.layouts
        }
        self.chunks: list[list[float]] = []
        self.notices: list[tuple[float, ...]] = []
        self.skips = np.zeros((len(vmas), len(dataset.REASONS)), dtype=np.int64)
        self._open: dict[int, int] = {}
        self._bounds: dict[int, tuple[int, int]] = {}
        self._new_scan = set(self.owner)
        self._number: dict[int, int] = {}
        self._scans = 0
        self._heard: dict[int, int] = {}

    def read(self, event: runlog.Event) -> None:
        """Take one event; of threads that are not the workload's only notifications count."""
        tid, value = event.tid, event.fields
        if event.name == runlog.NOTIFIED:
            self._notified(event)
            return
        if tid not in self.owner:
            return
        task, _, layout = self.owner[tid]
        if event.name == "scan":
            self._new_scan.add(tid)
        elif event.name == "chunk":
            if tid in self._new_scan:
                self._number[tid], self._scans = self._scans, self._scans + 1
                self._new_scan.discard(tid)
            self._bounds[tid] = (value["vm_start"], value["vm_end"])
            label, page = layout.locate(value["start"], *self._bounds[tid])
            pages = (value["end"] - value["start"]) // PAGE_BYTES
            where = [task, self.vmas.index(label), page, pages]
            self._open[tid] = len(self.chunks)
            self.chunks.append([event.ms, self._number[tid], *where, 0])
        elif event.name == "chunk_end" and tid in self._open:
            self.chunks[self._open.pop(tid)][-1] = value["n"]
        elif event.name == "sched_skip_vma_numa" and event.reason in dataset.REASONS:
            start, end = value["vm_start"], value["vm_end"]
            label, _ = layout.locate(start, start, end)
            if event.reason == "inaccessible" and label == "image:other":
                label = "image:guards"
            self.skips[self.vmas.index(label), dataset.REASONS.index(event.reason)] += 1

    def _notified(self, event: runlog.Event) -> None:
        tid = event.tid
        start, end = event.fields["start"], event.fields["end"]
        known = self.owner.get(tid)
        task, process, layout = known or (-1, *self._told(start, end))
        self._heard[tid] = self._heard.get(tid, 0) + event.fields["calls"]
        calls, self._heard[tid] = divmod(self._heard[tid], self.guests[process] or 1)
        chunk = self._open.get(tid, -1)
        why = _SCAN if chunk >= 0 else _MIGRATE if event.reason == "migrate" else _OTHER
        bounds = self._bounds[tid] if chunk >= 0 else (start, end)
        label, page = layout.locate(start, *bounds)
        pages = (end - start) // PAGE_BYTES
        row = (event.ms, task, self.vmas.index(label), page, pages, why, chunk)
        self.notices += [row] * calls

    def _told(self, start: int, end: int) -> tuple[str, runlog.Layout]:
        """Process with a guest that has something mapped there, else the first."""
        told = [(name, self.layouts[name]) for name, guests in self.guests.items() if guests]
        known = [x for x in told if x[1].locate(start, start, end)[0] != "image:other"]
        return (known or told)[0]


def scans(
    facts: dict[str, str],
    workload: Workload,
    setup: runlog.Setup,
    vmas: list[str],
    threads: list[str],
) -> dict[str, Any]:
    """Return the variables of the schema that the trace of a run gives.

    Parameters
    ----------
    facts : dict
        The sections of its log.
    workload : Workload
    setup : runlog.Setup
        Where everything stood at the start.
    vmas, threads : list of str
        The labels that the tables point into.
    """
    reader = _Reader(workload, setup, vmas, threads)
    for event in runlog.trace_events(facts):
        if 0 <= event.ms <= workload.duration_ms:
            reader.read(event)
    table = np.array(reader.chunks, dtype=np.float64).reshape(-1, len(_CHUNK))
    variables: dict[str, Any] = {f"chunk_{c}": table[:, i] for i, c in enumerate(_CHUNK)}
    owners = table[:, 3].astype(np.int64)
    variables["scan_calls"] = np.bincount(owners, minlength=len(vmas))
    variables["scan_pages"] = np.bincount(owners, weights=table[:, 5], minlength=len(vmas))
    missing = facts.get("missing", "")
    if "sched_skip_vma_numa" not in missing:
        variables["skips"] = reader.skips
    if "guests" in facts and runlog.NOTIFIED not in missing:
        variables |= _notices(reader, table[:, -1])
    return variables


def _notices(reader: _Reader, updated: np.ndarray) -> dict[str, Any]:
    """Return the table of notifications and the counts of it."""
    table = np.array(reader.notices, dtype=np.float64).reshape(-1, len(_NOTIFY))
    variables: dict[str, Any] = {f"notify_{c}": table[:, i] for i, c in enumerate(_NOTIFY)}
    vma, pages, why, chunk = (table[:, i].astype(np.int64) for i in (2, 4, 5, 6))
    calls = np.zeros((len(reader.vmas), len(dataset.WHYS)), dtype=np.int64)
    notified = np.zeros_like(calls)
    np.add.at(calls, (vma, why), 1)
    np.add.at(notified, (vma, why), pages)
    vain = why == _SCAN
    vain[vain] = updated[chunk[vain]] == 0
    wasted = np.bincount(vma[vain], weights=pages[vain], minlength=len(reader.vmas))
    return {
        **variables,
        "notifier_calls": calls,
        "notifier_pages": notified,
        "notifier_wasted_pages": wasted,
    }


def guests(facts: dict[str, str], vmas: list[str]) -> dict[str, Any]:
    """Return what KVM counted for the guests: faults that filled an entry, flush requests.

    Nothing of a kernel whose debugfs does not tell.
    """
    variables: dict[str, Any] = {}
    for column, name in ((1, "refaults"), (3, "remote_flushes")):
        counts = {
            line.split()[0]: int(line.split()[column])
            for line in facts.get("guests", "").splitlines()
        }
        if counts and min(counts.values()) >= 0:
            variables[name] = [counts.get(vma, 0) for vma in vmas]
    return variables
