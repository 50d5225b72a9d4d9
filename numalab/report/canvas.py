"""An empty figure in one of five sizes."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

SIZES = {"mail": (6.4, 3.6), "page": (6.4, 4.8), "wide": (9.6, 3.6), "tall": (9.6, 10.0)}
SIZES |= {"broad": (9.6, 6.4)}
DPI = {"mail": 100, "page": 150, "wide": 100, "tall": 100, "broad": 100}


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
