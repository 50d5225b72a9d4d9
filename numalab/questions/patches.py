"""What q06 asks: what did each patch to the scan rule buy, alone and with the others?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.catalog import threads
from numalab.policy import NAMES, Policy, get, with_rules
from numalab.questions import regions, trials
from numalab.questions.published import WITHOUT_START_SCAN_SEQ
from numalab.stats import factorial
from numalab.stats.intervals import autonuma_cost, mean_interval
from numalab.stats.significance import differs_from_zero, holm

FACTORS = {
    "vma_scan_delay": ("vma_scan_delay",),
    "pid_filter": ("pid_filter",),
    "pid_reset_early": ("pid_reset_early",),
    "partial_vma": ("partial_vma",),
    "forced_scan": ("forced_scan", "seq_completed"),
    "start_scan_seq": ("start_scan_seq",),
    "thread_count_rule": ("thread_count_rule",),
}
"""The patches and the rules of :class:`numalab.policy.Policy` that each one switches."""
WITHIN_FILTER = ("pid_reset_early", "partial_vma", "start_scan_seq", "thread_count_rule")
"""Patches that change only what the PID filter does: without it they cannot act."""
CASES: dict[str, trials.Shape] = {
    "moved": threads.exchanged,
    "large": threads.exchanged_large,
    "shared": threads.one_region,
    "short": threads.short_lived,
    "late": threads.filled_late,
    "single": threads.one_thread,
}
COUNTS = ("numa_pte_updates", "numa_hint_faults", "numa_pages_migrated", "scans", "local")
RATIOS = {"numa_pte_updates": "PTE updates", "cost": "AutoNUMA cost (mmtests)", "scans": "scans"}
"""Responses compared as ratios, kept as log2(1 + count); ``local`` is a share."""
RESPONSES = {**RATIOS, "local": "local touches at the end"}
ROWS = (
    ("vma_scan_delay", "off", {"pid_filter": 0}),
    ("vma_scan_delay", "on", {"pid_filter": 1}),
    ("pid_filter", "rest off", {f: 0 for f in FACTORS if f != "pid_filter"}),
    ("pid_filter", "rest on", {f: 1 for f in FACTORS if f != "pid_filter"}),
    ("pid_reset_early", "on", {"pid_filter": 1}),
    ("partial_vma", "on", {"pid_filter": 1}),
    ("forced_scan", "off", {"pid_filter": 0}),
    ("forced_scan", "on", {"pid_filter": 1}),
    ("start_scan_seq", "on", {"pid_filter": 1}),
    ("thread_count_rule", "on", {"pid_filter": 1}),
)
"""Effects shown: the patch, in words what is held, and what is held."""
LEVEL = 0.05


def acting(point: factorial.Point) -> dict[str, int]:
    """Return the equal point with every patch off that cannot act there."""
    idle = () if point["pid_filter"] else WITHIN_FILTER
    return {name: 0 if name in idle else level for name, level in point.items()}


def policy_at(point: factorial.Point) -> Policy:
    """Return linux-6.1 with the patches of a point of the design."""
    rules = {rule: bool(level) for name, level in point.items() for rule in FACTORS[name]}
    name = "+".join(name for name, level in point.items() if level) or "none"
    return with_rules(get("linux-6.1"), name, pid_memory="two-windows", **rules)


def _counts(ds: xr.Dataset, trial: trials.Trial) -> np.ndarray:
    """Return the counts of one run, in the order of :data:`COUNTS`."""
    final = [ds[name].values[0, -1] for name in COUNTS[:3]]
    local = 1 - float(regions.remote_share(ds, trial.workload)[0])
    return np.array([*final, regions.scans(ds)[0], local], np.float64)


def _responses(counts: xr.DataArray) -> xr.DataArray:
    """Turn counts into responses: log2(1 + count), and the share of local touches."""
    ds = counts.to_dataset("count")
    ds["cost"] = autonuma_cost(ds)
    found: list[xr.DataArray] = [xr.apply_ufunc(np.log2, 1 + ds[name]) for name in RATIOS]
    found.append(ds["local"])
    return xr.concat(found, dim="response").assign_coords(response=list(RESPONSES))


def run(
    tasks: int,
    cases: Sequence[str],
    *,
    event_ms: float,
    after_ms: float,
    replicates: int,
    seed: int,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Run the full factorial and every policy of the history on the same trials.

    Points that differ only in patches that cannot act are run once.

    Returns
    -------
    design : xarray.DataArray
        Over (one dimension of 0 and 1 for each patch, case, replicate, response).
    history : xarray.DataArray
        Over (policy, case, replicate, response); the policies, and 6.7 without
        start_scan_seq.
    """
    points = factorial.points(list(FACTORS))
    keys = [tuple(acting(point).values()) for point in points]
    distinct = {key: policy_at(dict(zip(FACTORS, key, strict=True))) for key in keys}
    named = [*(get(name) for name in NAMES), WITHOUT_START_SCAN_SEQ]

    def one(at: tuple[str, int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        case, replicate = at
        trial = trials.draw(
            CASES[case],
            tasks,
            seed=seed,
            replicate=replicate,
            event_ms=event_ms,
            after_ms=after_ms,
        )
        found = {key: _counts(trial.run(policy), trial) for key, policy in distinct.items()}
        return [found[k] for k in keys], [_counts(trial.run(p), trial) for p in named]

    done = trials.each(one, itertools.product(cases, range(replicates)))
    labels = {"case": list(cases), "replicate": range(replicates), "count": list(COUNTS)}

    def shaped(which: int) -> np.ndarray:
        flat = np.array([pair[which] for pair in done])
        return np.moveaxis(flat.reshape(len(cases), replicates, *flat.shape[1:]), 2, 0)

    design = factorial.table(list(shaped(0)), list(FACTORS), list(labels)).assign_coords(labels)
    history = xr.DataArray(
        shaped(1), dims=("policy", *labels), coords={"policy": [p.name for p in named], **labels}
    )
    return _responses(design), _responses(history)


def effects(design: xr.DataArray) -> xr.DataArray:
    """Return the effects of :data:`ROWS`, over (patch, case, replicate, response)."""
    found = [factorial.effect(design, name, list(FACTORS), given) for name, _, given in ROWS]
    return xr.concat(found, dim="patch").assign_coords(
        patch=[f"{name}, {held}" for name, held, _ in ROWS]
    )


def interactions(design: xr.DataArray) -> xr.DataArray:
    """Return the two-patch interactions, over (pair, case, replicate, response).

    A pair that does not hold the PID filter is looked at with the filter on. A pair of the
    filter and a patch that cannot act without it says the same as that patch's effect with
    the filter on, and is left out.
    """
    pairs = [
        pair
        for pair in itertools.combinations(FACTORS, 2)
        if not ("pid_filter" in pair and set(pair) & set(WITHIN_FILTER))
    ]
    found = []
    for pair in pairs:
        given = {} if "pid_filter" in pair else {"pid_filter": 1}
        found.append(factorial.interaction(design, pair, list(FACTORS), given))
    return xr.concat(found, dim="pair").assign_coords(pair=[" x ".join(p) for p in pairs])


def beyond_chance(found: xr.DataArray) -> xr.DataArray:
    """Say which effects of one response differ from none: t test, Holm over all, 5 %."""
    return holm(differs_from_zero(found)) < LEVEL


def bound(found: xr.DataArray, row: str, case: str, response: str, end: str) -> float:
    """Return one end of the 95 % interval of an effect (log2, or a share)."""
    one = found.sel(patch=row, case=case, response=response)
    return float(mean_interval(one).sel(bound=end))


def birth(design: xr.DataArray, tasks: int) -> dict[str, object]:
    """Return the provenance of the runs."""
    return {
        "numalab": __version__,
        "design": f"full factorial, 2^{len(FACTORS)}",
        "patches": list(FACTORS),
        "cases": [str(c) for c in design["case"].values],
        "tasks": tasks,
        "replicates": design.sizes["replicate"],
    }
