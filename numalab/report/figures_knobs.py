"""Figures of knobs: which one matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from numalab.report.canvas import SHADES, canvas


def knobs_page(found: xr.Dataset, responses: dict[str, str], knobs: Sequence[str]) -> Figure:
    """Total Sobol indices: a column for each response, a row for each policy.

    Bars are ``ST`` with its interval, marks ``S1``: what a parameter explains alone. A line
    divides the knobs, which come first, from the rest; another one stands at ``chance``.
    """
    policies = [str(p) for p in found["policy"].values]
    figure, axes = canvas("broad", len(policies), len(responses))
    ends = [found[s] + sign * found[f"{s}_conf"] for s in ("S1", "ST") for sign in (-1, 1)]
    low, high = (min(0.0, *(float(e.min()) for e in ends)), max(float(e.max()) for e in ends))
    for i, policy in enumerate(policies):
        for j, (response, title) in enumerate(responses.items()):
            ax = axes[i, j]
            _indices(found.sel(policy=policy, response=response), len(knobs), ax)
            ax.set_xlim(low - 0.05, max(1.0, high) + 0.05)
            ax.xaxis.set_major_locator(MultipleLocator(0.5))
            if i == 0:
                ax.set_title(title, loc="left", fontsize=9)
            if j > 0:
                ax.set_yticklabels([])
        axes[i, 0].set_ylabel(policy, fontsize=9)
    given = found.attrs
    figure.supxlabel(
        "share of the variance of log2(1 + count) within the ranges given; simulated\n"
        f"lines: 95 % intervals, n = {given['n']} base samples, each point the mean of "
        f"{given['replicates']} runs; below the line across: workload",
        fontsize=9,
    )
    marks, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        marks, labels, loc="outside upper left", ncols=len(labels), fontsize=8, frameon=False
    )
    return figure


def _indices(one: xr.Dataset, knobs: int, ax: Axes) -> None:
    """One panel: bars of ST, marks of S1, both with intervals, by parameter."""
    y = np.arange(one.sizes["parameter"])
    ax.barh(
        y, one["ST"], height=0.66, color="#d4d4d0", edgecolor="#8a8a86", linewidth=0.6,
        label="bar: with interactions (ST)",
    )  # fmt: skip
    for name, shift, color, mark in (("ST", -0.16, SHADES[0], "|"), ("S1", 0.16, SHADES[1], "o")):
        half = one[f"{name}_conf"]
        ax.hlines(y + shift, one[name] - half, one[name] + half, color=color, linewidth=1.3)
        ax.plot(
            one[name], y + shift, mark, color=color, markersize=4,
            label="circle: alone (S1)" if name == "S1" else None,
        )  # fmt: skip
    ax.axvline(
        float(one["chance"]), color="#555555", linestyle="--", linewidth=0.8, label="dashed: chance"
    )
    ax.axhline(knobs - 0.5, color="#555555", linestyle=":", linewidth=0.8)
    ax.set_yticks(y, [f"{p}\n{r}" for p, r in one["range"].to_series().items()], fontsize=8)
    ax.set_ylim(len(y) - 0.5, -0.5)
