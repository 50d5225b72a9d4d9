"""Two-level factorial designs: a dimension of 0 and 1 for each factor; effects by name.

Every function takes an array that holds all combinations, so that effects are plain
differences of means and no factor is confounded with another.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from numalab.fields import InputError

Point = Mapping[str, int]


def points(factors: Sequence[str]) -> list[dict[str, int]]:
    """Return all combinations of levels, the last factor running fastest."""
    return [
        dict(zip(factors, levels, strict=True))
        for levels in itertools.product((0, 1), repeat=len(factors))
    ]


def table(
    values: Sequence[np.ndarray], factors: Sequence[str], rest: Sequence[str]
) -> xr.DataArray:
    """Arrange one array a point, in the order of :func:`points`, by factor.

    Raises
    ------
    InputError
        If there is not exactly one array for each point.
    """
    if len(values) != 2 ** len(factors):
        raise InputError(f"{len(values)} points: a full factorial has {2 ** len(factors)}")
    stacked = np.array(values)
    shape = (2,) * len(factors) + stacked.shape[1:]
    levels = {name: [0, 1] for name in factors}
    return xr.DataArray(stacked.reshape(shape), dims=(*factors, *rest), coords=levels)


def effect(y: xr.DataArray, factor: str, factors: Sequence[str], given: Point) -> xr.DataArray:
    """What switching a factor on adds, with the ``given`` factors held, the others averaged.

    Examples
    --------
    >>> y = table([np.array([v]) for v in (1.0, 2.0, 5.0, 10.0)], ["a", "b"], ["replicate"])
    >>> float(effect(y, "a", ["a", "b"], {})[0]), float(effect(y, "a", ["a", "b"], {"b": 1})[0])
    (6.0, 8.0)
    """
    held = y.sel({**given}, drop=True)
    others = [f for f in factors if f != factor and f not in given]
    on, off = held.sel({factor: 1}, drop=True), held.sel({factor: 0}, drop=True)
    return (on - off).mean(others)


def interaction(
    y: xr.DataArray, pair: tuple[str, str], factors: Sequence[str], given: Point
) -> xr.DataArray:
    """How much the effect of one factor changes when the other is switched on too."""
    one, other = pair
    with_it = effect(y, one, factors, {**given, other: 1})
    without = effect(y, one, factors, {**given, other: 0})
    return with_it - without
