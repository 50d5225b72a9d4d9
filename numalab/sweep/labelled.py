"""The labelled Dataset of a sweep, from the results of its runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.fields import InputError
from numalab.plain import as_plain
from numalab.sweep.axes import Axis
from numalab.sweep.calls import name_of
from numalab.sweep.plan import Plan
from numalab.sweep.points import Sweep
from numalab.sweep.results import joined
from numalab.versions import model_version

_LISTED = 100
"""Labels of an axis that the provenance holds; of more it holds a hash."""


def dataset(plan: Plan) -> xr.Dataset:
    """Return the results of a plan over the axes of its sweep.

    Raises
    ------
    InputError
        If measures give a dimension different labels.
    """
    sweep, points = plan.sweep, plan.points
    dims = (*(axis.name for axis in sweep.axes), "replicate")
    coords: dict[str, Any] = {axis.name: np.array(axis.labels) for axis in sweep.axes}
    for axis in sweep.axes:
        coords |= {name: (axis.name, np.array(along)) for name, along in axis.coords.items()}
    coords["replicate"] = np.arange(sweep.replicates)
    data: dict[str, Any] = {}
    for number, measure in enumerate(sweep.measures):
        flat = joined(
            [plan.held.get(plan.key(point, number), []) for point in points], sweep.replicates
        )
        for name, da in flat.data_vars.items():
            more = [str(dim) for dim in da.dims if dim != "run"]
            for dim in more:
                labels = flat[dim].values
                if not np.array_equal(coords.setdefault(dim, labels), labels):
                    raise InputError(
                        f"measure {name_of(measure)}: {dim} has other labels in another measure"
                    )
            values = da.transpose("run", *more).values
            shape = (*sweep.shape, sweep.replicates, *values.shape[1:])
            data[str(name)] = ((*dims, *more), values.reshape(shape), da.attrs)
    for name in ("status", "reason"):
        texts = np.array([getattr(point, name) for point in points], dtype=str)
        data[name] = (dims[:-1], texts.reshape(sweep.shape))
    kernels = {point.policy.name for point in points if point.policy}
    attrs = {
        "source": "simulated",
        "kernel": kernels.pop() if len(kernels) == 1 else "several",
        "provenance": json.dumps(_provenance(sweep), sort_keys=True, default=str),
    }
    return xr.Dataset(data, coords, attrs)


def _provenance(sweep: Sweep) -> dict[str, Any]:
    """Return what a result follows from."""
    source = sweep.source
    plain = {field.name: as_plain(getattr(sweep, field.name)) for field in fields(sweep)}
    plain |= {
        "source": getattr(source, "__name__", "") if callable(source) else as_plain(source),
        "axes": {axis.name: _summary(axis) for axis in sweep.axes},
        "measures": [name_of(measure) for measure in sweep.measures],
    }
    about = {"source": "simulated", "numalab": __version__, "model": model_version()}
    return {**about, "sweep": plain}


def _summary(axis: Axis) -> dict[str, Any]:
    """Return labels and coordinates of an axis; of a long one, how many and their hash.

    The result itself has all of them.
    """
    along = {"labels": axis.labels, **axis.coords}
    if len(axis.labels) <= _LISTED:
        return along
    text = json.dumps(along, default=str)
    return {"count": len(axis.labels), "sha256": hashlib.sha256(text.encode()).hexdigest()}
