"""Figures of recordings beside the model, and of sweeps, for notebooks that are not ported yet."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from numalab.report.canvas import MARKERS, SHADES, canvas
from numalab.stats import mean_interval


def sweep_page(ds: xr.Dataset, variables: dict[str, str], along: str, xlabel: str) -> Figure:
    """One panel for each variable of a sweep; ``variables`` maps name to axis title."""
    figure, axes = canvas("wide", 1, len(variables))
    for ax, (name, title) in zip(axes.flat, variables.items(), strict=True):
        sweep_lines(ds, name, along, ax)
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xlabel(xlabel, fontsize=9)
    return figure


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
