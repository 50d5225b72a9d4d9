"""Figures: Dataset and Axes in, Axes out. Solid is recorded, dashed is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from numalab.report import figure_data, panels
from numalab.report.canvas import SIZES, below, canvas
from numalab.report.facet_options import Options, Plan, read_options, title


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
    plan = read_options(data, y, x, options)
    rows, columns = plan.shape
    deep = 0.17 * plan.data.sizes[x] + 0.5 if plan.style.flat else 2.4
    figure, axes = canvas(plan.size, rows, columns, height=deep * rows + 0.8, **plan.shared)
    notes = [_panel(ax, plan, i) for i, ax in enumerate(axes.flat[: plan.panels])]
    for i, ax in enumerate(axes.flat):
        if i < plan.panels:
            _finish(ax, plan, i)
        else:
            ax.remove()
    _around(figure, axes, plan, sorted(set(notes) - {""}))
    figure.values, figure.twin = figure_data.values(plan), figure_data.twin(plan)
    return figure


def event_times(rows: Mapping[str, tuple[xr.DataArray, xr.DataArray]], what: str) -> Figure:
    """Draw when events happen: recorded ones as marks, simulated ones as their density.

    Parameters
    ----------
    rows : mapping
        Label to times of simulated and of recorded events [ms], each over ``replicate`` and one
        more dimension; what is missing or negative is padding.
    what : str
        What the events are.
    """
    figure, panel = canvas("page", height=0.5 * len(rows) + 0.8)
    axes = panel[0, 0]
    for i, (simulated, recorded) in enumerate(rows.values()):
        panels.density(axes, simulated.values.ravel() / 1000, i)
        runs = np.atleast_2d(recorded.transpose("replicate", ...).values / 1000)
        for run, (times, at) in enumerate(
            zip(runs, i + np.linspace(-0.34, 0.34, len(runs) + 2)[1:-1], strict=True)
        ):
            known = times[times >= 0]
            axes.plot(known, np.full(known.size, at), "|", color=panels.looks(run, True)["color"])
    panels.categories(axes, list(rows), True, 0)
    axes.set_xlabel(f"{what} [s]; marks: recorded, a row a run; grey: simulated", fontsize=9)
    figure.values = pd.concat(_times(rows, what), ignore_index=True)
    return figure


def _times(rows: Mapping[str, tuple[xr.DataArray, ...]], what: str) -> list[pd.DataFrame]:
    """Return the events that are drawn, a row each."""
    found = []
    for label, pair in rows.items():
        for source, times in zip(("simulated", "recorded"), pair, strict=True):
            runs = np.atleast_2d(times.transpose("replicate", ...).values / 1000)
            run, at = np.nonzero(runs >= 0)
            columns = {"row": label, "source": source, "run": run, f"{what} [s]": runs[run, at]}
            found.append(pd.DataFrame(columns))
    return found


def _panel(ax: Axes, plan: Plan, index: int) -> str:
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
        one = bounds.isel({plan.hue: i})
        shift = (i - (lines - 1) / 2) * plan.style.dodge
        panels.draw(ax, x + shift, one, look, plan.style)
        if plan.filled is not None:
            here_too = labels | {plan.hue: name}
            inside = plan.filled.sel({d: v for d, v in here_too.items() if d in plan.filled.dims})
            shown = one["middle"].where(~inside).drop_attrs()
            panels.draw_open(ax, x + shift, shown.values, look, plan.style)
        if plan.recorded is not None:
            look = panels.looks(i if lines > 1 else 1, True) | {"label": ""}
            _recorded(ax, plan, labels | {plan.hue: name}, look)
    return str(bounds.attrs["note"])


def _recorded(ax: Axes, plan: Plan, at: dict[str, Any], look: dict[str, Any]) -> None:
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


def _finish(ax: Axes, plan: Plan, index: int) -> None:
    """Set the axes of a panel, and write which one it is, once all panels are drawn."""
    here, labels = plan.panel(index)
    shared = plan.data.sel(plan.shared_place(index))
    panels.finish(ax, shared, plan.scales[1], plan.style.flat)
    if plan.style.dodge:
        names = [plan.name(v) for v in here[plan.x].values.tolist()]
        room = int(SIZES[plan.size][0] * 13 / plan.shape[1])
        panels.categories(ax, names, plan.style.flat, room)
    elif plan.scales[0] != "linear":
        ax.set_xscale(plan.scales[0])
        values = here[plan.x].values
        ax.set_xticks(values, [plan.name(v) for v in values.tolist()])
        ax.minorticks_off()
    value = "" if plan.col == "variable" else plan.name(labels.get("variable", plan.data.name))
    row = "" if plan.row in ("_row", "variable") else plan.name(labels[plan.row], plan.row)
    if plan.col != "_col" and (index < plan.shape[1] or plan.data.sizes[plan.row] == 1):
        ax.set_title(plan.name(labels[plan.col], plan.col), loc="left", fontsize=9)
    if plan.style.flat:
        ax.set_xlabel(value, fontsize=9)
        ax.set_ylabel(row, fontsize=9)
    else:
        ax.set_ylabel("\n".join(filter(None, (row, value))), fontsize=9)
    ax.label_outer()
    if plan.col == "variable" and not plan.style.flat:
        ax.tick_params(labelleft=True)


def _around(figure: Figure, axes: np.ndarray, plan: Plan, notes: list[str]) -> None:
    """Write the legend above all panels, and below them what is drawn."""
    width = SIZES[plan.size][0]
    drawn = "recorded" if plan.solid else "simulated"
    if plan.recorded is not None:
        drawn = "dashed: simulated, solid or open: recorded"
    note = [plan.note] if plan.note else [drawn, *notes]
    below(figure, "; ".join([*([] if plan.style.flat else [plan.name(plan.x)]), *note]))
    marks, labels = axes.flat[0].get_legend_handles_labels()
    if any(labels):
        columns = max(1, min(len(labels), int(width * 13 / (max(map(len, labels)) + 8))))
        figure.legend(
            marks, labels, loc="outside upper left", ncols=columns, fontsize=8, frameon=False,
            handlelength=4.0,
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
    labels = {name: title(name) for name in (x, y, col, *map(str, mean))} | labels
    figure, axes = canvas("page", len(mean), mean.sizes[col], height=3.0 * len(mean))
    for row, (name, cells) in zip(axes, mean.data_vars.items(), strict=True):
        most = max(1.0, float(cells.max()))
        for ax, at in zip(row, mean[col].values, strict=True):
            here = cells.sel({col: at}).transpose(y, x)
            image = ax.imshow(here, origin="lower", aspect="auto", vmin=0, vmax=most)
            ax.set_xticks(range(here.sizes[x]), [f"{v:g}" for v in here[x].values], rotation=45)
            ax.set_yticks(range(here.sizes[y]), [f"{v:g}" for v in here[y].values])
            ax.set_title(f"{labels.get(col, col)} {at:g}", loc="left", fontsize=9)
            ax.label_outer()
            ax.spines[["top", "right"]].set_visible(True)
        bar = figure.colorbar(image, ax=row)
        bar.set_label(labels.get(str(name), str(name)), fontsize=9)
        bar.ax.tick_params(labelsize=8)
    figure.supxlabel(f"{labels.get(x, x)}; simulated, means of the runs", fontsize=9)
    figure.supylabel(labels.get(y, y), fontsize=9)
    figure.values = mean.to_dataframe().reset_index().rename(columns=labels)
    figure.twin = figure_data.cells(mean, x, y, col, labels)
    return figure
