"""From the trace of a recorded run to tables: chunks walked, VMAs skipped, notifications sent.

A notification is one event of ``kvm_unmap_hva_range``, which KVM traces for every MMU
notifier range of the process that owns the guest, whatever the guest maps. It is by a
``scan`` when its thread is inside change_prot_numa(), by a ``migrate`` when the migration of
a page by a hint fault follows (``mm_migrate_pages``, reason numa_misplaced), else ``other``:
a copy on write, a kernel thread that compacts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numalab.captures import runlog
from numalab.captures.start import MAX_ADDRESS, AddressSpace
from numalab.fields import InputError
from numalab.model.layout import Setup, threads_of
from numalab.schema import REASONS, WHYS
from numalab.units import PAGE_BYTES
from numalab.workload import Workload

_CHUNK = ("ms", "scan", "task", "vma", "start", "pages", "updated")
_NOTIFY = ("ms", "task", "vma", "start", "pages", "why", "chunk")
MAX_NOTICES = 1 << 20
"""Of a run: the largest known has 42 181."""
_SCAN, _MIGRATE, _OTHER = range(len(WHYS))


@dataclass(slots=True)
class _Thread:
    """What is open in a thread while the trace is read; ``task`` -1: not the workload's."""

    task: int = -1
    process: str = ""
    scan: int = -1
    scan_begins: bool = True
    chunk: int = -1
    vma: tuple[int, int] = (0, 0)
    traced: int = 0


class _Tables:
    """Takes the events of a trace, one after the other, and fills the tables."""

    def __init__(
        self, workload: Workload, setup: Setup, vmas: Sequence[str], tasks: Sequence[str]
    ) -> None:
        self._vmas = {name: i for i, name in enumerate(vmas)}
        self._spaces = {p.name: AddressSpace(p, workload) for p in setup.processes}
        numbers = {name: i for i, name in enumerate(tasks)}
        self._threads = {
            pid: _Thread(task=numbers[name], process=p.name)
            for p in setup.processes
            for name, pid in zip(threads_of(workload, p.name), p.pids, strict=True)
        }
        hosts = Counter(v.process for v in workload.vmas if v.subscriber == "kvm")
        self._guests = {name: hosts[name] for name in self._spaces if hosts[name]}
        self._scans = itertools.count()
        self.chunks: list[list[float]] = []
        self.notices: list[tuple[float, ...]] = []
        self.skips = np.zeros((len(vmas), len(REASONS)), dtype=np.int64)

    def add(self, event: runlog.Event) -> None:
        """Take an event; of threads that are not the workload's only notifications count."""
        if event.name == runlog.NOTIFIED:
            self._notification(event, self._threads.setdefault(event.tid, _Thread()))
            return
        thread = self._threads.get(event.tid)
        if thread is None or thread.task < 0:
            return
        if event.name == "scan":
            thread.scan_begins = True
        elif event.name == "chunk":
            self._chunk(event, thread)
        elif event.name == "chunk_end" and thread.chunk >= 0:
            chunk = self.chunks[thread.chunk]
            if event.fields["n"] > chunk[-2]:
                raise InputError(f"chunk_end marks {event.fields['n']} of {chunk[-2]:g} pages")
            chunk[-1] = event.fields["n"]
            thread.chunk = -1
        elif event.name == "sched_skip_vma_numa" and event.reason in REASONS:
            start, end = event.fields["vm_start"], event.fields["vm_end"]
            label, _ = self._spaces[thread.process].locate(start, start, end)
            if event.reason == "inaccessible" and label == "image:other":
                label = "image:guards"
            self.skips[self._vmas[label], REASONS.index(event.reason)] += 1

    def _chunk(self, event: runlog.Event, thread: _Thread) -> None:
        if thread.scan_begins:
            thread.scan, thread.scan_begins = next(self._scans), False
        low, high = event.fields["vm_start"], event.fields["vm_end"]
        if not low <= event.fields["start"] <= event.fields["end"] <= high <= MAX_ADDRESS:
            raise InputError(
                f"chunk at {event.ms:.3f} ms: not inside its VMA, {low:#x} to {high:#x}"
            )
        thread.vma = (low, high)
        thread.chunk = len(self.chunks)
        where = self._where(event, thread.process, thread.vma)
        self.chunks.append([event.ms, thread.scan, thread.task, *where, 0])

    def _notification(self, event: runlog.Event, thread: _Thread) -> None:
        """Take an event of KVM, which traces a notification once for each guest of a process."""
        span = (event.fields["start"], event.fields["end"])
        process = thread.process or self._process_at(*span)
        thread.traced += event.fields["calls"]
        calls, thread.traced = divmod(thread.traced, self._guests.get(process, 1))
        if len(self.notices) + calls > MAX_NOTICES:
            raise InputError(f"more than {MAX_NOTICES} notifications: record a shorter run")
        scanning = thread.chunk >= 0
        why = _SCAN if scanning else _MIGRATE if event.reason == "migrate" else _OTHER
        where = self._where(event, process, thread.vma if scanning else span)
        self.notices += [(event.ms, thread.task, *where, why, thread.chunk)] * calls

    def _where(
        self, event: runlog.Event, process: str, vma: tuple[int, int]
    ) -> tuple[int, int, int]:
        """VMA, first page and pages of the range of an event."""
        start, end = event.fields["start"], event.fields["end"]
        if not start <= end <= MAX_ADDRESS:
            raise InputError(
                f"{event.name}: end = {end:#x}: must be from start = {start:#x} to {MAX_ADDRESS:#x}"
            )
        label, page = self._spaces[process].locate(start, *vma)
        return self._vmas[label], page, (end - start) // PAGE_BYTES

    def _process_at(self, start: int, end: int) -> str:
        """Process with a guest that has something mapped there, else the first with a guest."""
        for name in self._guests:
            if self._spaces[name].locate(start, start, end)[0] != "image:other":
                return name
        return next(iter(self._guests))


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
    tables = _Tables(workload, setup, vmas, tasks)
    for event in log.events:
        if 0 <= event.ms <= workload.duration_ms:
            tables.add(event)
    variables = _columns("chunk", _CHUNK, tables.chunks)
    vma = variables["chunk_vma"].astype(np.int64)
    variables["scan_calls"] = np.bincount(vma, minlength=len(vmas))
    pages = variables["chunk_pages"]
    variables["scan_pages"] = np.bincount(vma, weights=pages, minlength=len(vmas))
    missing = log.get("missing", "")
    if "sched_skip_vma_numa" not in missing:
        variables["skips"] = tables.skips
    if "guests" in log and runlog.NOTIFIED not in missing:
        notices = _columns("notify", _NOTIFY, tables.notices)
        variables |= notices | _notified(notices, variables["chunk_updated"], len(vmas))
    return variables


def _columns(table: str, names: Sequence[str], rows: Sequence[Any]) -> dict[str, np.ndarray]:
    values = np.array(rows, dtype=np.float64).reshape(-1, len(names))
    return {f"{table}_{name}": column for name, column in zip(names, values.T, strict=True)}


def _notified(
    notices: dict[str, np.ndarray], updated: np.ndarray, vmas: int
) -> dict[str, np.ndarray]:
    """Count notifications and their pages; those by scans that updated nothing are wasted."""
    vma, pages, why, chunk = (
        notices[f"notify_{name}"].astype(np.int64) for name in ("vma", "pages", "why", "chunk")
    )
    calls = np.zeros((vmas, len(WHYS)), dtype=np.int64)
    notified = np.zeros_like(calls)
    np.add.at(calls, (vma, why), 1)
    np.add.at(notified, (vma, why), pages)
    wasted = why == _SCAN
    wasted[wasted] = updated[chunk[wasted]] == 0
    lost = np.bincount(vma[wasted], weights=pages[wasted], minlength=vmas)
    return {
        "notifier_calls": calls,
        "notifier_pages": notified,
        "notifier_wasted_pages": lost,
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
