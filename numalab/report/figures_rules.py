"""Figures of scan rules: shares of runs, effects of patches, their history."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from numalab.report.canvas import SHADES, canvas
from numalab.stats.intervals import mean_interval

_COLORS = (*SHADES, "#6a8d3a", "#8a6fae", "#b8860b")
_MARKERS = ("o", "s", "^", "D", "v", "P")


def shares_page(ds: xr.Dataset, variables: dict[str, str]) -> Figure:
    """Shares of simulated runs by policy: a column for each workload, a row for each variable.

    Marks are means over replicates, one for each number of tasks, with 95 % intervals.
    """
    shapes = [str(s) for s in ds["shape"].values]
    figure, axes = canvas("broad", len(variables), len(shapes))
    for i, (name, title) in enumerate(variables.items()):
        for j, shape in enumerate(shapes):
            ax = axes[i, j]
            _shares(ds[name].sel(shape=shape), ax)
            ax.set_yticklabels([])
            if i == 0:
                ax.set_title(shape, loc="left", fontsize=9)
        axes[i, 0].set_yticklabels([str(p) for p in ds["policy"].values], fontsize=8)
        axes[i, len(shapes) // 2].set_xlabel(f"{title}; simulated", fontsize=9)
    marks, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        marks, labels, loc="outside upper right", ncols=len(labels), fontsize=8, frameon=False
    )
    return figure


def _shares(da: xr.DataArray, ax: Axes) -> None:
    """One panel: per cent by policy, dodged by the number of tasks."""
    mean = 100 * da.mean("replicate")
    bounds = 100 * mean_interval(da)
    y = np.arange(da.sizes["policy"])
    counts = da["tasks"].values
    for i, count in enumerate(counts):
        at = y + (i - (len(counts) - 1) / 2) * 0.2
        one = mean.sel(tasks=count).values
        low = bounds.sel(tasks=count, statistic="low").values
        high = bounds.sel(tasks=count, statistic="high").values
        color = _COLORS[i % len(_COLORS)]
        ax.hlines(at, low, high, color=color, linewidth=1.0, alpha=0.7)
        ax.plot(
            one, at, linestyle="none", marker=_MARKERS[i % len(_MARKERS)], markersize=4,
            color=color, label=f"{count} tasks",
        )  # fmt: skip
    for line in y[:-1] + 0.5:
        ax.axhline(line, color="#dddddd", linewidth=0.6, zorder=0)
    ax.set_yticks(y)
    ax.set_xlim(-6, 106)
    ax.set_ylim(len(y) - 0.45, -0.55)
    ax.set_xticks([0, 50, 100])


def _as_factor(log2: float, _: object = None) -> str:
    return f"x{2**log2:.3g}"


def effects_page(found: xr.DataArray, averages: xr.DataArray, responses: dict[str, str]) -> Figure:
    """Effects of patches: a column for each workload, a row for each response.

    ``found`` and ``averages`` are over (patch, case, replicate, response) and drawn beside
    each other, the latter where it has the patch; a share is drawn in points, the log2 of a
    count with its factor written at the axis. Lines are 95 % intervals, over the marks.
    """
    cases = [str(c) for c in found["case"].values]
    names = [str(r) for r in found["patch"].values]
    figure, axes = canvas("broad", len(responses), len(cases))
    for i, (response, title) in enumerate(responses.items()):
        unit = 100 if response == "local" else 1
        for j, case in enumerate(cases):
            ax = axes[i, j]
            at = {"response": response, "case": case}
            _effects_panel([unit * one.sel(at) for one in (found, averages)], names, ax)
            if response != "local":
                ax.xaxis.set_major_formatter(_as_factor)
                ax.xaxis.set_major_locator(MultipleLocator(2))
            ax.set_yticks(range(len(names)), names if j == 0 else [], fontsize=8)
            if i == 0:
                ax.set_title(case, loc="left", fontsize=9)
        _same_reach(axes[i])
        axes[i, len(cases) // 2].set_xlabel(f"{title}; simulated", fontsize=9)
    _legend(figure, axes[0, 0], f"95 % interval, n = {found.sizes['replicate']}")
    return figure


_EFFECTS: tuple[dict[str, Any], ...] = (
    {
        "label": "on top of all merged before it", "marker": "o", "markersize": 5,
        "color": SHADES[2], "markerfacecolor": "#9cc3da",
    },
    {
        "label": "averaged over all combinations of the others, filter on", "marker": "D",
        "markersize": 4, "color": "#777777", "markerfacecolor": "white",
    },
)  # fmt: skip


def _effects_panel(sets: list[xr.DataArray], names: list[str], ax: Axes) -> None:
    """Two sets of effects, the second below the first; or words, where nothing changes."""
    ax.set_ylim(len(names) - 0.4, -0.6)
    if not any(bool((abs(runs) > 1e-9).any()) for runs in sets):
        ax.text(0.5, 0.5, "no change", transform=ax.transAxes, ha="center", fontsize=8)
        ax.spines[:].set_visible(False)
        ax.tick_params(bottom=False, left=False, labelbottom=False)
        return
    for runs, style, down in zip(sets, _EFFECTS, (-0.16, 0.18), strict=True):
        at = np.array([names.index(str(p)) for p in runs["patch"].values]) + down
        low, high = (mean_interval(runs).sel(statistic=b) for b in ("low", "high"))
        ax.plot(runs.mean("replicate"), at, linestyle="none", **style)
        ax.hlines(at, low, high, color=SHADES[0], linewidth=1.6, zorder=3)
    ax.axvline(0, color="#888888", linewidth=0.8, zorder=0)


def _same_reach(row: np.ndarray) -> None:
    """Give all panels of a row the widest limits, with nothing in the middle."""
    reach = max(abs(end) for ax in row for end in ax.get_xlim())
    for ax in row:
        ax.set_xlim(-reach, reach)


def _legend(figure: Figure, ax: Axes, interval: str) -> None:
    """Write what the marks of a panel are, and its lines, above all panels."""
    marks, labels = ax.get_legend_handles_labels()
    marks.append(Line2D([], [], color=SHADES[0], linewidth=1.6))
    figure.legend(
        marks, [*labels, interval], loc="outside upper right", ncols=len(marks), fontsize=8,
        frameon=False,
    )  # fmt: skip


def history_page(history: xr.DataArray, responses: dict[str, str]) -> Figure:
    """Responses under each policy, in order: a line for each workload, a panel a response.

    The log2 of a count is drawn as a ratio to the first policy on a log axis, a share in per
    cent. Marks are means over replicates with 95 % intervals; lines are named at their ends.
    """
    figure, axes = canvas("broad", len(responses), 1)
    names = [str(p) for p in history["policy"].values]
    for ax, (response, title) in zip(axes.flat, responses.items(), strict=True):
        one = history.sel(response=response)
        _history(100 * one if response == "local" else one - one.isel(policy=0), ax)
        ax.set_ylabel(title, fontsize=9)
        ax.set_xticks(range(len(names)), [])
        if response != "local":
            ax.yaxis.set_major_formatter(_as_factor)
    broken = [n if len(n) < 12 else "-\n".join(n.rsplit("-", 1)) for n in names]
    axes[-1, 0].set_xticks(range(len(names)), broken, fontsize=8)
    axes[-1, 0].set_xlabel(
        "scan rule, in the order of history; simulated; bars: 95 % interval of the mean, "
        f"n = {history.sizes['replicate']}",
        fontsize=9,
    )
    return figure


def _history(runs: xr.DataArray, ax: Axes) -> None:
    """One panel of the history; ``runs`` as drawn, over (policy, case, replicate)."""
    mean, bounds = runs.mean("replicate"), mean_interval(runs)
    ends = []
    for i, case in enumerate(runs["case"].values):
        x = np.arange(runs.sizes["policy"]) + (i - (runs.sizes["case"] - 1) / 2) * 0.12
        color = _COLORS[i % len(_COLORS)]
        low, high = (bounds.sel(case=case, statistic=b).values for b in ("low", "high"))
        ax.vlines(x, low, high, color=color, linewidth=1.6)
        ax.plot(
            x, mean.sel(case=case), linestyle=(0, (4 - i, 2)), linewidth=0.8, color=color,
            marker=_MARKERS[i % len(_MARKERS)], markersize=5,
            markerfacecolor="white" if i % 2 else color,
        )  # fmt: skip
        ends.append((float(mean.sel(case=case)[-1]), str(case), color))
    _label_ends(ax, float(x[-1]), ends)


def _label_ends(ax: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Write each line's name at its right end, kept apart."""
    low, high = ax.get_ylim()
    step = (high - low) * 0.09
    at = -np.inf
    for y, name, color in sorted(ends):
        at = max(y, at + step)
        ax.annotate(
            name, (x, at), xytext=(6, 0), textcoords="offset points", va="center", color=color,
            fontsize=8, annotation_clip=False,
        )  # fmt: skip
