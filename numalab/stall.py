"""How long the vCPUs of a guest stand still for a scan: from the list of its notifications."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab.costs import BOUNDS, Costs
from numalab.dataset import WHYS

QUANTILES = (0.5, 0.95, 1.0)


def _mine(run: xr.Dataset, vma: int) -> np.ndarray:
    return (run["notify_vma"].values == vma) & (run["notify_why"].values == WHYS.index("scan"))


def per_scan(ds: xr.Dataset, vma: int = 0) -> xr.Dataset:
    """Group the notifications of a VMA by the scan that sent them, in all runs.

    Returns
    -------
    xarray.Dataset
        Over ``scan``: ``replicate``, ``ms`` (when it began), ``calls``, ``pages`` notified
        and ``zapped`` entries. Scans that notified nothing of the VMA do not appear.
    """
    found: dict[str, list[np.ndarray]] = {n: [] for n in ("replicate", "ms", "calls", "pages")}
    found["zapped"] = []
    for i in range(ds.sizes["replicate"]):
        run = ds.isel(replicate=i)
        mine = _mine(run, vma)
        scan = run["chunk_scan"].values[run["notify_chunk"].values[mine].astype(np.int64)]
        _, first, index = np.unique(scan, return_index=True, return_inverse=True)
        found["replicate"].append(np.full(len(first), i))
        found["ms"].append(run["notify_ms"].values[mine][first])
        found["calls"].append(np.bincount(index, minlength=len(first)))
        for name in ("pages", "zapped"):
            values = run[f"notify_{name}"].values[mine]
            found[name].append(np.bincount(index, weights=values, minlength=len(first)))
    return xr.Dataset({name: ("scan", np.concatenate(rows)) for name, rows in found.items()})


def per_minute(scans: xr.Dataset, minutes: int, replicates: int) -> xr.Dataset:
    """Sum the scans of each minute of each run; minutes without a scan count as 0."""
    minute = (scans["ms"].values // 60_000).astype(np.int64)
    keep = (minute >= 0) & (minute < minutes)
    at = scans["replicate"].values.astype(np.int64) * minutes + minute
    return xr.Dataset(
        {
            name: (
                "scan",
                np.bincount(
                    at[keep], weights=scans[name].values[keep], minlength=replicates * minutes
                ),
            )
            for name in ("calls", "pages", "zapped")
        }
    )


def stall(found: xr.Dataset, costs: Costs, *, vcpus: int, sev: bool) -> xr.DataArray:
    """Return how long a vCPU stands still [ms]; over ``scan`` and ``bound``.

    Each notification interrupts every vCPU once; every zapped entry is filled again once. In
    ``low`` and ``typical`` the vCPUs share the refaults evenly and take them side by side; in
    ``high`` they queue for mmu_lock, one after the other. With ``sev``, each notification
    also stops all CPUs for a cache flush.
    """
    values = []
    for bound in BOUNDS:
        shared = 1 if bound == "high" else vcpus
        refault = getattr(costs.refault, bound) / shared
        each = getattr(costs.vcpu_interrupt, bound)
        each += getattr(costs.cache_flush, bound) if sev else 0.0
        values.append((found["zapped"] * refault + found["calls"] * each) / 1e6)
    return xr.concat(values, dim="bound").assign_coords(bound=list(BOUNDS))


def quantiles(da: xr.DataArray) -> xr.DataArray:
    """Median, 95 % quantile and maximum over the scans; over ``quantile``."""
    if not da.sizes["scan"]:
        zeros = da.sum("scan")
        return xr.concat([zeros] * len(QUANTILES), "quantile").assign_coords(quantile=[*QUANTILES])
    return da.quantile(QUANTILES, dim="scan", method="higher")
