"""What measures return for many runs: rows of numbers under a header, and one Dataset of them.

A result is packed as plain numbers and a header in JSON, so that it can be stored and sent
without any code; a row costs next to nothing beside a run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from numalab.fields import InputError, shown
from numalab.sweep.calls import name_of
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
    """Return header and row of what a measure returned: numbers, arrays with named dimensions.

    Raises
    ------
    InputError
        For anything else, naming it.
    """
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"returned {shown(found)}: must be a mapping of names to numbers")
    variables: dict[str, Any] = {}
    coords: dict[str, list[Any]] = {}
    cells = []
    for name, value in (found.data_vars if isinstance(found, xr.Dataset) else found).items():
        if not isinstance(name, str) or not name or "/" in name or not name.isprintable():
            raise InputError(f"returned the name {shown(name)}: must be printable text without '/'")
        da = value if isinstance(value, xr.DataArray) else _scalar(name, value)
        if da.dtype.kind not in "iufb" or da.size > _MAX_CELLS:
            what = f" = {shown(value)}" * (da.ndim == 0)
            raise InputError(
                f"{name}{what} is {da.dtype}{list(da.shape)}: must be numbers, {_MAX_CELLS} at most"
            )
        for dim, size in da.sizes.items():
            labels = _labels(name, da[dim]) if dim in da.coords else list(range(size))
            if coords.setdefault(str(dim), labels) != labels:
                raise InputError(f"{name}: other labels of {dim} than the variables before it")
        attrs = {key: str(da.attrs[key]) for key in _ATTRS if key in da.attrs}
        kind = {"u": "i"}.get(da.dtype.kind, da.dtype.kind)
        dims, shape = [*map(str, da.dims)], [*da.shape]
        variables[name] = {"dims": dims, "shape": shape, "kind": kind, "attrs": attrs}
        cells.append(da.values.reshape(-1))
    whole = all(one["kind"] != "f" for one in variables.values())
    row = np.concatenate([np.empty(0, int), *cells]).astype(np.int64 if whole else np.float64)
    return json.dumps({"variables": variables, "coords": coords}), row


def _scalar(name: str, value: Any) -> xr.DataArray:
    array = np.asarray(value, dtype=object if isinstance(value, list | tuple) else None)
    if array.ndim:
        raise InputError(f"{name} is an array without dimensions: return an xarray.DataArray")
    return xr.DataArray(array)


def _labels(name: str, along: xr.DataArray) -> list[Any]:
    """Return the labels of a dimension that can be kept, and that other runs can be joined to."""
    labels = along.values.tolist()
    if along.dtype.kind not in "iufb" and not all(isinstance(one, str) for one in labels):
        raise InputError(f"{name}: labels of {along.name}: must be all numbers or all texts")
    if len({*labels}) < len(labels):
        raise InputError(f"{name}: labels of {along.name}: one is there twice")
    return labels


class Forms:
    """What the measures of a sweep return: the first result says it, all others must be like it."""

    def __init__(self, measures: Sequence[Measure], taken: Collection[str]) -> None:
        """Take the measures, and the names that the result of the sweep has without them."""
        self._names = [name_of(measure) for measure in measures]
        self._taken = {*taken, "run", "replicate", "status", "reason"}
        self._first: dict[int, tuple[Any, ...]] = {}
        self._seen: set[tuple[int, str]] = set()

    def check(self, measure: int, header: str) -> None:
        """Look at what a measure returned, unless it was all like that before.

        Raises
        ------
        InputError
            If the result of the sweep cannot hold it, or not beside what came before.
        """
        if (measure, header) in self._seen:
            return
        table = json.loads(header)
        names = {name: one["dims"] for name, one in table["variables"].items()}
        texts = {dim: isinstance(one[0], str) for dim, one in table["coords"].items() if one}
        if measure not in self._first:
            self._check_names(measure, {*names}, {*table["coords"]})
            self._first[measure] = (names, texts)
        first, kinds = self._first[measure]
        where = f"measure {self._names[measure]}"
        if names != first:
            raise InputError(
                f"{where}: returned {_listed(names)}, and {_listed(first)} in another run: must "
                "have the same names and dimensions in every run"
            )
        for dim, is_text in texts.items():
            if kinds.setdefault(dim, is_text) != is_text:
                raise InputError(f"{where}: labels of {dim}: numbers in one run, texts in another")
        self._seen.add((measure, header))

    def _check_names(self, measure: int, names: set[str], dims: set[str]) -> None:
        where = f"measure {self._names[measure]}"
        others = [one for one, _ in self._first.values()]
        variables = {name for one in others for name in one}
        along = {dim for one in others for of in one.values() for dim in of}
        for name in sorted(names & (self._taken | variables | along | dims)):
            raise InputError(
                f"{where}: {name} is the name of an axis, of a variable or dimension of a measure, "
                "or of the sweep itself"
            )
        for dim in sorted(dims & (self._taken | variables)):
            raise InputError(
                f"{where}: dimension {dim} is the name of an axis, of a variable of another "
                "measure, or of the sweep itself"
            )


def _listed(names: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(n + f"({', '.join(d)})" * bool(d) for n, d in names.items())


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


def check_header(header: str, cells: int) -> None:
    """Refuse a header that :func:`pack` would not have made for rows of so many numbers.

    Raises
    ------
    InputError
        For any other text.
    """
    try:
        table = json.loads(header)
        coords, sizes = table["coords"], []
        for name, one in table["variables"].items():
            dims, shape = one["dims"], one["shape"]
            fits = len({*dims}) == len(dims) and all(isinstance(dim, str) for dim in dims)
            fits = fits and [len(coords[dim]) for dim in dims] == shape and name.isprintable()
            texts = [*one["attrs"], *one["attrs"].values()]
            if not fits or one["kind"] not in "ifb" or not all(isinstance(t, str) for t in texts):
                raise ValueError(name)
            sizes.append(math.prod(shape))
        for name, labels in coords.items():
            _labels(name, xr.DataArray(labels, {name: labels}, name)[name])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InputError(f"header {shown(header)}: is of no result") from None
    if set(table) != {"variables", "coords"} or sum(sizes) != cells:
        raise InputError(f"header {shown(header)}: is not of rows of {cells} numbers")


def joined(points: Sequence[Sequence[Record]], replicates: int) -> xr.Dataset:
    """Return the results of a measure over ``run``, from the records of each point.

    Runs are the replicates of one point after the other; where there is no result, values are
    NaN. Coordinates of arrays are those of all runs.
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
                rows = record.rows[: len(runs)][new]
                parts.setdefault(record.header, []).append((runs[new], rows))
    made = []
    for header, found in parts.items():
        runs, rows = (np.concatenate(one) for one in zip(*found, strict=True))
        ds = unpack(header, rows).assign_coords(run=runs)
        made.append(ds if len(runs) == size else ds.map(_as_number))
    if not made:
        return xr.Dataset()
    ds = xr.concat(made, "run", data_vars="all", join="outer") if len(made) > 1 else made[0]
    return ds.reindex(run=np.arange(size)).drop_vars("run")


def _as_number(da: xr.DataArray) -> xr.DataArray:
    """Return truth values as numbers: there is no NaN among them."""
    return da.astype(float) if da.dtype == bool else da
