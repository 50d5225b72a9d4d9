"""What q04 asks: how long a new VMA should wait before its first scan; its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from numalab.catalog.lifetimes import YOUNG_MB, lifetimes
from numalab.engine import first_draws, simulate
from numalab.fields import InputError, distinct
from numalab.policy import Policy, get, with_rules
from numalab.stats.intervals import check_bootstrap
from numalab.totals import totals
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
        Totals a minute over (policy, vma_delay_ms, vma_lifetime_ms, shape, replicate), waits
        and lifetimes rising, with ``young`` and ``walked``: memory that scans walked, of the
        short-lived mappings and in all [MB/min]; ``faults`` [1000/min]; ``far``: time that the
        pages of the mapping that is filled on the wrong node spend there [s/min], from 25
        samples or more in a mean lifetime, at most one a tick. The pass at the start of a
        process, for which nothing ever waits, is in them.

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
    check_bootstrap(replicates)
    for shape in shapes:
        if shape not in SHAPES:
            raise InputError(f"shape = {shape!r}: must be one of {', '.join(SHAPES)}")

    def at(policy: str, delay: int, life: float, shape: str) -> xr.Dataset:
        made = _workload(life, shape, seconds)
        ds = simulate(made, delayed(policy, delay), seed=seed, replicates=replicates)
        return _cell(ds, made, seed)

    waits, lives = sorted(delays_ms), sorted(lifetimes_ms)
    along = {
        "policy": policies, "vma_delay_ms": waits, "vma_lifetime_ms": lives, "shape": shapes,
    }  # fmt: skip
    cells = [[[[at(p, d, x, s) for s in shapes] for x in lives] for d in waits] for p in policies]
    found = xr.combine_nested(cells, list(along), join="exact", combine_attrs="override")
    return found.assign_coords({dim: list(labels) for dim, labels in along.items()})


def change(found: xr.Dataset, delay_ms: int) -> xr.Dataset:
    """What a delay changes against none, run by run on the same draws: :data:`MEASURES`."""
    ours = found[list(MEASURES)]
    with_it = ours.sel(vma_delay_ms=delay_ms, drop=True)
    return with_it - ours.sel(vma_delay_ms=NONE_MS, drop=True)
