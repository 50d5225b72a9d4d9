"""From counts to time: what each event costs, as a range, with its source.

Counts are what the model and the recordings are good for. Times rest on a table of costs that
differ by an order of magnitude from machine to machine, so every time comes as low, typical
and high, and every cost names its source or says that it is a guess.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The cost of each event.

    A source begins with measured, derived (from a measurement) or guess. Low is that of the best
    machine published, typical of a server with two sockets, high of one with eight, or of a
    large EPYC. ``pte_update`` and ``hint_fault`` hold their share of the process's own TLB
    flushes, ``migrate_folio`` its own one; ``remote_flush`` is that of a guest.
    """

    pte_update: Cost = Cost(
        low=30,
        typical=150,
        high=500,
        source="measured: change_prot_numa() by bpftrace, Jiayuan Chen 2025, 150 to 250 ns",
    )
    scan_page: Cost = Cost(
        low=5,
        typical=20,
        high=150,
        source="measured: by bpftrace, Jiayuan Chen 2025, one sample of 20 ns; high: guess",
    )
    hint_fault: Cost = Cost(
        low=500,
        typical=1500,
        high=12_000,
        source="derived: NAS on a 2-socket EPYC, system time over 856 M faults, RFC V1 2023",
    )
    migrate_folio: Cost = Cost(
        low=1000,
        typical=3500,
        high=30_000,
        source="derived: move_pages() on 2 sockets, Zi Yan 2017 and Shivank Garg 2025, one flush",
    )
    copy_page: Cost = Cost(
        low=200,
        typical=380,
        high=1500,
        source="derived: a third of the time of move_pages(), Shivank Garg 2025",
    )
    failed_pass: Cost = Cost(
        low=1000,
        typical=3000,
        high=30_000,
        source="guess: migrate_folio without the remap; up to 10 passes a fault",
    )
    notifier_call: Cost = Cost(
        low=70,
        typical=300,
        high=10_000,
        source="derived: MGLRU ageing of guests of 1 to 112 vCPUs, Houghton 2024; high: guess",
    )
    zap: Cost = Cost(
        low=30,
        typical=60,
        high=200,
        source="measured by proxy: clearing dirty bits of 160 GiB, Vipin Sharma 2023",
    )
    remote_flush: Cost = Cost(
        low=1500,
        typical=3000,
        high=80_000,
        source="measured: Latr, ASPLOS 2018, 2.7 us for 2 sockets, 6.6 us for 8; high: guess",
    )
    vcpu_interrupt: Cost = Cost(
        low=600,
        typical=1300,
        high=4000,
        source="derived: guest IPI of 1.46 us, IPI virtualization series 2022",
    )
    refault: Cost = Cost(
        low=1000,
        typical=1300,
        high=14_000,
        source="measured: dirty_log_perf_test, David Matlack 2022: 1.2 us for 2 vCPUs at once, "
        "10 us for 96",
    )
    cache_flush: Cost = Cost(
        low=300_000,
        typical=3_000_000,
        high=180_000_000,
        source="guess: WBINVD of 3.4 ms on a Skylake at boot, Neri 2019; none published for EPYC",
    )
    eviction: Cost = Cost(
        low=2_000_000,
        typical=7_500_000,
        high=20_000_000,
        source="measured: 6 to 8.4 ms from evict to restore, Vega64 with ROCm 1.7, 2018",
    )


REMOTE = Cost(
    low=55,
    typical=90,
    high=400,
    source="measured: 67 ns on Xeons, 110 on EPYCs of two sockets; high: guess for eight",
)
"""What a remote cache miss takes longer than a local one. Not in the table: how often it occurs,
no count of the model says."""


_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6}


def with_costs(costs: Costs, **values: float | Cost) -> Costs:
    """Return costs with some of them replaced.

    Parameters
    ----------
    costs : Costs
    **values
        A :class:`Cost` by its name (``refault=Cost(...)``, in ns), or a number by the name with
        its unit, ``ns``, ``us`` or ``ms``, which replaces all three bounds: ``refault_us=2.5``.

    Raises
    ------
    InputError
        For a cost that does not exist, a number without a unit, or bounds out of order.
    """
    known = [f.name for f in fields(Costs)]
    changed: dict[str, Cost] = {}
    for given, value in values.items():
        name, _, unit = given.rpartition("_")
        if unit not in _NS or isinstance(value, Cost):
            name, unit = given, ""
        if name not in known:
            raise unknown_name("cost", given, known)
        if not isinstance(value, Cost):
            if not unit:
                raise InputError(f"{name} = {value:g}: of which unit? Say {name}_ns or {name}_us")
            ns = value * _NS[unit]
            value = Cost(low=ns, typical=ns, high=ns, source="given")
        if name in changed:
            raise InputError(f"{name}: is given twice")
        changed[name] = value
    return replace(costs, **changed)


def by_bound(costs: Costs) -> xr.Dataset:
    """Return the time of each event [ns] over ``bound``: low, typical, high.

    Examples
    --------
    >>> by_bound(Costs())["refault"].values.tolist()
    [1000.0, 1300.0, 14000.0]
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
        found[name].attrs = {
            "units": "ms",
            "costs": "docs/costs.md" if costs == Costs() else "given",
        }
    return found


def table(costs: Costs) -> pd.DataFrame:
    """Return each cost: "low .. typical .. high" [us] and its source, by name."""
    each = {f.name: getattr(costs, f.name) for f in fields(costs)}
    bounds = [" .. ".join(f"{getattr(c, b) / 1000:g}" for b in BOUNDS) for c in each.values()]
    index = pd.Index(each, name="cost")
    return pd.DataFrame({"us": bounds, "source": [c.source for c in each.values()]}, index)
