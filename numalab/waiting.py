"""What q04 asks: how long a new VMA should wait before its first scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.catalog.lifetimes import YOUNG_MB, lifetimes
from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.engine import first_draws, simulate
from numalab.fields import InputError
from numalab.remedies import get
from numalab.tables import plain
from numalab.totals import totals
from numalab.units import NSEC_PER_MSEC, PAGES_PER_MB
from numalab.workload import Workload

SHAPES = {"fixed": 0.5, "exponential": 0.5, "pareto": 1.5}
"""Distributions of lifetimes with their ``lifetime_shape``; a Pareto tail of 1.5 is heavy."""
DEFAULT_MS = 1000
"""``scan_delay_ms`` of every kernel."""
SAMPLE_MS = 50
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
    return replace(made, sample_ms=SAMPLE_MS)


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
        A mapping is replaced when the next one is born.
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
    seconds: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate :func:`numalab.catalog.lifetimes.lifetimes` at every combination.

    Returns
    -------
    xarray.Dataset
        Totals a minute over (policy, scan_delay_ms, vma_lifetime_ms, shape, replicate), with
        ``wasted``: memory of the short-lived mappings that scans walked and that did not move
        [MB/min]; ``far``: time that the pages of the mapping that is filled on the wrong node
        spend there [s/min], from samples of 50 ms. A few pages of the program that migrate
        count as the mapping's.

    Raises
    ------
    InputError
        For an unknown shape or policy.
    """
    for shape in shapes:
        if shape not in SHAPES:
            raise InputError(f"shape = {shape!r}: must be one of {', '.join(SHAPES)}")

    def at(policy: str, delay: int, life: float, shape: str) -> xr.Dataset:
        made = _workload(delay, life, shape, seconds)
        ds = simulate(made, get(policy), seed=seed, replicates=replicates)
        return _cell(ds, made, seed)

    def along(dim: str, parts: Iterable[xr.Dataset], labels: Sequence[object]) -> xr.Dataset:
        return xr.concat(list(parts), dim=dim).assign_coords({dim: list(labels)})

    def lived(p: str, d: int, x: float) -> xr.Dataset:
        return along("shape", (at(p, d, x, s) for s in shapes), shapes)

    def delayed(p: str, d: int) -> xr.Dataset:
        return along("vma_lifetime_ms", (lived(p, d, x) for x in lifetimes_ms), lifetimes_ms)

    def ruled(p: str) -> xr.Dataset:
        return along("scan_delay_ms", (delayed(p, d) for d in delays_ms), delays_ms)

    return along("policy", (ruled(p) for p in policies), policies)


def paid(found: xr.Dataset, costs: Costs, *, misses_per_s: float) -> xr.DataArray:
    """Time that scanning and waiting take together, over ``bound`` too [ms/min].

    Parameters
    ----------
    misses_per_s : float [1/s]
        Cache misses of the thread that uses the far mapping; the model's touches are pages.
    """
    time = time_of(found, costs, vcpus=0)
    remote = xr.DataArray(
        [getattr(REMOTE, b) for b in BOUNDS], dims="bound", coords={"bound": [*BOUNDS]}
    )
    return time["scan"] + time["faults"] + found["far"] * misses_per_s / 1e6 * remote


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
        [ms], over the rest and ``at``: best, low, high.

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
    return best.assign_coords(at=["best", "low", "high"])


def words(best: xr.DataArray) -> xr.DataArray:
    """Print best delays as ``1 [.5,2]``, in seconds."""

    def one(values: np.ndarray) -> str:
        middle, low, high = (f"{v / 1000:.2g}".removeprefix("0") or "0" for v in values)
        return middle if low == high == middle else f"{middle} [{low},{high}]"

    return xr.apply_ufunc(
        one, best, input_core_dims=[["at"]], vectorize=True, output_dtypes=[object]
    )


def at_default(found: xr.Dataset, shape: str) -> str:
    """Table: what the default delay wastes and leaves far, by mean lifetime, a row a policy."""
    mean = _at(found, DEFAULT_MS).sel(shape=shape)
    lives = found["vma_lifetime_ms"].values
    rows = []
    for policy in found["policy"].values:
        row = [str(policy)]
        for life in lives:
            one = mean.sel(policy=policy, vma_lifetime_ms=life)
            row.append(f"{float(one['wasted']):.0f} / {float(one['far']):.0f}")
        rows.append(row)
    return plain(["MB wasted / s far", *(f"{x:g} ms" for x in lives)], rows)


def _at(found: xr.Dataset, delay_ms: int) -> xr.Dataset:
    """Means over replicates at one delay."""
    if delay_ms not in found["scan_delay_ms"].values:
        raise InputError(f"scan_delay_ms: {delay_ms} is not among the delays simulated")
    return found.sel(scan_delay_ms=delay_ms).mean("replicate")


def best_table(best: xr.DataArray, shape: str) -> str:
    """Table of best delays [s] with their intervals, by mean lifetime, a row a policy."""
    said = words(best.sel(shape=shape, bound="typical"))
    lives = best["vma_lifetime_ms"].values
    rows = [
        [str(p), *(str(said.sel(policy=p, vma_lifetime_ms=x).item()) for x in lives)]
        for p in best["policy"].values
    ]
    return plain([shape, *(f"{x:g} ms" for x in lives)], rows)


def answer(found: xr.Dataset, best: xr.DataArray, shape: str) -> str:
    """Answer q04 in words, with the numbers of the runs."""
    lives = found["vma_lifetime_ms"].values
    first = int(found["scan_delay_ms"].values[0])
    at = {"shape": shape, "vma_lifetime_ms": lives[-1]}
    usual, soon = _at(found, DEFAULT_MS).sel(at), _at(found, first).sel(at)
    young = _at(found, DEFAULT_MS).sel(at | {"vma_lifetime_ms": lives[0]})
    said = []
    for policy in (str(p) for p in found["policy"].values):
        now, then, early = (x.sel(policy=policy) for x in (usual, soon, young))
        said.append(
            f"{policy} {float(early['wasted']):.0f} MB; {float(now['far']):.0f} s and "
            f"{float(now['wasted']):.0f} MB ({float(then['far']):.0f} s and "
            f"{float(then['wasted']):.0f} MB)"
        )
    typical = best.sel(bound="typical")
    low, high = found["scan_delay_ms"].values[[0, -1]]
    open_ended = (typical.sel(at="low") == low) & (typical.sel(at="high") == high)
    holds = (typical.sel(at="low") <= DEFAULT_MS) & (typical.sel(at="high") >= DEFAULT_MS)
    return (
        f"What scans walk in a minute for nothing where mappings live {lives[0]:g} ms on average, "
        f"with the delay of {DEFAULT_MS} ms; then, where they live {lives[-1]:g} ms, how long in "
        "a minute the pages of the one on the wrong node stay there and what is walked for "
        f"nothing (in brackets: with a delay of {first} ms): {'; '.join(said)}. "
        f"{DEFAULT_MS} ms lies inside the interval of the best delay in {int(holds.sum())} of "
        f"{holds.size} cells (typical costs, assumed); in {int(open_ended.sum())} the interval is "
        "all of the delays simulated: these runs cannot tell."
    )


def birth(found: xr.Dataset) -> dict[str, object]:
    """Return the provenance of runs over policies."""
    return {"numalab": __version__, "policies": [str(p) for p in found["policy"].values]}
