"""q04 in words: its tables and its answer."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab.costs import BOUNDS
from numalab.questions.waiting import DEFAULT_MS
from numalab.report.tables import plain
from numalab.stats.intervals import bootstrap_interval, paired_difference


def words(best: xr.DataArray) -> xr.DataArray:
    """Print best delays as ``1 [.5,2]``, in seconds; ``<`` and ``>`` for the ends simulated."""
    shortest, longest = best.attrs["ends"]

    def say(ms: float) -> str:
        if ms in (shortest, longest):
            return "<" if ms == shortest else ">"
        return f"{ms / 1000:g}".removeprefix("0")

    def one(values: np.ndarray) -> str:
        middle, low, high = (say(v) for v in values)
        return middle if low == high == middle else f"{middle} [{low},{high}]"

    return xr.apply_ufunc(
        one, best, input_core_dims=[["at"]], vectorize=True, output_dtypes=[object]
    )


def at_default(found: xr.Dataset) -> str:
    """Table: what the default delay wastes and leaves far, by mean lifetime, a row a policy.

    Of the first distribution, as everything below.
    """
    mean = found.isel(shape=0).sel(scan_delay_ms=DEFAULT_MS).mean("replicate")
    lives = found["vma_lifetime_ms"].values
    rows = []
    for policy in found["policy"].values:
        row = [str(policy)]
        for life in lives:
            one = mean.sel(policy=policy, vma_lifetime_ms=life)
            row.append(f"{float(one['wasted']):.0f} / {float(one['far']):.0f}")
        rows.append(row)
    return plain(["MB wasted / s far", *(f"{x:g} ms" for x in lives)], rows)


def best_table(best: xr.DataArray, shape: str) -> str:
    """Table of best delays [s] with their intervals, by mean lifetime, a row a policy."""
    said = words(best.sel(shape=shape, bound="typical"))
    return _by_lifetime(said, shape)


def over_table(over: xr.DataArray) -> str:
    """Table of what the default delay costs over the best [%]: the intervals."""
    one = over.isel(shape=0).sel(costs="typical")
    said = xr.apply_ufunc(
        lambda v: "{:.1f} .. {:.1f}".format(*(100 * v[1:] + 0.0)),
        one, input_core_dims=[["bound"]], vectorize=True, output_dtypes=[object],
    )  # fmt: skip
    return _by_lifetime(said, str(over["shape"].values[0]))


def _by_lifetime(said: xr.DataArray, corner: str) -> str:
    lives = said["vma_lifetime_ms"].values
    rows = [
        [str(p), *(str(said.sel(policy=p, vma_lifetime_ms=x).item()) for x in lives)]
        for p in said["policy"].values
    ]
    return plain([corner, *(f"{x:g} ms" for x in lives)], rows)


def answer(found: xr.Dataset, over: xr.DataArray) -> str:
    """Answer q04 in words, with the numbers of the runs."""
    lives = found["vma_lifetime_ms"].values
    first = int(found["scan_delay_ms"].values[0])
    ours = found[["wasted", "far"]].isel(shape=0)
    usual, soon = (ours.sel(scan_delay_ms=d, drop=True) for d in (DEFAULT_MS, first))
    said = []
    for policy in (str(p) for p in found["policy"].values):
        young = usual["wasted"].sel(policy=policy, vma_lifetime_ms=lives[0]).mean("replicate")
        at = {"policy": policy, "vma_lifetime_ms": lives[-1]}
        parts = [
            _changed(usual[name].sel(at), soon[name].sel(at), unit)
            for name, unit in (("far", "s"), ("wasted", "MB"))
        ]
        said.append(f"{policy} {float(young):.0f} MB; {' and '.join(parts)}")
    typical = 100 * over.sel(bound="effect", costs="typical")
    return (
        f"What scans walk in a minute for nothing where mappings live {lives[0]:g} ms on average, "
        f"with the delay of {DEFAULT_MS} ms; then, where they live {lives[-1]:g} ms, how long in "
        "a minute the pages of the one on the wrong node stay there and what is walked for "
        f"nothing (in brackets: against a delay of {first} ms, the same draws, with the 95 % "
        f"interval): {'; '.join(said)}. In {int((typical < 1).sum())} of {typical.size} cells "
        f"{DEFAULT_MS} ms takes less than 1 % more time than the best of the delays simulated, at "
        "typical costs. Where it surely loses most: "
        f"{'; '.join(_surest(over.sel(costs=c, drop=True), c) for c in BOUNDS)} (all assumed)."
    )


def _surest(over: xr.DataArray, costs: str) -> str:
    """Say the cell in which the lower end of an interval is highest."""
    at = over.sel(bound="low", drop=True).argmax(["policy", "shape", "vma_lifetime_ms"])
    one = over.isel(at)
    _, low, high = 100 * one.values
    where = f"{one['policy'].item()}, {one['shape'].item()}, {one['vma_lifetime_ms'].item():g} ms"
    return f"{low:.1f} to {high:.1f} % ({where}) at {costs} costs"


def _changed(a: xr.DataArray, b: xr.DataArray, unit: str) -> str:
    """Say a mean, and how it differs from another's, in pairs."""
    change = paired_difference(a, b)
    low, high = bootstrap_interval(change).values
    return f"{float(a.mean()):.0f} {unit} ({float(change.mean()):+.1f} [{low:.1f}, {high:.1f}])"
