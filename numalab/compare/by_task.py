"""What each task did: the pages that its faults migrated, and its weighted faults."""

from __future__ import annotations

import xarray as xr

from numalab.compare.by_counter import check_same, judged
from numalab.fields import InputError

_QUANTITIES = ("task_pages_migrated", "total_numa_faults")
"""What the ``sched`` file of a thread says at the end of a run, variables of the schema."""


def tasks(
    simulated: xr.Dataset, recorded: xr.Dataset, level: float = 0.95, tolerance: float = 0.0
) -> xr.Dataset:
    """Set what the tasks of recorded runs did beside the model's prediction.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``.
    level, tolerance : float
        As of :func:`numalab.compare.counters`.

    Returns
    -------
    xarray.Dataset
        As of :func:`numalab.compare.counters`; ``counter`` are labels such as
        ``task_pages_migrated of t0``.

    Raises
    ------
    InputError
        If they are of different workloads, the recorded kernel had no such file, or the simulated
        runs are too few.
    """
    check_same(simulated, recorded)
    if missing := [name for name in _QUANTITIES if name not in recorded]:
        raise InputError(f"the recorded runs have no {', '.join(missing)}: nothing to compare")
    return judged(_labelled(simulated), _labelled(recorded), level, tolerance)


def _labelled(ds: xr.Dataset) -> xr.DataArray:
    """Values of all tasks over (counter, replicate)."""
    stacked = ds[list(_QUANTITIES)].to_array("quantity").stack(counter=("quantity", "task"))
    labels = [f"{quantity} of {task}" for quantity, task in stacked["counter"].values]
    stacked = stacked.drop_vars(["counter", "quantity", "task"]).assign_coords(counter=labels)
    return stacked.transpose("counter", "replicate")
