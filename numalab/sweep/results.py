"""What measures return for many runs: rows of numbers under a header, and one Dataset of them.

A result is packed as plain numbers and a header in JSON, so that it can be stored and sent
without any code; a row costs next to nothing beside a run.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from numalab.engine import Start, simulate_one
from numalab.fields import InputError, shown
from numalab.policy import Policy
from numalab.totals import Layouts, attributes, row_of, run_totals, totals

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Replicates ``first`` to ``first + count - 1`` of a point, and what to measure of them."""

    number: int
    """Of the point, within its sweep."""
    start: Start
    policy: Policy
    seed: int
    first: int
    count: int
    measures: Mapping[int, Measure]
    """By their number within the sweep."""


class Outcome(NamedTuple):
    """What became of a job; ``reason`` is empty unless it failed."""

    results: Mapping[int, list[tuple[str, np.ndarray]]]
    """Of each measure, header and rows of one replicate after the other; stopped: of fewer."""
    reason: str

    @property
    def runs(self) -> int:
        """How many replicates were run."""
        return max((sum(len(rows) for _, rows in one) for one in self.results.values()), default=0)


def run(job: Job, stop: Callable[[], bool] | None = None) -> Outcome:
    """Run a job; an error is an outcome too, so that it does not stop the others.

    ``stop`` is asked before each replicate; once it says so, the outcome holds those so far.
    """
    replicates = range(job.first, job.first + job.count)
    try:
        if [*job.measures.values()] == [totals]:
            rows = run_totals(
                job.start, job.policy, seed=job.seed, replicates=replicates, stop=stop
            )
            return Outcome({number: [(TOTALS_HEADER, rows)] for number in job.measures}, "")
        return Outcome(_measured(job, replicates, stop), "")
    except InputError as error:
        return Outcome({}, str(error))
    except Exception as error:
        return Outcome({}, f"{type(error).__name__}: {error}".splitlines()[0])


def _measured(
    job: Job, replicates: range, stop: Callable[[], bool] | None
) -> dict[int, list[tuple[str, np.ndarray]]]:
    found: dict[int, list[tuple[str, np.ndarray]]] = {number: [] for number in job.measures}
    layouts = Layouts()
    for index in replicates:
        if stop is not None and stop():
            break
        ds = simulate_one(job.start, job.policy, job.seed, index, layouts.assemble)
        for number, measure in job.measures.items():
            header, row = _pack(measure, ds)
            found[number].append((header, row[None]))
    return found


def _pack(measure: Measure, ds: xr.Dataset) -> tuple[str, np.ndarray]:
    name = name_of(measure)
    if measure is totals:
        return TOTALS_HEADER, row_of(ds)
    try:
        return pack(measure(ds))
    except InputError as error:
        raise InputError(f"measure {name}: {error}") from None
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"measure {name}: {type(error).__name__}: {error} (line {at.lineno} of {at.name})"
        ) from None


def name_of(measure: Callable[..., Any]) -> str:
    """Name of a measure, for messages."""
    inner = getattr(measure, "func", measure)
    return str(getattr(inner, "__name__", type(inner).__name__))
