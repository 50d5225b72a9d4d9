"""What one panel of a figure is made of: values with their bounds, and how they are drawn."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes

from numalab.stats.intervals import mean_interval, prediction_interval

_BRIGHT = sns.color_palette("colorblind").as_hex()
COLORS = ("#1b1b1b", *(_BRIGHT[i] for i in (3, 0, 2, 4)), "#782800", "#6414c8", _BRIGHT[7])
"""Of seaborn's palette for the colour-blind, what has a contrast of 3 on white, and two more."""
MARKERS = "os^Dv<>PX"
DASHES = ((0, (5, 2)), (0, (2, 1.5)), (0, (7, 2, 2, 2)), (0, (3, 1, 1, 1, 1, 1)))
_CENTER = ("typical", "mean", "median", "value")


def looks(index: int, recorded: bool) -> dict[str, Any]:
    """Return colour, marker and line style of the ``index``-th of any number of lines."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": "-" if recorded else DASHES[index // len(COLORS) % len(DASHES)],
    }


def bounded(da: xr.DataArray, over: str) -> xr.Dataset:
    """Take the bounds that data has, or find them over its replicates.

    Parameters
    ----------
    da : xarray.DataArray
        With a dimension ``bound`` or ``statistic`` that has low and high, or ``replicate``, or
        neither.
    over : str
        ``mean``: mean and 95 % interval of the mean; ``runs``: median and 95 % prediction
        interval, where there are runs enough, else all runs. Nothing where a run has no value.

    Returns
    -------
    xarray.Dataset
        ``low``, ``middle`` and ``high`` over the same dimensions; ``attrs["note"]`` says what the
        bounds are, for the caption, and is empty without bounds.
    """
    for dim in ("bound", "statistic"):
        if dim in da.dims:
            labels = [str(label) for label in da[dim].values]
            name = next((n for n in _CENTER if n in labels), None)
            low, high = (da.sel({dim: end}, drop=True) for end in ("low", "high"))
            middle = (low + high) / 2 if name is None else da.sel({dim: name}, drop=True)
            kind = "from low to high" if dim == "bound" else "with its interval"
            return _bounds(low, middle, high, f"{name or 'middle'} {kind}")
    if "replicate" not in da.dims:
        return _bounds(da, da, da, "")
    n = da.sizes["replicate"]
    whole = da.notnull().all("replicate")
    filled = da if bool(whole.all()) else da.where(whole, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all missing: nothing is drawn there
        middle = (da.mean("replicate") if over == "mean" else da.median("replicate")).where(whole)
        least, most = da.min("replicate"), da.max("replicate")
    if n < (3 if over == "mean" else 39):
        note = f"all of {n} runs" if n > 1 else "one run: no interval"
        return _bounds(least, middle, most, note)
    ends = (mean_interval if over == "mean" else prediction_interval)(filled)
    low, high = (ends.sel(statistic=end, drop=True).where(whole) for end in ("low", "high"))
    kind = "interval of the mean" if over == "mean" else "prediction interval"
    return _bounds(low, middle, high, f"95 % {kind}, n = {n}")


def _bounds(low: xr.DataArray, middle: xr.DataArray, high: xr.DataArray, note: str) -> xr.Dataset:
    return xr.Dataset({"low": low, "middle": middle, "high": high}, attrs={"note": note})


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the lines of all panels are drawn."""

    kind: str
    """``line`` or ``point``."""
    flat: bool = False
    """Values along the horizontal axis."""
    dodge: float = 0.0
    """Distance of two lines side by side; 0: on top of each other."""


def draw(ax: Axes, at: np.ndarray, y: xr.Dataset, look: dict[str, Any], style: Style) -> None:
    """Draw values over positions: a line in a band, or marks with intervals.

    Parameters
    ----------
    ax : Axes
    at : ndarray, float64[n]
        Positions, in any order; what is missing in ``y`` is left out.
    y : xarray.Dataset
        Of :func:`bounded`, over one dimension of length n.
    look : dict
        Of :func:`looks`, and ``label``.
    style : Style
    """
    known = np.flatnonzero(np.isfinite(y["middle"].values))
    known = known[np.argsort(at[known], kind="stable")]
    at = at[known]
    low, middle, high = (y[name].values[known] for name in ("low", "middle", "high"))
    color = look["color"]
    if style.kind == "line" and not style.dodge:
        ax.fill_between(at, low, high, color=color, alpha=0.16, linewidth=0)
        marks = look | ({"marker": ""} if len(at) > 40 else {})
        ax.plot(at, middle, markersize=4, linewidth=1.2, **marks)
        return
    dashed = look | ({} if style.kind == "line" else {"linestyle": "none"})
    xy = (middle, at) if style.flat else (at, middle)
    ax.plot(*xy, markersize=4.5, linewidth=0.8, **dashed)
    lines = ax.hlines if style.flat else ax.vlines
    solid = look["linestyle"] == "-"
    lines(at, low, high, color=color, linewidth=1.3, linestyles="-" if solid else (0, (3, 1)))


def draw_runs(
    ax: Axes, at: np.ndarray, runs: np.ndarray, look: dict[str, Any], style: Style
) -> None:
    """Draw every recorded run, a row of ``runs``, by itself: thin solid lines, or open marks."""
    over = {"linestyle": "-", "linewidth": 0.8, "marker": ""}
    if style.kind != "line" or len(at) < 8:
        over = {"linestyle": "none", "markerfacecolor": "none", "markersize": 5}
    for values in runs:
        known = np.flatnonzero(np.isfinite(values))
        xy = (at[known], values[known])
        ax.plot(*(xy[::-1] if style.flat else xy), clip_on=False, **(look | over))


def draw_open(
    ax: Axes, at: np.ndarray, values: np.ndarray, look: dict[str, Any], style: Style
) -> None:
    """Open marks: draw white ones over those that have a value here."""
    xy = (values, at) if style.flat else (at, values)
    ax.plot(*xy, look["marker"], color=look["color"], markerfacecolor="white", markersize=4.5)


def density(ax: Axes, seconds: np.ndarray, at: int) -> None:
    """Draw how often something happens over time, upwards from the lower end of a row."""
    known = seconds[seconds >= 0]
    if known.size:
        count, edges = np.histogram(known, bins=np.arange(0, known.max() + 0.2, 0.1))
        ax.bar(
            edges[:-1], count / count.max() * -0.8, width=0.1, bottom=at + 0.42, align="edge",
            color="#cccccc", linewidth=0,
        )  # fmt: skip


_ENGINEERING = mpl.ticker.EngFormatter(sep="")


def _brief(value: float, _: object = None) -> str:
    return str(_ENGINEERING(value)) if abs(value) >= 1000 else f"{value:g}".replace("-", "\u2212")


def finish(ax: Axes, values: xr.DataArray, scale: str, flat: bool) -> None:
    """Set the scale of values that share an axis; show 0 if none is negative; brief units."""
    axis = ax.xaxis if flat else ax.yaxis
    set_scale, set_limits = (ax.set_xscale, ax.set_xlim) if flat else (ax.set_yscale, ax.set_ylim)
    least, most = float(values.min()), float(values.max())
    if scale == "symlog":
        decade = np.floor(np.log10(max(1.0, most))) - 4  # a tick, and not too close to 0
        set_scale("symlog", linthresh=10**decade)
    elif scale != "linear" and most > 0:
        set_scale(scale)
    if scale != "log" and least >= 0:
        set_limits(0, None if most > 0 else 1)
    if scale != "log" and least < 0 < most:
        (ax.axvline if flat else ax.axhline)(0, color="#888888", linewidth=0.8, zorder=0)
    if axis.get_scale() == "log":  # one form of numbers: the minor ones have none
        wide = most / max(least, 1e-300) > 100
        axis.set_major_locator(mpl.ticker.LogLocator(subs=(1,) if wide else (1, 2, 5)))
        axis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.set_major_formatter(_brief)


def categories(ax: Axes, labels: list[str], flat: bool, room: int) -> None:
    """Name positions 0, 1, ... of an axis; long names across are turned.

    ``room`` is how many characters have room beside each other.
    """
    if flat:
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        for between in np.arange(len(labels) - 1) + 0.5:
            ax.axhline(between, color="#e4e4e0", linewidth=0.6, zorder=0)
        return
    apart = max((len(a) + len(b)) / 2 + 1 for a, b in itertools.pairwise([*labels, ""]))
    turned = apart * len(labels) > room
    ends: dict[str, Any] = (
        {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    )
    ax.set_xticks(range(len(labels)), labels, **ends)
    ax.set_xlim(-0.5, len(labels) - 0.5)
