"""Guests over their pinned fraction: recorded points, and the model's curves through them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab.captures import Recording
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.workload import Workload

MAPPINGS = ("4k-anon", "thp-anon", "4k-memfd", "thp-memfd")
"""Size and kind of the folios that hold a recorded guest."""
FRACTIONS = {"none": 0.0, "half": 0.5, "full": 1.0}
"""Pinned fraction of a recorded guest, by the word in its name."""


def _guest(
    recordings: Sequence[Recording], pinned: str, mapping: str, generation: str
) -> Recording:
    label = f"guest-{pinned}-{mapping}/{generation}"
    for recording in recordings:
        if recording.label == label:
            return recording
    raise InputError(f"{label}: no such recording of a guest")


def _per_minute(ds: xr.Dataset, seconds: float) -> xr.Dataset:
    """Pages that scans and migrations notified, and guest refaults, a minute."""
    mine = ds.isel(vma=0, drop=True)
    pages = mine["notifier_pages"]
    found = xr.Dataset(
        {
            "by_scans": pages.sel(why="scan", drop=True),
            "by_migrations": pages.sel(why="migrate", drop=True),
            "calls_by_scans": mine["notifier_calls"].sel(why="scan", drop=True),
        }
    )
    return found * (60.0 / seconds)


def generations(recordings: Sequence[Recording]) -> list[str]:
    """Kernel generations with recorded guests, oldest first."""
    found = {r.generation for r in recordings if r.name.startswith("guest-")}
    if not found:
        raise InputError("no recorded guests")
    return sorted(found, key=lambda g: [int(n) for n in g.split(".")])


def points(recordings: Sequence[Recording]) -> xr.Dataset:
    """Recorded pages notified a minute over (mapping, policy, pin_fraction, replicate).

    Returns
    -------
    xarray.Dataset
        ``by_scans``, ``by_migrations`` [pages/min], ``calls_by_scans`` [1/min].
    """
    kernels = generations(recordings)
    rows = []
    for mapping in MAPPINGS:
        row = []
        for generation in kernels:
            cells = []
            for pinned in FRACTIONS:
                recording = _guest(recordings, pinned, mapping, generation)
                seconds = recording.workload.duration_ms / 1000
                cells.append(_per_minute(recording.dataset(), seconds))
            row.append(xr.concat(cells, dim="pin_fraction"))
        rows.append(xr.concat(row, dim="policy"))
    return xr.concat(rows, dim="mapping").assign_coords(
        mapping=list(MAPPINGS),
        policy=[f"linux-{g}" for g in kernels],
        pin_fraction=list(FRACTIONS.values()),
    )


def _pinned(workload: Workload, fraction: float) -> Workload:
    ram = dataclasses.replace(workload.vmas[0], pinned_fraction=fraction)
    return dataclasses.replace(workload, vmas=(ram, *workload.vmas[1:]))


def curves(
    recordings: Sequence[Recording], pin_fractions: Sequence[float], *, replicates: int, seed: int
) -> xr.Dataset:
    """The model of the recorded guests at any pinned fraction; dimensions as :func:`points`.

    Machine, address space and clocks are those of the recorded guest that is pinned in full.
    """
    kernels = generations(recordings)
    rows = []
    for mapping in MAPPINGS:
        row = []
        for generation in kernels:
            recording = _guest(recordings, "full", mapping, generation)
            start = recording.start(0)
            cells = []
            for fraction in pin_fractions:
                ds = simulate(
                    _pinned(start.workload, fraction),
                    recording.policy,
                    seed=seed,
                    replicates=replicates,
                    setup=start.setup,
                )
                cells.append(_per_minute(ds, start.workload.duration_ms / 1000))
            row.append(xr.concat(cells, dim="pin_fraction"))
        rows.append(xr.concat(row, dim="policy"))
    return xr.concat(rows, dim="mapping").assign_coords(
        mapping=list(MAPPINGS),
        policy=[f"linux-{g}" for g in kernels],
        pin_fraction=[float(f) for f in pin_fractions],
    )


def notified_each_minute(ds: xr.Dataset, minutes: int) -> xr.DataArray:
    """Pages of the guest that scans notified in each minute; float64[replicate, minute]."""
    mine = (ds["notify_vma"] == 0) & (ds["notify_pages"] > 0)
    minute = (ds["notify_ms"] // 60_000).astype(int)
    pages = ds["notify_pages"].where(mine, 0)
    each = [pages.where(minute == m, 0).sum("notify") for m in range(minutes)]
    return xr.concat(each, dim="minute").assign_coords(minute=np.arange(1, minutes + 1)).T
