"""Whether the counters of recorded runs end where the model expects them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab import measures
from numalab.dataset import provenance
from numalab.fields import InputError, unknown_name
from numalab.stats.intervals import prediction_interval

COUNTERS = (
    "numa_pte_updates",
    "numa_hint_faults",
    "numa_hint_faults_local",
    "numa_pages_migrated",
)
"""The counters that the model is judged by."""
_DRAWS = 500
EVENTS = ("scans", "passes")
"""Scans that walked a chunk, and completed passes; judged beside the counters."""


def describe(ds: xr.Dataset) -> str:
    """Say where runs come from: ``recorded on KERNEL (4 runs)``, ``simulated as POLICY (...)``."""
    how = "recorded on" if ds.attrs["source"] == "recorded" else "simulated as"
    return f"{how} {ds.attrs['kernel']} ({ds.sizes['replicate']} runs)"


def runs_of(ds: xr.Dataset, *names: str) -> list[xr.Dataset]:
    """Return each run with no more than the named variables: a measure's arguments."""
    chosen = ds[[name for name in names if name in ds]]
    return [chosen.isel(replicate=i) for i in range(ds.sizes["replicate"])]


def at_end(ds: xr.Dataset, counter: str) -> xr.DataArray:
    """Value of a counter at the end of each run; int64[replicate].

    ``scans`` are the scans that walked at least one chunk, ``passes`` the sum of
    ``numa_scan_seq`` over processes.

    Raises
    ------
    InputError
        For an unknown counter; for scans that the Dataset does not hold, or not all.
    """
    if counter == "passes":
        return ds["numa_scan_seq"].isel(time=-1).sum("process")
    if counter == "scans":
        found = [measures.scans(run)["scans"] for run in runs_of(ds, "chunk_scan", "chunk_pages")]
        return ds["replicate"].copy(data=np.array(found, dtype=np.int64))
    if counter not in ds:
        raise unknown_name("counter", counter, [*COUNTERS, *EVENTS])
    return ds[counter].isel(time=-1)


def beside(simulated: xr.DataArray, recorded: xr.DataArray, level: float = 0.95) -> xr.Dataset:
    """Set recorded values beside the model's prediction interval.

    Parameters
    ----------
    simulated, recorded : xarray.DataArray
        Of the same dimensions, ``replicate`` among them.
    level : float
        Of the prediction interval.

    Returns
    -------
    xarray.Dataset
        ``recorded`` (with ``run`` for ``replicate``); without it ``recorded_median``,
        ``model_median``, ``low``, ``high`` and ``inside``: whether the recorded median lies in
        the interval.
    """
    bounds = prediction_interval(simulated, level)
    low, high = (bounds.sel(statistic=end, drop=True) for end in ("low", "high"))
    median = recorded.median("replicate")
    return xr.Dataset(
        {
            "recorded": recorded.rename(replicate="run").drop_vars("run"),
            "recorded_median": median,
            "model_median": simulated.median("replicate"),
            "low": low,
            "high": high,
            "inside": (low <= median) & (median <= high),
        }
    )


def counters(
    simulated: xr.Dataset,
    recorded: xr.Dataset,
    names: Sequence[str] = (*COUNTERS, *EVENTS),
    level: float = 0.95,
    tolerance: float = 0.0,
) -> xr.Dataset:
    """Set the counters of recorded runs beside the model's prediction.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``.
    names : sequence of str
        Counters; see :func:`at_end`.
    level : float
        Of the prediction interval.
    tolerance : float
        How far beyond either end of the interval a counter still counts as inside, of pages or
        folios; scans and passes have none.

    Returns
    -------
    xarray.Dataset
        Over ``counter``: ``recorded`` (counter, run), ``recorded_median``, ``model_median``,
        ``low``, ``high``, ``inside`` (the recorded median lies in the interval),
        ``runs_inside``, ``log2_ratio`` (model median over recorded mean; NaN if only one of
        them is 0), ``width_ratio`` (interval width over the range of the recorded runs) and
        ``expected_width_ratio`` (the median of that over as many simulated runs, drawn again and
        again: what a perfect model would have).

    Raises
    ------
    InputError
        If they are of different workloads, or the simulated runs are too few.
    """
    check_same(simulated, recorded)
    return judged(_all_at_end(simulated, names), _all_at_end(recorded, names), level, tolerance)


def check_same(simulated: xr.Dataset, recorded: xr.Dataset) -> None:
    """Refuse to compare runs of different workloads.

    Raises
    ------
    InputError
        Naming both.
    """
    ours, theirs = _workload_name(simulated), _workload_name(recorded)
    if ours != theirs:
        raise InputError(f'different workloads: "{theirs}" beside a simulation of "{ours}"')


def judged(
    ends: xr.DataArray, of_runs: xr.DataArray, level: float = 0.95, tolerance: float = 0.0
) -> xr.Dataset:
    """Judge recorded values by the model's prediction; what :func:`counters` returns.

    Parameters
    ----------
    ends, of_runs : xarray.DataArray
        Simulated and recorded values over (counter, replicate).
    level, tolerance : float
        See :func:`counters`.

    Returns
    -------
    xarray.Dataset
        As of :func:`counters`.
    """
    found = beside(ends, of_runs, level)
    names = [str(name) for name in ends["counter"].values]
    model, runs, low, high = (found[n] for n in ("model_median", "recorded", "low", "high"))
    slack = xr.DataArray([tolerance * (n not in EVENTS) for n in names], dims="counter")
    least, most, median = low - slack, high + slack, found["recorded_median"]
    mean, spread = runs.mean("run"), runs.max("run") - runs.min("run")
    ratio = (model / mean).where((model > 0) & (mean > 0)).where(model != mean, 1.0)
    return found.assign(
        inside=(least <= median) & (median <= most),
        runs_inside=((runs >= least) & (runs <= most)).sum("run"),
        log2_ratio=xr.apply_ufunc(np.log2, ratio),
        width_ratio=(high - low) / spread.where(spread > 0),
        expected_width_ratio=_expected_width_ratio(ends, high - low, runs.sizes["run"]),
    ).assign_attrs(level=level, tolerance=tolerance, replicates=ends.sizes["replicate"])


def _expected_width_ratio(ends: xr.DataArray, width: xr.DataArray, runs: int) -> xr.DataArray:
    """Median of the interval's width over the range of so many simulated runs; NaN if all agree."""
    drawn = np.random.default_rng(0).integers(0, ends.sizes["replicate"], (_DRAWS, runs))
    picked = ends.isel(replicate=xr.DataArray(drawn, dims=("draw", "run")))
    spread = picked.max("run") - picked.min("run")
    return (width / spread.where(spread > 0)).median("draw")


def _all_at_end(ds: xr.Dataset, names: Sequence[str]) -> xr.DataArray:
    values = np.array([at_end(ds, name).values for name in names])
    coords = {"counter": list(names), "replicate": ds["replicate"].values}
    return xr.DataArray(values, dims=("counter", "replicate"), coords=coords)


def _workload_name(ds: xr.Dataset) -> str:
    given = provenance(ds).get("workload", "")
    return str(given["name"] if isinstance(given, dict) else given)
