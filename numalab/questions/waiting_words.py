"""q04 in words: its tables and its answer."""

from __future__ import annotations

import numpy as np
import scipy  # loads scipy.stats when it is first used
import xarray as xr

from numalab.costs import BOUNDS, REMOTE, Costs
from numalab.questions.waiting import DEFAULT_MS, MEASURES, change
from numalab.questions.waiting_worth import UNKNOWN, UP_TO
from numalab.report.tables import plain
from numalab.stats.intervals import count_runs


def difference(values: xr.DataArray, digits: int = 0) -> str:
    """Say a mean difference over replicates and half the width of Student's 95 % interval.

    Examples
    --------
    >>> difference(xr.DataArray([-1.0, 0.0, 1.0, 4.0], dims="replicate"), 1)
    '+1.0 +-3.4'
    """
    mean, half = _student(values)
    zero = abs(mean) < 0.5 * 10.0**-digits
    return f"{0 if zero else mean:{'' if zero else '+'}.{digits}f} +-{half:.{digits}f}"


def _student(values: xr.DataArray) -> tuple[float, float]:
    """Mean and half width: one number for both sides, which BCa's interval does not have."""
    n = count_runs(values)
    half = scipy.stats.t.isf(0.025, n - 1) * scipy.stats.sem(values)
    return float(values.mean()), float(half)


def change_tables(found: xr.Dataset, delay_ms: int = DEFAULT_MS) -> str:
    """Tables of what a wait changes against none, one a policy.

    Of the first distribution of lifetimes.
    """
    changed = change(found, delay_ms).isel(shape=0)
    return "\n\n".join(
        _table(changed.sel(policy=policy), str(policy), [*MEASURES])
        for policy in found["policy"].values
    )


def shape_tables(found: xr.Dataset, delay_ms: int = DEFAULT_MS) -> str:
    """The same for the last policy, one for each further distribution of lifetimes."""
    changed = change(found, delay_ms).isel(policy=-1)
    return "\n\n".join(
        _table(changed.sel(shape=shape), f"{found['policy'].values[-1]}, {shape}", ["young", "far"])
        for shape in found["shape"].values[1:]
    )


def _table(changed: xr.Dataset, corner: str, names: list[str]) -> str:
    rows = [
        [
            MEASURES[name],
            *(
                difference(changed[name].sel(vma_lifetime_ms=x), 1 if name == "far" else 0)
                for x in changed["vma_lifetime_ms"].values
            ),
        ]
        for name in names
    ]
    return plain([corner, *_lives(changed)], rows)


def _lives(found: xr.Dataset | xr.DataArray) -> list[str]:
    return [f"{x:g} ms" for x in found["vma_lifetime_ms"].values]


def best_table(best: xr.DataArray, longest_ms: float) -> str:
    """Table of best waits [s] with their intervals: a row a rate of misses; last policy.

    ``0`` is none; a ``+`` stands behind the longest wait simulated: that or longer.
    """

    def one(values: np.ndarray) -> str:
        middle, low, high = (f"{ms / 1000:g}" + ("+" if ms == longest_ms else "") for ms in values)
        return middle if low == high == middle else f"{middle} [{low}, {high}]"

    mine = best.isel(policy=-1, shape=0)
    lives = best["vma_lifetime_ms"].values
    rows = [
        [_rate(rate), *(one(mine.sel(misses_per_s=rate, vma_lifetime_ms=x).values) for x in lives)]
        for rate in best["misses_per_s"].values
    ]
    return plain([f"{best['policy'].values[-1]}: misses/s", *_lives(best)], rows)


def even_tables(even: xr.Dataset) -> str:
    """Tables of break-even rates [1/s] with their intervals, one a policy.

    A column each for the costs that make the rate lowest, typical and highest.
    """
    mine = even.isel(shape=0)
    return "\n\n".join(
        plain(
            [str(policy), "lowest", "typical", "highest"],
            [
                [
                    life,
                    *(
                        rates(mine.sel(policy=policy, bound=b).isel(vma_lifetime_ms=i))
                        for b in BOUNDS
                    ),
                ]
                for i, life in enumerate(_lives(even))
            ],
        )
        for policy in even["policy"].values
    )


def rates(cell: xr.Dataset, *, long: bool = False) -> str:
    """Say at which rates a wait pays: in a cell of a table, or in a sentence.

    Without the mean where its interval ends at any rate or at none.

    Examples
    --------
    >>> cell = xr.Dataset({"pays": "up to", "rate": ("at", [4.2e5, 7.04e4, 6.5e6])})
    >>> rates(cell), rates(cell, long=True)
    ('4e5 [7e4, 6e6]', 'up to about 4e5 [7e4, 6e6]')
    >>> rates(cell.assign(pays="from")), rates(cell.assign(pays="from"), long=True)
    ('>4e5 [7e4, 6e6]', 'from about 4e5 [7e4, 6e6] on')
    >>> cell["rate"][2] = np.inf
    >>> rates(cell), rates(cell, long=True)
    ('[7e4, any]', 'up to 7e4 at least')
    """
    pays = str(cell["pays"].item())
    at = [float(x) for x in cell["rate"].values]
    closed = [0.0 < x < np.inf for x in at]
    if pays == UNKNOWN or (at[1] == 0 and at[2] == np.inf):
        return "not resolved" if long else "?"
    ends = {0.0: "none", np.inf: "any"} if pays == UP_TO else {0.0: "any", np.inf: "none"}
    middle, low, high = (ends.get(x) or _rate(x) for x in at)
    if not any(closed[1:]):
        return low
    interval = f"[{low}, {high}]"
    if all(closed):
        interval = middle if low == middle == high else f"{middle} {interval}"
    if not long:
        return interval if pays == UP_TO else f">{interval}"
    if all(closed[1:]):
        return f"up to about {interval}" if pays == UP_TO else f"from about {interval} on"
    if pays == UP_TO:
        return f"up to {low} at least" if closed[1] else f"up to {high} at most, or none"
    return (
        f"from {high} on at the latest" if closed[2] else f"from {low} on at the earliest, or none"
    )


def _rate(value: float) -> str:
    return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-")


def assumed() -> str:
    """Say the costs that weigh in the tables of time, with their ranges."""
    told = {"remote miss": REMOTE, "hint fault": Costs().hint_fault}
    told["migration"] = Costs().migrate_folio
    words = (
        f"{name} {'..'.join(f'{getattr(cost, b) / 1000:g}' for b in BOUNDS)} us"
        for name, cost in told.items()
    )
    return f"Assumed costs: {', '.join(words)}."


def tables(found: xr.Dataset, even: xr.Dataset, best: xr.DataArray) -> dict[str, str]:
    """All tables of q04 by title."""
    shapes = [str(s) for s in found["shape"].values]
    said = {
        f"a wait of {DEFAULT_MS} ms against none, a minute; {shapes[0]} lifetimes": (
            change_tables(found)
        ),
        "remote misses/s up to which it pays (>: from which on; ?: not resolved)": even_tables(
            even
        ),
        "best wait [s] with its 95 % interval; 0: none, +: or longer": best_table(
            best, float(found["vma_delay_ms"].max())
        ),
    }
    if shapes[1:]:
        said["the same wait, other distributions of lifetimes"] = shape_tables(found)
    return said


def answer(found: xr.Dataset, even: xr.Dataset, best: xr.DataArray) -> str:
    """Answer q04 in words, with the numbers of the runs of the last policy.

    Of two mean lifetimes: the shortest, and the one that a wait keeps far for longest.
    """
    changed = change(found, DEFAULT_MS).isel(shape=0, policy=-1)
    lives = found["vma_lifetime_ms"].values
    worst = lives[int(changed["far"].mean("replicate").argmax("vma_lifetime_ms"))]
    at = {x: changed.sel(vma_lifetime_ms=x) for x in (lives[0], worst)}
    typical = even.isel(shape=0, policy=-1).sel(bound="typical")
    rate = (f"{rates(typical.sel(vma_lifetime_ms=x), long=True)} ({x:g} ms)" for x in at)
    delays = found["vma_delay_ms"].values
    said = ", and by ".join(
        f"{difference(one['young'])} MB of mappings that live {x:g} ms on average (time on the "
        f"wrong node of those filled there: {difference(one['far'], 1)} s)"
        for x, one in at.items()
    )
    shortest = change(found, int(delays[1])).isel(shape=0, policy=-1)
    return (
        f"In {found['policy'].values[-1]} a wait of {DEFAULT_MS} ms, against none, changes what "
        f"scans walk in a minute by {said}. "
        f"{'' if delays[1] == DEFAULT_MS else _shorter(shortest - changed, worst, delays[1])}"
        "Counted as time, at typical costs, all assumed, it pays at these rates of remote misses "
        f"a second of the thread with the far mapping: {', '.join(rate)}. "
        f"{_ends(best.isel(shape=0, policy=-1), delays)}"
    )


def _shorter(more: xr.Dataset, life: float, delay_ms: int) -> str:
    """Say what a shorter wait does otherwise at one lifetime; nothing only if both measures do."""
    at = more[["young", "far"]].sel(vma_lifetime_ms=life)
    if not any(at[name].any() for name in at):
        return (
            f"A wait of {delay_ms:g} ms does the same in every run where they live {life:g} ms: a "
            "wait begins with the first scan that meets a VMA, and the next one comes later than "
            "either. "
        )
    numbers = f"{difference(at['young'])} MB, {difference(at['far'], 1)} s"
    same = all(abs(mean) <= half for mean, half in map(_student, at.values()))
    does, told = ("does the same", ", as far as these runs tell") if same else ("differs", "")
    return (
        f"A wait of {delay_ms:g} ms {does} where they live {life:g} ms{told} ({numbers} with it). "
    )


def _ends(best: xr.DataArray, delays: np.ndarray) -> str:
    """Say how often the best wait is an end of those simulated, whole interval and all."""
    none, longest = ((best == end).all("at") for end in (delays[0], delays[-1]))
    both = bool((none.any("misses_per_s") & longest.any("misses_per_s")).any())
    return (
        f"The interval of the best wait is none alone in {int(none.sum())}, and the longest that "
        f"was simulated ({delays[-1] / 1000:g} s) alone in {int(longest.sum())}, of {none.size} "
        f"cells of its table{': the rate of misses decides which' if both else ''}."
    )
