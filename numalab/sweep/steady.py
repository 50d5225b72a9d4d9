"""Start-up and steady state apart: what happens up to a minute, and in a minute after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from numalab.fields import InputError
from numalab.sweep.axes import Values
from numalab.sweep.grid import grid
from numalab.sweep.settings import Source


def start_and_steady(
    workload: Source, axes: Mapping[str, Values], *, minutes: tuple[int, int], **how: Any
) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Run each point up to two moments; what a run did before the first is the same in both.

    Parameters
    ----------
    workload, axes, **how
        As of :func:`grid`.
    minutes : tuple of int [min]
        Where the steady state begins, and where the run ends.

    Returns
    -------
    start : xarray.Dataset
        Measured at the first moment.
    steady : xarray.Dataset
        The difference of the two, a minute: of what is counted.
    end : xarray.Dataset
        Measured at the second moment.

    Raises
    ------
    InputError
        Unless the first moment lies before the second; as :func:`grid`.
    """
    begin, end = minutes
    if not 0 < begin < end:
        raise InputError(f"begin = {begin}: must be above 0 and below minutes = {end}")
    lengths = {"duration_ms": [60_000 * begin, 60_000 * end]}
    ds = grid(workload, {**axes, **lengths}, **how)
    first, last = (ds.isel(duration_ms=i, drop=True) for i in (0, 1))
    return first, (last - first) / (end - begin), last
