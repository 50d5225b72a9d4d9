"""What q06 says: effects, interactions and the history of the scan rule, in words."""

from __future__ import annotations

import math

import xarray as xr

from numalab.policy import NAMES
from numalab.questions.patches import FACTORS, beyond_chance, effects
from numalab.questions.published import TABLE, comparable, direction
from numalab.report.tables import factor, grid, plain
from numalab.stats.intervals import mean_interval

EFFECT_AXES = {
    "numa_pte_updates": "factor on the PTE updates",
    "local": "touches more that are local at the end [points]",
}
HISTORY_AXES = {
    "numa_pte_updates": "PTE updates, over linux-6.1",
    "local": "touches local at the end [%]",
}
"""Responses drawn in the two figures, and the titles of their axes."""
SHORT = {"gorman-prototype": "proto", "rfc-v1": "v1", "rfc-v1-as-intended": "v1i", "rfc-v2": "v2"}


def said(value: float, response: str) -> str:
    """Print an effect: a factor for a count, points for the share."""
    if response == "local":
        return f"{100 * value:+.0f}"
    return factor(value)


def words(found: xr.DataArray, response: str) -> xr.DataArray:
    """Mean effects of one response as words; a star where beyond chance."""
    one = found.sel(response=response)
    cells = xr.apply_ufunc(
        lambda value, star: said(value, response) + ("*" if star else " "),
        one.mean("replicate"),
        beyond_chance(one),
        vectorize=True,
    )
    return cells.transpose("patch", "case")


def strongest(found: xr.DataArray, response: str, count: int) -> str:
    """Table of the largest interactions beyond chance, with 95 % intervals."""
    one = found.sel(response=response)
    mean = one.mean("replicate")
    kept = abs(mean.where(beyond_chance(one), 0.0)).stack(cell=("pair", "case"))
    order = kept.sortby(kept, ascending=False)
    rows = []
    for pair, case in order.where(order > 0, drop=True)["cell"].values[:count]:
        at = one.sel(pair=pair, case=case)
        low, high = (said(float(x), response) for x in mean_interval(at))
        rows.append([pair, case, said(float(at.mean("replicate")), response), f"[{low}, {high}]"])
    if not rows:
        return "no interaction is beyond chance"
    return plain(["patches", "case", "effect", "95 %"], rows, left=2)


def line(history: xr.DataArray, response: str) -> str:
    """Table of the mean of a response, one column a policy; a count over that of linux-6.1."""
    one = history.sel(response=response, policy=list(NAMES)).mean("replicate")
    if response == "local":
        cells = xr.apply_ufunc(lambda share: f"{100 * share:.0f}", one, vectorize=True)
    else:
        cells = xr.apply_ufunc(factor, one - one.sel(policy="linux-6.1"), vectorize=True)
    names = [SHORT.get(str(name), str(name)) for name in cells["policy"].values]
    return grid(cells.assign_coords(policy=names).transpose("case", "policy"), "policy")


def setting(tasks: int, replicates: int, event_s: float, after_ms: float) -> str:
    """Say what was run, in one paragraph."""
    return (
        f"Model, 2 nodes, {tasks} busy threads bound to CPUs (single: one), {replicates} trials; "
        f"an event after {event_s:g} s or a little later, {after_ms / 1000:g} s more after it. "
        f"Full factorial of {len(FACTORS)} patches on linux-6.1, 2^{len(FACTORS)} points. x: "
        "factor with the patch over without; * beyond chance (t test over trials, Holm over the "
        "table, 5 %); [95 %]. on, off: with and without the PID filter; rest: the six others. "
        "partial_vma, pid_reset_early, start_scan_seq and thread_count_rule cannot act without "
        "the filter. v1i: RFC V1 as intended, proto: Gorman's prototype. way: the model's "
        "direction against the published one."
    )


def _with_interval(found: xr.DataArray, row: str, case: str, response: str) -> str:
    one = found.sel(patch=row, case=case, response=response)
    low, high = (said(float(x), response) for x in mean_interval(one))
    mean = said(float(one.mean()), response)
    return mean if low == high else f"{mean} [{low}, {high}]"


def _published(change: str) -> float:
    row = next(row for row in TABLE if row.change == change)
    return math.log2(row.after / row.before)


def answer(design: xr.DataArray, history: xr.DataArray) -> str:
    """Answer q06 in words, with the numbers from the runs."""
    found = effects(design)

    def say(row: str, case: str, response: str = "numa_pte_updates") -> str:
        return _with_interval(found, row, case, response)

    updates = history.sel(response="numa_pte_updates").mean("replicate")
    series = updates.sel(policy="linux-6.7") - updates.sel(policy="linux-6.4")
    ways = [direction(history, row) for row in comparable(history)]
    local = history.sel(response="local", case="late").mean("replicate") * 100
    line = ", ".join(
        f"{float(local.sel(policy=p)):.0f} % ({p})"
        for p in ("linux-6.1", "linux-6.4", "linux-6.7", "linux-6.12", "linux-7.2")
    )
    return (
        f"The scan delay marks short-lived memory {say('vma_scan_delay, off', 'short')} "
        "as often. The PID filter on its own marks moved "
        f"regions {say('pid_filter, rest off', 'moved')} and late ones "
        f"{say('pid_filter, rest off', 'late')} as often, and pays with locality: "
        f"{say('pid_filter, rest off', 'moved', 'local')} and "
        f"{say('pid_filter, rest off', 'late', 'local')} points of their touches. What came "
        "later changes that again, averaged over the other patches with the filter on: "
        f"forced scans {say('forced_scan, on', 'moved', 'local')} and "
        f"{say('forced_scan, on', 'late', 'local')} points, the thread-count rule "
        f"{say('thread_count_rule, on', 'moved', 'local')} and "
        f"{say('thread_count_rule, on', 'late', 'local')}, the early reset "
        f"{say('pid_reset_early, on', 'moved', 'local')} and "
        f"{say('pid_reset_early, on', 'late', 'local')}. Local touches of late regions "
        f"through history: {line}. Of {len(ways)} published changes of the PTE updates the "
        f"model moves {ways.count('same')} the same way, {ways.count('other')} the opposite "
        f"way and {ways.count('none')} not clearly; the 6.7 series, "
        f"published as {factor(_published('6.7 series'))}, is "
        f"{factor(float(series.sel(case='moved')))} on moved regions and "
        f"{factor(float(series.sel(case='late')))} on late ones."
    )
