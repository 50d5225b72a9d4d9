"""What q06 asks: what did each patch to the scan rule buy, on top of those before it?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.catalog import threads
from numalab.policy import NAMES, Policy, get, with_rules
from numalab.questions import regions, trials
from numalab.questions.published import WITHOUT_START_SCAN_SEQ
from numalab.stats import effect, holm, interaction, mean_interval, p_value

FACTORS = {
    "vma_scan_delay": ("vma_scan_delay",),
    "pid_filter": ("pid_filter",),
    "pid_reset_early": ("pid_reset_early",),
    "partial_vma": ("partial_vma",),
    "forced_scan": ("forced_scan", "seq_completed"),
    "start_scan_seq": ("start_scan_seq",),
    "thread_count_rule": ("thread_count_rule",),
}
"""The patches, as they were merged, and the rules of :class:`numalab.policy.Policy` of each."""
COMMITS = {
    "vma_scan_delay": "ef6a22b70f6d",
    "pid_filter": "fc137c0ddab2",
    "pid_reset_early": "2e2675db1906",
    "partial_vma": "b7a5b537c55c",
    "forced_scan": "f169c62ff7cd",
    "start_scan_seq": "84db47ca7146",
    "thread_count_rule": "f22cde4371f3",
}
WITHIN_FILTER = ("pid_reset_early", "partial_vma", "start_scan_seq", "thread_count_rule")
"""Patches that change only what the PID filter does: without it they cannot act."""
CASES: dict[str, trials.Shape] = {
    "moved": threads.exchanged,
    "large": threads.exchanged_large,
    "late": threads.filled_late,
    "shared": threads.one_region,
    "short": threads.short_lived,
    "single": threads.one_thread,
}
RESPONSES = ("numa_pte_updates", "local")
"""log2(1 + PTE updates), whose differences are factors; share of touches that are local."""
ALL_ON = dict.fromkeys(FACTORS, 1)
FILTER_ON = {"pid_filter": 1}
WITHOUT_THREAD_COUNT_RULE = with_rules(
    get("linux-6.12"), "6.12 without thread_count_rule", thread_count_rule=False
)
EXTRAS = (WITHOUT_START_SCAN_SEQ, WITHOUT_THREAD_COUNT_RULE)
"""Policies run beside those of the history."""
PAGES = "6.12: other pages"
VMAS = "7.2: other VMAs"
"""What the two kernels changed besides the patches: no page-count rule, and shmem VMAs."""
LEVEL = 0.05


def points() -> list[dict[str, int]]:
    """Return all combinations of patches, 0 off and 1 on, the last one running fastest."""
    levels = itertools.product((0, 1), repeat=len(FACTORS))
    return [dict(zip(FACTORS, one, strict=True)) for one in levels]


def acting(point: Mapping[str, int]) -> dict[str, int]:
    """Return the equal point with every patch off that cannot act there."""
    idle = () if point["pid_filter"] else WITHIN_FILTER
    return {name: 0 if name in idle else level for name, level in point.items()}


def policy_at(point: Mapping[str, int]) -> Policy:
    """Return linux-6.1 with the patches of a point of the design."""
    rules = {rule: bool(level) for name, level in point.items() for rule in FACTORS[name]}
    name = "+".join(name for name, level in point.items() if level) or "none"
    return with_rules(get("linux-6.1"), name, pid_memory="two-windows", **rules)


def _responses(ds: xr.Dataset, trial: trials.Trial) -> np.ndarray:
    """Return the responses of one run, in the order of :data:`RESPONSES`."""
    local = 1 - float(regions.remote_share(ds, trial.workload)[0])
    return np.array([np.log2(1.0 + ds["numa_pte_updates"].values[0, -1]), local])


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
        Over (policy, case, replicate, response); the policies, and :data:`EXTRAS`.
    """
    keys = [tuple(acting(point).values()) for point in points()]
    distinct = {key: policy_at(dict(zip(FACTORS, key, strict=True))) for key in keys}
    named = [*(get(name) for name in NAMES), *EXTRAS]

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
        found = {key: _responses(trial.run(policy), trial) for key, policy in distinct.items()}
        return [found[k] for k in keys], [_responses(trial.run(p), trial) for p in named]

    done = trials.each(one, itertools.product(cases, range(replicates)))
    labels = {"case": list(cases), "replicate": range(replicates), "response": list(RESPONSES)}

    def shaped(which: int) -> np.ndarray:
        flat = np.array([pair[which] for pair in done])
        return np.moveaxis(flat.reshape(len(cases), replicates, *flat.shape[1:]), 2, 0)

    flat = shaped(0)
    design = xr.DataArray(
        flat.reshape((2,) * len(FACTORS) + flat.shape[1:]),
        dims=(*FACTORS, *labels),
        coords={**{name: [0, 1] for name in FACTORS}, **labels},
    )
    history = xr.DataArray(
        shaped(1), dims=("policy", *labels), coords={"policy": [p.name for p in named], **labels}
    )
    return design, history


def merged_before(name: str) -> dict[str, int]:
    """Return the levels of all other patches when this one was merged."""
    order = list(FACTORS)
    return {f: int(order.index(f) < order.index(name)) for f in order if f != name}


def steps(design: xr.DataArray, history: xr.DataArray) -> xr.DataArray:
    """Return what each patch changed on top of those merged before it, and then the kernels.

    The last two are what 6.12 has besides all patches, and 7.2 besides 6.12; so the steps
    add up to the change from linux-6.1 to linux-7.2.

    Returns
    -------
    xarray.DataArray
        Over (patch, case, replicate, response).
    """
    found = [effect(design, n, list(FACTORS), merged_before(n)) for n in FACTORS]
    found.append(history.sel(policy="linux-6.12", drop=True) - design.sel(ALL_ON, drop=True))
    found.append(change(history, "linux-6.12", "linux-7.2"))
    return xr.concat(found, dim="patch").assign_coords(patch=[*FACTORS, PAGES, VMAS])


def change(history: xr.DataArray, then: str, now: str) -> xr.DataArray:
    """Return what changed from one policy to another, over (case, replicate, response)."""
    return history.sel(policy=now, drop=True) - history.sel(policy=then, drop=True)


def averages(design: xr.DataArray) -> xr.DataArray:
    """Return the effect of each patch, averaged over all combinations of the others.

    With the PID filter on, without which most of them cannot act. Most of the combinations
    were never a kernel.

    Returns
    -------
    xarray.DataArray
        Over (patch, case, replicate, response).
    """
    found = [
        effect(design, n, list(FACTORS), {} if n == "pid_filter" else FILTER_ON) for n in FACTORS
    ]
    return xr.concat(found, dim="patch").assign_coords(patch=list(FACTORS))


def without_forced_scan(design: xr.DataArray, name: str) -> xr.DataArray:
    """Return the effect of a patch with forced scans off and all others on."""
    others = {f: int(f != "forced_scan") for f in FACTORS if f != name}
    return effect(design, name, list(FACTORS), others)


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
        given = {} if "pid_filter" in pair else FILTER_ON
        found.append(interaction(design, pair, list(FACTORS), given))
    return xr.concat(found, dim="pair").assign_coords(pair=[" x ".join(p) for p in pairs])


def beyond_chance(found: xr.DataArray) -> xr.DataArray:
    """Say which effects of one response differ from none: t test, Holm over all, 5 %."""
    return holm(p_value(found)) < LEVEL


def bound(found: xr.DataArray, patch: str, case: str, response: str, end: str) -> float:
    """Return one end of the 95 % interval of an effect (log2, or a share)."""
    one = found.sel(patch=patch, case=case, response=response)
    return float(mean_interval(one).sel(statistic=end))


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
