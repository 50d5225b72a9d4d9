"""What scans did to an address space over time: address x time, a panel for each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text

from numalab.fields import InputError
from numalab.measures.run import require, workload_of
from numalab.report.canvas import canvas
from numalab.report.panels import COLORS
from numalab.show import address_map
from numalab.show.address_map import AddressMap, Band, grouped, middle, name

OUTCOMES = {"walked in vain": "#e69f00", "marked in part": "#3182bd", "all marked": "#08306b"}
"""What a scan did to a chunk: it marked no page of it, some, or all."""
REASON_COLORS = {
    "unsuitable": "#d4d4d4", "shared_ro": "#b4b4b4", "inaccessible": "#949494",
    "scan_delay": COLORS[3], "pid_inactive": COLORS[1], "ignore_pid_inactive": COLORS[4],
    "seq_completed": COLORS[0],
}  # fmt: skip
_CHUNK = ("chunk_ms", "chunk_vma", "chunk_start", "chunk_pages", "chunk_updated", "chunk_task")


def draw(*runs: xr.Dataset) -> Figure:
    """Draw what scans walked, marked and left out, for runs of one workload, two in a row.

    Recorded runs are drawn solid and simulated ones dashed. Beside each panel: what part of the
    visits that ended in a skip has which reason, and how many there were.

    Parameters
    ----------
    *runs : xarray.Dataset
        Single runs (``ds.isel(replicate=0)``), simulated or recorded.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no run, if they are of workloads with different mappings, or if a run has no
        table of chunks or not all of them.
    """
    if not runs:
        raise InputError("no runs: give at least one, such as ds.isel(replicate=0)")
    for run in runs:
        require(run, *_CHUNK)
        if list(run["vma"].values) != list(runs[0]["vma"].values):
            raise InputError(f"{title(run)}: has other mappings than {title(runs[0])}")
    columns = min(2, len(runs))
    rows = -(-len(runs) // columns)
    figure, axes = canvas("page", rows, columns)
    figure.set_size_inches(4.8 * columns, 0.7 + 3.1 * rows)
    for ax, run in zip(axes.flat, runs, strict=False):
        panel(ax, run)
    for ax in axes.flat[len(runs) :]:
        ax.remove()
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)
    across = max(2, int(4.8 * columns / 1.85))
    figure.legend(
        handles=legend(runs), loc="outside lower left", ncols=across, fontsize=8, frameon=False
    )
    return figure


def title(run: xr.Dataset) -> str:
    """Say whether a run was recorded or simulated, and on what kernel."""
    if run.attrs["source"] == "recorded":
        return f"recorded on {run.attrs['kernel']}"
    return f"simulated, {run.attrs['kernel']}"


def panel(ax: Axes, run: xr.Dataset) -> None:
    """Draw one run into axes, with the reasons of its skips in a strip at their right."""
    laid = address_map.lay_out(workload_of(run))
    frame(ax, run, laid)
    for at, artists in content(ax, run, laid):
        for artist in artists:
            at.add_artist(artist)


def frame(ax: Axes, run: xr.Dataset, laid: AddressMap) -> None:
    """Draw what is the same for all simulated, or all recorded, runs of a workload."""
    end_s = laid.workload.duration_ms / 1000
    for band in laid.bands:
        box = ((0, band.low), end_s, band.high - band.low)
        ax.add_patch(Rectangle(*box, facecolor="#f1f1ee", linewidth=0))
    groups = grouped(laid)
    several = len({band.process for band in laid.bands}) > 1
    names = [f"{g[0].process}: " * several + name(g) for g in groups]
    ax.set_yticks([middle(group) for group in groups], names)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time [s]", fontsize=9)
    ax.set_title(title(run), loc="left", fontsize=9)
    side = ax.inset_axes((1.02, 0, 0.22, 1))
    side.axis("off")
    side.set_title("skips" if "skips" in run else "skips: not\ntraced", fontsize=8, loc="left")
    for one, end in ((ax, end_s), (side, 1.0)):
        one.set_xlim(0, end)
        one.set_ylim(-0.01 * laid.height, laid.height * 1.01)
    for spine in ax.spines.values():
        spine.set_linestyle("-" if run.attrs["source"] == "recorded" else (0, (4, 3)))


def content(
    ax: Axes, run: xr.Dataset, laid: AddressMap
) -> tuple[tuple[Axes, list[Artist]], tuple[Axes, list[Artist]]]:
    """Return what belongs to one run: pins and chunks over time, skips in the strip beside.

    Parameters
    ----------
    ax : Axes
        With a :func:`frame`.
    run : xarray.Dataset
    laid : AddressMap
    """
    at, low, high, outcome = chunks(run, laid)
    # a line for each chunk: as wide as fits beside the others, but to be seen
    width = float(np.clip(260 / max(1, len(np.unique(at))), 0.9, 2.6))
    dashes = "-" if run.attrs["source"] == "recorded" else (0, (2.2, 0.5))
    found: list[Artist] = [box for band in laid.bands for box in _pins(band, ax.get_xlim()[1])]
    for i, color in enumerate(OUTCOMES.values()):
        of = outcome == i
        lines = np.stack([np.stack([at[of], low[of]], 1), np.stack([at[of], high[of]], 1)], 1)
        found.append(
            LineCollection(list(lines), colors=color, linewidths=width, linestyles=[dashes])
        )
    side: Any = ax.child_axes[0]
    return (ax, found), (side, _skips(run, laid) if "skips" in run else [])


def chunks(run: xr.Dataset, laid: AddressMap) -> tuple[np.ndarray, ...]:
    """Return when each chunk was walked, where it lies, and what came of it.

    Returns
    -------
    tuple
        Time [s], lower and upper end on the axis [pages]: float64[n]; index into
        :data:`OUTCOMES`: int64[n].
    """
    given = {key.removeprefix("chunk_"): run[key].values for key in _CHUNK}
    live = (given["pages"] > 0) & (given["vma"] >= 0)
    given = {key: values[live] for key, values in given.items()}
    names = run["vma"].values
    ends = np.zeros((2, len(given["ms"])))
    for index in np.unique(given["vma"]):
        for band in laid.of(str(names[index])):
            here = given["vma"] == index
            if band.of is None:
                here &= _is_of(given["task"], band.process, laid, band is laid.bands[-1])
            ends[:, here] = band.place(given["start"][here], given["pages"][here])
    marked = given["updated"]
    outcome = (marked > 0).astype(np.int64) + (marked >= given["pages"])
    return given["ms"] / 1000, ends[0], ends[1], outcome


def _is_of(task: np.ndarray, process: str, laid: AddressMap, others: bool) -> np.ndarray:
    """Whether a task is of a process; ``others``: those that are of none are taken for it."""
    owners = np.array([thread.process == process for thread in laid.workload.threads] + [others])
    return np.asarray(owners[task])


def _pins(band: Band, end_s: float) -> list[Rectangle]:
    """Return hatched boxes over what is pinned."""
    pinned = getattr(band.of, "pinned_fraction", 0.0)
    if not pinned:
        return []
    whole = getattr(band.of, "pin_placement", "head") != "head" or band.count > 16
    size = band.high - band.low if whole else pinned * band.pages
    look: dict[str, Any] = {"fill": False, "hatch": "//", "edgecolor": "#cfcfca", "linewidth": 0}
    lows = [band.low + i * band.pages for i in range(1 if whole else band.count)]
    return [Rectangle((0, low), end_s, size, **look) for low in lows]


def _skips(run: xr.Dataset, laid: AddressMap) -> list[Artist]:
    """Return bars of the reasons of skips, at the heights of the mappings that they befell."""
    names = ["" if ":" in str(one) else str(one) for one in run["vma"].values]
    reasons = [REASON_COLORS[str(reason)] for reason in run["reason"].values]
    first_program = next(band for band in laid.bands if band.of is None)
    found: list[Artist] = []
    for group in grouped(laid):
        if group[0].of is None and group[0] is not first_program:
            continue
        wanted = {band.name for band in group}
        counts = run["skips"].values[[i for i, one in enumerate(names) if one in wanted]].sum(0)
        height = max((group[0].high - group[-1].low) * 0.7, laid.height * 0.02)
        height = min(height, laid.height * 0.08)
        ends = 0.62 * np.cumsum(counts) / max(1, counts.sum())
        for end, count, color in zip(ends, counts, reasons, strict=True):
            width = 0.62 * count / max(1, counts.sum())
            box = ((end - width, middle(group) - height / 2), width, height)
            found += [Rectangle(*box, facecolor=color, linewidth=0)] * bool(count)
        at = (ends[-1] + 0.03, middle(group))
        found.append(Text(*at, f"{counts.sum():d}", va="center", fontsize=7))
    return found


def legend(runs: Sequence[xr.Dataset] = ()) -> list[Patch]:
    """Explain outcomes, pins and reasons; with runs, only what is in them."""
    found = [Patch(color=color, label=words) for words, color in OUTCOMES.items()]
    pinned = (one.pinned_fraction for run in runs for one in address_map.owned_by(workload_of(run)))
    if not runs or any(pinned):
        look: dict[str, Any] = {"facecolor": "#f1f1ee", "edgecolor": "#b0b0aa", "hatch": "////"}
        found.append(Patch(label="pinned", **look))
    seen = [run["skips"].sum("vma") for run in runs if "skips" in run]
    for reason, color in REASON_COLORS.items():
        if not runs or any(int(one.sel(reason=reason)) for one in seen):
            found.append(Patch(color=color, label=f"skipped: {reason}"))
    return found
