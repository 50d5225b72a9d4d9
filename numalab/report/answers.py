"""What the runs of a workload come to: quantities with units, by run, by VMA and by task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from numalab import measures
from numalab.costs import read
from numalab.dataset import provenance
from numalab.measures.scans import group_by_scan
from numalab.units import HPAGE_PMD_NR, PAGES_PER_MB
from numalab.workload import Workload

RESTORE_MS = read()["eviction"].typical / 1e6
"""After this long a GPU's queues are back: evictions meanwhile are one."""


def answers(ds: xr.Dataset) -> xr.Dataset:
    """Return what is asked of runs first.

    Parameters
    ----------
    ds : xarray.Dataset
        Simulated or recorded, over ``replicate``.

    Returns
    -------
    xarray.Dataset
        Over ``replicate``, each variable with ``units`` and a ``long_name`` that says what it
        is. What the runs do not hold is left out: what needs every chunk, if the table of chunks
        is full; the times of scans, of a recording. The program's own mappings are counted too.
    """
    found = {}
    for name, units, long_name, values in (*_counted(ds), *_of_scans(ds), *_of_subscribers(ds)):
        found[name] = ("replicate", np.asarray(values), {"units": units, "long_name": long_name})
    order = [name for name in _ORDER if name in found]
    return xr.Dataset({name: found[name] for name in order}, {"replicate": ds["replicate"].values})


_ORDER = (
    "scans", "scan_ms_median", "scan_ms_95", "scan_ms_max", "passes", "walked_mb", "marked_mb",
    "walked_in_vain_mb", "notified_by_scans_mb", "notified_by_migrations_mb",
    "hint_faults_local", "hint_faults_remote", "numa_pages_migrated", "pgmigrate_fail",
    "evictions", "evictions_notified",
)  # fmt: skip
_Row = tuple[str, str, str, np.ndarray]


def _counted(ds: xr.Dataset) -> Iterator[_Row]:
    """Yield what counters say."""
    end = ds.isel(time=-1)
    faults, local = end["numa_hint_faults"].values, end["numa_hint_faults_local"].values
    marked = end["numa_pte_updates"].values / PAGES_PER_MB
    yield (
        "passes",
        "1",
        "completed passes (numa_scan_seq)",
        end["numa_scan_seq"].sum("process").values,
    )
    yield "marked_mb", "MB", "marked (numa_pte_updates)", marked
    yield "hint_faults_local", "1", "hint faults on the page's node", local
    yield "hint_faults_remote", "1", "hint faults on another node", faults - local
    for name, long_name in (
        ("numa_pages_migrated", "migrated by hint faults"),
        ("pgmigrate_fail", "failed to migrate"),
    ):
        if name in end:
            yield name, "pages", long_name, end[name].values
    if "scan_pages" in ds:
        walked = ds["scan_pages"].sum("vma").values / PAGES_PER_MB
        yield "walked_mb", "MB", "walked by scans", walked


def _of_scans(ds: xr.Dataset) -> Iterator[_Row]:
    """Yield what the table of chunks says."""
    if "chunk_scan" not in ds or provenance(ds).get("chunks_dropped"):
        return
    live = ds["chunk_pages"].values >= 0
    vain = (ds["chunk_pages"].values * (live & (ds["chunk_updated"].values == 0))).sum(axis=1)
    scan = ds["chunk_scan"].values
    count = [len(np.unique(row[on])) for row, on in zip(scan, live, strict=True)]
    yield "scans", "1", "scans that walked a chunk", np.array(count)
    yield "walked_in_vain_mb", "MB", "walked in vain, nothing marked", vain / PAGES_PER_MB
    if ds.attrs["source"] != "simulated":
        return
    times = [scan_times(run) for run in runs_of(ds)]
    for name, words, share in (
        ("median", "median", 0.5), ("95", "95 % of them below", 0.95), ("max", "longest", 1.0),
    ):  # fmt: skip
        values = np.array([np.quantile(one, share) if one.size else np.nan for one in times])
        yield f"scan_ms_{name}", "ms", f"time of a scan, {words}", values


def _of_subscribers(ds: xr.Dataset) -> Iterator[_Row]:
    """Yield what subscribers were told; nothing if there are none."""
    if "notifier_pages" not in ds or not _subscribed(ds):
        return
    of = ds["notifier_pages"].sel(vma=_subscribed(ds)).sum("vma") / PAGES_PER_MB
    for why, words in (("scan", "scans"), ("migrate", "migrations")):
        yield f"notified_by_{words}_mb", "MB", f"notified by {words}", of.sel(why=why).values
    if "evictions" in ds and int(ds["evictions"].sum()):
        one = [measures.evictions(run, restore_ms=RESTORE_MS)["evictions"] for run in runs_of(ds)]
        words = f"evictions of GPU queues (out for {RESTORE_MS:g} ms), at most"
        yield "evictions", "1", words, np.array(one)
        every = ds["evictions"].sum("vma").values
        yield "evictions_notified", "1", "notifications that evict GPU queues", every


def _subscribed(ds: xr.Dataset) -> list[str]:
    if not isinstance(provenance(ds).get("workload"), dict):
        return []
    return [v.name for v in measures.workload_of(ds).vmas if v.subscriber != "none"]


def runs_of(ds: xr.Dataset) -> list[xr.Dataset]:
    """Return each run."""
    return [ds.isel(replicate=i) for i in range(ds.sizes["replicate"])]


def scan_times(run: xr.Dataset) -> np.ndarray:
    """Time that each scan of a simulated run takes; float64[n_scan] [ms].

    A chunk takes until the next one of its scan begins; the last one what ``machine.speed`` says
    of its pages. The random spread of a whole scan (``scan_spread``) is not in it.
    """
    live = np.flatnonzero(run["chunk_pages"].values >= 0)
    scan, at = run["chunk_scan"].values[live], run["chunk_ms"].values[live]
    same = np.zeros(len(live), bool)
    same[:-1] = scan[1:] == scan[:-1]
    until = np.append(at[1:], 0.0)
    took = np.where(same, until - at, _by_speed(run, live, measures.workload_of(run)))
    return group_by_scan(scan, {"ms": took})[1]["ms"]


def _by_speed(run: xr.Dataset, live: np.ndarray, w: Workload) -> np.ndarray:
    """What chunks take by ``machine.speed``; float64[n_chunk] [ms]. Of the program's mappings
    only the entries that are marked count, as most of their pages are not there."""
    speed, vma = w.machine.speed, run["chunk_vma"].values[live]
    marked, pages = run["chunk_updated"].values[live], run["chunk_pages"].values[live]
    names = [str(name) for name in run["vma"].values]
    own = {v.name: (v.populated, v.thp) for v in w.vmas} | {c.name: (1.0, c.thp) for c in w.churns}
    there = np.array([own.get(name, (0.0, False))[0] for name in names])[vma]
    unit = np.array([HPAGE_PMD_NR if own.get(n, (0, False))[1] else 1 for n in names])[vma]
    looks = np.maximum(pages * there, marked) / unit
    ns = speed.scan_call_ns + looks * speed.scan_page_ns + marked / unit * speed.pte_update_ns
    return np.asarray(ns / 1e6)


def skips(ds: xr.Dataset) -> list[tuple[str, str, np.ndarray]]:
    """List (VMA, reason, times in each run) of what scans skipped, most often skipped first."""
    if "skips" not in ds:
        return []
    names, reasons = ds["vma"].values, ds["reason"].values
    each = ds["skips"].transpose("vma", "reason", "replicate").values
    found = [(str(names[i]), str(reasons[j]), each[i, j]) for i, j in np.argwhere(each.any(axis=2))]
    return sorted(found, key=lambda one: -float(np.median(one[2])))


def of_tasks(ds: xr.Dataset) -> xr.Dataset:
    """Return CPU time, touches and scans of each task; over ``replicate`` and ``task``."""
    found = ds[[name for name in ("sum_exec_runtime", "touches") if name in ds]]
    if "chunk_task" not in ds or provenance(ds).get("chunks_dropped"):
        return found
    count = np.zeros((ds.sizes["replicate"], ds.sizes["task"]), np.int64)
    for i in range(len(count)):
        scan, task = ds["chunk_scan"].values[i], ds["chunk_task"].values[i]
        first = np.unique(scan[task >= 0], return_index=True)[1]
        count[i] = np.bincount(task[task >= 0][first], minlength=ds.sizes["task"])
    attrs = {"units": "1", "long_name": "scans that walked a chunk"}
    return found.assign(scans=(("replicate", "task"), count, attrs))
