"""A figure that knows what it draws, in one of three sizes, and the files it becomes."""

from __future__ import annotations

import textwrap
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from numalab.fields import InputError, unknown_name
from numalab.files import write

SIZES = {"mail": (6.4, 3.6), "page": (9.6, 3.6), "talk": (6.4, 3.6)}
"""Width and least height [inch]; a figure grows with its rows."""
DPI = {"mail": 100, "page": 100, "talk": 300}
_COLORS = 128
"""Of a PNG: as many as are seen, in half the bytes."""


class Drawn(Figure):
    """A figure, and what it shows in other forms."""

    values: pd.DataFrame | None = None
    """What is drawn, a row a mark or a cell; None: not known."""
    twin: str = ""
    """The same as text, of at most 75 columns; empty: there is none."""


def canvas(
    size: str, rows: int = 1, columns: int = 1, *, height: float = 0.0, **shared: Any
) -> tuple[Drawn, np.ndarray]:
    """Return an empty figure and its axes, [rows, columns].

    Parameters
    ----------
    size : str
        ``mail``, ``page`` or ``talk``.
    rows, columns : int
    height : float
        Least height [inch].
    **shared
        Of :func:`matplotlib.pyplot.subplots`: which axes are shared.

    Raises
    ------
    InputError
        For an unknown size.
    """
    if size not in SIZES:
        raise unknown_name("size of a figure", size, list(SIZES))
    width, least = SIZES[size]
    style = sns.axes_style("ticks") | {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width, max(least, height)), dpi=DPI[size], squeeze=False,
            layout="constrained", FigureClass=Drawn, **shared,
        )  # fmt: skip
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    return cast(Drawn, figure), axes


def below(figure: Figure, text: str) -> None:
    """Write a line below a figure: what is drawn."""
    kept = text.replace(" = ", "\0=\0")  # in one line
    wrapped = textwrap.fill(kept, int(figure.get_size_inches()[0] * 14)).replace("\0", " ")
    figure.supxlabel(wrapped, fontsize=9)


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write ``fig_NAME`` as PNG and SVG, its values as CSV and its twin as text.

    Equal figures give equal bytes. A figure that is no :class:`Drawn` has no values and no twin.

    Returns
    -------
    Path
        The PNG.

    Raises
    ------
    InputError
        If a file cannot be written, or the name makes no plain file name.
    """
    if not name.replace("-", "_").isidentifier() or not name.isascii():
        raise InputError(f"figure {name!r}: must be letters, digits and _")
    path = folder / f"fig_{name}.png"
    raw, small, drawing = BytesIO(), BytesIO(), BytesIO()
    figure.savefig(raw, format="png", metadata={"Software": None})
    with Image.open(raw) as image:
        image.convert("RGB").quantize(_COLORS).save(small, "PNG", optimize=True)
    with mpl.rc_context({"svg.hashsalt": "numalab", "svg.fonttype": "none"}):
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    write(path, small.getvalue())
    write(path.with_suffix(".svg"), drawing.getvalue())
    values, twin = getattr(figure, "values", None), getattr(figure, "twin", "")
    if values is not None:
        write(path.with_suffix(".csv"), values.to_csv(index=False, float_format="%.6g"))
    if twin:
        write(path.with_suffix(".txt"), twin + "\n")
    return path
