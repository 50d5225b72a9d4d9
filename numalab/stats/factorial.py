"""Effects of factors that are on or off, in a full factorial: an array over all of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr


def effect(
    y: xr.DataArray, factor: str, factors: Sequence[str], given: Mapping[str, Any]
) -> xr.DataArray:
    """Difference of the last level of a factor from its first, in a full factorial.

    Parameters
    ----------
    factors : sequence of str
        All of them; those neither ``factor`` nor ``given`` are averaged over.
    given : mapping
        Factors that are held, and the labels they are held at.

    Examples
    --------
    >>> y = xr.DataArray([[1.0, 2.0], [5.0, 10.0]], dict(a=[0, 1], b=[0, 1]), ["a", "b"])
    >>> float(effect(y, "a", ["a", "b"], {})), float(effect(y, "a", ["a", "b"], {"b": 1}))
    (6.0, 8.0)
    """
    held = y.sel({**given}, drop=True)
    others = [f for f in factors if f != factor and f not in given]
    on, off = (held.isel({factor: end}, drop=True) for end in (-1, 0))
    return (on - off).mean(others)


def interaction(
    y: xr.DataArray, pair: tuple[str, str], factors: Sequence[str], given: Mapping[str, Any]
) -> xr.DataArray:
    """How much the effect of one factor changes when the other goes to its last level too."""
    one, other = pair
    ends = (y[other].values[-1], y[other].values[0])
    with_it, without = (effect(y, one, factors, {**given, other: end}) for end in ends)
    return with_it - without


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
        found.append(effect(y, name, factors, ends))
    return xr.concat(found, pd.Index(factors, name="step"))


def interactions(y: xr.DataArray, factors: Sequence[str]) -> xr.DataArray:
    """Return each pair's :func:`interaction`, with all other factors at their last level.

    Returns
    -------
    xarray.DataArray
        Over ``pair`` ("a x b") and the rest.
    """
    found = {}
    for pair in itertools.combinations(factors, 2):
        given = {f: y[f].values[-1] for f in factors if f not in pair}
        found[" x ".join(pair)] = interaction(y, pair, factors, given)
    return xr.concat(found.values(), pd.Index(found, name="pair"))
