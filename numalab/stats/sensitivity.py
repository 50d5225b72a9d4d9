"""Which parameter matters? Shares in full grids, Sobol indices of designs.

A full grid is an array over its axes and ``replicate``. A design is a DataFrame of points, a
column a parameter; its results are an array over ``point``, in the order of the rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from numalab.fields import InputError
from numalab.stats.intervals import bootstrap, check_finite, check_level, count_runs, identical

_AGREE = 0.8
"""Steps of one sign less those of the other, as a share of all: from here on a direction."""


def variance_shares(
    da: xr.DataArray, axes: Sequence[str], *, level: float = 0.95, seed: int = 0
) -> xr.DataArray:
    """What each axis of a full grid decides, alone and together with others.

    Parameters
    ----------
    da : xarray.DataArray
        Over ``axes``, ``replicate`` and anything else.

    Returns
    -------
    xarray.DataArray
        Over the rest, ``term`` and ``statistic`` (value, low, high): share of the variance of
        the mean over the grid that belongs to each axis and to each interaction ("a x b"); the
        values add up to 1. NaN where the mean is the same all over the grid. Chance makes each
        somewhat larger than 0, so that a small share says nothing if its axis has none.

    Raises
    ------
    InputError
        As :func:`numalab.stats.intervals.bootstrap`, or without axes.
    """
    if not axes:
        raise InputError("no axes: at least one must have two values")
    check_finite(da)
    cells = da.mean("replicate").stack(cell=[*axes])
    varied = ~xr.apply_ufunc(identical, cells, input_core_dims=[["cell"]])
    terms = [t for k in range(len(axes)) for t in itertools.combinations(axes, k + 1)]
    labels = [" x ".join(term) for term in terms]
    if not varied.any():
        statistics = xr.DataArray(["value", "low", "high"], dims="statistic", name="statistic")
        none = xr.full_like(varied, np.nan, dtype=np.float64)
        return none.expand_dims(term=labels, statistic=statistics.values)

    def shares(mean: xr.DataArray) -> xr.DataArray:
        parts: dict[tuple[str, ...], xr.DataArray] = {}
        for term in terms:
            closed = mean.mean([a for a in axes if a not in term]).var(term)
            parts[term] = closed - sum(v for t, v in parts.items() if set(t) < set(term))
        total = mean.var(axes).where(varied)
        return xr.concat([part / total for part in parts.values()], dim="term")

    found = bootstrap(shares, da, level=level, seed=seed, resamples=2000, method="percentile")
    return found.assign_coords(term=labels)


def sobol_indices(
    design: pd.DataFrame,
    da: xr.DataArray,
    *,
    scale: Callable[[xr.DataArray], xr.DataArray] = np.positive,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Sobol indices of the results of a design (SALib), and what chance makes of them.

    Parameters
    ----------
    design : pandas.DataFrame
        Of :func:`numalab.sweep.design.saltelli`, all n * (k + 2) rows of k parameters, in order.
    da : xarray.DataArray
        Over ``point``, ``replicate`` and anything else.
    scale : callable
        Of counts; indices are of the scaled mean over replicates. Default: as it is.
    seed : int
        Of the 200 resamples behind the intervals.

    Returns
    -------
    xarray.Dataset
        Over the rest and ``parameter``: ``S1``, the share of the variance over the points that
        the parameter explains alone, and ``ST``, with all its interactions, both over
        ``statistic`` (value, low, high) too; ``direction``, whether raising the parameter raises
        (1) or lowers (-1) the result in nearly all steps of the design, larger steps counting
        more, or 0: neither, or ``ST`` is not above chance. Over the rest: ``chance``, the share
        of the variance over the points that another seed would bring; about the ``ST`` of a
        parameter that does nothing but reshuffle the draws.

    Raises
    ------
    InputError
        If points are missing, for a single replicate, or for a result that is the same at all
        points.
    """
    from SALib.analyze import sobol

    check_level(level)
    rows, k = design.shape
    if da.sizes.get("point") != rows or rows % (k + 2):
        raise InputError(
            f"results over {dict(da.sizes)}: must be one for each of the {rows} points of a "
            "design, over 'point', in order"
        )
    runs = count_runs(da)
    if runs < 2:
        raise InputError(f"replicates = {runs}: what chance brings is seen from 2 on")
    check_finite(da)
    y = scale(da.mean("replicate")).astype(np.float64)
    _check_varied(y)
    x = design.rank().to_numpy().reshape(-1, k + 2, k)
    raised = np.diagonal(x[:, 1:-1] - x[:, :1], axis1=1, axis2=2)
    problem = {"num_vars": k, "names": [*design]}

    def indices(values: np.ndarray) -> tuple[np.ndarray, ...]:
        found = sobol.analyze(
            problem, values, calc_second_order=False, num_resamples=200, conf_level=level,
            seed=np.random.default_rng(seed),  # SALib takes seed=0 for none
        )  # fmt: skip
        ends = [found[s] + end * found[f"{s}_conf"] for s in ("S1", "ST") for end in (0, -1, 1)]
        by_sample = values.reshape(-1, k + 2)
        effects = raised * (by_sample[:, 1:-1] - by_sample[:, :1])
        agree = abs(effects.sum(axis=0)) >= _AGREE * abs(effects).sum(axis=0)
        return np.transpose(ends[:3]), np.transpose(ends[3:]), agree * np.sign(effects.sum(axis=0))

    over = [["parameter", "statistic"]] * 2 + [["parameter"]]
    parts = xr.apply_ufunc(
        indices, y, input_core_dims=[["point"]], output_core_dims=over, vectorize=True
    )
    found = xr.Dataset(dict(zip(("S1", "ST", "direction"), parts, strict=True)))
    by_chance = scale(da).var("replicate", ddof=1).mean("point") / runs
    found["chance"] = by_chance / y.var("point")
    above = found["ST"].isel(statistic=0) > found["chance"]
    found["direction"] = found["direction"].where(above, 0).astype(int)
    names = {"parameter": [*map(str, design)], "statistic": ["value", "low", "high"]}
    return found.assign_coords(names)


def _check_varied(y: xr.DataArray) -> None:
    """Raise, naming it, if a result over ``point`` is the same at all points."""
    same = xr.apply_ufunc(identical, y, input_core_dims=[["point"]])
    for at in np.argwhere(same.values):
        cell = [f"{y[dim].values[i]}, " for dim, i in zip(same.dims, at, strict=True)]
        raise InputError(
            f"{''.join(cell)}identical at all points: nothing varies that could be explained"
        )
