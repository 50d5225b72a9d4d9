"""From counts to time: what each event costs, as a range, with its source.

Counts are what the model and the recordings are good for. Times rest on a table of costs that
differ by an order of magnitude from machine to machine, so every time comes as low, typical
and high, and every cost names its source or says that it is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import xarray as xr

from numalab.fields import InputError, unknown_name
from numalab.units import HPAGE_PMD_NR

BOUNDS = ("low", "typical", "high")
SIDES = ("scan", "faults", "guest", "caches", "gpu")
"""Who pays: the scanning task; tasks in hint faults and migrations; vCPUs in refaults and in
interrupts that flush their TLBs; all CPUs in a cache-flush round; the GPU's queues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Time of one event [ns]: bounds that are hardly ever left, and a typical value."""

    low: float
    typical: float
    high: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.typical <= self.high:
            raise InputError(
                f"cost: low = {self.low:g}, typical = {self.typical:g}, high = {self.high:g}: "
                "must be 0 <= low <= typical <= high"
            )


_TABLE = "assumed: a few cache misses in a page table"
_LOCK = "assumed: mmu_lock for write, walk of the slots, invalidation sequence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The cost of each event; no published measurement of most was found (docs/costs.md)."""

    pte_update: Cost = Cost(low=5, typical=20, high=100, source=_TABLE)
    scan_page: Cost = Cost(low=1, typical=5, high=30, source=_TABLE)
    hint_fault: Cost = Cost(low=500, typical=1000, high=4000, source="assumed: a minor fault")
    migrate_folio: Cost = Cost(
        low=1500,
        typical=3500,
        high=20_000,
        source="assumed: allocation, unmap with one TLB flush, remap",
    )
    copy_page: Cost = Cost(
        low=200, typical=500, high=2000, source="assumed: 4 KiB at 20, 8 and 2 GB/s"
    )
    failed_pass: Cost = Cost(
        low=1000,
        typical=5000,
        high=50_000,
        source="assumed: allocation, unmap, flush and put back; up to 10 passes a fault",
    )
    notifier_call: Cost = Cost(low=200, typical=1000, high=20_000, source=_LOCK)
    zap: Cost = Cost(low=10, typical=50, high=300, source=_TABLE)
    remote_flush: Cost = Cost(
        low=1000,
        typical=4000,
        high=80_000,
        source="assumed: interrupts and their acknowledgment; order of magnitude of Latr "
        "(Kumar et al., ASPLOS 2018) from 2 to 8 sockets",
    )
    vcpu_interrupt: Cost = Cost(
        low=500, typical=2000, high=10_000, source="assumed: exit, TLB flush, entry"
    )
    refault: Cost = Cost(
        low=1000,
        typical=3000,
        high=50_000,
        source="assumed: exit, GUP, mmu_lock, fill; high: vCPUs that retry while a range is "
        "invalidated (Yan Zhao 2023 counted 3298 to 15190 retries of single pages)",
    )
    cache_flush: Cost = Cost(
        low=100_000,
        typical=1_000_000,
        high=10_000_000,
        source="assumed: write-back of all modified lines of a last-level cache; the "
        "manuals give no time",
    )
    eviction: Cost = Cost(
        low=100_000,
        typical=2_000_000,
        high=100_000_000,
        source="assumed: preempt, evict and restore queues, or wait for all fences; amdgpu "
        "waits without a limit",
    )


REMOTE = Cost(
    low=20,
    typical=60,
    high=150,
    source="assumed: what a remote cache miss takes longer than a local one",
)
"""Not in the table: how often it occurs, no count of the model says."""


def with_costs(costs: Costs, **values: float | Cost) -> Costs:
    """Return costs with some of them replaced; a number replaces all three bounds.

    Raises
    ------
    InputError
        For a cost that does not exist, or bounds out of order.
    """
    known = [f.name for f in fields(Costs)]
    changed: dict[str, Cost] = {}
    for name, value in values.items():
        if name not in known:
            raise unknown_name("cost", name, known)
        if not isinstance(value, Cost):
            value = Cost(low=value, typical=value, high=value, source="given")
        changed[name] = value
    return replace(costs, **changed)


def by_bound(costs: Costs) -> xr.Dataset:
    """Return the time of each event [ns] over ``bound``: low, typical, high.

    Examples
    --------
    >>> by_bound(Costs())["refault"].values.tolist()
    [1000.0, 3000.0, 50000.0]
    """
    found = xr.Dataset(coords={"bound": list(BOUNDS)})
    for f in fields(costs):
        cost = getattr(costs, f.name)
        values = np.array([getattr(cost, bound) for bound in BOUNDS], np.float64)
        found[f.name] = ("bound", values, {"units": "ns", "source": cost.source})
    return found


NEEDED = (
    "numa_pte_updates",
    "numa_huge_pte_updates",
    "numa_hint_faults",
    "numa_pages_migrated",
    "scan_pages",
    "notifier_calls",
    "notifier_calls_migrate",
    "notifier_pages_migrate",
    "zapped",
    "remote_flushes",
    "cache_flushes",
    "refaults",
    "evictions",
)
"""Totals that a time is made of: those of :func:`numalab.totals.totals`."""


def time_of(totals: xr.Dataset, costs: Costs, *, vcpus: int) -> xr.Dataset:
    """Turn totals of runs into time.

    Parameters
    ----------
    totals : xarray.Dataset
        Totals over the workload's VMAs, with any dimensions.
    costs : Costs
    vcpus : int
        vCPUs that a remote flush interrupts.

    Returns
    -------
    xarray.Dataset
        Time [ms] of each of :data:`SIDES`, over the dimensions of ``totals`` and ``bound``
        (low, typical, high), and ``total``. ``caches`` is the time for which a round stops
        each CPU in its scope, counted once a round. Refaults are counted as far as something
        was zapped: the first fill of an entry is nobody's fault. A failed migration costs a
        pass for each of its notifications.

    Raises
    ------
    InputError
        Naming the totals that are missing.
    """
    missing = [name for name in NEEDED if name not in totals]
    if missing:
        raise InputError(f"{', '.join(missing)}: not in the Dataset, so there is no time of it")
    t = totals
    each = by_bound(costs)
    entries = t["numa_pte_updates"] - (HPAGE_PMD_NR - 1) * t["numa_huge_pte_updates"]
    moved = t["numa_pages_migrated"]
    unit = t["notifier_pages_migrate"] / t["notifier_calls_migrate"].clip(min=1)
    folios = moved / unit.clip(min=1)
    failed = (t["notifier_calls_migrate"] - folios).clip(min=0)
    again = np.minimum(t["refaults"], t["zapped"])
    sides = {
        "scan": entries * each["pte_update"]
        + t["scan_pages"] * each["scan_page"]
        + t["notifier_calls"] * each["notifier_call"]
        + t["zapped"] * each["zap"]
        + t["remote_flushes"] * each["remote_flush"],
        "faults": t["numa_hint_faults"] * each["hint_fault"]
        + folios * each["migrate_folio"]
        + moved * each["copy_page"]
        + failed * each["failed_pass"],
        "guest": again * each["refault"] + t["remote_flushes"] * vcpus * each["vcpu_interrupt"],
        "caches": t["cache_flushes"] * each["cache_flush"],
        "gpu": t["evictions"] * each["eviction"],
    }
    found = xr.Dataset({name: value / 1e6 for name, value in sides.items()})
    found["total"] = sum(found[name] for name in SIDES)
    for name in found.data_vars:
        found[name].attrs = {"units": "ms", "costs": "assumed" if costs == Costs() else "given"}
    return found


def table(costs: Costs) -> pd.DataFrame:
    """Return each cost: "low .. typical .. high" [us] and its source, by name."""
    each = {f.name: getattr(costs, f.name) for f in fields(costs)}
    bounds = [" .. ".join(f"{getattr(c, b) / 1000:g}" for b in BOUNDS) for c in each.values()]
    index = pd.Index(each, name="cost")
    return pd.DataFrame({"us": bounds, "source": [c.source for c in each.values()]}, index)
