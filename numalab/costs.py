"""From counts to time: what each event costs, as a range, with its source.

Counts are what the model and the recordings are good for. Times rest on a table of costs,
``costs.toml``, that differ by an order of magnitude from machine to machine. So each cost is a
range with a source, and all are drawn independently of each other for an interval.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from numalab.fields import InputError, field, unknown_name, validate
from numalab.files import read_text
from numalab.plain import build
from numalab.units import HPAGE_PMD_NR

PUBLISHED = Path(__file__).with_suffix(".toml")
FEW, MANY = 8, 32
"""vCPUs that fault at once: up to FEW a fault costs ``refault``, from MANY on
``refault_crowded``, between them evenly more with their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one event costs, as a table of a file of costs."""

    about: str = field("", doc="the event")
    low: float = field(at_least=0, at_most=1e12, doc="hardly ever less")
    typical: float = field(at_least=0, at_most=1e12, doc="as often less as more")
    high: float = field(at_least=0, at_most=1e12, doc="hardly ever more")
    unit: str = field("ns", choices=("ns", "share"), doc="unit of the three")
    kind: str = field(choices=("measured", "derived", "guess"), doc="how it is known")
    source: str = field(doc="where it was read, or how it was found")
    host: str = field(doc="machine that it is known of")
    year: int = field(at_least=1990, at_most=2100, doc="when that was")

    def __post_init__(self) -> None:
        validate(self)
        if not self.low <= self.typical <= self.high:
            raise InputError(
                f"low = {self.low:g}, typical = {self.typical:g}, high = {self.high:g}: must be "
                "low <= typical <= high"
            )


def read(path: str | Path = "") -> dict[str, Cost]:
    """Return the published costs, with those of a file in their place.

    Parameters
    ----------
    path : str or Path
        TOML, a table a cost (docs/costs.md); empty: no file.

    Raises
    ------
    InputError
        One line: the file, the cost, and what is wrong with it.
    """
    known = _tables(PUBLISHED)
    given = _tables(Path(path)) if str(path) else {}
    for name in given:
        if name not in known:
            raise unknown_name(f"cost in {path}", name, list(known))
        about = {"about": known[name]["about"]}
        known[name] = about | given[name] if isinstance(given[name], dict) else given[name]
    made = {}
    for name, table in known.items():
        try:
            made[name] = build(Cost, table, f"[{name}]")
        except InputError as error:
            raise InputError(f"costs = {path}: [{name}]: {error}") from None
        unit = "share" if name == "range_wait" else "ns"
        if made[name].unit != unit:
            raise InputError(f"costs = {path}: [{name}]: unit = {made[name].unit}: must be {unit}")
    return made


def _tables(path: Path) -> dict[str, dict[str, object]]:
    try:
        return tomllib.loads(read_text(path))
    except InputError as error:
        raise InputError(f"costs = {error}") from None
    except ValueError as error:
        raise InputError(f"costs = {path}: not TOML: {error}") from None


def drawn(costs: Mapping[str, Cost], *, count: int = 2000, seed: int = 0) -> xr.Dataset:
    """Draw each cost independently of the others.

    Half of the draws lie below typical, half above it: on either side evenly in the logarithm,
    or evenly if low is 0.

    Parameters
    ----------
    costs : mapping of Cost
        Of :func:`read`.
    count, seed : int

    Returns
    -------
    xarray.Dataset
        Each cost over ``draw``.

    Examples
    --------
    >>> each = drawn(read(), count=4001)["refault"].quantile([0, 0.5, 1])
    >>> each.round(-2).values.tolist()
    [1000.0, 1300.0, 3000.0]
    """
    rng = np.random.default_rng(seed)
    found = {}
    for name, cost in costs.items():
        ends = np.array([cost.low, cost.typical, cost.high])
        share = rng.random(count)
        if cost.low > 0:
            values = np.exp(np.interp(share, [0, 0.5, 1], np.log(ends)))
        else:
            values = np.interp(share, [0, 0.5, 1], ends)
        found[name] = ("draw", values)
    return xr.Dataset(found)


def refault(each: xr.Dataset, vcpus: int) -> xr.DataArray:
    """Return what a vCPU pays to fill an entry while ``vcpus`` of them do so [ns]."""
    crowd = np.interp(vcpus, [FEW, MANY], [0.0, 1.0])
    return (1 - crowd) * each["refault"] + crowd * each["refault_crowded"]


NEEDED = (
    "numa_pte_updates",
    "numa_huge_pte_updates",
    "numa_hint_faults",
    "numa_pages_migrated",
    "scan_pages",
    "notifier_calls",
    "notifier_pages",
    "notifier_calls_migrate",
    "notifier_pages_migrate",
    "zapped",
    "remote_flushes",
    "cache_flushes",
    "refaults",
    "evictions",
)
"""Totals that a time is made of: those of :func:`numalab.totals.totals`."""


def time_of(totals: xr.Dataset, each: xr.Dataset, *, vcpus: int) -> xr.Dataset:
    """Turn totals of runs into time, a variable for each kind of resource: never added.

    Parameters
    ----------
    totals : xarray.Dataset
        Totals over the workload's VMAs, with any dimensions.
    each : xarray.Dataset
        Costs, of :func:`drawn`.
    vcpus : int
        vCPUs of the guest, all of which a remote flush interrupts; 0 without a guest.

    Returns
    -------
    xarray.Dataset
        [s], over the dimensions of both: ``cpu``, what scans, hint faults and migrations take of
        CPUs; ``vcpu``, for which vCPUs stand still: entries that they fill again, interrupts,
        and waits in notified ranges; ``caches``, for which rounds of cache flushes stop each CPU
        in their scope; ``gpu``, the number of evictions times their length, of which some may
        lie in each other. Refaults count as far as something was zapped: the first fill of an
        entry is nobody's fault. A failed migration costs a pass for each of its notifications.
        At most as many vCPUs wait for a range as it has pages.

    Raises
    ------
    InputError
        Naming the totals that are missing.
    """
    missing = [name for name in NEEDED if name not in totals]
    if missing:
        raise InputError(f"{', '.join(missing)}: not in the Dataset, so there is no time of it")
    t = totals
    entries = t["numa_pte_updates"] - (HPAGE_PMD_NR - 1) * t["numa_huge_pte_updates"]
    moved = t["numa_pages_migrated"]
    unit = t["notifier_pages_migrate"] / t["notifier_calls_migrate"].clip(min=1)
    folios = moved / unit.clip(min=1)
    failed = (t["notifier_calls_migrate"] - folios).clip(min=0)
    again = t["refaults"].clip(max=t["zapped"])
    walk = entries * each["pte_update"] + t["scan_pages"] * each["scan_page"]
    notified = (t["notifier_pages"] / t["scan_pages"].clip(min=1)).clip(max=1)
    waiting = (t["notifier_pages"] / t["notifier_calls"].clip(min=1)).clip(max=vcpus)
    found: dict[str, xr.DataArray] = {
        "cpu": walk
        + t["notifier_calls"] * each["notifier_call"]
        + t["zapped"] * each["zap"]
        + t["remote_flushes"] * each["remote_flush"]
        + t["numa_hint_faults"] * each["hint_fault"]
        + folios * each["migrate_folio"]
        + moved * each["copy_page"]
        + failed * each["failed_pass"],
        "vcpu": again * refault(each, vcpus)
        + t["remote_flushes"] * vcpus * each["vcpu_interrupt"]
        + waiting * notified * walk * each["range_wait"],
        "caches": t["cache_flushes"] * each["cache_flush"],
        "gpu": t["evictions"] * each["eviction"],
    }
    return xr.Dataset({name: (time / 1e9).assign_attrs(units="s") for name, time in found.items()})


def standing(found: xr.DataArray, each: xr.Dataset) -> xr.DataArray:
    """Return for how long a GPU stands still, at the drawn length of an eviction [s].

    Parameters
    ----------
    found : xarray.DataArray
        ``standing_s`` of :func:`numalab.measures.standing`, over ``length_ms`` and ``draw``.
    each : xarray.Dataset
        Of :func:`drawn`.
    """
    known = found["length_ms"].values
    return xr.apply_ufunc(
        lambda stands, at: np.interp(at, known, stands), found, each["eviction"] / 1e6,
        input_core_dims=[["length_ms"], []], vectorize=True,
    )  # fmt: skip


def table(costs: Mapping[str, Cost]) -> pd.DataFrame:
    """Return each cost: "low .. typical .. high" [us, or a share], how it is known, of what."""
    rows = {}
    for name, cost in costs.items():
        scale = 1000 if cost.unit == "ns" else 1
        values = " .. ".join(f"{v / scale:g}" for v in (cost.low, cost.typical, cost.high))
        known = f"{cost.kind}: {cost.source}; {cost.host}, {cost.year}"
        rows[name] = {"us": values, "event": cost.about, "source": known}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cost")
