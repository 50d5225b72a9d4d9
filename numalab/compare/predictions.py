"""How well single runs were predicted: by kernel, and over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats
import xarray as xr

ALL = "all"
"""Label of all kernels together, along ``generation``."""
FEWEST_WORKLOADS = 8
"""Fewer than these say nothing of others."""


def predictions(table: xr.Dataset, *, level: float = 0.95, seed: int = 0) -> xr.Dataset:
    """Score the model by single runs, where the kernel itself varies from run to run.

    A value that all recorded runs agree on says little about an interval, so those cells
    (workload, kernel, counter) are counted apart, as steady.

    Parameters
    ----------
    table : xarray.Dataset
        From :func:`numalab.compare.over`, of counters or of tasks; NaN where a cell has none.
    level : float
        Of the intervals of the shares.
    seed : int
        Of their bootstrap.

    Returns
    -------
    xarray.Dataset
        Over ``generation``, the last of which is :data:`ALL`: ``runs`` and ``inside``, int64, of
        cells that vary; ``share`` = inside / runs with ``share_low`` and ``share_high``, from a
        bootstrap over workloads (NaN with fewer than :data:`FEWEST_WORKLOADS`); ``steady_runs``,
        ``steady_inside``; over all cells the median and the 90th percentile of
        \\|log2(simulated median / recorded median)\\|, ``log2_median`` and ``log2_p90``, inf where
        only one is 0; over cells that vary the medians of ``width_ratio`` and of
        ``expected_width_ratio``, what a perfect model would have.
    """
    recorded = table["recorded"]
    varies = recorded.max("run") > recorded.min("run")
    runs = recorded.count("run")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = xr.apply_ufunc(np.log2, table["model_median"] / table["recorded_median"])
    off = abs(ratio).where(table["model_median"] != table["recorded_median"], 0.0)
    kernels = [*dict.fromkeys(table["generation"].values)]
    found: list[dict[str, Any]] = []
    for kernel in (*kernels, ALL):
        chosen = np.flatnonzero((table["generation"] == kernel) | (kernel == ALL))
        here, inside, off_here = (da.isel(cell=chosen) for da in (runs, table["runs_inside"], off))
        vary = varies.isel(cell=chosen)
        some, of = (
            da.where(vary, 0).sum("counter").groupby("workload").sum() for da in (inside, here)
        )
        widths = table[["width_ratio", "expected_width_ratio"]].isel(cell=chosen).where(vary)
        found.append(
            {
                "runs": int(of.sum()),
                "inside": int(some.sum()),
                **_share(some, of, level, seed),
                "steady_runs": int(here.where(~vary, 0).sum()),
                "steady_inside": int(inside.where(~vary, 0).sum()),
                "log2_median": float(np.nanmedian(off_here)),
                "log2_p90": float(np.nanquantile(off_here, 0.9, method="higher")),
                **{str(name): float(widths[name].median()) for name in widths},
            }
        )
    names = found[0]
    values = {name: ("generation", [row[name] for row in found]) for name in names}
    return xr.Dataset(values, coords={"generation": [*kernels, ALL]}, attrs={"level": level})


def _share(inside: xr.DataArray, runs: xr.DataArray, level: float, seed: int) -> dict[str, float]:
    """Share of runs inside, each given by workload, with its interval."""
    pair = [da.values[runs.values > 0] for da in (inside, runs)]
    low = high = np.nan
    if pair[1].size >= FEWEST_WORKLOADS:
        found = scipy.stats.bootstrap(
            pair,
            lambda some, of, axis: some.sum(axis=axis) / of.sum(axis=axis),
            paired=True,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
        low, high = (float(end) for end in found.confidence_interval)
    share = float(pair[0].sum() / pair[1].sum()) if pair[1].size else np.nan
    return {"share": share, "share_low": low, "share_high": high}
