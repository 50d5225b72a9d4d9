"""Agreement of events: which VMAs a scan skips and why, when scans begin, how far they go."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab.stats.intervals import prediction_interval

MOST_SCANS = 12
"""Scans of a run that are compared one by one."""


def skip_shares(ds: xr.Dataset) -> xr.DataArray:
    """Share of each reason among all skips of a run; float64[replicate, reason], NaN if none."""
    counts = ds["skips"].sum("vma")
    total = counts.sum("reason")
    return (counts / total.where(total > 0)).rename("skip_share")


def _scans(ds: xr.Dataset, value: str) -> np.ndarray:
    """A value of the k-th scan that walked a chunk; float64[replicate, MOST_SCANS]."""
    found = np.full((ds.sizes["replicate"], MOST_SCANS), np.nan)
    for r in range(ds.sizes["replicate"]):
        one = ds.isel(replicate=r)
        pages = one["chunk_pages"].values
        scan = one["chunk_scan"].values
        live = pages >= 0
        _, first = np.unique(scan[live], return_index=True)
        order = np.sort(first)[:MOST_SCANS]
        if value == "ms":
            row = one["chunk_ms"].values[live][order]
        else:
            row = np.array([pages[live][scan[live] == scan[live][i]].sum() for i in order])
        found[r, : len(row)] = row
    return found


def scan_times(ds: xr.Dataset) -> xr.DataArray:
    """When the k-th scan began [ms]; float64[replicate, scan], NaN where there was none."""
    return xr.DataArray(_scans(ds, "ms"), dims=("replicate", "scan"), name="scan_ms")


def scan_ranges(ds: xr.Dataset) -> xr.DataArray:
    """How many pages the k-th scan walked; float64[replicate, scan], NaN where there was none."""
    return xr.DataArray(_scans(ds, "pages"), dims=("replicate", "scan"), name="scan_pages")


def compare_events(simulated: xr.Dataset, recorded: xr.Dataset, level: float = 0.95) -> xr.Dataset:
    """Set simulated events beside recorded ones.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``.
    level : float
        Of the prediction intervals.

    Returns
    -------
    xarray.Dataset
        ``skips_recorded``, ``skips_simulated`` (reason): mean counts of a run, NaN where a
        kernel traces none; ``times_inside``, ``times_compared`` (): recorded scans whose
        begin lies in the model's interval for the scan of that number; ``time_error_ms`` ():
        median of |recorded - model median|; ``ranges_inside`` (): the same count for the
        pages walked.
    """
    made = simulated["skips"].sum("vma").mean("replicate")
    traced = "skips" in recorded
    seen = recorded["skips"].sum("vma").mean("replicate") if traced else xr.full_like(made, np.nan)
    result = xr.Dataset({"skips_recorded": seen, "skips_simulated": made})
    inside = dict.fromkeys(("times", "ranges"), 0)
    compared = 0
    errors: list[float] = []
    for name, measure in (("times", scan_times), ("ranges", scan_ranges)):
        sim, rec = measure(simulated), measure(recorded)
        for k in range(MOST_SCANS):
            seen = sim.isel(scan=k).dropna("replicate")
            want = rec.isel(scan=k).dropna("replicate")
            if seen.size * (1 - level) < 2 - 1e-9 or not want.size:
                continue  # too few runs of the model got that far
            low, high = (float(x) for x in prediction_interval(seen, level))
            inside[name] += int(((want >= low) & (want <= high)).sum())
            if name == "times":
                compared += want.size
                errors += list(np.abs(want.values - float(seen.median())))
    result["times_inside"], result["ranges_inside"] = inside["times"], inside["ranges"]
    result["times_compared"] = compared
    result["time_error_ms"] = float(np.median(errors)) if errors else np.nan
    return result


def share_differences(table: xr.Dataset, generation: str) -> xr.DataArray:
    """Model share minus recorded share of each skip reason, pooled over one kernel's workloads.

    Parameters
    ----------
    table : xarray.Dataset
        Of cells with ``skips_recorded`` and ``skips_simulated`` over ``reason``.
    generation : str

    Returns
    -------
    xarray.DataArray
        float64[reason] [percentage points]
    """
    mine = table.isel(cell=np.flatnonzero(table["generation"].values == generation))
    recorded = mine["skips_recorded"].sum("cell")
    simulated = mine["skips_simulated"].sum("cell")
    return 100 * (simulated / simulated.sum() - recorded / recorded.sum())
