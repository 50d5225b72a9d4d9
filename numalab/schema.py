"""What a run counts: every variable of the Dataset, declared once.

A counter is declared here and counted in one line of :mod:`numalab.linux`: the arrays of the
engine, the Dataset, the totals of a sweep and docs/dataset.md follow. Counters are cumulative,
like the kernel's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

REASONS = (
    "unsuitable",
    "shared_ro",
    "inaccessible",
    "scan_delay",
    "pid_inactive",
    "ignore_pid_inactive",
    "seq_completed",
)
"""Reasons of the tracepoint ``sched_skip_vma_numa``, spelled as it prints them."""

WHYS = ("scan", "migrate", "other")
"""Why an MMU notifier was sent: by a scan, before it looks; by a migration; else."""

LABELS = {"why": WHYS, "reason": REASONS}
"""Labels of the dimensions that are the same in every run."""

IMAGE_VMAS = tuple(
    f"image:{kind}"
    for kind in ("text", "data", "heap", "thread-stacks", "guards", "vdso", "stack", "other")
)
"""VMAs that a process has besides the workload's own, by kind."""

EVENTS = ("chunk", "notify")
"""Dimensions of tables of events, whose length differs from run to run."""


class Variable(NamedTuple):
    """A variable of the Dataset."""

    name: str
    dims: tuple[str, ...]
    units: str
    long_name: str
    """What it is, in one line."""
    kernel: str
    """Its counterpart in the kernel, or ``none: simulator only``."""
    dtype: type[np.generic] = np.int64

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of the variable in a Dataset."""
        return {"units": self.units, "long_name": self.long_name, "kernel": self.kernel}


_NONE = "none: simulator only"
_CHUNK = "change_prot_numa()"
_RANGE = "kvm_unmap_hva_range"
_ROWS = (
    ("numa_pte_updates", ("time",), "1", "entries marked PROT_NONE, in 4 KiB", "vmstat"),
    ("numa_huge_pte_updates", ("time",), "1", "PMDs marked PROT_NONE", "vmstat"),
    ("numa_hint_faults", ("time",), "1", "hint faults", "vmstat"),
    ("numa_hint_faults_local", ("time",), "1", "hint faults on the page's node", "vmstat"),
    ("numa_pages_migrated", ("time",), "pages", "pages migrated by hint faults", "vmstat"),
    ("pgmigrate_success", ("time",), "pages", "pages migrated, all reasons", "vmstat"),
    ("pgmigrate_fail", ("time",), "pages", "pages that failed to migrate", "vmstat"),
    ("numa_scan_seq", ("time", "process"), "passes", "completed passes", "mm->numa_scan_seq"),
    ("scan_calls", ("vma",), "1", "chunks walked", f"calls of {_CHUNK}"),
    ("scan_pages", ("vma",), "pages", "length of the chunks walked", f"ranges of {_CHUNK}"),
    ("notifier_calls", ("vma", "why"), "1", "MMU notifier ranges sent", _RANGE),
    ("notifier_pages", ("vma", "why"), "pages", "length of those", _RANGE),
    ("notifier_wasted_pages", ("vma",), "pages", "of no use: scan, n = 0", _RANGE),
    ("zapped", ("vma",), "1", "entries zapped in a guest", _NONE),
    ("remote_flushes", ("vma",), "1", "guest TLB flushes", "KVM's remote_tlb_flush_requests"),
    ("cache_flushes", ("vma",), "1", "SEV rounds of WBINVD", _NONE),
    ("refaults", ("vma",), "1", "guest entries filled, first fills too", "KVM's pf_fixed"),
    ("evictions", ("vma",), "1", "GPU queues evicted", _NONE),
    ("skips", ("vma", "reason"), "1", "VMAs skipped", "sched_skip_vma_numa"),
    ("pages_on_node", ("vma", "node"), "pages", "pages at the end", "numa_maps"),
    ("sum_exec_runtime", ("task",), "ms", "CPU time at the end", "se.sum_exec_runtime", np.float64),
    ("touches", ("task",), "pages", "page touches done", "counted by the workload"),
    ("total_numa_faults", ("task",), "pages", "weighted faults", "total_numa_faults"),
    ("task_pages_migrated", ("task",), "pages", "migrated by its faults", "numa_pages_migrated"),
    ("numa_preferred_nid", ("task",), "node", "preferred node, -1 none", "numa_preferred_nid"),
    ("numa_scan_period", ("task",), "ms", "scan period at the end", _NONE),
    ("chunk_ms", ("chunk",), "ms", "when the chunk was walked", f"entry of {_CHUNK}", np.float64),
    ("chunk_scan", ("chunk",), "1", "number of the scan it is part of", "task_numa_work()"),
    ("chunk_task", ("chunk",), "index", "task that scanned, -1 other", "current"),
    ("chunk_vma", ("chunk",), "index", "VMA it lies in", "vma"),
    ("chunk_start", ("chunk",), "pages", "first page, from the VMA's start", "start"),
    ("chunk_pages", ("chunk",), "pages", "length", "end - start"),
    ("chunk_updated", ("chunk",), "1", "entries marked", f"result of {_CHUNK}"),
    ("notify_ms", ("notify",), "ms", "when the notification began", _RANGE, np.float64),
    ("notify_task", ("notify",), "index", "task that sent it", "current"),
    ("notify_vma", ("notify",), "index", "VMA it begins in", "start"),
    ("notify_start", ("notify",), "pages", "first page, from the VMA's start", "start"),
    ("notify_pages", ("notify",), "pages", "length", "end - start"),
    ("notify_why", ("notify",), "index", "cause, of the coordinate why", "who calls"),
    ("notify_chunk", ("notify",), "index", "chunk it belongs to, -1 none", f"within {_CHUNK}"),
    ("notify_zapped", ("notify",), "1", "entries zapped in a guest", _NONE),
)
SCHEMA = {row[0]: Variable(*row) for row in _ROWS}
"""Every variable by name, in the order of a Dataset."""

COUNTERS = tuple(v.name for v in SCHEMA.values() if v.dims == ("time",))
"""Counters of /proc/vmstat that both machines fill."""

PER_VMA = tuple(v for v in SCHEMA.values() if v.dims[0] == "vma" and LABELS.keys() >= {*v.dims[1:]})
"""What the engine counts for each VMA; some by cause or reason."""

vmstat = np.dtype([(name, "i8") for name in COUNTERS])
"""Record of the counters."""

counts_type = np.dtype(
    [(v.name, "i8", tuple(len(LABELS[dim]) for dim in v.dims[1:])) for v in PER_VMA]
)
"""Record of what is counted for a VMA."""


def event_type(table: str) -> np.dtype:
    """Return the record of an event: variables without the table's name, the time as ``ns``."""
    names = [v.name.removeprefix(f"{table}_") for v in SCHEMA.values() if v.dims == (table,)]
    return np.dtype([("ns" if name == "ms" else name, "i8") for name in names])
