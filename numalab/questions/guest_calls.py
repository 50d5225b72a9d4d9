"""How well the model's notifications of a guest agree with recorded ones, call by call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from numalab.captures import find
from numalab.compare import compare
from numalab.dataset import WHYS
from numalab.fields import InputError
from numalab.stats.intervals import prediction_interval

COUNTS = ("scan_calls", "scan_pages", "migrate_calls")
"""Notifications sent by scans, the pages they name, notifications sent by migrations."""


def guest_of(ds: xr.Dataset) -> str:
    """Name of the VMA that is a guest's memory: recorded guests have one, the first."""
    return str(ds["vma"].values[0])


def sent_by_scans(run: xr.Dataset, vma: int = 0) -> tuple[tuple[int, int], ...]:
    """Return the ranges of a VMA that the scans of one run notified, in order: (start, pages)."""
    mine = (run["notify_vma"].values == vma) & (run["notify_why"].values == WHYS.index("scan"))
    start, pages = run["notify_start"].values[mine], run["notify_pages"].values[mine]
    return tuple((int(a), int(b)) for a, b in zip(start, pages, strict=True))


def largest_scan(run: xr.Dataset, vma: int = 0) -> int:
    """Most pages of a VMA that one scan of a run notified [pages]."""
    mine = (run["notify_vma"].values == vma) & (run["notify_why"].values == WHYS.index("scan"))
    if not mine.any():
        return 0
    scan = run["chunk_scan"].values[run["notify_chunk"].values[mine].astype(np.int64)]
    _, index = np.unique(scan, return_inverse=True)
    return int(np.bincount(index, weights=run["notify_pages"].values[mine]).max())


def counts(ds: xr.Dataset) -> xr.Dataset:
    """Notifications of the guest's memory in each run: int64[replicate] of each count."""
    mine = ds.sel(vma=guest_of(ds), drop=True)
    return xr.Dataset(
        {
            "scan_calls": mine["notifier_calls"].sel(why="scan", drop=True),
            "scan_pages": mine["notifier_pages"].sel(why="scan", drop=True),
            "migrate_calls": mine["notifier_calls"].sel(why="migrate", drop=True),
        }
    )


def _runs(ds: xr.Dataset) -> list[xr.Dataset]:
    return [ds.isel(replicate=i) for i in range(ds.sizes["replicate"])]


def compare_calls(simulated: xr.Dataset, recorded: xr.Dataset) -> xr.Dataset:
    """Set the model's notifications beside the recorded ones.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``; at least 39 simulated runs.

    Returns
    -------
    xarray.Dataset
        Over ``count``: ``recorded_median``, ``model_median``, ``low``, ``high``, ``inside``,
        ``recorded`` (count, run); ``same_ranges``: share of the recorded notifications by
        scans whose range the model sends too, NaN if none was recorded; ``same_order``: share
        of the recorded runs of which the ranges, one after the other, are those of a simulated
        run as far as the shorter of the two goes; ``same_calls``: of which all of them are;
        ``largest_scan`` recorded and in the model [pages].
    """
    sim, rec = counts(simulated), counts(recorded)
    rows = []
    for name in COUNTS:
        low, high = (float(x) for x in prediction_interval(sim[name]))
        middle = float(rec[name].median())
        rows.append((middle, float(sim[name].median()), low, high, low <= middle <= high))
    columns = ("recorded_median", "model_median", "low", "high", "inside")
    model = {sent_by_scans(run) for run in _runs(simulated)}
    known = {one for ranges in model for one in ranges}
    real = [sent_by_scans(run) for run in _runs(recorded)]
    sent = [one for ranges in real for one in ranges]
    found = xr.Dataset(
        {
            **{
                c: ("count", np.array(v))
                for c, v in zip(columns, zip(*rows, strict=True), strict=True)
            },
            "recorded": (("count", "run"), np.array([rec[name].values for name in COUNTS])),
        },
        coords={"count": list(COUNTS)},
    )
    found["same_ranges"] = np.mean([one in known for one in sent]) if sent else np.nan
    found["same_order"] = np.mean([any(_agree(x, y) for y in model) for x in real])
    found["same_calls"] = np.mean([x in model for x in real])
    found["largest_scan"] = max(largest_scan(run) for run in _runs(recorded))
    found["model_largest_scan"] = max(largest_scan(run) for run in _runs(simulated))
    return found


def _agree(one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter] and (shorter > 0 or len(one) == len(other))


def over_guests(
    root: str | Path, *, only: str = "", replicates: int = 200, seed: int = 1
) -> xr.Dataset:
    """Compare the model with the recorded guests under ``root`` whose name holds ``only``.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`compare_calls` over ``cell`` (workload, generation), and
        ``inside`` of :func:`numalab.compare.compare` as ``counters_inside`` (cell, counter).

    Raises
    ------
    InputError
        If there is no recording.
    """
    found = [recording for recording in find(root) if only in recording.name]
    if not found:
        raise InputError(f"{root}: holds no recordings of guests named {only or 'anything'}")
    cells = []
    for recording in found:
        simulated, recorded = recording.simulate(replicates, seed), recording.dataset()
        cell = compare_calls(simulated, recorded)
        cell["counters_inside"] = compare(simulated, recorded)["inside"]
        cells.append(cell)
    table = xr.concat(cells, dim="cell", join="outer", data_vars="all")
    return table.assign_coords(
        workload=("cell", [recording.name for recording in found]),
        generation=("cell", [recording.generation for recording in found]),
    )
