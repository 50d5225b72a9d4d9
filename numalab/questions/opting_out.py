"""What q07 asks: what a GPU process loses and saves when it opts out of NUMA balancing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from numalab.catalog.guests import gpu_process
from numalab.costs import BOUNDS, REMOTE, Costs, time_of
from numalab.engine import simulate
from numalab.remedies import get
from numalab.report.tables import crossing_words, plain, span
from numalab.stats import Crossing, crossing, format_number
from numalab.totals import totals

WAYS = ("", "+process-opt-out", "+mbind")
"""Balancing as it is; off for the process; off for the registered memory."""


def _remote_share(ds: xr.Dataset) -> xr.DataArray:
    """Share of the touches that are remote at the end, over ``replicate``.

    Threads of node 1 touch half of each VMA, all of which started on node 0; each VMA counts
    by its share of the memory, as in the workload.
    """
    own = [str(v) for v in ds["vma"].values if not str(v).startswith("image:")]
    pages = ds["pages_on_node"].sel(vma=own).sum("vma")
    moved = pages.sel(node=1) / pages.sum("node")
    return (0.5 - moved).clip(min=0)


def runs(
    base: str,
    shares: Sequence[float],
    *,
    memory_mb: int,
    threads: int,
    seconds: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Simulate the process over the share of its memory that the GPU registers.

    Returns
    -------
    xarray.Dataset
        Totals a minute, and ``remote`` (share of touches at the end), over
        (policy, registered, replicate).
    """
    rows = []
    for way in WAYS:
        cells = []
        for share in shares:
            shape = partial(gpu_process, memory_mb=memory_mb, threads=threads)
            workload = shape(registered=share, duration_ms=seconds * 1000)
            ds = simulate(workload, get(base + way), seed=seed, replicates=replicates)
            cell = totals(ds) * (60 / seconds)
            cells.append(cell.assign(remote=_remote_share(ds)))
        rows.append(xr.concat(cells, dim="registered").assign_coords(registered=list(shares)))
    return xr.concat(rows, dim="policy").assign_coords(policy=[base + way for way in WAYS])


def paid(found: xr.Dataset, costs: Costs, *, threads: int, misses_per_s: float) -> xr.Dataset:
    """Time a minute [ms] of each way: remote misses, scanning and faults, the GPU's queues.

    Parameters
    ----------
    misses_per_s : float [1/s]
        Cache misses of each thread; the model's touches are pages, not misses.

    Returns
    -------
    xarray.Dataset
        ``remote``, ``balancing``, ``gpu`` and ``total`` over (policy, registered, replicate,
        bound). All bounds of a row are low, typical or high together.
    """
    time = time_of(found, costs, vcpus=0)
    remote = xr.DataArray(
        np.array([getattr(REMOTE, b) for b in BOUNDS]), dims="bound", coords={"bound": [*BOUNDS]}
    )
    lost = found["remote"] * (threads * misses_per_s * 60 / 1e6) * remote
    paid = xr.Dataset(
        {"remote": lost, "balancing": time["scan"] + time["faults"], "gpu": time["gpu"]}
    )
    return paid.assign(total=paid["remote"] + paid["balancing"] + paid["gpu"])


def table(found: xr.Dataset, paid: xr.Dataset) -> str:
    """Table: a row for each way and share; counts, remote share and time with its range."""
    mean, time = found.mean("replicate"), paid.mean("replicate")
    rows = []
    for policy in found["policy"].values:
        for share in found["registered"].values:
            at = {"policy": policy, "registered": share}
            rows.append(
                [
                    _way(str(policy)),
                    f"{float(share):g}",
                    format_number(float(mean["evictions"].sel(at))),
                    f"{100 * float(mean['remote'].sel(at)):.0f}",
                    *(
                        span([float(time[v].sel(at).sel(bound=b)) / 1000 for b in BOUNDS])
                        for v in ("remote", "gpu")
                    ),
                ]
            )
    heads = ["balancing", "share", "evict", "remote %", "remote s/min", "GPU s/min"]
    return plain(heads, rows, left=1)


def _way(policy: str) -> str:
    return {"": "on", "process-opt-out": "off", "mbind": "not there"}[policy.partition("+")[2]]


def crossings(found: xr.Dataset, paid: xr.Dataset, base: str) -> dict[str, Crossing]:
    """Registered share from which on opting out costs less time, by bound of the costs.

    A row of the table has all its costs low, typical or high; here also the corners: the
    GPU's low with the rest high, and the other way round.
    """
    named = {b: (b, b) for b in BOUNDS}
    named |= {"GPU low, rest high": ("low", "high"), "GPU high, rest low": ("high", "low")}
    found_at = {}
    for name, (gpu, rest) in named.items():
        total = paid["gpu"].sel(bound=gpu, drop=True)
        total = total + (paid["remote"] + paid["balancing"]).sel(bound=rest, drop=True)
        extra = total.sel(policy=f"{base}+process-opt-out") - total.sel(policy=base)
        found_at[name] = crossing(extra, "registered")
    return found_at


def crossing_table(crossed: dict[str, Crossing]) -> str:
    """Table of crossings: a row for each choice of costs."""
    return plain(
        ["costs", "opting out is cheaper from this registered share on"],
        [[name, crossing_words(value)] for name, value in crossed.items()],
    )


def answer(found: xr.Dataset, paid: xr.Dataset, crossed: dict[str, Crossing], base: str) -> str:
    """Answer q07 in words, with the numbers of the runs."""
    share = found["registered"].values
    on, off = (found["remote"].sel(policy=p).mean() for p in (base, f"{base}+process-opt-out"))
    evicted = found["evictions"].sel(policy=base).mean("replicate")
    scans = found["notifier_calls"].sel(policy=base).mean("replicate")
    where = "; ".join(f"{k}: {crossing_words(v)}" for k, v in crossed.items())
    return (
        f"Under {base}, scans and the migrations that follow evict the GPU's queues in a minute "
        f"{float(evicted.min()):.0f} to {float(evicted.max()):.0f} times, at registered shares "
        f"from {share[0]:g} to {share[-1]:g}: hardly ever by a scan (these notify at most "
        f"{float(scans.max()):.0f} times), nearly always by the migration of a page. Without "
        f"balancing {100 * float(off):.0f} % of the CPUs' touches stay remote, with it "
        f"{100 * float(on):.0f} %. Opting out costs less time from this registered share on: "
        f"{where}. Taking only the registered memory out (mbind) evicts nothing and keeps the "
        "rest local."
    )
