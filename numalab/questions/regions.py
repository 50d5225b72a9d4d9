"""What a run did to the regions that a question asks about (``region0``, ``region1``, ...)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab.workload import Workload


def watched(ds: xr.Dataset) -> list[str]:
    """Names of the regions along ``vma``."""
    return [str(name) for name in ds["vma"].values if str(name).startswith("region")]


def users_by_node(workload: Workload, region: str) -> np.ndarray:
    """Share of a region's last users that run on each node; float64[n_node].

    The last users are the threads whose access to it ends last.
    """
    machine = workload.machine
    ends = [(c.cpu, 0.0) for c in workload.churns if c.name == region]
    for task in workload.tasks:
        ends += [(task.cpu, a.stop_ms) for a in task.access if a.vma == region]
    last = max(end for _, end in ends)
    nodes = [cpu // machine.cpus_per_node for cpu, end in ends if end == last]
    return np.bincount(nodes, minlength=machine.nodes) / len(nodes)


def remote_share(ds: xr.Dataset, workload: Workload) -> xr.DataArray:
    """Share of touches that go to another node at the end, over regions of equal weight.

    Exact for threads that touch all pages of a region equally often. Regions without a
    present page are left out.

    Returns
    -------
    xarray.DataArray
        Over ``replicate``; a region's last users on node n pay for its pages elsewhere.
    """
    names = watched(ds)
    users = np.array([users_by_node(workload, name) for name in names])
    at = [i for i, name in enumerate(ds["vma"].values) if name in names]
    pages = ds["pages_on_node"].values[:, at, :]
    present = pages.sum(axis=2)
    local = (pages * users).sum(axis=2)
    share = np.divide(local, present, out=np.full(local.shape, np.nan), where=present > 0)
    return xr.DataArray(
        1 - np.nanmean(share, axis=1),
        dims="replicate",
        coords={"replicate": ds["replicate"].values},
        attrs={"units": "1", "long_name": "remote share of the touches of regions"},
    )


def first_scan_ms(ds: xr.Dataset, since_ms: float) -> xr.DataArray:
    """Time from ``since_ms`` to the first chunk walked in each region.

    Returns
    -------
    xarray.DataArray
        Over (replicate, vma) [ms]; infinite if there is none before the run ends.
    """
    names = watched(ds)
    index = {str(name): i for i, name in enumerate(ds["vma"].values)}
    at, of = ds["chunk_ms"].values, ds["chunk_vma"].values
    found = np.full((ds.sizes["replicate"], len(names)), np.inf)
    for j, name in enumerate(names):
        hit = (of == index[name]) & (at >= since_ms)
        found[:, j] = np.where(hit, at, np.inf).min(axis=1) - since_ms
    return xr.DataArray(
        found,
        dims=("replicate", "vma"),
        coords={"replicate": ds["replicate"].values, "vma": names},
        attrs={"units": "ms", "long_name": "time to the first scan"},
    )


def scans(ds: xr.Dataset) -> np.ndarray:
    """Scans of the whole run, int64[n_replicate]: the number of the last one in the log."""
    found: np.ndarray = ds["chunk_scan"].values.max(axis=1, initial=0)
    return found
