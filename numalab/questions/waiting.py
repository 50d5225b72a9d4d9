"""What q04 asks: how long a new VMA should wait before its first scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from numalab.catalog.lifetimes import YOUNG_MB, lifetimes
from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.engine import first_draws, simulate
from numalab.fields import InputError, distinct
from numalab.remedies import get
from numalab.stats.effects import relative_change
from numalab.stats.intervals import need_for_bootstrap
from numalab.sweeps.totals import totals
from numalab.units import NSEC_PER_MSEC, PAGES_PER_MB
from numalab.workload import Workload

SHAPES = {"fixed": 0.5, "exponential": 0.5, "pareto": 1.5}
"""Distributions of lifetimes with their ``lifetime_shape``; a Pareto tail of 1.5 is heavy."""
DEFAULT_MS = 1000
"""``scan_delay_ms`` of every kernel."""
LOCAL, FAR = "young0", "young1"
"""Mappings that lie where they are used, and mappings that do not."""


def _workload(delay: int, lifetime: float, shape: str, seconds: float) -> Workload:
    made = lifetimes(
        scan_delay_ms=delay,
        vma_lifetime_ms=lifetime,
        pin_fraction=0.0,
        lifetime=shape,
        lifetime_shape=SHAPES[shape],
        walker_node=0,
        duration_ms=seconds * 1000,
    )
    return replace(made, sample_ms=min(50, max(4, lifetime / 25)))


def _births(w: Workload, seed: int, replicate: int, name: str) -> np.ndarray:
    """When the mappings of a churn without a gap come, in a run [ms], within its duration."""
    row = [c.name for c in w.churns].index(name)
    lives = first_draws(w, seed, replicate)[1][row] / NSEC_PER_MSEC
    times = int(w.duration_ms / lives.sum()) + 1
    born = np.concatenate([[0.0], np.tile(lives, times).cumsum()])
    return born[born < w.duration_ms]


def far_share(moved: np.ndarray, time_ms: np.ndarray, born_ms: np.ndarray, pages: int) -> float:
    """Mean share of a mapping's pages that lie on the wrong node, over a run.

    Parameters
    ----------
    moved : int64[n_sample] [pages]
        Pages brought home so far, of whichever mapping lived at the time.
    time_ms : float64[n_sample] [ms]
    born_ms : float64[n_life] [ms]
        A mapping is replaced when the next one is born. What has moved before the first sample
        of a life counts as moved before its birth: samples must lie much closer than births.
    pages : int
        Of a mapping, all of them on the wrong node at its birth.
    """
    life = np.searchsorted(born_ms, time_ms, side="right") - 1
    first = np.searchsorted(time_ms, born_ms, side="left").clip(max=len(moved) - 1)
    home = (moved - moved[first][life]).clip(0, pages) / pages
    return float(1 - home[:-1].mean())


def _cell(ds: xr.Dataset, w: Workload, seed: int) -> xr.Dataset:
    """Totals of runs a minute, what scans walk for nothing and what stays far."""
    a_minute = 60_000 / w.duration_ms
    pages = round(YOUNG_MB * PAGES_PER_MB)
    moved = ds["numa_pages_migrated"].transpose("replicate", "time").values
    far = [
        far_share(one, ds["time"].values, _births(w, seed, i, FAR), pages) * 60
        for i, one in enumerate(moved)
    ]
    walked = ds["scan_pages"].sel(vma=[LOCAL, FAR]).sum("vma")
    wasted = (walked - moved[:, -1]).clip(min=0) / PAGES_PER_MB
    data = totals(ds).assign(wasted=wasted) * a_minute
    return data.assign(far=("replicate", np.array(far)))


def runs(
    policies: Sequence[str],
    delays_ms: Sequence[int],
    lifetimes_ms: Sequence[float],
    shapes: Sequence[str],
    *,
    misses_per_s: float,
    seconds: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate :func:`numalab.catalog.lifetimes.lifetimes` at every combination.

    Parameters
    ----------
    misses_per_s : float [1/s]
        Cache misses of the thread that uses the far mapping; the model's touches are pages.

    Returns
    -------
    xarray.Dataset
        Totals a minute over (policy, scan_delay_ms, vma_lifetime_ms, shape, replicate), with
        ``wasted``: memory of the short-lived mappings that scans walked and that did not move
        [MB/min]; ``far``: time that the pages of the mapping that is filled on the wrong node
        spend there [s/min], from 25 samples or more in a mean lifetime, at most one a tick;
        ``misses``: remote misses in that time [1/min]. A few pages of the program that migrate
        count as the mapping's.

    Raises
    ------
    InputError
        For a list that is empty or holds something twice, an unknown shape or policy, delays
        that are not above 0 or lack the kernel's, too few replicates, or misses below 0.
    """
    distinct("kernels", policies)
    distinct("delays_ms", delays_ms)
    distinct("lifetimes_ms", lifetimes_ms)
    distinct("shapes", shapes)
    if min(delays_ms) <= 0 or DEFAULT_MS not in delays_ms:
        raise InputError(f"delays_ms = {list(delays_ms)}: must be above 0 and hold {DEFAULT_MS}")
    if replicates < (need := need_for_bootstrap(0.95)):
        raise InputError(f"replicates = {replicates}: intervals need at least {need}")
    if not 0 <= misses_per_s < np.inf:
        raise InputError(f"misses_per_s = {misses_per_s:g}: must be at least 0, and finite")
    for shape in shapes:
        if shape not in SHAPES:
            raise InputError(f"shape = {shape!r}: must be one of {', '.join(SHAPES)}")

    def at(policy: str, delay: int, life: float, shape: str) -> xr.Dataset:
        made = _workload(delay, life, shape, seconds)
        ds = simulate(made, get(policy), seed=seed, replicates=replicates)
        return _cell(ds, made, seed)

    rising = sorted(delays_ms)
    along = {
        "policy": policies, "scan_delay_ms": rising, "vma_lifetime_ms": lifetimes_ms,
        "shape": shapes,
    }  # fmt: skip
    cells = [
        [[[at(p, d, x, s) for s in shapes] for x in lifetimes_ms] for d in rising] for p in policies
    ]
    found = xr.combine_nested(cells, list(along), join="exact", combine_attrs="override")
    found = found.assign_coords({dim: list(labels) for dim, labels in along.items()})
    return found.assign(misses=found["far"] * misses_per_s)


def paid(found: xr.Dataset, costs: Costs) -> xr.DataArray:
    """Time that scanning and waiting take together, over ``bound`` too [ms/min]."""
    time = time_of(found, costs, vcpus=0)
    remote = xr.DataArray(
        [getattr(REMOTE, b) for b in BOUNDS], dims="bound", coords={"bound": [*BOUNDS]}
    )
    return time["scan"] + time["faults"] + found["misses"] / 1e6 * remote


def best_delay(
    time: xr.DataArray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> xr.DataArray:
    """Find the delay of least mean time, with its percentile bootstrap interval.

    Whole replicates are drawn with replacement, so that the delays of one stay together; a
    delay between those of the grid is never named.

    Parameters
    ----------
    time : xarray.DataArray
        Over ``scan_delay_ms``, ``replicate`` and anything else.

    Returns
    -------
    xarray.DataArray
        [ms], over the rest and ``at``: best, low, high. Its attribute ``ends`` holds the
        shortest and the longest delay: there the best may lie beyond.

    Raises
    ------
    InputError
        For fewer than 5 replicates.
    """
    n = time.sizes["replicate"]
    if n < 5:
        raise InputError(f"replicates = {n}: the interval of a best delay needs at least 5")
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    delays = time["scan_delay_ms"].values
    tail = (1 - level) / 2

    def one(values: np.ndarray) -> np.ndarray:
        found = delays[values[:, drawn].mean(axis=-1).argmin(axis=0)]
        ends = np.quantile(found, [tail, 1 - tail], method="closest_observation")
        return np.array([delays[values.mean(axis=-1).argmin()], *ends], np.float64)

    best = xr.apply_ufunc(
        one,
        time,
        input_core_dims=[["scan_delay_ms", "replicate"]],
        output_core_dims=[["at"]],
        vectorize=True,
    )
    return best.assign_coords(at=["best", "low", "high"]).assign_attrs(
        ends=(delays.min(), delays.max())
    )


def over_best(time: xr.DataArray, best: xr.DataArray) -> xr.DataArray:
    """Time at the kernel's delay over that at the best one, less 1, pair by pair.

    The best delay was chosen from the same runs, so this is rather too much than too little.

    Returns
    -------
    xarray.DataArray
        Over the rest and ``bound``: effect, low, high
        (:func:`numalab.stats.effects.relative_change`).
    """
    at_best = time.sel(scan_delay_ms=best.sel(at="best", drop=True))
    usual = time.sel(scan_delay_ms=DEFAULT_MS)
    renamed = {"bound": "costs"} if "bound" in time.dims else {}
    return relative_change(
        usual.drop_vars("scan_delay_ms").rename(renamed),
        at_best.drop_vars("scan_delay_ms").rename(renamed),
    )
