"""The one Dataset that the model and the recorder both return.

The schema is a table: every variable says its dimensions, its unit and what it is in
the kernel, or ``simulator only``. Counters are cumulative, like the kernel's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numalab.fields import InputError

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

IMAGE_VMAS = (
    "image:text",
    "image:data",
    "image:heap",
    "image:thread-stacks",
    "image:guards",
    "image:vdso",
    "image:stack",
    "image:other",
)
"""VMAs that a process has besides the workload's own, by kind."""

WHYS = ("scan", "migrate", "other")
"""Why an MMU notifier was sent: by a scan, before it looks; by a migration; else."""

COUNTERS = (
    "numa_pte_updates",
    "numa_huge_pte_updates",
    "numa_hint_faults",
    "numa_hint_faults_local",
    "numa_pages_migrated",
    "pgmigrate_success",
    "pgmigrate_fail",
)
"""Counters of /proc/vmstat that both machines fill, in this order."""

_CHUNK = "change_prot_numa()"
SCHEMA: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "numa_pte_updates": (("time",), "1", "entries marked PROT_NONE, in 4 KiB", "vmstat"),
    "numa_huge_pte_updates": (("time",), "1", "PMDs marked PROT_NONE", "vmstat"),
    "numa_hint_faults": (("time",), "1", "hint faults", "vmstat"),
    "numa_hint_faults_local": (("time",), "1", "hint faults on the page's node", "vmstat"),
    "numa_pages_migrated": (("time",), "pages", "pages migrated by hint faults", "vmstat"),
    "pgmigrate_success": (("time",), "pages", "pages migrated, all reasons", "vmstat"),
    "pgmigrate_fail": (("time",), "pages", "pages that failed to migrate", "vmstat"),
    "numa_scan_seq": (("time", "process"), "passes", "completed passes", "mm->numa_scan_seq"),
    "scan_calls": (("vma",), "1", "chunks walked", f"calls of {_CHUNK}"),
    "scan_pages": (("vma",), "pages", "length of the chunks walked", f"ranges of {_CHUNK}"),
    "notifier_calls": (("vma", "why"), "1", "MMU notifier ranges sent", "kvm_unmap_hva_range"),
    "notifier_pages": (("vma", "why"), "pages", "length of those", "kvm_unmap_hva_range"),
    "notifier_wasted_pages": (("vma",), "pages", "of no use: scan, n = 0", "kvm_unmap_hva_range"),
    "zapped": (("vma",), "1", "entries zapped in a guest", "none: simulator only"),
    "remote_flushes": (("vma",), "1", "guest TLB flushes", "KVM's remote_tlb_flush_requests"),
    "cache_flushes": (("vma",), "1", "SEV rounds of WBINVD", "none: simulator only"),
    "refaults": (("vma",), "1", "guest entries filled, first fills too", "KVM's pf_fixed"),
    "evictions": (("vma",), "1", "GPU queues evicted", "none: simulator only"),
    "skips": (("vma", "reason"), "1", "VMAs skipped", "sched_skip_vma_numa"),
    "pages_on_node": (("vma", "node"), "pages", "pages at the end", "numa_maps"),
    "sum_exec_runtime": (("task",), "ms", "CPU time at the end", "se.sum_exec_runtime"),
    "touches": (("task",), "pages", "page touches done", "counted by the workload"),
    "total_numa_faults": (("task",), "pages", "weighted faults", "total_numa_faults"),
    "numa_preferred_nid": (("task",), "node", "preferred node, -1 none", "numa_preferred_nid"),
    "numa_scan_period": (("task",), "ms", "scan period at the end", "none: simulator only"),
    "chunk_ms": (("chunk",), "ms", "when the chunk was walked", f"entry of {_CHUNK}"),
    "chunk_scan": (("chunk",), "1", "number of the scan it is part of", "task_numa_work()"),
    "chunk_task": (("chunk",), "index", "task that scanned, -1 other", "current"),
    "chunk_vma": (("chunk",), "index", "VMA it lies in", "vma"),
    "chunk_start": (("chunk",), "pages", "first page, from the VMA's start", "start"),
    "chunk_pages": (("chunk",), "pages", "length", "end - start"),
    "chunk_updated": (("chunk",), "1", "entries marked", f"result of {_CHUNK}"),
    "notify_ms": (("notify",), "ms", "when the notification began", "kvm_unmap_hva_range"),
    "notify_task": (("notify",), "index", "task that sent it", "current"),
    "notify_vma": (("notify",), "index", "VMA it begins in", "start"),
    "notify_start": (("notify",), "pages", "first page, from the VMA's start", "start"),
    "notify_pages": (("notify",), "pages", "length", "end - start"),
    "notify_why": (("notify",), "index", "cause, of the coordinate why", "who calls"),
    "notify_chunk": (("notify",), "index", "chunk it belongs to, -1 none", f"within {_CHUNK}"),
    "notify_zapped": (("notify",), "1", "entries zapped in a guest", "none: simulator only"),
}

SECONDARY = ("zapped", "remote_flushes", "cache_flushes", "refaults", "evictions")
"""What secondary MMUs do, in the order of the numbers in :mod:`numalab.linux.mmu_notifier`."""
_TABLES = ("chunk", "notify")
"""Dimensions of tables of events, whose length differs from run to run."""
_FLOATS = {"sum_exec_runtime", "chunk_ms", "notify_ms"}


def make(
    variables: Mapping[str, Any], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Build a Dataset of the schema from one run.

    Parameters
    ----------
    variables : mapping
        Name of the schema to array; integers are stored as int64.
    coords : mapping
        ``time`` [ms], ``process``, ``vma``, ``task``, ``node``; ``reason`` and ``why`` are added.
    attrs : mapping
        The birth certificate; stored as one JSON string in ``attrs["provenance"]``.

    Returns
    -------
    xarray.Dataset
        With ``source`` = ``simulated`` or ``recorded`` among its attributes.

    Raises
    ------
    KeyError
        For a variable that the schema does not know.
    """
    data = {}
    for name, values in variables.items():
        dims, *_ = SCHEMA[name]
        data[name] = xr.Variable(dims, np.asarray(values, dtype=_dtype(name)), _about(name))
    return _labelled(data, coords, attrs)


def make_runs(
    runs: Sequence[Mapping[str, Any]], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Build one Dataset from many runs of a workload: what :func:`concat` makes of them, at once.

    Arguments are those of :func:`make`, with the variables of each run.

    Returns
    -------
    xarray.Dataset
        ``replicate`` in front; tables of events are padded with -1.

    Raises
    ------
    InputError
        Without any run.
    KeyError
        For a variable that the schema does not know, or that not all runs have.
    """
    if not runs:
        raise InputError("no runs to join")
    for run in runs:
        if odd := run.keys() ^ runs[0].keys():
            raise KeyError(f"not in all runs: {', '.join(sorted(odd))}")
    data = {}
    for name in runs[0]:
        dims, *_ = SCHEMA[name]
        arrays = [np.asarray(run[name], dtype=_dtype(name)) for run in runs]
        if dims[0] in _TABLES:
            longest = max(map(len, arrays))
            arrays = [
                np.pad(a, (0, longest - len(a)), constant_values=-1) if len(a) < longest else a
                for a in arrays
            ]
        data[name] = xr.Variable(("replicate", *dims), np.stack(arrays), _about(name))
    return _labelled(data, {**coords, "replicate": np.arange(len(runs))}, attrs)


def _dtype(name: str) -> type[np.generic]:
    return np.float64 if name in _FLOATS else np.int64


def _about(name: str) -> dict[str, str]:
    return dict(zip(("units", "long_name", "kernel"), SCHEMA[name][1:], strict=True))


def _labelled(
    data: Mapping[str, xr.Variable], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    ds = xr.Dataset(data, coords={**coords, "reason": list(REASONS), "why": list(WHYS)})
    ds["time"].attrs = {"units": "ms", "long_name": "time since the tasks started"}
    ds.attrs = {
        "source": str(attrs["source"]),
        "kernel": str(attrs["kernel"]),
        "provenance": json.dumps(attrs, sort_keys=True),
    }
    return ds


def provenance(ds: xr.Dataset) -> dict[str, Any]:
    """Return the birth certificate of a Dataset: parameters, versions, seed, source."""
    return dict(json.loads(ds.attrs["provenance"]))


def concat(runs: list[xr.Dataset]) -> xr.Dataset:
    """Join runs of one workload along ``replicate``; tables of events are padded with -1.

    Each Dataset holds one run, or several along ``replicate``.

    Raises
    ------
    InputError
        Without any run.
    """
    if not runs:
        raise InputError("no runs to join")
    padded = list(runs)
    for table in _TABLES:
        longest = max(ds.sizes.get(table, 0) for ds in runs)
        padded = [
            ds.pad({table: (0, longest - ds.sizes[table])}, constant_values=-1)
            if table in ds.dims and ds.sizes[table] < longest
            else ds
            for ds in padded
        ]
    joined = xr.concat(
        padded, dim="replicate", data_vars="all", join="outer", combine_attrs="override"
    )
    return joined.assign_coords(replicate=np.arange(joined.sizes["replicate"]))


def check_invariants(ds: xr.Dataset) -> None:
    """Raise if a Dataset breaks a law that holds on every machine.

    Counters never fall; local faults are at most all faults. A law about variables that
    the Dataset does not hold is not looked at.

    Raises
    ------
    AssertionError
        Naming the variable.
    """
    for name in COUNTERS:
        if name in ds and bool((ds[name].diff("time") < 0).any()):
            raise AssertionError(f"{name} falls")
    local, faults = "numa_hint_faults_local", "numa_hint_faults"
    if local in ds and faults in ds and bool((ds[local] > ds[faults]).any()):
        raise AssertionError(f"{local} exceeds {faults}")


def save(ds: xr.Dataset, path: str | Path) -> None:
    """Write a Dataset as NetCDF-4; the file appears complete or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise InputError(f"{target}: is not a regular file")
        try:
            ds.to_netcdf(part, engine="h5netcdf")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(f"{target}: cannot be written: {reason}") from None


def load(path: str | Path) -> xr.Dataset:
    """Read a Dataset written by :func:`save`.

    Raises
    ------
    InputError
        If the file is missing, truncated or not of this schema.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            loaded = ds.load()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None
    if "provenance" not in loaded.attrs:
        raise InputError(f"{path}: not a numalab Dataset (no provenance attribute)")
    return loaded
