"""Runs over one parameter and several policies, as one labelled Dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import xarray as xr

from numalab.engine import simulate
from numalab.policy import get
from numalab.totals import totals
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
