"""Runs over one parameter and several policies, as one labelled Dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import xarray as xr

from numalab.dataset import SECONDARY
from numalab.engine import simulate
from numalab.remedies import get
from numalab.workload import Workload


def over(
    along: str,
    values: Sequence[float],
    workload_at: Callable[[float], Workload],
    policies: Sequence[str],
    *,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate a workload for each value of a parameter, under each policy.

    Replicate ``i`` draws from the same streams at every point, so policies can be compared
    in pairs.

    Parameters
    ----------
    along : str
        Name of the parameter; becomes a dimension.
    values : sequence of float
    workload_at : callable
        The workload for a value.
    policies : sequence of str
    replicates, seed : int

    Returns
    -------
    xarray.Dataset
        Final values and totals over VMAs, over (policy, ``along``, replicate).
    """
    rows = []
    for name in policies:
        points = []
        for value in values:
            ds = simulate(workload_at(value), get(name), seed=seed, replicates=replicates)
            points.append(totals(ds))
        rows.append(xr.concat(points, dim=along).assign_coords({along: list(values)}))
    return xr.concat(rows, dim="policy").assign_coords(policy=list(policies))


def totals(ds: xr.Dataset) -> xr.Dataset:
    """Final counters, and per-VMA counts summed over the workload's own VMAs.

    Returns
    -------
    xarray.Dataset
        Over ``replicate`` only.
    """
    own = [str(v) for v in ds["vma"].values if not str(v).startswith("image:")]
    summed = {
        name: ds[name].sel(vma=own).sum("vma", keep_attrs=True)
        for name in ("scan_calls", "scan_pages", "notifier_wasted_pages", *SECONDARY)
    }
    for name in ("notifier_calls", "notifier_pages"):
        for why in ds["why"].values:
            one = ds[name].sel(vma=own, why=why, drop=True).sum("vma", keep_attrs=True)
            summed[name if why == "scan" else f"{name}_{why}"] = one
    final = {
        name: ds[name].isel(time=-1, drop=True)
        for name in ds.data_vars
        if ds[name].dims == ("replicate", "time")
    }
    return xr.Dataset({**final, **summed}).drop_vars(
        [c for c in ds.coords if c != "replicate"], errors="ignore"
    )
