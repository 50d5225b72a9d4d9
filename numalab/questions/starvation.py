"""What q05 asks: which regions does each scan rule leave out, and what does that cost?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab import __version__, stats
from numalab.catalog import threads
from numalab.policy import NAMES, get
from numalab.questions import regions, trials

SHAPES: dict[str, trials.Shape] = {
    "disjoint": threads.disjoint,
    "shared": threads.shared,
    "exchanged": threads.exchanged,
    "filled-late": threads.filled_late,
    "born-late": threads.born_late,
}
"""The last three have an event; before it, nobody needs their regions scanned."""
STEADY = ("disjoint", "shared")
LATE = ("filled-late", "born-late")
AXES = {
    "unscanned": "regions not scanned after the event [%]",
    "remote": "touches that are remote at the end [%]",
}
"""Variables of the figure and the titles of their axes."""
BASE = "linux-6.1"
LEVEL = 0.05


def in_order(names: Sequence[str]) -> list[str]:
    """Return names of policies in the order of history.

    Raises
    ------
    InputError
        For a policy that does not exist.
    """
    return sorted((get(name).name for name in names), key=NAMES.index)


def measure(ds: xr.Dataset, trial: trials.Trial, *, steady: bool) -> xr.Dataset:
    """Measure one run: regions unscanned, the time to the first scan, remote touches.

    Returns
    -------
    xarray.Dataset
        ``unscanned``: share of the regions without a scan after the event; ``first_ms``:
        median over regions from the event (in a steady workload: from the start),
        infinite if at least half of them have none; ``remote``: share of the touches that
        go to another node at the end.
    """
    since = regions.first_scan_ms(ds, trial.event_ms)
    first = regions.first_scan_ms(ds, 0.0) if steady else since
    return xr.Dataset(
        {
            "unscanned": xr.apply_ufunc(np.isinf, since).mean("vma"),
            "first_ms": first.median("vma"),
            "remote": regions.remote_share(ds, trial.workload),
        }
    ).isel(replicate=0, drop=True)


def over(
    tasks: Sequence[int],
    policies: Sequence[str],
    *,
    event_ms: float,
    after_ms: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Run all workloads for numbers of tasks, under policies.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`measure` over (shape, tasks, policy, replicate).
    """
    rules = [get(name) for name in policies]

    def one(point: tuple[str, int, int]) -> xr.Dataset:
        shape, count, replicate = point
        trial = trials.draw(
            SHAPES[shape],
            count,
            seed=seed,
            replicate=replicate,
            event_ms=event_ms,
            after_ms=after_ms,
        )
        steady = shape in STEADY
        runs = [measure(trial.run(policy), trial, steady=steady) for policy in rules]
        return xr.concat(runs, dim="policy")

    points = itertools.product(SHAPES, tasks, range(replicates))
    flat = xr.concat(trials.each(one, points), dim="point")
    sizes = (len(SHAPES), len(tasks), replicates, len(policies))
    dims = ("shape", "tasks", "replicate", "policy")
    return xr.Dataset(
        {name: (dims, flat[name].values.reshape(sizes)) for name in flat.data_vars},
        coords={
            "shape": list(SHAPES),
            "tasks": list(tasks),
            "replicate": range(replicates),
            "policy": list(policies),
        },
    )


def beyond_chance(ds: xr.Dataset, variable: str) -> xr.DataArray:
    """Say where a policy differs from linux-6.1 in pairs: Holm over all cells, 5 %.

    Returns
    -------
    xarray.DataArray, bool
        ``replicate`` disappears; never true of linux-6.1 itself.
    """
    p = stats.paired(ds[variable], "policy", BASE)["p_holm"]
    found: xr.DataArray = (p < LEVEL).reindex(policy=ds["policy"].values, fill_value=False)
    return found


def words(ds: xr.Dataset, variable: str) -> xr.DataArray:
    """Mean shares in per cent as words; a star where it differs from linux-6.1."""
    mean = 100 * ds[variable].mean("replicate")
    stars = beyond_chance(ds, variable)
    return xr.apply_ufunc(
        lambda value, star: f"{value:.0f}{'*' if star else ' '}", mean, stars, vectorize=True
    )


def first_words(ds: xr.Dataset, after_ms: float) -> xr.DataArray:
    """Median over trials of the time to the first scan [s], as words."""
    median = ds["first_ms"].median("replicate") / 1000
    most = f">{after_ms / 1000:g}"
    return xr.apply_ufunc(
        lambda value: f"{value:.1f}" if np.isfinite(value) else most, median, vectorize=True
    )


def _percent(da: xr.DataArray) -> str:
    return str(stats.format_summary(100 * stats.summary(da), "%").item())


def least(ds: xr.Dataset, policy: str, shape: str) -> float:
    """Return the mean share of regions unscanned, at the number of tasks where it is least."""
    return float(ds["unscanned"].sel(shape=shape, policy=policy).mean("replicate").min())


def most(ds: xr.Dataset, variable: str, policies: Sequence[str], shapes: Sequence[str]) -> float:
    """Return the mean of a variable in the cell where it is largest."""
    chosen = ds[variable].sel(shape=list(shapes), policy=list(policies))
    return float(chosen.mean("replicate").max())


def lost(ds: xr.Dataset, policy: str, shape: str) -> float:
    """Lower end of the interval of the remote touches beyond those of linux-6.1, most tasks."""
    at = ds["remote"].sel(shape=shape).isel(tasks=-1)
    return float(stats.paired(at, "policy", BASE)["low"].sel(policy=policy))


def answer(ds: xr.Dataset, after_ms: float) -> str:
    """Answer q05 in words, with the numbers from the runs; for the most tasks."""
    policies = [str(p) for p in ds["policy"].values]
    names = [p for p in (BASE, "linux-6.4", policies[-1]) if p in policies]
    tasks = int(ds["tasks"][-1])

    def say(variable: str, shape: str, among: Sequence[str] = names, at_tasks: int = -1) -> str:
        at = ds[variable].sel(shape=shape).isel(tasks=at_tasks)
        return ", ".join(f"{_percent(at.sel(policy=p))} ({p})" for p in among)

    worse = [bool(beyond_chance(ds, "unscanned").sel(policy=p).any()) for p in names[1:]]
    verdict = "Yes" if all(worse) else "Not beyond chance"
    newest = policies[-1:]
    few = ", ".join(
        say("unscanned", shape, newest, 0) for shape in ("filled-late", "born-late", "exchanged")
    ).replace(f" ({policies[-1]})", "")
    steady = 100 * most(ds, "remote", policies, STEADY)
    return (
        f"{verdict}. With {tasks} tasks, these shares of the regions that are filled late are "
        f"not scanned within {after_ms / 1000:g} s: {say('unscanned', 'filled-late')}; of those "
        f"mapped late: {say('unscanned', 'born-late')}; of those that threads of two nodes "
        f"exchange: {say('unscanned', 'exchanged')}. With {int(ds['tasks'][0])} tasks "
        f"{policies[-1]} leaves out, in the same order, {few}. It costs locality: with {tasks} "
        "tasks this share of the touches of exchanged regions is remote at the end: "
        f"{say('remote', 'exchanged')}. Regions "
        f"that keep their users go unscanned too ({say('unscanned', 'disjoint', names[1:])}), "
        f"at no loss: the first passes moved them, {steady:.1f} % of their touches are remote "
        "at the end under the worst rule."
    )


def setting(ds: xr.Dataset, event_s: float, after_ms: float) -> str:
    """Say what was run, and how sure it is, in one paragraph."""
    widths = [round(widest(ds, name)) for name in AXES]
    return (
        f"Model of {ds.sizes['policy']} scan rules, 2 nodes, threads bound to CPUs; each owns "
        f"or shares regions of {threads.REGION_MB} MB. {ds.sizes['replicate']} trials a cell; "
        f"the event after {event_s:g} s or a little later, {after_ms / 1000:g} s more after it. "
        "* differs from linux-6.1 (paired t test, Holm over the table, 5 %). The widest "
        f"95 % interval spans {widths[0]} points in the first table, {widths[1]} in the second."
    )


def widest(ds: xr.Dataset, variable: str) -> float:
    """Return the width of the widest 95 % interval of a share [points]."""
    bounds = stats.mean_interval(ds[variable])
    return 100 * float((bounds.sel(statistic="high") - bounds.sel(statistic="low")).max())


def birth(ds: xr.Dataset) -> dict[str, object]:
    """Return the provenance of the runs."""
    return {
        "numalab": __version__,
        "policies": [str(p) for p in ds["policy"].values],
        "shapes": [str(s) for s in ds["shape"].values],
        "tasks": [int(n) for n in ds["tasks"].values],
        "replicates": ds.sizes["replicate"],
    }
