"""Figures: Dataset and Axes in, Axes out. Solid is recorded, dashed is simulated."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from numalab.compare import COUNTERS
from numalab.report import panels
from numalab.stats.intervals import mean_interval

SIZES = {"mail": (6.4, 3.6), "page": (6.4, 4.8), "wide": (9.6, 3.6), "tall": (9.6, 10.0)}
SIZES |= {"broad": (9.6, 6.4)}
DPI = {"mail": 100, "page": 150, "wide": 100, "tall": 100, "broad": 100}
SHADES = ("#1b1b1b", "#b3541e", "#2a6f97")
MARKERS = ("o", "s", "^")
SHORT = {
    "numa_pte_updates": "PTE updates",
    "numa_hint_faults": "hint faults",
    "numa_hint_faults_local": "local faults",
    "numa_pages_migrated": "migrated",
}


class Options(TypedDict, total=False):
    """What can be said about :func:`facets`, besides data, ``y`` and ``x``."""

    hue: str
    """Dimension of the lines of a panel; else what no other axis takes."""
    col: str
    """Dimension of the columns; more than four in one row go on below."""
    row: str
    """Dimension of the rows; ``variable`` where ``y`` names several."""
    kind: str
    """``line`` (default), ``point`` or ``bar``."""
    size: str
    """``mail``, ``page`` (default), ``wide``, ``broad`` or ``tall``; grows with the rows."""
    over: str
    """``mean`` over replicates with its 95 % interval (default), or ``runs``: their median and
    95 % prediction interval."""
    recorded: xr.Dataset
    """Runs of a real kernel, each drawn solid or as an open mark, over the simulated ones."""
    labels: dict[str, str]
    """Text for names of variables, dimensions and of values."""
    xscale: str
    """``linear``, ``log``, or ``category``: values of ``x`` side by side (texts always are)."""
    yscale: str
    """``linear``, ``log`` or ``symlog``."""
    filled: str
    """Truth variable, of a Dataset: marks are open where it is false."""
    note: str
    """What is drawn, below the figure; else whether it is simulated, and what the bounds are."""
    flat: bool
    """``x`` down the left side, values along: for many or long names."""


def facets(
    data: xr.Dataset | xr.DataArray, y: str | list[str], x: str, **options: Unpack[Options]
) -> Figure:
    """Draw variables over an axis, in panels over other axes, of any length.

    Simulated is dashed, recorded is solid. Bounds over ``replicate`` are drawn, or those of a
    dimension ``bound`` or ``statistic``; the line below the figure says what they are.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        Dimensions that no option names become lines; those of length 1 are left out.
    y : str or list of str
        Variables; of a DataArray, the title of its axis. Several are spread over ``variable``,
        which can be ``hue``, ``col`` or ``row`` and else is ``col``.
    x : str
        Dimension along the horizontal axis.
    **options
        See :class:`Options`.

    Examples
    --------
    >>> ds = xr.Dataset({"scans": (("policy", "delay_ms", "replicate"), np.ones((9, 3, 4)))})
    >>> figure = facets(ds, y="scans", x="delay_ms", hue="policy", size="mail")
    >>> len(figure.axes[0].lines), figure.get_size_inches().tolist()
    (9, [6.4, 3.6])
    """
    plan = _plan(data, y, x, options)
    rows, columns = plan.shape
    width, height = SIZES[plan.size]
    style = sns.axes_style("ticks") | {"font.size": 9, "axes.labelsize": 9, "axes.titlesize": 9}
    deep = 0.17 * plan.data.sizes[x] + 0.5 if plan.style.flat else 1.7
    with mpl.rc_context(style):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width, max(height, deep * rows + 0.8)), dpi=DPI[plan.size],
            squeeze=False, layout="constrained", **plan.shared,
        )  # fmt: skip
    notes = [_panel(ax, plan, i) for i, ax in enumerate(axes.flat[: plan.panels])]
    for i, ax in enumerate(axes.flat):
        if i < plan.panels:
            _finish(ax, plan, i)
        else:
            ax.remove()
    _around(figure, axes, plan, sorted(set(notes) - {""}))
    return figure


_UNITS = {"mb": "MB", "ms": "ms", "s": "s", "gib": "GiB", "pages": "pages"}


def event_times(
    rows: Mapping[str, tuple[xr.DataArray, xr.DataArray]], title: str, size: str = "wide"
) -> Figure:
    """Draw when events happen: recorded ones as marks, simulated ones as their density.

    Parameters
    ----------
    rows : mapping
        Label to times of simulated and of recorded events [ms], each over ``replicate`` and one
        more dimension; what is missing or negative is padding.
    title : str
        What the events are.
    size : str
        As in :class:`Options`; grows with the rows.
    """
    width, height = SIZES[size]
    figure, axes = plt.subplots(
        figsize=(width, max(height, 0.5 * len(rows) + 0.8)), dpi=DPI[size], layout="constrained"
    )
    for i, (simulated, recorded) in enumerate(rows.values()):
        panels.density(axes, simulated.values.ravel() / 1000, i)
        runs = np.atleast_2d(recorded.transpose("replicate", ...).values / 1000)
        for run, (times, at) in enumerate(
            zip(runs, i + np.linspace(-0.34, 0.34, len(runs) + 2)[1:-1], strict=True)
        ):
            known = times[times >= 0]
            axes.plot(known, np.full(known.size, at), "|", color=panels.looks(run, True)["color"])
    panels.categories(axes, list(rows), True, 0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(f"{title} [s]; marks: recorded, a row a run; grey: simulated", fontsize=9)
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What :func:`facets` was asked for, with nothing left open."""

    data: xr.DataArray
    """Over x, hue, col, row, and what bounds come from."""
    recorded: xr.DataArray | None
    x: str
    hue: str
    col: str
    row: str
    style: panels.Style
    size: str
    over: str
    labels: dict[str, str]
    scales: tuple[str, str]
    solid: bool
    filled: xr.DataArray | None
    note: str

    @property
    def panels(self) -> int:
        """Number of panels."""
        return self.data.sizes[self.row] * self.data.sizes[self.col]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        rows, columns = self.data.sizes[self.row], self.data.sizes[self.col]
        return (rows, columns) if rows > 1 or columns < 5 else (-(-columns // 4), 4)

    @property
    def shared(self) -> dict[str, Any]:
        """Axes that panels share: values of one variable, and positions."""
        values: str | bool = True if self.data.sizes[self.row] == 1 else "row"
        if self.col == "variable":
            values = "col" if self.shape[1] == self.data.sizes[self.col] else False
        return {"sharex": values, "sharey": True} if self.style.flat else {
            "sharex": True, "sharey": values}  # fmt: skip

    def panel(self, index: int) -> tuple[xr.DataArray, dict[str, Any]]:
        """Return what a panel draws, and its row and column."""
        columns = self.data.sizes[self.col]
        here = self.data.isel({self.row: index // columns, self.col: index % columns})
        return here, {dim: here[dim].item() for dim in (self.row, self.col)}

    def name(self, value: object, dim: str = "") -> str:
        """Text for a name, or a value of a dimension."""
        plain = f"{value:g}" if isinstance(value, int | float) else str(value)
        if plain in self.labels or not dim or not isinstance(value, int | float):
            return self.labels.get(plain, plain.replace("_", " "))
        title, _, unit = self.name(dim).partition(" [")
        return f"{title} {plain} {unit.removesuffix(']')}".rstrip()


def _spread(data: xr.Dataset | xr.DataArray, y: str | list[str]) -> xr.DataArray:
    """Return one array; several variables along ``variable``."""
    if isinstance(data, xr.DataArray):
        return data.rename(y if isinstance(y, str) else y[0])
    return data[y] if isinstance(y, str) else data[y].to_array("variable")


def _plan(data: xr.Dataset | xr.DataArray, y: str | list[str], x: str, options: Options) -> _Plan:
    da = _spread(data, y)
    da = da.assign_coords({d: np.arange(n) for d, n in da.sizes.items() if d not in da.coords})
    runs = {"replicate", "bound", "statistic"}
    given = [options.get("hue", ""), options.get("col", ""), options.get("row", "")]
    if "variable" in da.dims and "variable" not in given and not given[1]:
        given[1] = "variable"
    rest = [str(d) for d in da.dims if d not in {x, *given, *runs}]
    da = da.squeeze([d for d in rest if da.sizes[d] == 1], drop=True)
    more = [d for d in rest if d in da.dims]
    if len(more) == 1 and not given[0]:
        given[0] = more[0]
    elif more:  # further lines, whatever they are
        together = [d for d in (given[0], *more) if d]
        da = da.stack(lines=together)
        names = [
            ", ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in at)
            for at in da["lines"].values
        ]
        da = da.drop_vars(["lines", *together]).assign_coords(lines=names)
        given[0] = "lines"
    titled = {str(n): _title(v) for n, v in data.coords.items()}
    if isinstance(data, xr.Dataset):
        titled |= {n: _title(data[n]) for n in ([y] if isinstance(y, str) else y)}
    for i, name in enumerate(("_hue", "_col", "_row")):
        if not given[i]:
            given[i] = name
            da = da.expand_dims({name: [""]})
    hue, col, row = given
    kind = options.get("kind", "line")
    side = options.get("xscale") == "category" or kind == "bar" or da[x].dtype.kind in "OUSbT"
    gap = (0.8 if kind == "bar" else min(0.8, 0.16 * da.sizes[hue])) / da.sizes[hue]
    flat = options.get("flat", False)
    recorded = options.get("recorded")
    return _Plan(
        data=da,
        recorded=None if recorded is None else _spread(recorded, y),
        x=x, hue=hue, col=col, row=row,
        style=panels.Style(kind=kind, flat=flat, dodge=gap if side or flat else 0.0),
        size=options.get("size", "page"),
        over=options.get("over", "mean"),
        labels=titled | options.get("labels", {}),
        scales=(options.get("xscale", "linear"), options.get("yscale", "linear")),
        solid=data.attrs.get("source") == "recorded",
        filled=data[options["filled"]] if "filled" in options else None,
        note=options.get("note", ""),
    )  # fmt: skip


def _title(da: xr.DataArray) -> str:
    """Return what an array is, with its unit: of its attributes, or as its name ends."""
    name, _, end = str(da.name).rpartition("_")
    unit = da.attrs.get("units") or _UNITS.get(end, "")
    title = str(da.attrs.get("long_name", name if end in _UNITS else da.name)).replace("_", " ")
    return title if unit in ("1", "index", "") else f"{title} [{unit}]"


def _panel(ax: Axes, plan: _Plan, index: int) -> str:
    """Draw one panel; return what its bounds are."""
    here, labels = plan.panel(index)
    count = here.sizes[plan.x]
    x = np.arange(count) if plan.style.dodge else here[plan.x].values.astype(np.float64)
    bounds = panels.bounded(here, plan.over)
    lines = here.sizes[plan.hue]
    for i in range(lines):
        name = here[plan.hue].values[i]
        look = panels.looks(i, plan.solid or str(name).startswith("recorded"))
        look["label"] = plan.name(name.item() if hasattr(name, "item") else name, plan.hue)
        one = bounds.isel(plan.hue, i)
        shift = (i - (lines - 1) / 2) * plan.style.dodge
        panels.draw(ax, x + shift, one, look, plan.style)
        if plan.filled is not None:
            here_too = labels | {plan.hue: name}
            inside = plan.filled.sel({d: v for d, v in here_too.items() if d in plan.filled.dims})
            shown = one.middle.where(~inside).drop_attrs()
            panels.draw_open(ax, x + shift, shown.values, look, plan.style)
        if plan.recorded is not None:
            look = panels.looks(i if lines > 1 else 1, True) | {"label": ""}
            _recorded(ax, plan, labels | {plan.hue: name}, look)
    return bounds.note


def _recorded(ax: Axes, plan: _Plan, at: dict[str, Any], look: dict[str, Any]) -> None:
    """Draw the recorded runs of one line, if there are any."""
    runs = plan.recorded
    assert runs is not None
    for dim, label in at.items():
        if dim not in runs.dims:
            continue
        if label not in runs[dim].values:
            return
        runs = runs.sel({dim: label})
    if plan.style.dodge:
        runs = runs.reindex({plan.x: plan.data[plan.x].values})
        x = np.arange(runs.sizes[plan.x], dtype=np.float64)
    else:
        x = runs[plan.x].values.astype(np.float64)
    rows = runs.transpose(..., plan.x).values.reshape(-1, len(x))
    panels.draw_runs(ax, x, rows, look, plan.style)


def _finish(ax: Axes, plan: _Plan, index: int) -> None:
    """Set the axes of a panel, and write which one it is, once all panels are drawn."""
    here, labels = plan.panel(index)
    panels.finish(ax, here, plan.scales[1], plan.style.flat)
    if plan.style.dodge:
        names = [plan.name(v) for v in here[plan.x].values.tolist()]
        room = int(SIZES[plan.size][0] * 13 / plan.shape[1])
        panels.categories(ax, names, plan.style.flat, room)
    elif plan.scales[0] != "linear":
        ax.set_xscale(plan.scales[0])
    value = "" if plan.col == "variable" else plan.name(labels.get("variable", plan.data.name))
    row = "" if plan.row in ("_row", "variable") else plan.name(labels[plan.row], plan.row)
    if plan.col != "_col" and (index < plan.shape[1] or plan.data.sizes[plan.row] == 1):
        ax.set_title(plan.name(labels[plan.col], plan.col), loc="left", fontsize=9)
    if plan.style.flat:
        ax.set_xlabel(value, fontsize=9)
        ax.set_ylabel(row, fontsize=9)
    else:
        ax.set_ylabel("\n".join(filter(None, (row, value))), fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.label_outer()
    if plan.col == "variable" and not plan.style.flat:
        ax.tick_params(labelleft=True)


def _around(figure: Figure, axes: np.ndarray, plan: _Plan, notes: list[str]) -> None:
    """Write the legend above all panels, and below them what is drawn."""
    width = SIZES[plan.size][0]
    drawn = "recorded" if plan.solid else "simulated"
    if plan.recorded is not None:
        drawn = "dashed: simulated, solid or open: recorded"
    said = [plan.note] if plan.note else [drawn, *notes]
    words = "; ".join([*([] if plan.style.flat else [plan.name(plan.x)]), *said])
    figure.supxlabel(textwrap.fill(words, int(width * 14)), fontsize=9)
    marks, labels = axes.flat[0].get_legend_handles_labels()
    if any(labels):
        columns = max(1, min(len(labels), int(width * 13 / (max(map(len, labels)) + 5))))
        figure.legend(
            marks, labels, loc="outside upper left", ncols=columns, fontsize=8, frameon=False
        )


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


def surfaces(data: xr.Dataset, x: str, y: str, *, col: str, labels: dict[str, str]) -> Figure:
    """Draw variables as shaded cells over two axes, a row each; panels over a third axis.

    Means over ``replicate``. Cells of a row share one scale, which begins at 0; values of ``x``
    and ``y`` stand side by side.

    Parameters
    ----------
    labels : dict
        Text for names of variables and dimensions.
    """
    mean = data.mean("replicate") if "replicate" in data.dims else data
    figure, axes = canvas("tall", len(mean), mean.sizes[col])
    for row, (name, cells) in zip(axes, mean.data_vars.items(), strict=True):
        most = max(1.0, float(cells.max()))
        for ax, at in zip(row, mean[col].values, strict=True):
            here = cells.sel({col: at}).transpose(y, x)
            image = ax.imshow(here, origin="lower", aspect="auto", vmin=0, vmax=most)
            ax.set_xticks(range(here.sizes[x]), [f"{v:g}" for v in here[x].values], rotation=45)
            ax.set_yticks(range(here.sizes[y]), [f"{v:g}" for v in here[y].values])
            ax.set_title(f"{labels.get(col, col)} {at:g}", loc="left", fontsize=9)
            ax.label_outer()
        bar = figure.colorbar(image, ax=row)
        bar.set_label(labels.get(str(name), str(name)), fontsize=9)
        bar.ax.tick_params(labelsize=8)
    figure.supxlabel(f"{labels.get(x, x)}; simulated, means of the runs", fontsize=9)
    figure.supylabel(labels.get(y, y), fontsize=9)
    return figure
