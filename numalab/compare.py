"""How well a simulation and a recording of one workload agree, counter by counter."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab.dataset import provenance
from numalab.fields import InputError, unknown_name
from numalab.stats.intervals import prediction_interval

COUNTERS = (
    "numa_pte_updates",
    "numa_hint_faults",
    "numa_hint_faults_local",
    "numa_pages_migrated",
)
"""The counters that the agreement is judged by."""
EVENTS = ("scans", "passes")
"""Scans that walked a chunk, and completed passes; judged beside the counters."""


def final(ds: xr.Dataset, counter: str) -> xr.DataArray:
    """Value of a counter at the end of each run; int64[replicate].

    ``scans`` are the scans that walked at least one chunk, ``passes`` the sum of
    ``numa_scan_seq`` over processes.

    Raises
    ------
    InputError
        For an unknown counter, or one that the Dataset does not hold.
    """
    if counter == "passes":
        return ds["numa_scan_seq"].isel(time=-1).sum("process")
    if counter == "scans":
        if "chunk_scan" not in ds:
            raise InputError("the recording holds no scans (its kernel gave no trace)")
        runs = [
            len(np.unique(scan[pages >= 0]))
            for scan, pages in zip(ds["chunk_scan"].values, ds["chunk_pages"].values, strict=True)
        ]
        return xr.DataArray(np.array(runs), dims="replicate", coords={"replicate": ds.replicate})
    if counter not in ds:
        raise unknown_name("counter", counter, [*COUNTERS, *EVENTS])
    return ds[counter].isel(time=-1)


def said(ds: xr.Dataset) -> str:
    """Say where runs come from: ``recorded on KERNEL (4 runs)``, ``simulated as POLICY (...)``."""
    how = "recorded on" if ds.attrs["source"] == "recorded" else "simulated as"
    return f"{how} {ds.attrs['kernel']} ({len(ds.replicate)} runs)"


def _workload(ds: xr.Dataset) -> str:
    given = provenance(ds).get("workload", "")
    return str(given["name"] if isinstance(given, dict) else given)


def compare(
    simulated: xr.Dataset,
    recorded: xr.Dataset,
    counters: tuple[str, ...] = (*COUNTERS, *EVENTS),
    level: float = 0.95,
) -> xr.Dataset:
    """Set the model's prediction beside the recorded runs.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``.
    counters : tuple of str
    level : float
        Of the prediction interval.

    Returns
    -------
    xarray.Dataset
        Over ``counter``: ``recorded`` (counter, run), ``recorded_median``, ``model_median``,
        ``low``, ``high``, ``inside`` (the recorded median lies in the interval),
        ``runs_inside``, ``log2_ratio`` (model median over recorded mean) and ``width_ratio``
        (interval width over the range of the recorded runs).

    Raises
    ------
    InputError
        If they are of different workloads, or the simulated runs are too few.
    """
    ours, theirs = _workload(simulated), _workload(recorded)
    if ours != theirs:
        raise InputError(f'different workloads: "{theirs}" beside a simulation of "{ours}"')
    rows: dict[str, list[object]] = {}
    runs = []
    for counter in counters:
        sim, rec = final(simulated, counter), final(recorded, counter)
        low, high = (float(x) for x in prediction_interval(sim, level))
        median = float(rec.median())
        spread = float(rec.max() - rec.min())
        mean, model = float(rec.mean()), float(sim.median())
        row = {
            "recorded_median": median,
            "model_median": model,
            "low": low,
            "high": high,
            "inside": low <= median <= high,
            "runs_inside": int(((rec >= low) & (rec <= high)).sum()),
            "log2_ratio": np.log2(model / mean) if model > 0 and mean > 0 else np.nan,
            "width_ratio": (high - low) / spread if spread else np.nan,
        }
        if model == mean:
            row["log2_ratio"] = 0.0
        for key, value in row.items():
            rows.setdefault(key, []).append(value)
        runs.append(rec.values)
    data = {key: ("counter", np.array(values)) for key, values in rows.items()}
    result = xr.Dataset(
        {**data, "recorded": (("counter", "run"), np.array(runs))},
        coords={"counter": list(counters)},
    )
    result.attrs = {"level": level, "replicates": simulated.sizes["replicate"]}
    return result
