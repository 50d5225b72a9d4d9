"""What q08 asks: how long the vCPUs of a guest stand still, from the list of its notifications."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.catalog.guests import guest
from numalab.costs import BOUNDS, Costs
from numalab.dataset import WHYS
from numalab.engine import simulate
from numalab.remedies import get
from numalab.report.tables import plain, span
from numalab.stats import format_number
from numalab.tunables import Tunables
from numalab.units import PAGES_PER_MB

UNITS = ("scan", "minute")
QUANTILES = (0.5, 0.95, 1.0)


def _mine(run: xr.Dataset, vma: int) -> np.ndarray:
    return (run["notify_vma"].values == vma) & (run["notify_why"].values == WHYS.index("scan"))


def per_scan(ds: xr.Dataset, vma: int = 0) -> xr.Dataset:
    """Group the notifications of a VMA by the scan that sent them, in all runs.

    Returns
    -------
    xarray.Dataset
        Over ``scan``: ``replicate``, ``ms`` (when it began), ``calls``, ``pages`` notified
        and ``zapped`` entries. Scans that notified nothing of the VMA do not appear.
    """
    found: dict[str, list[np.ndarray]] = {n: [] for n in ("replicate", "ms", "calls", "pages")}
    found["zapped"] = []
    for i in range(ds.sizes["replicate"]):
        run = ds.isel(replicate=i)
        mine = _mine(run, vma)
        scan = run["chunk_scan"].values[run["notify_chunk"].values[mine].astype(np.int64)]
        _, first, index = np.unique(scan, return_index=True, return_inverse=True)
        found["replicate"].append(np.full(len(first), i))
        found["ms"].append(run["notify_ms"].values[mine][first])
        found["calls"].append(np.bincount(index, minlength=len(first)))
        for name in ("pages", "zapped"):
            values = run[f"notify_{name}"].values[mine]
            found[name].append(np.bincount(index, weights=values, minlength=len(first)))
    return xr.Dataset({name: ("scan", np.concatenate(rows)) for name, rows in found.items()})


def per_minute(scans: xr.Dataset, minutes: int, replicates: int) -> xr.Dataset:
    """Sum the scans of each minute of each run; minutes without a scan count as 0."""
    minute = (scans["ms"].values // 60_000).astype(np.int64)
    keep = (minute >= 0) & (minute < minutes)
    at = scans["replicate"].values.astype(np.int64) * minutes + minute
    return xr.Dataset(
        {
            name: (
                "scan",
                np.bincount(
                    at[keep], weights=scans[name].values[keep], minlength=replicates * minutes
                ),
            )
            for name in ("calls", "pages", "zapped")
        }
    )


def stall(found: xr.Dataset, costs: Costs, *, vcpus: int, sev: bool) -> xr.DataArray:
    """Return how long a vCPU stands still [ms]; over ``scan`` and ``bound``.

    Each notification interrupts every vCPU once; every zapped entry is filled again once. In
    ``low`` and ``typical`` the vCPUs share the refaults evenly and take them side by side; in
    ``high`` they queue for mmu_lock, one after the other. With ``sev``, each notification
    also stops all CPUs for a cache flush.
    """
    values = []
    for bound in BOUNDS:
        shared = 1 if bound == "high" else vcpus
        refault = getattr(costs.refault, bound) / shared
        each = getattr(costs.vcpu_interrupt, bound)
        each += getattr(costs.cache_flush, bound) if sev else 0.0
        values.append((found["zapped"] * refault + found["calls"] * each) / 1e6)
    return xr.concat(values, dim="bound").assign_coords(bound=list(BOUNDS))


def quantiles(da: xr.DataArray) -> xr.DataArray:
    """Median, 95 % quantile and maximum over the scans; over ``quantile``."""
    if not da.sizes["scan"]:
        zeros = da.sum("scan")
        return xr.concat([zeros] * len(QUANTILES), "quantile").assign_coords(quantile=[*QUANTILES])
    return da.quantile(QUANTILES, dim="scan", method="higher")


def runs(
    policy: str,
    memory_mb: Sequence[int],
    pin_fractions: Sequence[float],
    *,
    vcpus: int,
    thp: bool,
    sev: bool,
    tunables: Tunables,
    seconds: float,
    replicates: int,
    seed: int,
    costs: Costs,
) -> xr.Dataset:
    """Simulate guests and ask the stall calculator about each scan and each minute.

    Returns
    -------
    xarray.Dataset
        ``notified`` [MB], ``refaults`` [1] and ``stall`` [ms], the last over ``bound`` too,
        over (per, memory_mb, pin_fraction, quantile): median, 95 % and maximum over the scans,
        or minutes, of all runs; ``scans``: how many a minute notify the guest. No minute has a
        stall of more than a minute.
    """
    rows = []
    for memory in memory_mb:
        cells = []
        for fraction in pin_fractions:
            workload = guest(
                memory_mb=memory,
                vcpus=vcpus,
                pin_fraction=fraction,
                thp=thp,
                subscriber="sev" if sev else "kvm",
                duration_ms=seconds * 1000,
                tunables=tunables,
            )
            ds = simulate(workload, get(policy), seed=seed, replicates=replicates)
            cells.append(_cell(ds, seconds, replicates, vcpus, sev, costs))
        rows.append(xr.concat(cells, dim="pin_fraction").assign_coords(pin_fraction=pin_fractions))
    return xr.concat(rows, dim="memory_mb").assign_coords(memory_mb=list(memory_mb))


def _cell(
    ds: xr.Dataset, seconds: float, replicates: int, vcpus: int, sev: bool, costs: Costs
) -> xr.Dataset:
    scans = per_scan(ds)
    minutes = per_minute(scans, max(1, int(seconds // 60)), replicates)
    found = []
    for group, longest in ((scans, np.inf), (minutes, 60_000.0)):
        still = stall(group, costs, vcpus=vcpus, sev=sev).clip(max=longest)
        found.append(
            xr.Dataset(
                {
                    "notified": quantiles(group["pages"] / PAGES_PER_MB),
                    "refaults": quantiles(group["zapped"]),
                    "stall": quantiles(still),
                }
            )
        )
    cell = xr.concat(found, dim="per").assign_coords(per=list(UNITS))
    return cell.assign(scans=scans.sizes["scan"] / replicates / seconds * 60)


def table(found: xr.Dataset, per: str) -> str:
    """Table of the 95 % quantiles: MB notified, refaults, stall low..typical..high [ms]."""
    at = found.sel(per=per, quantile=0.95)
    rows = []
    for memory in found["memory_mb"].values:
        for fraction in found["pin_fraction"].values:
            one = at.sel(memory_mb=memory, pin_fraction=fraction)
            rows.append(
                [
                    f"{int(memory) // 1024}",
                    f"{float(fraction):g}",
                    f"{float(one['scans']):.1f}",
                    f"{float(one['notified']):.0f}",
                    format_number(float(one["refaults"])),
                    span([float(one["stall"].sel(bound=b)) for b in BOUNDS]),
                ]
            )
    heads = ["GiB", "pinned", "scans/min", "MB notified", "refaults", "stall [ms]"]
    return plain(heads, rows, left=0)


def answer(found: xr.Dataset, policy: str, vcpus: int) -> str:
    """Answer q08 in words, with the numbers of the runs."""
    worst = found["stall"].sel(per="scan", quantile=0.95)
    middle = worst.sel(bound="typical")
    place = np.unravel_index(int(np.argmax(middle.values)), middle.shape)
    at = {dim: middle[dim].values[i] for dim, i in zip(middle.dims, place, strict=True)}
    one = found.sel(per="scan", quantile=0.95).sel(at)
    low, typical, high = (float(one["stall"].sel(bound=b)) for b in BOUNDS)
    return (
        f"Under {policy} with {vcpus} busy vCPUs, the worst of these guests, "
        f"{int(at['memory_mb']) // 1024} GiB pinned to {float(at['pin_fraction']):g}, has "
        f"{float(one['notified']):.0f} MB notified and {float(one['refaults']):.0f} entries to "
        f"fill again in a scan (95 % quantile), and a vCPU stands still for {typical:.0f} ms in "
        f"it ({low:.0f} to {high:.0f} ms over the range of the costs, all assumed). A scan takes "
        "hardly more than 2 GiB, so larger guests are not stalled longer by one scan."
    )


def birth(policy: str) -> dict[str, object]:
    """Return the provenance of runs under one policy."""
    return {"numalab": __version__, "policy": policy}
