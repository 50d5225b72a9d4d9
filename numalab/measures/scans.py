"""What scans walked, marked and left out, and when."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from numalab.measures.run import own_vmas, require, workload_of
from numalab.units import PAGES_PER_MB

Found = dict[str, float | xr.DataArray]
"""What a measure returns: scalars and small arrays by name."""


def group_by_scan(
    scan: np.ndarray, columns: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Add up events by the scan that they are part of, scans in the order of their first event.

    Parameters
    ----------
    scan : int64[n_event]
        Number of the scan of each event.
    columns : mapping
        Name to number[n_event].

    Returns
    -------
    first : int64[n_scan]
        Index of the first event of each scan.
    sums : dict
        Name to float64[n_scan].
    """
    _, first, index = np.unique(scan, return_index=True, return_inverse=True)
    order = np.argsort(first)
    sums = {
        name: np.bincount(index, weights=values, minlength=len(first))[order]
        for name, values in columns.items()
    }
    return first[order], sums


def walked(run: xr.Dataset) -> Found:
    """Memory that scans walked [MB].

    Returns
    -------
    dict
        ``walked_mb`` of the workload's own mappings; ``walked_short_lived_mb`` of those that come
        and go (churns).
    """
    require(run, "scan_pages")
    pages = dict(zip(run["vma"].values, run["scan_pages"].values / PAGES_PER_MB, strict=True))
    return {
        "walked_mb": float(sum(pages[name] for name in own_vmas(run))),
        "walked_short_lived_mb": float(sum(pages[c.name] for c in workload_of(run).churns)),
    }


def scans(run: xr.Dataset) -> Found:
    """Scans that walked at least a chunk.

    Returns
    -------
    dict
        ``scans`` [1]; ``walked_per_scan`` [pages], NaN without a scan.
    """
    require(run, "chunk_scan", "chunk_pages")
    pages = run["chunk_pages"].values
    count = len(np.unique(run["chunk_scan"].values[pages >= 0]))
    total = float(pages[pages >= 0].sum())
    return {"scans": count, "walked_per_scan": total / count if count else np.nan}


def each_scan(run: xr.Dataset, *, most: int = 12) -> Found:
    """When the first scans began and how much they walked, one by one.

    Returns
    -------
    dict
        ``scan_ms`` [ms], ``scan_pages`` [pages]: float64[scan] of ``most`` scans that walked a
        chunk; NaN where there was none.
    """
    require(run, "chunk_ms", "chunk_scan", "chunk_pages")
    live = run["chunk_pages"].values >= 0
    columns = {"scan_pages": run["chunk_pages"].values[live]}
    first, sums = group_by_scan(run["chunk_scan"].values[live], columns)
    sums["scan_ms"] = run["chunk_ms"].values[live][first]
    found: Found = {}
    for name, values in sums.items():
        row = np.full(most, np.nan)
        row[: len(values)] = values[:most]
        found[name] = xr.DataArray(row, dims="scan", coords={"scan": np.arange(1, most + 1)})
    return found


def first_scan(run: xr.Dataset, *, since_ms: float = 0.0, prefix: str = "") -> Found:
    """Time to the first chunk that is walked in each mapping.

    Parameters
    ----------
    since_ms : float [ms]
        The moment that it counts from; if negative, from the end of the run.
    prefix : str
        Only own mappings whose names begin so.

    Returns
    -------
    dict
        ``first_scan_ms``: float64[vma] [ms], infinite if there is none before the run ends;
        ``unscanned_share``: share of the mappings that have none.
    """
    require(run, "chunk_ms", "chunk_vma")
    since = since_ms if since_ms >= 0 else workload_of(run).duration_ms + since_ms
    at, of, names = run["chunk_ms"].values, run["chunk_vma"].values, own_vmas(run, prefix)
    first = np.full(run.sizes["vma"], np.inf)
    late = (at >= since) & (of >= 0)
    np.minimum.at(first, of[late], at[late])
    chosen = first[[i for i, name in enumerate(run["vma"].values) if name in names]] - since
    waits = xr.DataArray(chosen, dims="vma", coords={"vma": names})
    return {"first_scan_ms": waits, "unscanned_share": float(np.isinf(chosen).mean())}
