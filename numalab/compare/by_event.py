"""Whether scans begin when the model expects them, go as far, and skip VMAs for its reasons."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab import measures
from numalab.compare.by_counter import runs_of
from numalab.stats.intervals import prediction_interval

MOST_SCANS = 12
"""Scans of a run that are compared one by one."""


def _first_scans(ds: xr.Dataset) -> xr.Dataset:
    """Begin [ms] and length [pages] of the first scans; float64[replicate, scan]."""
    names = ("chunk_ms", "chunk_scan", "chunk_pages")
    found = [measures.each_scan(run, most=MOST_SCANS) for run in runs_of(ds, *names)]
    return xr.Dataset(
        {
            name: (("replicate", "scan"), np.array([one[name] for one in found]))
            for name in ("scan_ms", "scan_pages")
        }
    )


def events(simulated: xr.Dataset, recorded: xr.Dataset, level: float = 0.95) -> xr.Dataset:
    """Set simulated events beside recorded ones.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``.
    level : float
        Of the prediction intervals.

    Returns
    -------
    xarray.Dataset
        ``skips_recorded``, ``skips_simulated`` (reason): mean counts of a run, NaN where a
        kernel traces none; ``times_inside``, ``times_compared`` (): recorded scans whose
        begin lies in the model's interval for the scan of that number; ``time_error_ms`` ():
        median of |recorded - model median|; ``ranges_inside`` (): the same count for the
        pages walked.
    """
    skips = simulated["skips"].sum("vma").mean("replicate")
    traced = "skips" in recorded
    result = xr.Dataset(
        {
            "skips_recorded": recorded["skips"].sum("vma").mean("replicate")
            if traced
            else xr.full_like(skips, np.nan),
            "skips_simulated": skips,
        }
    )
    model, real = _first_scans(simulated), _first_scans(recorded)
    inside = {"scan_ms": 0, "scan_pages": 0}
    errors: list[float] = []
    for k in range(MOST_SCANS):
        expected = model.isel(scan=k).dropna("replicate")
        seen = real.isel(scan=k).dropna("replicate")
        if expected.sizes["replicate"] * (1 - level) < 2 - 1e-9 or not seen.sizes["replicate"]:
            continue  # too few runs of the model got that far
        for name in inside:
            low, high = prediction_interval(expected[name], level).values
            inside[name] += int(((seen[name] >= low) & (seen[name] <= high)).sum())
        errors += list(np.abs(seen["scan_ms"].values - float(expected["scan_ms"].median())))
    return result.assign(
        times_inside=inside["scan_ms"],
        ranges_inside=inside["scan_pages"],
        times_compared=len(errors),
        time_error_ms=float(np.median(errors)) if errors else np.nan,
    )


def pooled_skip_shares(table: xr.Dataset) -> xr.Dataset:
    """Share of each skip reason, pooled over the workloads of a kernel.

    Parameters
    ----------
    table : xarray.Dataset
        Of cells with ``skips_recorded`` and ``skips_simulated``, from
        :func:`numalab.compare.over`.

    Returns
    -------
    xarray.Dataset
        ``recorded``, ``simulated``: float64[generation, reason] [%]; NaN where a kernel traces
        no skips.
    """
    names = {"skips_recorded": "recorded", "skips_simulated": "simulated"}
    counts = table[list(names)].groupby("generation").sum("cell").rename(names)
    return 100 * counts / counts.sum("reason")
