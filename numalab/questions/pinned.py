"""What q02 asks: what a guest pays that cannot migrate, in recordings and in the model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab import __version__, measures
from numalab.captures import Recording
from numalab.catalog.guests import guest
from numalab.engine import simulate
from numalab.questions.guest_curves import notified_each_minute
from numalab.questions.trials import each
from numalab.remedies import get
from numalab.report.tables import plain
from numalab.units import PAGES_PER_MB

AXES = {
    "numa_pte_updates": "entries marked [1/min]",
    "notifier_pages": "pages notified [1/min]",
    "refaults": "guest entries filled [1/min]",
}
"""Variables of q02's sweeps and their titles."""
UPDATING_MB = 256
"""What a scan walks that updates entries, at default knobs [MB]."""


def per_minute(ds: xr.Dataset, seconds: float) -> xr.Dataset:
    """Scale the counts of a run to one minute."""
    return ds[list(AXES)] * (60 / seconds)


def _ratio(ds: xr.Dataset, name: str) -> xr.DataArray:
    mean = ds[name].mean("replicate")
    return mean.sel(pin_fraction=1.0) / mean.sel(pin_fraction=0.0)


def marks_when_all_pinned(ds: xr.Dataset) -> float:
    """Entries marked when all is pinned, over those when nothing is; the worst policy."""
    return float(_ratio(ds, "numa_pte_updates").max())


def _spread(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    return _between(float(known.min()), float(known.max()))


def _between(low: float, high: float) -> str:
    words = [f"{v:.0f}" if v < 10_000 else f"{v / 1000:.0f}k" for v in (low, high)]
    return words[0] if words[0] == words[1] else "-".join(words)


def calls_table(table: xr.Dataset, pinned_only: bool) -> str:
    """Table of recorded and simulated notifications, a row a guest and kernel.

    ``same``: share of the recorded ranges that the model sends too, ``none`` where none was
    recorded; ``runs``: share of the recorded runs that a simulated one equals call by call.
    """
    rows = []
    for i in range(table.sizes["cell"]):
        cell = table.isel(cell=i)
        name = str(cell["workload"].values).removeprefix("guest-")
        if ("full" in name) != pinned_only:
            continue
        words = [name, str(cell["generation"].values)]
        for count in ("scan_calls", "migrate_calls"):
            one = cell.sel(count=count)
            model = _between(float(one["low"]), float(one["high"]))
            words += [_spread(one["recorded"].values), model]
        shares = [float(cell[s]) for s in ("same_ranges", "same_calls")]
        words += ["none" if np.isnan(s) else f"{100 * s:.0f}" for s in shares]
        rows.append(words)
    heads = ["guest", "kernel", "scans", "model", "migr.", "model", "same %", "runs %"]
    return plain(heads, rows, left=2)


def equal_calls(table: xr.Dataset) -> tuple[float, float, float]:
    """Shares over the guests that are pinned in full.

    Returns
    -------
    tuple of (float, float, float)
        Recorded ranges that the model sends too, NaN if none was recorded; recorded runs that a
        simulated one equals in order as far as the shorter goes; that it equals call by call.
    """
    full = table.isel(cell=["full" in str(w) for w in table["workload"].values])
    names = ("same_ranges", "same_order", "same_calls")
    ranges, order, calls = (float(full[name].mean()) for name in names)
    return ranges, order, calls


def inside(table: xr.Dataset) -> float:
    """Share of (guest, kernel, count) whose recorded median lies in the model's interval."""
    return float(table["inside"].mean())


def largest_scans(recordings: Sequence[Recording]) -> xr.Dataset:
    """What the scans of the recorded guests larger than a scan's limits notified.

    Returns
    -------
    xarray.Dataset
        Over (guest, kernel): ``largest`` [MB] of one scan, ``first`` and ``second`` [MB]
        notified in the first and second half of a run, medians over runs.
    """
    rows: dict[str, list[list[float]]] = {"largest": [], "first": [], "second": []}
    found = {(r.name, r.generation): r for r in recordings if r.name.startswith("guest-big-")}
    guests = sorted({name for name, _ in found})
    kernels = sorted({g for _, g in found}, key=lambda g: [int(n) for n in g.split(".")])
    for name in guests:
        values = [_of_recording(found[name, g]) for g in kernels]
        for key, column in zip(rows, zip(*values, strict=True), strict=True):
            rows[key].append(list(column))
    return xr.Dataset(
        {key: (("guest", "kernel"), np.array(value)) for key, value in rows.items()},
        coords={"guest": [g.removeprefix("guest-big-") for g in guests], "kernel": kernels},
    )


def _of_recording(recording: Recording) -> tuple[float, float, float]:
    ds = recording.dataset()
    half = recording.workload.duration_ms / 2
    each = []
    for i in range(ds.sizes["replicate"]):
        run = ds.isel(replicate=i)
        mine = (run["notify_vma"] == 0) & (run["notify_why"] == 0)
        pages = run["notify_pages"].where(mine, 0)
        early = float(pages.where(run["notify_ms"] < half, 0).sum())
        each.append((measures.largest_scan(run)["largest_scan"], early, float(pages.sum()) - early))
    largest, first, second = (float(np.median(x)) / PAGES_PER_MB for x in zip(*each, strict=True))
    return largest, first, second


def largest_table(scans: xr.Dataset) -> str:
    """Table of :func:`largest_scans`."""
    rows = []
    for name in scans["guest"].values:
        for kernel in scans["kernel"].values:
            one = scans.sel(guest=name, kernel=kernel)
            words = [str(name), str(kernel), f"{float(one['largest']):.0f}"]
            words.append(f"{float(one['largest']) / UPDATING_MB:.1f}")
            words += [f"{float(one['first']):.0f}", f"{float(one['second']):.0f}"]
            rows.append(words)
    heads = ["guest", "kernel", "largest scan [MB]", "x 256 MB", "1st half [MB]", "2nd half [MB]"]
    return plain(heads, rows, left=2)


def long_run(
    policies: Sequence[str],
    memory_mb: Sequence[int],
    *,
    vcpus: int,
    minutes: int,
    replicates: int,
    seed: int,
) -> xr.DataArray:
    """Simulate guests that are pinned in full; how often a minute all memory is notified.

    Returns
    -------
    xarray.DataArray
        Mean over runs, over (pages, memory_mb, policy, minute); ``pages`` is 4k or thp.
    """

    def one(at: tuple[bool, int, str]) -> np.ndarray:
        thp, memory, policy = at
        workload = guest(
            memory_mb=memory, vcpus=vcpus, pin_fraction=1.0, thp=thp, duration_ms=minutes * 60_000
        )
        ds = simulate(workload, get(policy), seed=seed, replicates=replicates)
        return notified_each_minute(ds, minutes).mean("replicate").values

    rows = each(one, itertools.product((False, True), memory_mb, policies))
    shape = (2, len(memory_mb), len(policies), minutes)
    found = np.array(rows).reshape(shape)
    size = np.array(memory_mb)[None, :, None, None] * PAGES_PER_MB
    return xr.DataArray(
        found / size,
        dims=("pages", "memory_mb", "policy", "minute"),
        coords={
            "pages": ["4k", "thp"],
            "memory_mb": list(memory_mb),
            "policy": list(policies),
            "minute": np.arange(1, minutes + 1),
        },
    )


def long_table(found: xr.DataArray) -> str:
    """Table of :func:`long_run`: the first, the second and the last minute."""
    last = int(found["minute"].values[-1])
    shown = sorted({1, 2, last})
    rows = []
    for pages in found["pages"].values:
        for memory in found["memory_mb"].values:
            for policy in found["policy"].values:
                one = found.sel(pages=pages, memory_mb=memory, policy=policy)
                words = [str(pages), f"{int(memory) // 1024}", str(policy)]
                rows.append([*words, *(f"{float(one.sel(minute=m)):.2f}" for m in shown)])
    heads = ["pages", "GiB", "kernel", *(f"minute {m}" for m in shown)]
    return plain(heads, rows, left=3)


def statement(scans: xr.Dataset, found: xr.DataArray) -> str:
    """Say whether the statement of kernel.md's section on pinned memory holds, with figures."""
    pinned = scans["largest"].sel(guest="full-4k")
    huge = scans["largest"].sel(guest="full-thp")
    updating = scans["largest"].sel(guest="none-thp")
    newer = ("6.12", "7.2")
    eight = all(float(pinned.sel(kernel=g)) > 7.9 * UPDATING_MB for g in newer)
    eight = eight and all(float(updating.sel(kernel=g)) < 1.1 * UPDATING_MB for g in newer)
    full = scans.sel(guest="full-4k")
    less = {g: float(full["second"].sel(kernel=g) / full["first"].sel(kernel=g)) for g in newer}
    backs_off = all(value < 0.9 for value in less.values())
    last = int(found["minute"].values[-1])
    small = found.isel(memory_mb=0).sel(pages="4k")
    late = "; ".join(
        "{}: {:.1f}, then {:.1f}".format(
            p, *(float(small.sel(policy=p, minute=m)) for m in (1, last))
        )
        for p in found["policy"].values
    )
    return (
        f"That 6.12 and 7.2 notify up to 8 times more pages in a scan when everything is pinned "
        f"is {'confirmed' if eight else 'refuted'} by the recordings: "
        f"{float(pinned.sel(kernel='6.12')):.0f} MB on 6.12 and "
        f"{float(pinned.sel(kernel='7.2')):.0f} MB on 7.2 (and so on 6.1, "
        f"{float(pinned.sel(kernel='6.1')):.0f} MB) against "
        f"{float(updating.sel(kernel='6.12')):.0f} MB of a scan that updates; in 2 MiB folios, "
        f"which 6.12 marks, {float(huge.sel(kernel='6.12')):.0f} MB on 6.12 and "
        f"{float(huge.sel(kernel='7.2')):.0f} MB on 7.2. That they never back off is "
        f"{'refuted' if backs_off else 'confirmed'}: the second half of the recorded runs "
        f"notified {less['6.12']:.2f} (6.12) and {less['7.2']:.2f} (7.2) times what the first "
        "did. Pinned memory takes no faults, but other pages of the process do, and their local "
        "faults lengthen the period; and without faults in the guest's memory the PID filter "
        "soon skips it. The model's guest of "
        f"{int(found['memory_mb'].values[0]) // 1024} GiB has all of its memory notified this "
        f"often a minute, at first and in minute {last}: {late}. {_large(found)}"
    )


def _large(found: xr.DataArray) -> str:
    """Say how the largest guest of the long runs fares, if there are several."""
    if found.sizes["memory_mb"] < 2:
        return ""
    size = int(found["memory_mb"].values[-1])
    one = found.isel(memory_mb=-1)
    rows = [
        f"{p} {float(one.sel(policy=p, pages=k)[0]):.1f}, then "
        f"{float(one.sel(policy=p, pages=k)[-1]):.1f}"
        for p, k in (("linux-6.12", "4k"), ("linux-7.2", "4k"), ("linux-7.2", "thp"))
        if p in found["policy"].values
    ]
    return (
        f"One of {size // 1024} GiB has no room to back off (its period is at the minimum "
        f"either way): {'; '.join(rows)} (the last in 2 MiB folios)."
    )


def birth(ds: xr.Dataset, recordings: Sequence[Recording]) -> dict[str, object]:
    """Return the provenance of the sweeps and the recordings."""
    known = sorted({recording.name for recording in recordings})
    policies = [str(p) for p in ds["policy"].values]
    return {"numalab": __version__, "policies": policies, "recordings": known}
