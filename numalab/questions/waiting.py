"""What q04 asks: how long a new VMA should wait before its first scan; its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from numalab.catalog.lifetimes import YOUNG_MB, lifetimes
from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.engine import first_draws, simulate
from numalab.fields import InputError, distinct
from numalab.policy import Policy, get, with_rules
from numalab.stats.intervals import enough_for_bootstrap, runs_of
from numalab.sweeps.totals import totals
from numalab.units import NSEC_PER_MSEC, PAGES_PER_MB
from numalab.workload import Workload

SHAPES = {"fixed": 0.5, "exponential": 0.5, "pareto": 1.5}
"""Distributions of lifetimes with their ``lifetime_shape``; a Pareto tail of 1.5 is heavy."""
NONE_MS = 0
"""In place of a delay: VMAs do not wait at all."""
DEFAULT_MS = 1000
"""``scan_delay_ms`` of every kernel."""
MEASURES = {
    "young": "MB walked of them",
    "walked": "MB walked in all",
    "faults": "1000 hint faults",
    "far": "s far",
}
"""What is counted in a minute, and what a table calls it."""
LOCAL, FAR = "young0", "young1"
"""Mappings that lie where they are used, and mappings that do not."""


def delayed(policy: str, delay_ms: int) -> Policy:
    """Return a policy under which a new VMA waits ``delay_ms``, and nothing else does.

    The knob ``scan_delay_ms`` stays at its default: it is also the first wait of a process,
    the first period of a task and a quarter of the time after which pids are forgotten.
    """
    name = f"{policy}, VMAs wait {delay_ms} ms"
    if delay_ms == NONE_MS:
        return with_rules(get(policy), name, vma_scan_delay=False)
    return with_rules(get(policy), name, vma_scan_delay=True, vma_delay_ms=delay_ms)


def _workload(lifetime: float, shape: str, seconds: float) -> Workload:
    made = lifetimes(
        scan_delay_ms=DEFAULT_MS,
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
    """Totals of runs a minute, with what scans walked and what stayed far."""
    a_minute = 60_000 / w.duration_ms
    pages = round(YOUNG_MB * PAGES_PER_MB)
    moved = ds["numa_pages_migrated"].transpose("replicate", "time").values
    far = [
        far_share(one, ds["time"].values, _births(w, seed, i, FAR), pages) * 60
        for i, one in enumerate(moved)
    ]
    data = totals(ds)
    data["young"] = ds["scan_pages"].sel(vma=[LOCAL, FAR]).sum("vma") / PAGES_PER_MB
    data["walked"] = data["scan_pages"] / PAGES_PER_MB
    data["faults"] = data["numa_hint_faults"] / 1000
    return (data * a_minute).assign(far=("replicate", np.array(far)))


def runs(
    policies: Sequence[str],
    delays_ms: Sequence[int],
    lifetimes_ms: Sequence[float],
    shapes: Sequence[str],
    *,
    seconds: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate :func:`numalab.catalog.lifetimes.lifetimes` at every combination.

    Parameters
    ----------
    policies : sequence of str
        Kernels and proposals; each is run as it is but for the wait of new VMAs.
    delays_ms : sequence of int [ms]
        That wait; 0 is none.

    Returns
    -------
    xarray.Dataset
        Totals a minute over (policy, vma_delay_ms, vma_lifetime_ms, shape, replicate), with
        ``young`` and ``walked``: memory that scans walked, of the short-lived mappings and in
        all [MB/min]; ``faults`` [1000/min]; ``far``: time that the pages of the mapping that
        is filled on the wrong node spend there [s/min], from 25 samples or more in a mean
        lifetime, at most one a tick. The pass at the start of a process, for which nothing
        ever waits, is in them.

    Raises
    ------
    InputError
        For a list that is empty or holds something twice, an unknown shape or policy, delays
        that are below 0 or lack 0 or the kernel's, or too few replicates.
    """
    distinct("kernels", policies)
    distinct("delays_ms", delays_ms)
    distinct("lifetimes_ms", lifetimes_ms)
    distinct("shapes", shapes)
    if min(delays_ms) < 0 or not {NONE_MS, DEFAULT_MS} <= set(delays_ms):
        raise InputError(
            f"delays_ms = {list(delays_ms)}: must be at least 0, and hold {NONE_MS} (no wait) "
            f"and {DEFAULT_MS}"
        )
    enough_for_bootstrap(replicates)
    for shape in shapes:
        if shape not in SHAPES:
            raise InputError(f"shape = {shape!r}: must be one of {', '.join(SHAPES)}")

    def at(policy: str, delay: int, life: float, shape: str) -> xr.Dataset:
        made = _workload(life, shape, seconds)
        ds = simulate(made, delayed(policy, delay), seed=seed, replicates=replicates)
        return _cell(ds, made, seed)

    rising = sorted(delays_ms)
    along = {
        "policy": policies, "vma_delay_ms": rising, "vma_lifetime_ms": lifetimes_ms,
        "shape": shapes,
    }  # fmt: skip
    cells = [
        [[[at(p, d, x, s) for s in shapes] for x in lifetimes_ms] for d in rising] for p in policies
    ]
    found = xr.combine_nested(cells, list(along), join="exact", combine_attrs="override")
    return found.assign_coords({dim: list(labels) for dim, labels in along.items()})


def change(found: xr.Dataset, delay_ms: int) -> xr.Dataset:
    """What a delay changes against none, run by run on the same draws: :data:`MEASURES`."""
    ours = found[list(MEASURES)]
    with_it = ours.sel(vma_delay_ms=delay_ms, drop=True)
    return with_it - ours.sel(vma_delay_ms=NONE_MS, drop=True)


def _remote() -> xr.DataArray:
    return xr.DataArray(
        [getattr(REMOTE, b) for b in BOUNDS], dims="bound", coords={"bound": [*BOUNDS]}
    )


def _scanning(found: xr.Dataset, costs: Costs) -> xr.DataArray:
    """Time that scans, hint faults and migrations take; over ``bound`` too [ms/min]."""
    time = time_of(found, costs, vcpus=0)
    return time["scan"] + time["faults"]


def paid(found: xr.Dataset, costs: Costs, misses_per_s: Sequence[float]) -> xr.DataArray:
    """Time that scanning takes together with remote misses in far pages [ms/min].

    Parameters
    ----------
    misses_per_s : sequence of float [1/s]
        Cache misses of the thread that uses the far mapping, in that mapping: no count of the
        model says how many, so the result is over them, as ``misses_per_s``.

    Raises
    ------
    InputError
        For a rate that is not positive or twice in the list.
    """
    distinct("misses_per_s", misses_per_s)
    if not all(0 < x < np.inf for x in misses_per_s):
        raise InputError(f"misses_per_s = {list(misses_per_s)}: must be above 0, and finite")
    rates = xr.DataArray(
        list(misses_per_s), dims="misses_per_s", coords={"misses_per_s": list(misses_per_s)}
    )
    return _scanning(found, costs) + found["far"] * rates * _remote() / 1e6


def break_even(found: xr.Dataset, costs: Costs, delay_ms: int) -> xr.DataArray:
    """Remote misses a second at which a delay takes as much time as it saves.

    Returns
    -------
    xarray.DataArray
        [1/s], of the mean over replicates; ``bound`` (low, typical, high) takes the costs so
        that the rate is lowest, typical, highest. ``inf`` where no page is far for longer; 0
        where nothing is saved.
    """
    none, delay = (found.sel(vma_delay_ms=d, drop=True) for d in (NONE_MS, delay_ms))
    saved = (_scanning(none, costs) - _scanning(delay, costs)).mean("replicate")
    longer = (delay["far"] - none["far"]).mean("replicate")
    dearest_first = _remote()[::-1].assign_coords(bound=[*BOUNDS])
    rate = saved * 1e6 / (longer * dearest_first)
    return xr.where(saved <= 0, 0.0, xr.where(longer <= 0, np.inf, rate))


def best_delay(
    time: xr.DataArray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> xr.DataArray:
    """Find the delay of least mean time, with its percentile bootstrap interval.

    Whole replicates are drawn with replacement, so that the delays of one stay together; a
    delay between those of the grid is never named.

    Parameters
    ----------
    time : xarray.DataArray
        Over ``vma_delay_ms``, ``replicate`` and anything else.

    Returns
    -------
    xarray.DataArray
        [ms], over the rest and ``at``: best, low, high.

    Raises
    ------
    InputError
        For fewer replicates than :data:`numalab.stats.intervals.FEWEST`.
    """
    n = runs_of(time)
    enough_for_bootstrap(n)
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    delays = time["vma_delay_ms"].values
    tail = (1 - level) / 2

    def one(values: np.ndarray) -> np.ndarray:
        found = delays[values[:, drawn].mean(axis=-1).argmin(axis=0)]
        ends = np.quantile(found, [tail, 1 - tail], method="closest_observation")
        return np.array([delays[values.mean(axis=-1).argmin()], *ends], np.float64)

    best = xr.apply_ufunc(
        one,
        time,
        input_core_dims=[["vma_delay_ms", "replicate"]],
        output_core_dims=[["at"]],
        vectorize=True,
    )
    return best.assign_coords(at=["best", "low", "high"])
