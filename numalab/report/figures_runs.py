"""Figures of recordings beside the model, and of sweeps, for notebooks that are not ported yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from numalab.compare import COUNTERS
from numalab.report.canvas import MARKERS, SHADES, canvas
from numalab.stats import mean_interval

SHORT = {
    "numa_pte_updates": "PTE updates",
    "numa_hint_faults": "hint faults",
    "numa_hint_faults_local": "local faults",
    "numa_pages_migrated": "migrated",
}


def runs_over_time(recorded: xr.Dataset, simulated: xr.Dataset, counter: str, ax: Axes) -> Axes:
    """Recorded runs (solid, thin) and the model's median with its 95 % band (dashed)."""
    seconds = simulated["time"] / 1000
    band = simulated[counter].quantile([0.025, 0.5, 0.975], dim="replicate")
    ax.fill_between(seconds, band[0], band[2], color="#bbbbbb", alpha=0.5, linewidth=0)
    ax.plot(seconds, band[1], linestyle="--", color=SHADES[0], linewidth=1.4)
    for run in range(recorded.sizes["replicate"]):
        ax.plot(
            recorded["time"] / 1000, recorded[counter].isel(replicate=run), color=SHADES[1],
            linewidth=0.8,
        )  # fmt: skip
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
    return ax


def runs_page(rows: list[tuple[str, xr.Dataset, xr.Dataset]], counters: Sequence[str]) -> Figure:
    """Small multiples: a row for each recording, a column for each counter."""
    figure, axes = canvas("tall", len(rows), len(counters))
    for i, (label, recorded, simulated) in enumerate(rows):
        for j, counter in enumerate(counters):
            ax = runs_over_time(recorded, simulated, counter, axes[i, j])
            if i == 0:
                ax.set_title(f"{counter}", loc="left", fontsize=9)
            if j == 0:
                ax.set_ylabel(label, fontsize=9)
            if i == len(rows) - 1:
                ax.set_xlabel("time [s]", fontsize=9)
    return figure


def scan_times(rows: list[tuple[str, xr.Dataset, xr.Dataset]], ax: Axes) -> Axes:
    """When scans happen: recorded ones as marks, a row a run; simulated ones as density."""
    labels = []
    for i, (label, recorded, simulated) in enumerate(rows):
        ms = simulated["chunk_ms"].values[simulated["chunk_pages"].values >= 0] / 1000
        count, edges = np.histogram(ms, bins=np.arange(0, simulated["time"].values[-1] / 1e3, 0.1))
        ax.bar(
            edges[:-1], count / max(count.max(), 1) * -0.8, width=0.1, bottom=i + 0.42,
            align="edge", color="#cccccc", linewidth=0,
        )  # fmt: skip
        for run in range(recorded.sizes["replicate"]):
            one = recorded.isel(replicate=run)
            at = one["chunk_ms"].values[one["chunk_pages"].values >= 0] / 1000
            ax.plot(at, np.full(at.size, i - 0.3 + 0.2 * run), "|", color=SHADES[run % 3])
        labels.append(label)
    ax.set_yticks(range(len(labels)), labels, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(
        "time of a scanned chunk [s]; marks: recorded, a row a run; grey: simulated", fontsize=9
    )
    return ax


def sweep_page(ds: xr.Dataset, variables: dict[str, str], along: str, xlabel: str) -> Figure:
    """One panel for each variable of a sweep; ``variables`` maps name to axis title."""
    figure, axes = canvas("wide", 1, len(variables))
    for ax, (name, title) in zip(axes.flat, variables.items(), strict=True):
        sweep_lines(ds, name, along, ax)
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xlabel(xlabel, fontsize=9)
    return figure


def overview(table: xr.Dataset, ax: Axes) -> Axes:
    """Ratio model / recorded of every recording; filled inside the interval, open outside."""
    shown = np.arange(table.sizes["cell"])
    labels = [
        f"{w}  {g}"
        for w, g in zip(table["workload"].values, table["generation"].values, strict=True)
    ]
    for i, counter in enumerate(COUNTERS):
        one = table.sel(counter=counter)
        inside = one["inside"].values
        ratio = one["log2_ratio"].values
        y = shown + (i - 1.5) * 0.18
        style: dict[str, Any] = {"marker": ("o", "s", "^", "D")[i], "s": 22, "linewidth": 1.0}
        color = (*SHADES, "#6a8d3a")[i]
        ax.scatter(ratio[inside], y[inside], color=color, label=SHORT[counter], **style)
        ax.scatter(ratio[~inside], y[~inside], facecolors="none", edgecolors=color, **style)
    ax.axvline(0, color="#888888", linewidth=0.8)
    ax.set_yticks(shown, labels, fontsize=8)
    ax.set_xlabel(
        "log2(model median / recorded mean); open marks: outside the 95 % interval", fontsize=9
    )
    ax.set_ylim(len(shown) - 0.3, -0.7)
    ax.legend(fontsize=8, frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def sweep_lines(ds: xr.Dataset, variable: str, along: str, ax: Axes, *, scale: float = 1.0) -> Axes:
    """Mean over replicates of each policy, with 95 % intervals, labelled at the line."""
    mean = ds[variable].mean("replicate") * scale
    bounds = mean_interval(ds[variable]) * scale
    ends: list[tuple[float, str, str]] = []
    for i, policy in enumerate(ds["policy"].values):
        line = mean.sel(policy=policy)
        low, high = (
            bounds.sel(policy=policy, statistic="low"),
            bounds.sel(policy=policy, statistic="high"),
        )
        x = ds[along].values
        ax.fill_between(x, low, high, color=SHADES[i], alpha=0.15, linewidth=0)
        ax.plot(
            x, line, linestyle="--", marker=MARKERS[i], markersize=4, color=SHADES[i],
            linewidth=1.2,
        )  # fmt: skip
        ends.append((float(line[-1]), str(policy), SHADES[i]))
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
    label_ends(ax, float(ds[along].values[-1]), ends)
    return ax


def label_ends(ax: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
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
