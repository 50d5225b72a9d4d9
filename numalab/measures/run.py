"""What every measure asks of a run first: that it is one, what it holds, of which workload."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from numalab import workload_file
from numalab.fields import InputError
from numalab.workload import Workload

_DROPPED = {"chunk": "chunks_dropped", "notify": "notices_dropped"}


@lru_cache(maxsize=64)
def _parsed(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


@lru_cache(maxsize=64)
def _built(text: str) -> Workload:
    return workload_file.from_plain(json.loads(text))


def provenance_of(run: xr.Dataset) -> dict[str, Any]:
    """Return the provenance of a run; to be read only, as it is shared."""
    return _parsed(run.attrs["provenance"])


def workload_of(run: xr.Dataset) -> Workload:
    """Return the workload of a run.

    Raises
    ------
    InputError
        If its provenance holds no more than the workload's name.
    """
    given = provenance_of(run).get("workload")
    if not isinstance(given, dict):
        raise InputError(f"the provenance of the run does not hold its workload ({given})")
    return _built(json.dumps(given))


def each_run(ds: xr.Dataset, *measures: Callable[[xr.Dataset], Mapping[str, Any]]) -> xr.Dataset:
    """Measure each run of a Dataset, as a sweep does.

    Parameters
    ----------
    ds : xarray.Dataset
        Over ``replicate``, such as that of a recording.
    *measures : callable
        Of this package or a caller's own.

    Returns
    -------
    xarray.Dataset
        What they return, over ``replicate``; NaN where the arrays of one run are shorter.
    """
    runs = [ds.isel(replicate=i) for i in range(ds.sizes["replicate"])]
    found = [xr.merge([xr.Dataset(one(run)) for one in measures]) for run in runs]
    return xr.concat(found, "replicate", join="outer")


def require(run: xr.Dataset, *names: str) -> None:
    """Refuse what is not one run, or lacks a variable, or a part of a table of events.

    Raises
    ------
    InputError
        One line: what is missing.
    """
    if "replicate" in run.dims:
        raise InputError("a measure takes one run: ds.isel(replicate=0), for example")
    for name in names:
        if name not in run:
            how = f"{run.attrs.get('source', 'made')} on {run.attrs.get('kernel', 'no kernel')}"
            raise InputError(f"the run ({how}) does not hold {name}")
    for table, key in _DROPPED.items():
        used = any(table in run[name].dims for name in names)
        if used and (dropped := provenance_of(run).get(key, 0)):
            raise InputError(
                f"{dropped} events of the run are not in its table of {table}s: make it shorter"
            )


def own_vmas(run: xr.Dataset, prefix: str = "") -> list[str]:
    """Names of the workload's own mappings, those that begin with ``prefix``, as listed."""
    names = [str(name) for name in run["vma"].values]
    return [n for n in names if n.startswith(prefix) and not n.startswith("image:")]


def index_of(run: xr.Dataset, vma: str | None) -> int:
    """Position of a mapping along ``vma``; None is the first one.

    Raises
    ------
    InputError
        If the run has no mapping of that name.
    """
    found = np.flatnonzero(run["vma"].values == vma) if vma is not None else np.zeros(1, int)
    if not found.size:
        raise InputError(f"vma = {vma!r}: the run has {', '.join(own_vmas(run))}")
    return int(found[0])
