"""Effects of factors that are on or off, in a full factorial: an array over all of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr


def _effect(y: xr.DataArray, factor: str, given: Mapping[str, Any]) -> xr.DataArray:
    """Difference of the last level of a factor from its first, others held at given labels."""
    held = y.sel({**given}, drop=True)
    on, off = (held.isel({factor: end}, drop=True) for end in (-1, 0))
    return on - off


def steps(y: xr.DataArray, factors: Sequence[str]) -> xr.DataArray:
    """Effect of each factor on top of those before it, and without those after it.

    Parameters
    ----------
    factors : sequence of str
        All of them, in the order in which they come.

    Returns
    -------
    xarray.DataArray
        Over ``step`` and the rest. The steps add up to the difference of all from none.

    Examples
    --------
    >>> y = xr.DataArray([[1.0, 2.0], [5.0, 10.0]], dict(a=[0, 1], b=[0, 1]), ["a", "b"])
    >>> steps(y, ["a", "b"]).values, steps(y, ["b", "a"]).values
    (array([4., 5.]), array([1., 8.]))
    """
    found = []
    for k, name in enumerate(factors):
        ends = {f: y[f].values[-1 if j < k else 0] for j, f in enumerate(factors) if j != k}
        found.append(_effect(y, name, ends))
    return xr.concat(found, pd.Index(factors, name="step"))


def interactions(y: xr.DataArray, factors: Sequence[str]) -> xr.DataArray:
    """Return how much the effect of one factor changes with another, of each pair.

    All other factors are at their last level.

    Returns
    -------
    xarray.DataArray
        Over ``pair`` ("a x b") and the rest.
    """
    found = {}
    for one, other in itertools.combinations(factors, 2):
        given = {f: y[f].values[-1] for f in factors if f != one}
        without = _effect(y, one, {**given, other: y[other].values[0]})
        found[f"{one} x {other}"] = _effect(y, one, given) - without
    return xr.concat(found.values(), pd.Index(found, name="pair"))
