"""What measures return for many runs: rows of numbers under a header, and one Dataset of them.

A result is packed as plain numbers and a header in JSON, so that it can be stored and sent
without any code; a row costs next to nothing beside a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from numalab.fields import InputError, shown
from numalab.totals import attributes

Measure = Callable[[xr.Dataset], Mapping[Any, Any]]
"""A function from the Dataset of one run to named numbers and small arrays."""

_ATTRS = ("units", "long_name", "kernel")
_MAX_CELLS = 100_000


class Record(NamedTuple):
    """Results of one measure for consecutive replicates of one point."""

    key: bytes
    """Of the point and the measure."""
    first: int
    header: str
    """Names, dimensions, coordinates and attributes of the columns, as JSON."""
    rows: np.ndarray
    """int64 or float64[n_replicate, n_cell]"""


TOTALS_HEADER = json.dumps(
    {
        "variables": {
            name: {"dims": [], "shape": [], "kind": "i", "attrs": attrs}
            for name, attrs in attributes().items()
        },
        "coords": {},
    }
)
"""Of rows with the columns of :data:`numalab.totals.NAMES`."""


def pack(found: Mapping[str, Any]) -> tuple[str, np.ndarray]:
    """Return header and row of what a measure returned for a run.

    Parameters
    ----------
    found : mapping
        Numbers, or small arrays with named dimensions; a Dataset is such a mapping.

    Raises
    ------
    InputError
        For anything else, naming it.
    """
    if not isinstance(found, Mapping):
        raise InputError(f"returned {shown(found)}: must be a mapping of names to numbers")
    variables: dict[str, Any] = {}
    coords: dict[str, list[Any]] = {}
    cells = []
    for name, value in (found.data_vars if isinstance(found, xr.Dataset) else found).items():
        da = value if isinstance(value, xr.DataArray) else _scalar(name, value)
        if da.dtype.kind not in "iufb" or da.size > _MAX_CELLS:
            raise InputError(
                f"{name} is {da.dtype}{list(da.shape)}: must be numbers, {_MAX_CELLS} at most"
            )
        for dim, size in da.sizes.items():
            labels = da[dim].values.tolist() if dim in da.coords else list(range(size))
            if coords.setdefault(str(dim), labels) != labels:
                raise InputError(f"{name}: other labels of {dim} than the variables before it")
        attrs = {key: str(da.attrs[key]) for key in _ATTRS if key in da.attrs}
        kind = {"u": "i"}.get(da.dtype.kind, da.dtype.kind)
        dims, shape = [*map(str, da.dims)], [*da.shape]
        variables[str(name)] = {"dims": dims, "shape": shape, "kind": kind, "attrs": attrs}
        cells.append(da.values.reshape(-1))
    whole = all(one["kind"] != "f" for one in variables.values())
    row = np.concatenate([np.empty(0, int), *cells]).astype(np.int64 if whole else np.float64)
    try:
        return json.dumps({"variables": variables, "coords": coords}), row
    except TypeError:
        raise InputError(f"coordinates of {list(coords)}: must be numbers or texts") from None


def _scalar(name: Any, value: Any) -> xr.DataArray:
    array = np.asarray(value)
    if array.ndim:
        raise InputError(f"{name} is an array without dimensions: return an xarray.DataArray")
    return xr.DataArray(array)


def unpack(header: str, rows: np.ndarray) -> xr.Dataset:
    """Return rows as a Dataset whose first dimension is ``run``."""
    table = json.loads(header)
    data, at = {}, 0
    for name, one in table["variables"].items():
        size = int(np.prod(one["shape"], dtype=int))
        values = rows[:, at : at + size].reshape(len(rows), *one["shape"])
        dtype = {"i": np.int64, "f": np.float64, "b": bool}[one["kind"]]
        data[name] = (("run", *one["dims"]), values.astype(dtype, copy=False), one["attrs"])
        at += size
    return xr.Dataset(data, coords=table["coords"])


def joined(points: Sequence[Sequence[Record]], replicates: int) -> xr.Dataset:
    """Return the results of a measure over ``run``: replicates within points.

    Where there are none, values are NaN; coordinates of arrays are those of all runs.

    Parameters
    ----------
    points : sequence of sequence of Record
        Records of each point, in any order.
    """
    size = len(points) * replicates
    held = np.zeros(size, bool)
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for i, records in enumerate(points):
        for record in records:
            last = min(len(record.rows), replicates - record.first)
            runs = i * replicates + record.first + np.arange(max(0, last))
            new = ~held[runs]
            if new.any():
                held[runs] = True
                found = runs[new], record.rows[: len(runs)][new]
                parts.setdefault(record.header, []).append(found)
    made = [_filled(header, found, size, held) for header, found in parts.items()]
    if len(made) == 1:
        return made[0] if held.all() else made[0].where(xr.DataArray(held, dims="run"))
    if not made:
        return xr.Dataset()
    return xr.concat(made, "run", data_vars="all", join="outer").reindex(run=np.arange(size))


def _filled(
    header: str, parts: list[tuple[np.ndarray, np.ndarray]], size: int, held: np.ndarray
) -> xr.Dataset:
    """Return all runs if they are of one kind, else those of this header, labelled."""
    runs = np.concatenate([found for found, _ in parts])
    rows = np.concatenate([found for _, found in parts])
    if len(runs) == held.sum():
        full = np.zeros((size, rows.shape[1]), rows.dtype)
        full[runs] = rows
        ds = unpack(header, full)
        return ds if held.all() else ds.map(_as_number)
    return unpack(header, rows).map(_as_number).assign_coords(run=runs)


def _as_number(da: xr.DataArray) -> xr.DataArray:
    return da.astype(float) if da.dtype == bool else da
