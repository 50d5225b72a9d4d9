"""What q02 asks of a sweep over the pinned fraction of a guest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import xarray as xr

from numalab import __version__
from numalab.tables import number
from numalab.workload import Workload

AXES = {
    "numa_pte_updates": "entries marked [1/min]",
    "scan_pages": "pages walked [1/min]",
    "notifier_pages": "pages notified [1/min]",
}
"""Variables of q02's figures and their titles."""


def at(shape: Callable[..., Workload], *, thp: bool) -> Callable[[float], Workload]:
    """Return the guest of a pinned fraction as a function of the fraction."""
    return partial(_at, shape, thp)


def _at(shape: Callable[..., Workload], thp: bool, pin_fraction: float) -> Workload:
    return shape(pin_fraction=pin_fraction, thp=thp)


def per_minute(ds: xr.Dataset, seconds: float) -> xr.Dataset:
    """Scale the counts of a run to one minute."""
    return ds[list(AXES)] * (60 / seconds)


def _ratio(ds: xr.Dataset, name: str) -> xr.DataArray:
    mean = ds[name].mean("replicate")
    return mean.sel(pin_fraction=1.0) / mean.sel(pin_fraction=0.0)


def marks_when_all_pinned(ds: xr.Dataset) -> float:
    """Entries marked when all is pinned, over those when nothing is; the worst policy."""
    return float(_ratio(ds, "numa_pte_updates").max())


def notified_when_all_pinned(ds: xr.Dataset) -> float:
    """Pages notified when all is pinned, over those when nothing is; the least policy."""
    return float(_ratio(ds, "notifier_pages").min())


def _passes(ds: xr.Dataset, memory_mb: int, seconds: float) -> str:
    notified = ds["notifier_pages"].mean("replicate").sel(pin_fraction=1.0) * 60 / seconds
    return ", ".join(
        f"{float(notified.sel(policy=p)) / (memory_mb * 256):.1f} ({p})"
        for p in ds["policy"].values
    )


def answer(small: xr.Dataset, huge: xr.Dataset, memory_mb: int, seconds: float) -> str:
    """Answer q02 in words, with the numbers from the sweeps."""
    failed = huge["pgmigrate_fail"].mean("replicate").sel(pin_fraction=1.0) * 60 / seconds
    pages = ", ".join(f"{number(float(failed.sel(policy=p)))} ({p})" for p in huge["policy"].values)
    return (
        "A guest that is pinned entirely, in 4 KiB pages, has nothing marked and nothing "
        "migrated, and yet all of its memory is notified this many times a minute: "
        f"{_passes(small, memory_mb, seconds)}. In 2 MiB folios: "
        f"{_passes(huge, memory_mb, seconds)}; there, pages that fail to migrate a minute: "
        f"{pages}."
    )


def birth(ds: xr.Dataset) -> dict[str, object]:
    """Return the provenance of a sweep."""
    return {"numalab": __version__, "policies": [str(p) for p in ds["policy"].values]}
