"""What q06 says: what each patch changed, the history of the scan rule, and the answer."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import xarray as xr

from numalab import stats
from numalab.policy import NAMES
from numalab.questions import patches
from numalab.questions.patches import beyond_chance, change
from numalab.questions.published import SMALLEST, agreement
from numalab.report.tables import WIDTH, factor, grid, plain

UPDATES, LOCAL = patches.RESPONSES
EFFECT_AXES = {
    UPDATES: "factor on the PTE updates",
    LOCAL: "touches more that are local at the end [points]",
}
HISTORY_AXES = {
    UPDATES: "PTE updates, over linux-6.1",
    LOCAL: "touches local at the end [%]",
}
"""Responses drawn in the two figures, and the titles of their axes."""
MAILED = ("moved", "late", "shared", "short")
"""Workloads in the tables of the mail: ``large`` is much as ``moved``, ``single`` stays still."""
SHORT = {"gorman-prototype": "proto", "rfc-v1": "v1", "rfc-v1-as-intended": "v1i", "rfc-v2": "v2"}


def said(value: float, response: str) -> str:
    """Print an effect: a factor for a count, points for the share."""
    if response == LOCAL:
        return f"{100 * value:+.0f}"
    return factor(value)


def with_interval(runs: xr.DataArray, response: str, star: str = "") -> str:
    """Print the mean of an effect over its runs, with the 95 % interval if they differ."""
    found = stats.summary(runs)
    if response == LOCAL:
        text = stats.format_summary(100 * found, sign=True)
    else:
        text = "x" + stats.format_summary(2**found)
    return f"{text.item()}{star}"


def share(runs: xr.DataArray) -> str:
    """Print a share in per cent, with its 95 % interval, kept within 0 and 100."""
    found = 100 * stats.summary(runs).clip(0, 1)
    return str(stats.format_summary(found, "%").item())


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


def clear(one: xr.DataArray, response: str) -> xr.DataArray:
    """Say which effects are of 5 % or a point at least, with an interval that holds no zero."""
    least = 0.01 if response == LOCAL else SMALLEST
    bounds = stats.mean_interval(one)
    sure = (bounds.sel(statistic="low") > 0) | (bounds.sel(statistic="high") < 0)
    return sure & (abs(one.mean("replicate")) >= least)


def listed(found: xr.DataArray, cases: Sequence[str] = MAILED) -> str:
    """Table of the steps that are clear in either response; starred as in :func:`words`."""
    ones = {r: found.sel(response=r, drop=True) for r in (UPDATES, LOCAL)}
    starred = {r: beyond_chance(one) for r, one in ones.items()}
    shown = clear(ones[UPDATES], UPDATES) | clear(ones[LOCAL], LOCAL)
    rows, nowhere = [], []
    for patch in found["patch"].values:
        of = [c for c in cases if c in found["case"].values and shown.sel(patch=patch, case=c)]
        for case in of:
            at = {"patch": patch, "case": case}
            effects = [
                with_interval(one.sel(at), r, "*" if starred[r].sel(at) else "")
                for r, one in ones.items()
            ]
            rows.append([str(patch) if case == of[0] else "", case, *effects])
        nowhere += [] if of else [str(patch)]
    table = plain(["step", "case", "PTE updates", "local [points]"], rows, left=4)
    if not nowhere:
        return table
    return f"{table}\n{textwrap.fill('no clear effect on these: ' + ', '.join(nowhere), WIDTH - 2)}"


def strongest(found: xr.DataArray, response: str, count: int) -> str:
    """Table of the largest interactions beyond chance, with 95 % intervals."""
    one = found.sel(response=response)
    mean = one.mean("replicate")
    kept = abs(mean.where(beyond_chance(one), 0.0)).stack(cell=("pair", "case"))
    order = kept.sortby(kept, ascending=False)
    rows = [
        [pair, case, with_interval(one.sel(pair=pair, case=case), response)]
        for pair, case in order.where(order > 0, drop=True)["cell"].values[:count]
    ]
    if not rows:
        return "no interaction is beyond chance"
    return plain(["patches", "case", "effect"], rows, left=3)


def line(history: xr.DataArray, response: str) -> xr.DataArray:
    """Mean of a response under each policy as words; a count as a factor over linux-6.1."""
    one = history.sel(response=response, policy=list(NAMES), drop=True).mean("replicate")
    if response == LOCAL:
        cells = xr.apply_ufunc(lambda share: f"{100 * share:.0f}", one, vectorize=True)
    else:
        cells = xr.apply_ufunc(factor, one - one.sel(policy="linux-6.1", drop=True), vectorize=True)
    names = [SHORT.get(str(name), str(name)) for name in cells["policy"].values]
    return cells.assign_coords(policy=names).transpose("case", "policy")


def both_lines(history: xr.DataArray, cases: Sequence[str] = MAILED) -> str:
    """Table of both responses, of some workloads; of the shares only those that change."""
    known = [c for c in cases if c in history["case"].values]
    updates, local = (line(history.sel(case=known), r) for r in (UPDATES, LOCAL))
    moves = (local != local.isel(policy=0)).any("policy")
    local = local.where(moves, drop=True)
    local = local.assign_coords(case=[f"{c} %" for c in local["case"].values])
    return grid(xr.concat([updates, local], dim="case"), "policy")


def changed(found: xr.DataArray) -> list[str]:
    """Return the workloads in which any step is clear, in either response."""
    shown = [clear(found.sel(response=r, drop=True), r) for r in (UPDATES, LOCAL)]
    any_step = (shown[0] | shown[1]).any("patch")
    return [str(case) for case in found["case"].values[any_step.values]]


def setting(tasks: int, replicates: int, event_s: float, after_ms: float) -> str:
    """Say what was run, in one paragraph."""
    commits = ", ".join(f"{name} {commit}" for name, commit in patches.COMMITS.items())
    return (
        f"Model, 2 nodes, {tasks} busy threads bound to CPUs, {replicates} trials; an event "
        f"after {event_s:g} s or a little later, {after_ms / 1000:g} s more after it. moved: "
        "threads of two nodes exchange the 24 MB that each has; late: memory that one thread "
        "fills late for others; shared: one region for threads of both nodes; short: memory "
        f"that lives 700 ms. All 2^{len(patches.FACTORS)} combinations on linux-6.1 of {commits}; "
        "and the kernels. Shown: changes of at least 5 % or a point whose 95 % interval [] does "
        "not hold zero; * beyond chance (t test, Holm over all). local: touches at the end. "
        "v1i: RFC V1 as intended, proto: Gorman's prototype. large, single: see the notebook."
    )


def _trials_without(runs: xr.DataArray) -> str:
    """Say in how many trials nothing changed."""
    still = abs(runs) < 1e-9
    return stats.format_proportion(int(still.sum()), still.size)


def _to_6_4(history: xr.DataArray) -> str:
    fewer = change(history, "linux-6.1", "linux-6.4").sel(response=UPDATES)
    late = history.sel(policy="linux-6.4", case="late", response=LOCAL)
    short, moved, filled = (
        with_interval(fewer.sel(case=c), UPDATES) for c in ("short", "moved", "late")
    )
    return (
        f"6.4 (scan delay, PID filter) marks short-lived memory {short}, moved regions {moved} "
        f"and late ones {filled} as often as 6.1, but late regions do not come home: "
        f"{share(late)} of their touches are local at the end."
    )


def _to_6_7(found: xr.DataArray, history: xr.DataArray) -> str:
    updates = change(history, "linux-6.1", "linux-6.7").sel(response=UPDATES, case="late")
    late = history.sel(policy="linux-6.7", case="late", response=LOCAL)
    reset, forced = (
        with_interval(found.sel(patch=p, case="moved", response=LOCAL), LOCAL)
        for p in ("pid_reset_early", "forced_scan")
    )
    return (
        f"The 6.7 series brings them back ({share(late)}) at {with_interval(updates, UPDATES)} "
        "of the updates of 6.1; it must go in whole: its early reset gives moved regions "
        f"{reset} points, its forced scans {forced}."
    )


def _thread_count_rule(found: xr.DataArray, design: xr.DataArray, history: xr.DataArray) -> str:
    at = {"case": ["moved", "late"], "response": LOCAL}
    on_top = found.sel(patch="thread_count_rule").sel(at)
    later = change(history, patches.WITHOUT_THREAD_COUNT_RULE.name, "linux-6.12").sel(at)
    alone = patches.without_forced_scan(design, "thread_count_rule").sel(at)
    moved, late = (with_interval(alone.sel(case=c), LOCAL) for c in ("moved", "late"))
    return (
        "On top of that the thread-count rule adds nothing to the locality of moved and late "
        f"regions (0 points in {_trials_without(on_top)} trials, and in {_trials_without(later)} "
        "in 6.12), because forced scans already do its work: without them it gives "
        f"{moved} and {late} points."
    )


def _other_rules(design: xr.DataArray, history: xr.DataArray) -> str:
    late = {"response": LOCAL, "case": "late"}
    alone = design.sel(patches.ALL_ON).sel(late)
    new, newest = (share(history.sel(late).sel(policy=p)) for p in ("linux-6.12", "linux-7.2"))
    home = stats.format_proportion(int((alone > 1 - 1e-9).sum()), alone.size)
    return (
        f"On late regions 6.12 and 7.2 end at {new} and {newest}, the seven patches alone at "
        f"{share(alone)} (home in {home} trials): what is lost comes from elsewhere. 6.12 and 7.2 "
        "also select other pages (no page-count rule) and VMAs (shmem, here the program's "
        "own files on tmpfs); the design does not vary that."
    )


def answer(design: xr.DataArray, history: xr.DataArray) -> str:
    """Answer q06 in words, with the numbers from the runs."""
    found = patches.steps(design, history)
    return " ".join(
        [
            _to_6_4(history),
            _to_6_7(found, history),
            _thread_count_rule(found, design, history),
            _other_rules(design, history),
            agreement(history),
        ]
    )
