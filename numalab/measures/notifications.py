"""What secondary MMUs are notified of, by the scan and by the minute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab.measures.run import index_of, require, workload_of
from numalab.measures.scans import Found, group_by_scan
from numalab.schema import WHYS
from numalab.units import NR_MAX_MIGRATE_PAGES_RETRY

_ROUNDING = 1e-9
"""What a length in minutes may be off by, of itself: two halves are a whole run."""
_TABLE = ("notify_ms", "notify_vma", "notify_why", "notify_pages")


def _sent(run: xr.Dataset, vma: str | None) -> np.ndarray:
    """Which rows of the table of notifications scans sent of a mapping; bool[n_notify]."""
    require(run, *_TABLE)
    mine: np.ndarray = run["notify_vma"].values == index_of(run, vma)
    return mine & (run["notify_why"].values == WHYS.index("scan"))


def _columns(run: xr.Dataset, mine: np.ndarray, per: str) -> dict[str, np.ndarray]:
    """Columns to add up; only a simulated run counts zapped entries."""
    columns = {
        f"notifications_per_{per}": np.ones(int(mine.sum())),
        f"notified_per_{per}": run["notify_pages"].values[mine],
    }
    if "notify_zapped" in run:
        columns[f"zapped_per_{per}"] = run["notify_zapped"].values[mine]
    return columns


def notified_per_scan(run: xr.Dataset, *, vma: str | None = None, since_ms: float = 0.0) -> Found:
    """Notifications that the scans of a run sent of a mapping, added up by the scan.

    Parameters
    ----------
    vma : str, optional
        Name of the mapping; else the first one.
    since_ms : float [ms]
        Only notifications from then on.

    Returns
    -------
    dict
        Over ``scan``, of those that notified any of the mapping, in order: ``sent_ms`` [ms] of
        the first notification, ``notifications_per_scan`` [1], ``notified_per_scan`` [pages],
        and, if simulated, ``zapped_per_scan`` [entries], each of which a guest fills again.
    """
    mine = _sent(run, vma) & (run["notify_ms"].values >= since_ms)
    require(run, "notify_chunk", "chunk_scan")
    scan = run["chunk_scan"].values[run["notify_chunk"].values[mine]]
    first, sums = group_by_scan(scan, _columns(run, mine, "scan"))
    sums = {"sent_ms": run["notify_ms"].values[mine][first], **sums}
    at = {"scan": np.arange(1, len(first) + 1)}
    return {name: xr.DataArray(values, dims="scan", coords=at) for name, values in sums.items()}


def longest_range(run: xr.Dataset, *, vma: str | None = None, since_ms: float = 0.0) -> Found:
    """Longest range that each scan notified of a mapping, for which a vCPU may have to wait.

    Parameters
    ----------
    vma, since_ms
        As of :func:`notified_per_scan`, which has the same scans.

    Returns
    -------
    dict
        Over ``scan``: ``range_pages`` [pages], and ``range_marked`` [pages], its share of what was
        marked in its chunk.
    """
    mine = _sent(run, vma) & (run["notify_ms"].values >= since_ms)
    require(run, "notify_chunk", "chunk_scan", "chunk_pages", "chunk_updated")
    chunk, pages = run["notify_chunk"].values[mine], run["notify_pages"].values[mine]
    scan, first = np.unique(run["chunk_scan"].values[chunk], return_index=True)
    longest = []
    for one in scan[np.argsort(first)]:
        rows = np.flatnonzero(run["chunk_scan"].values[chunk] == one)
        longest.append(rows[np.argmax(pages[rows])])
    at = np.array(longest, np.int64)
    share = pages[at] / run["chunk_pages"].values[chunk[at]].clip(min=1)
    marked = run["chunk_updated"].values[chunk[at]] * share
    found = {"range_pages": pages[at].astype(np.float64), "range_marked": marked}
    label = {"scan": np.arange(1, len(at) + 1)}
    return {name: xr.DataArray(v, dims="scan", coords=label) for name, v in found.items()}


def largest_scan(run: xr.Dataset, *, vma: str | None = None) -> Found:
    """Most pages of a mapping that one scan notified: ``largest_scan`` [pages]."""
    each = notified_per_scan(run, vma=vma)["notified_per_scan"]
    return {"largest_scan": float(np.max(np.asarray(each), initial=0.0))}


def notified_per_minute(run: xr.Dataset, *, vma: str | None = None, minutes: float = 1.0) -> Found:
    """Notifications that scans sent of a mapping in each minute of a run.

    Parameters
    ----------
    vma : str, optional
        Name of the mapping; else the first one.
    minutes : float [min]
        Length of a period, if not one minute. A last one that is not whole is left out, so
        there is none in a shorter run; what comes after the end of a run, as in a recording,
        counts in the last one.

    Returns
    -------
    dict
        Over ``minute``, the end of each period [min]: ``notifications_per_minute`` [1],
        ``notified_per_minute`` [pages], and, if simulated, ``zapped_per_minute`` [entries]: sums
        of the period, 0 if there is none.
    """
    mine = _sent(run, vma)
    duration, period = workload_of(run).duration_ms, minutes * 60_000
    count = int(duration / period * (1 + _ROUNDING))
    at = np.minimum(run["notify_ms"].values[mine], duration * (1 - _ROUNDING)) // period
    keep = (at >= 0) & (at < count)
    ends = {"minute": np.arange(1, count + 1) * minutes}
    found: Found = {}
    for name, values in _columns(run, mine, "minute").items():
        sums = np.bincount(at[keep].astype(np.int64), weights=values[keep], minlength=count)
        found[name] = xr.DataArray(sums, dims="minute", coords=ends)
    return found


def notified_halves(run: xr.Dataset, *, vma: str | None = None) -> Found:
    """Pages of a mapping that scans notified in each half of a run.

    Returns
    -------
    dict
        ``first_half``, ``second_half`` [pages].
    """
    half = workload_of(run).duration_ms / 120_000
    each = notified_per_minute(run, vma=vma, minutes=half)["notified_per_minute"]
    first, second = np.asarray(each)
    return {"first_half": float(first), "second_half": float(second)}


def notified_ranges(run: xr.Dataset, *, vma: str | None = None) -> tuple[tuple[int, int], ...]:
    """Ranges of a mapping that scans notified, in order: (first page, pages)."""
    mine = _sent(run, vma)
    require(run, "notify_start")
    start, pages = run["notify_start"].values[mine], run["notify_pages"].values[mine]
    return tuple(zip(start.tolist(), pages.tolist(), strict=True))


def evictions(run: xr.Dataset, *, restore_ms: float) -> Found:
    """Evictions of a GPU's queues; what meets queues that are out already is left out.

    Parameters
    ----------
    restore_ms : float [ms]
        How long queues are out. They are a process's: one notification of any of its registered
        mappings evicts them all.

    Returns
    -------
    dict
        ``evictions`` [1]: exact as far as scans send them, and at most so many with those of
        migrations, of which a run holds only how many there are in each sample.
    """
    require(run, "notify_ms", "notify_vma", "notifier_calls", "pgmigrate_success")
    of = {v.name: v.process for v in workload_of(run).vmas if v.subscriber == "gpu"}
    names = np.array([of.get(str(name), "") for name in run["vma"].values] + [""])
    sent, process = run["notify_ms"].values, names[run["notify_vma"].values]
    scans = sum(_apart(np.sort(sent[process == one]), restore_ms) for one in set(of.values()))
    calls = int(run["notifier_calls"].sel(vma=list(of), why="migrate").sum())
    tried = run["pgmigrate_success"].values + NR_MAX_MIGRATE_PAGES_RETRY * (
        run["pgmigrate_fail"].values if "pgmigrate_fail" in run else 0
    )
    most = len(set(of.values())) * np.ceil(np.diff(run["time"].values) / restore_ms)
    return {"evictions": scans + min(calls, int(np.minimum(np.diff(tried), most).sum()))}


def standing(run: xr.Dataset, *, lengths_ms: Sequence[float]) -> Found:
    """Time for which a GPU stands still, for some lengths of an eviction.

    Parameters
    ----------
    lengths_ms : sequence of float [ms]
        ``restore_ms`` of :func:`evictions`.

    Returns
    -------
    dict
        ``standing_s`` [s] over ``length_ms``: evictions times their length, at most the run.
    """
    most = float(run["time"].values[-1])
    each = [(evictions(run, restore_ms=one)["evictions"], one) for one in lengths_ms]
    stands = [min(most, count * one) / 1000 for count, one in each]
    made = xr.DataArray(stands, dims="length_ms", coords={"length_ms": [*map(float, lengths_ms)]})
    return {"standing_s": made}


def _apart(times: np.ndarray, gap: float) -> int:
    """Count times, in order, without those within ``gap`` of the last one counted."""
    count, next_at = 0, -np.inf
    for at in times:
        if at >= next_at:
            count, next_at = count + 1, at + gap
    return count
