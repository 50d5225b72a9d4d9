"""Figures of guests: recorded points over the model's curves, costs with their ranges."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from numalab.report.canvas import SHADES, canvas

_KINDS = {"by_scans": ("scans", SHADES[0], "o"), "by_migrations": ("migrations", SHADES[1], "s")}


def _curve(ax: Axes, curve: xr.DataArray, color: str) -> None:
    low, middle, high = (curve.quantile(q, "replicate") for q in (0.025, 0.5, 0.975))
    x = curve["pin_fraction"].values
    ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    ax.plot(x, middle, linestyle="--", color=color, linewidth=1.2)


def points_over_curves(points: xr.Dataset, curves: xr.Dataset) -> Figure:
    """One panel a mapping and kernel: recorded runs as marks, the model dashed with a band."""
    kernels = [str(p) for p in curves["policy"].values]
    mappings = [str(m) for m in curves["mapping"].values]
    figure, axes = canvas("tall", len(mappings), len(kernels))
    for i, mapping in enumerate(mappings):
        for j, kernel in enumerate(kernels):
            ax = axes[i, j]
            at = {"mapping": mapping, "policy": kernel}
            for name, (label, color, marker) in _KINDS.items():
                _curve(ax, curves[name].sel(at), color)
                dots = points[name].sel(at)
                for x in dots["pin_fraction"].values:
                    y = dots.sel(pin_fraction=x).dropna("replicate").values
                    ax.plot(
                        np.full(len(y), x), y, marker, color=color, markersize=5,
                        markerfacecolor="none", label=label if x == 0 else None, clip_on=False,
                    )  # fmt: skip
            ax.margins(y=0.15)
            ax.set_ylim(0, max(1.0, ax.get_ylim()[1]))
            ax.yaxis.set_major_locator(mpl.ticker.MaxNLocator("auto", integer=True))
            ax.yaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
            ax.set_title(f"{mapping}, {kernel}", loc="left", fontsize=9)
            if i == len(mappings) - 1:
                ax.set_xlabel("pinned fraction", fontsize=9)
            if j == 0:
                ax.set_ylabel("pages notified [1/min]", fontsize=9)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8,
        frameon=False, title="marks: recorded runs, dashed: model with its 95 % band; notified by",
        title_fontsize=8,
    )  # fmt: skip
    return figure
