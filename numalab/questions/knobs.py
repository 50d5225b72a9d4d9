"""What q11 asks: which knob decides what, by Sobol indices and Morris' elementary effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from numalab import stats, sweep
from numalab.catalog.lifetimes import LASTING_MB, SHORT_LIVED_MB, lifetimes
from numalab.fields import InputError, distinct
from numalab.report.tables import plain
from numalab.tunables import Tunables
from numalab.workload import Workload

FACTOR = 4
"""Knobs are varied from their default by this factor, down and up."""
KNOBS = ("scan_delay_ms", "scan_period_min_ms", "scan_period_max_ms", "scan_size_mb")
SCALE = 16
"""Of the process: with 1536 MB it is larger than the largest scan."""
_DEFAULT = {name: float(getattr(Tunables(), name)) for name in KNOBS}
WORKLOAD = {
    "vma_lifetime_ms": (_DEFAULT["scan_delay_ms"] / FACTOR, _DEFAULT["scan_delay_ms"] * FACTOR),
    "pin_fraction": (0.0, 1.0),
}
"""Properties of the workload: lifetimes about the delay that they meet, and any share."""
RANGES = {name: (x / FACTOR, x * FACTOR) for name, x in _DEFAULT.items()} | WORKLOAD
"""Of all parameters; indices hold for these."""
_LINEAR = ("pin_fraction",)
RESPONSES = {
    "numa_pte_updates": "PTE updates",
    "numa_hint_faults": "hint faults",
    "numa_pages_migrated": "pages migrated",
    "notifier_calls": "notifier calls",
}
"""Counts of a run, and what they are called in a figure."""
_LIKE, _CLOSE = "numa_hint_faults", 0.05
"""Left out of the answer where no index differs by more than this from that of PTE updates."""
_HEADS = ("PTEs", "faults", "migrated", "calls")


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


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def _workload(*, seconds: float, **point: float) -> Workload:
    value = {name: x if name in _LINEAR else 2.0**x for name, x in point.items()}
    knobs = {f.name: round(value[f.name]) for f in fields(Tunables) if f.name in value}
    made = lifetimes(
        scan_delay_ms=knobs["scan_delay_ms"],
        vma_lifetime_ms=value["vma_lifetime_ms"],
        pin_fraction=value["pin_fraction"],
        scale=SCALE,
        duration_ms=seconds * 1000,
    )
    return replace(made, tunables=Tunables(**knobs))


def evaluated(
    design: pd.DataFrame, policy: str, *, seconds: float, replicates: int, seed: int
) -> xr.Dataset:
    """Run every point of a design; return the responses.

    All points draw from the same streams, but use other parts of them: chance stays.

    Returns
    -------
    xarray.Dataset
        A variable over ``point`` for each of :data:`RESPONSES`: log2(1 + mean count); and
        ``chance`` over ``response``: share of the variance over the points that another seed
        would bring, from the variance over replicates of the log of their counts.

    Raises
    ------
    InputError
        If a point fails.
    """
    runs = sweep.grid(
        partial(_workload, seconds=seconds), {"point": design[list(RANGES)]},
        policy=policy, replicates=replicates, seed=seed,
    )  # fmt: skip
    values = np.stack([runs[name].values for name in RESPONSES], axis=-1)
    counts = np.log2(1 + values.mean(axis=1))
    for i, name in enumerate(RESPONSES):
        if stats.identical(counts[:, i]):
            raise InputError(
                f"{name} under {policy}: the same at all points of runs of {seconds:g} s: "
                "nothing decides it; use longer runs"
            )
    by_chance = np.log2(1 + values).var(axis=1, ddof=1).mean(axis=0) / replicates
    found = xr.Dataset({name: ("point", counts[:, i]) for i, name in enumerate(RESPONSES)})
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
        (:func:`numalab.stats.sobol_indices`); ``mu``, ``mu_star``, ``mu_star_conf``, ``sigma``
        (:func:`numalab.stats.morris_effects`), in log2 of a count over the whole range; and
        ``chance`` over (policy, response) for the Sobol design (:func:`evaluated`): about what
        a parameter that only reshuffles the draws has as ``ST``. ``range`` labels a parameter.

    Raises
    ------
    InputError
        For no policy or one twice, fewer than 2 replicates, a seed below 0, a response that is
        identical at all points.
    """
    distinct("policies", policies)
    if replicates < 2:
        raise InputError(f"replicates = {replicates}: what chance does is seen from 2 on")
    if seed < 0:
        raise InputError(f"root_seed = {seed}: must be at least 0")
    bounds = scaled(RANGES)
    designs = (
        (stats.sobol_design(bounds, n=n, seed=seed), stats.sobol_indices),
        (stats.morris_design(bounds, trajectories=trajectories, seed=seed), stats.morris_effects),
    )
    at = partial(evaluated, seconds=seconds, replicates=replicates, seed=seed)
    rows = []
    for policy in policies:
        run = [at(design, policy) for design, _ in designs]
        cells = [
            analysis(design, ds[list(RESPONSES)].to_dataarray("response"), seed=seed)
            for ds, (design, analysis) in zip(run, designs, strict=True)
        ]
        rows.append(xr.merge(cells).assign(chance=run[0]["chance"]))
    given = {"n": n, "trajectories": trajectories, "seconds": seconds, "replicates": replicates}
    found = xr.concat(rows, dim="policy").assign_coords(policy=policies).assign_attrs(given)
    ends = ["..".join(map(_short, RANGES[str(name)])) for name in found["parameter"].values]
    return found.assign_coords(range=("parameter", ends))


def setting(found: xr.Dataset) -> str:
    """Say what was run, for the head of the mail."""
    old, young, given = LASTING_MB * SCALE, SHORT_LIVED_MB * SCALE, found.attrs
    size = found.sizes["parameter"]
    points, more = given["n"] * (size + 2), given["trajectories"] * (size + 1)
    return (
        f"Model of a process of {old + 2 * young} MB and three threads on two nodes: {old} MB on "
        f"the wrong node, pinned in part (pin_fraction), and two mappings of {young} MB that come "
        f"and go (vma_lifetime_ms). For each kernel {points} points, and {more} for the "
        f"directions, of {given['replicates']} runs of {given['seconds']:g} s; knobs from a "
        "quarter of their default to four times it. In the tables: total Sobol index of the log "
        "of a count, in per cent, with its 95 % half width, and the direction: - fewer, + more "
        "when the parameter is raised, ~ none or both. PTEs: numa_pte_updates; faults: "
        "numa_hint_faults; calls: MMU notifier calls by scans; (chance): the index of a parameter "
        "that does nothing but reshuffle the draws."
    )


def table(found: xr.Dataset, policy: str) -> str:
    """Table of one policy: ranges; ST in per cent with its half width, and its direction."""
    one = found.sel(policy=policy)
    rows = [
        [
            str(parameter),
            str(found["range"].sel(parameter=parameter).item()),
            *(
                f"{_index(at)} {_sign(at)}"
                for at in (one.sel(parameter=parameter, response=r) for r in RESPONSES)
            ),
        ]
        for parameter in found["parameter"].values
    ]
    rows.append(["(chance)", "", *(f"{100 * float(x):.1f}" for x in one["chance"])])
    return plain([policy, "range", *_HEADS], rows)


def _index(at: xr.Dataset) -> str:
    return f"{100 * float(at['ST']):.0f} +-{100 * float(at['ST_conf']):.0f}"


def _sign(at: xr.Dataset) -> str:
    """Direction: ``+`` or ``-`` where nearly all elementary effects agree, else ``~``.

    A parameter whose index is not above chance has none.
    """
    mu, star = float(at["mu"]), float(at["mu_star"])
    if float(at["ST"]) <= float(at["chance"]) or abs(mu) < 0.8 * star or star < 0.05:
        return "~"
    return "+" if mu > 0 else "-"


def _first_knobs(at: xr.Dataset) -> list[str]:
    """Knobs above chance, by ST: the first and each whose interval reaches that of the first."""
    knobs = at.sel(parameter=list(KNOBS)).sortby("ST", ascending=False)
    near = knobs["ST"] + knobs["ST_conf"] >= (knobs["ST"] - knobs["ST_conf"])[0]
    return [str(p) for p in knobs["parameter"].values[near & (knobs["ST"] > knobs["chance"])]]


def _outweighing(at: xr.Dataset) -> list[str]:
    """Properties of the workload above chance, by ST, whose interval lies above every knob's."""
    knobs = at.sel(parameter=list(KNOBS))
    rest = at.sel(parameter=list(WORKLOAD)).sortby("ST", ascending=False)
    above = rest["ST"] - rest["ST_conf"] > (knobs["ST"] + knobs["ST_conf"]).max()
    return [str(p) for p in rest["parameter"].values[above & (rest["ST"] > rest["chance"])]]


_Choice = Callable[[xr.Dataset], list[str]]
_RAISED = {"+": ", more", "-": ", fewer", "~": ""}


def _said(at: xr.Dataset, names: list[str], between: str) -> str:
    cells = {name: at.sel(parameter=name) for name in names}
    words = (f"{k} ({_index(at)} %{_RAISED[_sign(at)]})" for k, at in cells.items())
    return f" {between} ".join(words)


def _by_policy(found: xr.Dataset, chosen: _Choice, between: str, none: str) -> str:
    """Say, for each policy and response that is there, the parameters that are chosen of it."""
    parts = []
    for policy in found["policy"].values:
        one = found.sel(policy=policy)
        words = {
            RESPONSES[name]: _said(at, chosen(at), between) or none
            for name, at in ((str(k), one.sel(response=k)) for k in one["response"].values)
        }
        said = ", ".join(f"for {label} {w}" for label, w in words.items() if w) or "nowhere"
        parts.append(f"under {policy}, {said}")
    return "; ".join(parts)


def answer(found: xr.Dataset) -> str:
    """Answer q11 in words: the first knob for each response, then what outweighs every knob."""
    chance = 100 * float(found["chance"].max())
    total = found["ST"]
    apart = float(abs(total.sel(response=_LIKE) - total.sel(response="numa_pte_updates")).max())
    told, left_out = found, ""
    if apart <= _CLOSE:
        told = found.drop_sel(response=_LIKE)
        left_out = (
            "Hint faults are left out: their indices differ from those of PTE updates by at most "
            f"{100 * apart:.0f} points. "
        )
    return (
        "Of the four knobs, the first is: "
        f"{_by_policy(told, _first_knobs, 'or', 'none above chance')}. The workload outweighs "
        f"every knob: {_by_policy(told, _outweighing, 'and', '')}. {left_out}"
        "In brackets: per cent of the variance of the log of the count that the parameter takes "
        "part in, alone or with others (so they sum to more than 100), and what raising it brings, "
        "where that is nearly always the same; 'or': the interval reaches that of the first. This "
        "holds for this process and for the ranges in the tables: a parameter that is varied "
        f"further decides more. Chance alone brings up to {chance:.1f} %."
    )
