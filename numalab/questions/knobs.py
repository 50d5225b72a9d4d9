"""What q11 asks: which knob decides what, by Sobol indices and Morris' elementary effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import xarray as xr

from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError, distinct
from numalab.remedies import get
from numalab.report.tables import plain
from numalab.stats import sensitivity
from numalab.stats.intervals import alike
from numalab.sweeps import workers
from numalab.sweeps.job import Job
from numalab.sweeps.totals import NAMES
from numalab.tunables import Tunables
from numalab.workload import Workload

RANGES = {
    "scan_delay_ms": (125.0, 8000.0),
    "scan_period_min_ms": (100.0, 4000.0),
    "scan_period_max_ms": (4000.0, 120_000.0),
    "scan_size_mb": (16.0, 256.0),
    "vma_lifetime_ms": (50.0, 16_000.0),
    "pin_fraction": (0.0, 1.0),
}
"""Knobs and two properties of the workload, with the ranges that they are varied over."""
_LINEAR = ("pin_fraction",)
RESPONSES = {
    "numa_pte_updates": "PTE updates",
    "numa_hint_faults": "hint faults",
    "numa_pages_migrated": "migrated",
    "notifier_calls": "notifier calls",
}
"""Counts of a run, and what they are called in a figure."""


def scaled(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Ranges as designs see them: log2, but for shares.

    Raises
    ------
    InputError
        If a range that is varied in factors begins at or below 0.
    """
    found = {}
    for name, (low, high) in ranges.items():
        if name in _LINEAR:
            found[name] = (low, high)
        elif low <= 0:
            raise InputError(f"{name} = {low:g} .. {high:g}: is varied in factors, from above 0")
        else:
            found[name] = (float(np.log2(low)), float(np.log2(high)))
    return found


def _workload(point: Mapping[str, float], seconds: float) -> Workload:
    value = {name: x if name in _LINEAR else 2.0**x for name, x in point.items()}
    knobs = {f.name: round(value[f.name]) for f in fields(Tunables) if f.name in value}
    made = lifetimes(
        scan_delay_ms=knobs["scan_delay_ms"],
        vma_lifetime_ms=value["vma_lifetime_ms"],
        pin_fraction=value["pin_fraction"],
        duration_ms=seconds * 1000,
    )
    return replace(made, tunables=Tunables(**knobs))


def evaluated(
    design: xr.Dataset, policy: str, *, seconds: float, replicates: int, seed: int
) -> xr.Dataset:
    """Run every point of a design; return it with the responses.

    All points draw from the same streams, but use other parts of them: chance stays.

    Returns
    -------
    xarray.Dataset
        With a variable over ``point`` for each of :data:`RESPONSES`: log2(1 + mean count); and
        ``chance`` over ``response``: share of the variance over the points that another seed
        would bring, from the variance over replicates of the log of their counts.

    Raises
    ------
    InputError
        If a point fails.
    """
    names = list(RANGES)
    rows = zip(*(design[name].values.tolist() for name in names), strict=True)
    jobs = [
        Job(
            number=i, workload=_workload(dict(zip(names, row, strict=True)), seconds),
            policy=get(policy), seed=seed, first=0, count=replicates,
        )
        for i, row in enumerate(rows)
    ]  # fmt: skip
    values = np.zeros((len(jobs), replicates, len(NAMES)))
    for job, totals, reason, _ in workers.on_threads(jobs, workers.cores()):
        if totals is None:
            raise InputError(f"point {job.number} of the design under {policy}: {reason}")
        values[job.number] = totals
    values = values[:, :, [NAMES.index(name) for name in RESPONSES]]
    counts = np.log2(1 + values.mean(axis=1))
    for i, name in enumerate(RESPONSES):
        if alike(counts[:, i]):
            raise InputError(
                f"{name} under {policy}: the same at all points of runs of {seconds:g} s: "
                "nothing decides it; use longer runs"
            )
    by_chance = np.log2(1 + values).var(axis=1, ddof=1).mean(axis=0) / replicates
    found = design.assign({name: ("point", counts[:, i]) for i, name in enumerate(RESPONSES)})
    found["chance"] = ("response", by_chance / counts.var(axis=0))
    return found


def indices(
    policies: list[str],
    *,
    n: int,
    trajectories: int,
    seconds: float,
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """Sobol indices and Morris' effects of every parameter on every response.

    Returns
    -------
    xarray.Dataset
        Over (policy, response, parameter): ``S1``, ``ST`` with ``S1_conf``, ``ST_conf``
        (:func:`numalab.stats.sensitivity.sobol`); ``mu``, ``mu_star``, ``mu_star_conf``, ``sigma``
        (:func:`numalab.stats.sensitivity.morris`), in log2 of a count over the whole range; and
        ``chance`` over (policy, response) for the Sobol design (:func:`evaluated`): about what
        a parameter that only reshuffles the draws has as ``ST``.

    Raises
    ------
    InputError
        For no policy or one twice, fewer than 2 replicates, a seed below 0, a response that is
        alike at all points.
    """
    distinct("policies", policies)
    if replicates < 2:
        raise InputError(f"replicates = {replicates}: what chance does is seen from 2 on")
    if seed < 0:
        raise InputError(f"root_seed = {seed}: must be at least 0")
    bounds = scaled(RANGES)
    designs = (
        (sensitivity.sobol_design(bounds, n=n, seed=seed), sensitivity.sobol),
        (
            sensitivity.morris_design(bounds, trajectories=trajectories, seed=seed),
            sensitivity.morris,
        ),
    )
    rows = []
    for policy in policies:
        run = [
            (
                evaluated(d, policy, seconds=seconds, replicates=replicates, seed=seed),
                analysis,
            )
            for d, analysis in designs
        ]
        cells = [
            xr.merge([a(d.assign(y=d[name])) for d, a in run], combine_attrs="drop")
            for name in RESPONSES
        ]
        shares = xr.concat(cells, dim="response").assign_coords(response=list(RESPONSES))
        rows.append(shares.assign(chance=run[0][0]["chance"]))
    return xr.concat(rows, dim="policy").assign_coords(policy=policies)


def table(found: xr.Dataset, policy: str) -> str:
    """Table of one policy: ST in per cent with its half width, and the sign of the effect."""
    one = found.sel(policy=policy)
    rows = []
    for parameter in found["parameter"].values:
        row = [str(parameter)]
        for response in RESPONSES:
            at = one.sel(parameter=parameter, response=response)
            row.append(
                f"{100 * float(at['ST']):.0f} +-{100 * float(at['ST_conf']):.0f} {_sign(at)}"
            )
        rows.append(row)
    rows.append(["(chance)", *(f"{100 * float(x):.1f}" for x in one["chance"])])
    return plain([policy, *RESPONSES.values()], rows)


def _sign(at: xr.Dataset) -> str:
    """Direction: ``+`` or ``-`` where nearly all elementary effects agree, else ``~``."""
    mu, star = float(at["mu"]), float(at["mu_star"])
    if abs(mu) < 0.8 * star or star < 0.05:
        return "~"
    return "+" if mu > 0 else "-"


def answer(found: xr.Dataset) -> str:
    """Answer q11 in words: the parameter of most influence on each response, and its rivals.

    A rival is one whose interval reaches that of the first.
    """
    said = []
    for policy in found["policy"].values:
        parts = []
        for response, label in RESPONSES.items():
            at = found.sel(policy=policy, response=response)
            share, half = at["ST"].values, at["ST_conf"].values
            order = np.argsort(-share)
            first = order[0]
            near = [i for i in order if share[i] + half[i] >= share[first] - half[first]]
            names = [
                f"{at['parameter'].values[i]} ({100 * share[i]:.0f} +-{100 * half[i]:.0f})"
                for i in near
            ]
            parts.append(f"{label}: {' or '.join(names)}")
        said.append(f"{policy}: {'; '.join(parts)}")
    return (
        "The parameter that most of the variance of a count needs (total Sobol index of the log "
        "of the count, in per cent, with its 95 % half width; interactions count for each of "
        "their parameters, so the indices sum to more than 100), with every other whose interval "
        f"reaches its: {'. '.join(said)}. Chance alone, where a parameter only reshuffles the "
        f"draws, brings up to {100 * float(found['chance'].max()):.1f} %."
    )
