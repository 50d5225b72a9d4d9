"""The one Dataset that the model and the recorder both return, of :mod:`numalab.schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numalab import files
from numalab.fields import InputError
from numalab.schema import COUNTERS, EVENTS, LABELS, SCHEMA


def make(
    variables: Mapping[str, Any], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Build a Dataset of the schema from one run.

    Parameters
    ----------
    variables : mapping
        Name of the schema to array; integers are stored as int64.
    coords : mapping
        ``time`` [ms], ``process``, ``vma``, ``task``, ``node``; ``reason`` and ``why`` are added.
    attrs : mapping
        Parameters, versions, seed and source; stored as one JSON string in ``attrs["provenance"]``.

    Returns
    -------
    xarray.Dataset
        With ``source`` = ``simulated`` or ``recorded`` among its attributes.

    Raises
    ------
    KeyError
        For a variable that the schema does not know.
    """
    data = {}
    for name, values in variables.items():
        one = SCHEMA[name]
        data[name] = xr.Variable(one.dims, np.asarray(values, one.dtype), one.attrs)
    return _labelled(data, coords, attrs)


def make_runs(
    runs: Sequence[Mapping[str, Any]], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Build one Dataset from many runs of a workload: what :func:`concat` makes of them, at once.

    Arguments are those of :func:`make`, with the variables of each run.

    Returns
    -------
    xarray.Dataset
        ``replicate`` in front; tables of events are padded with -1.

    Raises
    ------
    InputError
        Without any run.
    KeyError
        For a variable that the schema does not know, or that not all runs have.
    """
    if not runs:
        raise InputError("no runs to join")
    for run in runs:
        if odd := run.keys() ^ runs[0].keys():
            raise KeyError(f"not in all runs: {', '.join(sorted(odd))}")
    data = {}
    for name in runs[0]:
        one = SCHEMA[name]
        arrays = [np.asarray(run[name], one.dtype) for run in runs]
        if one.dims[0] in EVENTS:
            longest = max(map(len, arrays))
            arrays = [
                np.pad(a, (0, longest - len(a)), constant_values=-1) if len(a) < longest else a
                for a in arrays
            ]
        data[name] = xr.Variable(("replicate", *one.dims), np.stack(arrays), one.attrs)
    return _labelled(data, {**coords, "replicate": np.arange(len(runs))}, attrs)


def _labelled(
    data: Mapping[str, xr.Variable], coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    ds = xr.Dataset(data, coords={**coords, **{dim: list(of) for dim, of in LABELS.items()}})
    ds["time"].attrs = {"units": "ms", "long_name": "time since the tasks started"}
    ds.attrs = {
        "source": str(attrs["source"]),
        "kernel": str(attrs["kernel"]),
        "provenance": json.dumps(attrs, sort_keys=True),
    }
    return ds


def provenance(ds: xr.Dataset) -> dict[str, Any]:
    """Return the provenance of a Dataset: parameters, versions, seed, source."""
    return dict(json.loads(ds.attrs["provenance"]))


def concat(runs: list[xr.Dataset]) -> xr.Dataset:
    """Join runs of one workload along ``replicate``; tables of events are padded with -1.

    Each Dataset holds one run, or several along ``replicate``.

    Raises
    ------
    InputError
        Without any run.
    """
    if not runs:
        raise InputError("no runs to join")
    padded = list(runs)
    for table in EVENTS:
        longest = max(ds.sizes.get(table, 0) for ds in runs)
        padded = [
            ds.pad({table: (0, longest - ds.sizes[table])}, constant_values=-1)
            if table in ds.dims and ds.sizes[table] < longest
            else ds
            for ds in padded
        ]
    joined = xr.concat(
        padded, dim="replicate", data_vars="all", join="outer", combine_attrs="override"
    )
    return joined.assign_coords(replicate=np.arange(joined.sizes["replicate"]))


def check_invariants(ds: xr.Dataset) -> None:
    """Raise if a Dataset breaks a law that holds on every machine.

    Counters never fall; local faults are at most all faults. A law about variables that
    the Dataset does not hold is not looked at.

    Raises
    ------
    AssertionError
        Naming the variable.
    """
    for name in COUNTERS:
        if name in ds and bool((ds[name].diff("time") < 0).any()):
            raise AssertionError(f"{name} falls")
    local, faults = "numa_hint_faults_local", "numa_hint_faults"
    if local in ds and faults in ds and bool((ds[local] > ds[faults]).any()):
        raise AssertionError(f"{local} exceeds {faults}")


def save(ds: xr.Dataset, path: str | Path) -> None:
    """Write a Dataset as NetCDF-4; the file appears complete or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    target = Path(path)
    content = ds.to_netcdf(engine="h5netcdf")  # in memory: HDF5 crashes where a disk is full
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        special = target.exists() and not (target.is_file() or target.is_dir())
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}") from None
    if special:
        raise InputError(f"{target}: is not a regular file")
    files.write(target, content)


def load(path: str | Path) -> xr.Dataset:
    """Read a Dataset written by :func:`save`.

    Raises
    ------
    InputError
        If the file is missing, truncated or not of this schema.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            loaded = ds.load()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None
    if "provenance" not in loaded.attrs:
        raise InputError(f"{path}: not a numalab Dataset (no provenance attribute)")
    return loaded
