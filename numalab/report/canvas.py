"""An empty figure in one of five sizes, and the file that it becomes."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

SIZES = {"mail": (6.4, 3.6), "page": (6.4, 4.8), "wide": (9.6, 3.6), "tall": (9.6, 10.0)}
SIZES |= {"broad": (9.6, 6.4)}
DPI = {"mail": 100, "page": 150, "wide": 100, "tall": 100, "broad": 100}
SHADES = ("#1b1b1b", "#b3541e", "#2a6f97")


def canvas(size: str, rows: int = 1, columns: int = 1) -> tuple[Figure, np.ndarray]:
    """Return a figure in one of the five sizes and its axes, int[rows, columns]."""
    style = sns.axes_style("ticks") | {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(
            rows, columns, figsize=SIZES[size], dpi=DPI[size], squeeze=False, layout="constrained"
        )
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    return figure, axes


def save(figure: Figure, path: str | Path, *, quick: bool = False) -> Path:
    """Write a PNG that depends on nothing but the figure; a quick one says that it is."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if quick:
        figure.text(0.5, 1.0, "quick run", ha="center", va="bottom", fontsize=8, color="#666")
    figure.savefig(target, metadata={"Software": None}, bbox_inches="tight" if quick else None)
    plt.close(figure)
    return target
