"""What q03 asks of the remedies: what each saves a pinned guest, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from numalab import sweep
from numalab.catalog.guests import guest
from numalab.costs import BOUNDS, Costs, time_of
from numalab.remedies import REMEDIES
from numalab.report.tables import crossing_words, plain, span
from numalab.stats import Crossing, crossing, format_number

NONE = "(none)"


def names(base: str) -> list[str]:
    """Policies of a base: alone, then with each remedy."""
    return [base, *(f"{base}+{name}" for name in REMEDIES)]


def label(policy: str) -> str:
    """Return the remedy of a policy's name."""
    return policy.partition("+")[2] or NONE


def runs(
    base: str,
    pin_fractions: Sequence[float],
    *,
    memory_mb: int,
    vcpus: int,
    thp: bool,
    placement: str,
    seconds: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate a guest under a base policy with each remedy; totals a minute.

    Returns
    -------
    xarray.Dataset
        Over (policy, pin_fraction, replicate).
    """
    shape = partial(
        guest,
        memory_mb=memory_mb,
        vcpus=vcpus,
        thp=thp,
        placement=placement,
        duration_ms=seconds * 1000,
    )
    axes = {"policy": names(base), "pin_fraction": pin_fractions}
    found = sweep.grid(shape, axes, replicates=replicates, seed=seed)
    return found * (60 / seconds)


def counts_table(found: xr.Dataset, pin_fraction: float) -> str:
    """Table of mean counts a minute for each remedy at one pinned fraction."""
    mean = found.sel(pin_fraction=pin_fraction).mean("replicate")
    columns = {
        "calls": "notifier_calls",
        "pages": "notifier_pages",
        "zapped": "zapped",
        "failed": "pgmigrate_fail",
        "migrated": "numa_pages_migrated",
    }
    rows = [
        [label(str(p)), *(format_number(float(mean[v].sel(policy=p))) for v in columns.values())]
        for p in found["policy"].values
    ]
    return plain(["remedy", *columns], rows)


def time_table(found: xr.Dataset, costs: Costs, vcpus: int, pin_fractions: Sequence[float]) -> str:
    """Table of the time that scanning takes a minute [s], low..typical..high."""
    total = time_of(found, costs, vcpus=vcpus)["total"].mean("replicate") / 1000
    rows = []
    for policy in found["policy"].values:
        words = [label(str(policy))]
        for fraction in pin_fractions:
            at = total.sel(policy=policy, pin_fraction=fraction)
            words.append(span([float(at.sel(bound=b)) for b in BOUNDS]))
        rows.append(words)
    heads = [f"{x:g}" for x in pin_fractions]
    return plain(["pinned fraction", *heads], rows)


def crossings(
    found: xr.Dataset, base: str, remedy: str, costs: Costs, vcpus: int
) -> dict[str, Crossing]:
    """Pinned fraction from which on a remedy costs less time than its base, by bound of cost."""
    total = time_of(found, costs, vcpus=vcpus)["total"]
    extra = total.sel(policy=f"{base}+{remedy}") - total.sel(policy=base)
    return {b: crossing(extra.sel(bound=b, drop=True), "pin_fraction") for b in BOUNDS}


def crossing_table(rows: dict[str, dict[str, Crossing]]) -> str:
    """Table of crossings: a row for each remedy and bound of the costs."""
    return plain(
        ["remedy", "costs", "cheaper from this pinned fraction on"],
        [[name, b, crossing_words(row[b])] for name, row in rows.items() for b in BOUNDS],
        left=2,
    )


def built_table() -> str:
    """Return, as text, whether each remedy was built and why."""
    return "\n".join(
        f"{r.name}\n  built: {r.built}\n  sleepable context: {r.sleepable}"
        for r in REMEDIES.values()
    )


def spared(found: xr.Dataset, base: str, pin_fraction: float = 1.0) -> xr.DataArray:
    """Share of the entries zapped under the base that each remedy spares; over ``policy``."""
    mean = found["zapped"].sel(pin_fraction=pin_fraction).mean("replicate")
    return 1 - mean / mean.sel(policy=base)


def _each_page(crossed: Crossing) -> str:
    """Say where notifying each page beats notifying the range."""
    words = crossing_words(crossed)
    known = {
        "never": "never beats notifying the range",
        "nowhere dearer": "is nowhere dearer than notifying the range",
    }
    if words in known:
        return known[words]
    if np.isnan(crossed.at):
        return "beats notifying the range at some pinned fractions and not at others"
    if crossed.rising:
        return f"beats notifying the range {words.replace('up to', 'up to a pinned fraction of')}"
    return f"beats notifying the range from a pinned fraction of {words} on"


def answer(found: xr.Dataset, base: str, crossed: dict[str, dict[str, Crossing]]) -> str:
    """Answer q03 in words, with the numbers of the runs."""
    share = spared(found, base)
    full = [label(str(p)) for p in share["policy"].values if float(share.sel(policy=p)) > 0.999]
    part = [
        f"{label(str(p))} {100 * float(share.sel(policy=p)):.0f} %"
        for p in share["policy"].values
        if str(p) != base and float(share.sel(policy=p)) <= 0.999
    ]
    each = _each_page(crossed["pinned-per-page-notifier"]["typical"])
    return (
        f"On {base}, a guest that is pinned entirely is spared every zap by "
        f"{', '.join(full)}. Spared in part or not at all: {', '.join(part)}. Notifying each "
        f"page {each}, at typical costs (interval over runs); it cannot be built as long as "
        "invalidate_range_start may sleep and pins are read under the page-table lock. What "
        "needs no kernel change is mbind; what could be built is pinned-vma-mark."
    )
