"""What a figure of :func:`numalab.report.figures.facets` draws, as a table and as text."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
import xarray as xr

from numalab.report import panels, text_plot
from numalab.report.facet_options import Plan
from numalab.report.frames import ascii_text


def values(plan: Plan) -> pd.DataFrame:
    """Return what is drawn, a row a mark: where it is, low, middle and high, from what.

    Recorded runs that are drawn over simulated ones have a middle alone, a row a run. Columns
    and variables are named as in the figure, with their units.
    """
    bounds = panels.bounded(plan.data, plan.over)
    tables = [_table(plan, bounds)]
    tables[0]["source"] = "recorded" if plan.solid else "simulated"
    tables[0]["bounds"] = bounds.attrs["note"]
    if plan.recorded is not None:
        runs = plan.recorded.to_dataset(name="middle")
        tables.append(_table(plan, runs).assign(source="recorded"))
    return pd.concat(tables, ignore_index=True)


def _table(plan: Plan, ds: xr.Dataset) -> pd.DataFrame:
    ds = ds.reset_coords(drop=True)
    order = [d for d in (plan.row, plan.col, plan.hue, plan.x) if d in ds.dims]
    frame = ds.to_dataframe(dim_order=[*order, *(d for d in ds.dims if d not in order)])
    frame = frame.reset_index().dropna(subset=["middle"])
    frame = frame.drop(columns=[c for c in frame.columns if str(c).startswith("_")])
    if "variable" in frame:
        frame["variable"] = [plan.name(v) for v in frame["variable"]]
    elif plan.data.name:
        frame.insert(0, "variable", plan.name(plan.data.name))
    return frame.rename(columns={d: ascii_text(plan.name(d)) for d in order if d != "variable"})


def twin(plan: Plan) -> str:
    """Return the figure as text of at most 75 columns: its first panels, and a legend."""
    middle = panels.bounded(plan.data, plan.over)["middle"]
    blocks = []
    for index in range(min(plan.panels, text_plot.MOST_PANELS)):
        place = plan.place(index)
        here = middle.sel(place).transpose(plan.hue, plan.x).values.astype(np.float64)
        shared = middle.sel(plan.shared_place(index)).values.astype(np.float64)
        scale = text_plot.Scale.over(shared, plan.scales[1])
        labels = [ascii_text(plan.name(v)) for v in plan.data[plan.x].values.tolist()]
        if plan.style.flat:
            body = text_plot.rows(labels, here, scale)
        else:
            body = text_plot.plot(_positions(plan), labels, here, scale)
        blocks.append("\n".join(filter(None, (_title(plan, place), body))))
    names = [ascii_text(plan.name(v, plan.hue)) for v in plan.data[plan.hue].values.tolist()]
    axis = "" if plan.style.flat else f"across: {plan.name(plan.x)}"
    source = "recorded" if plan.solid else "simulated"
    note = "; ".join(filter(None, (axis, f"{source}, middle values")))
    if plan.panels > len(blocks):
        note += f"; {len(blocks)} of {plan.panels} panels"
    return "\n".join([*blocks, text_plot.legend(names, ascii_text(note))])


def _positions(plan: Plan) -> np.ndarray:
    """Return where values of x are, from 0 to 1."""
    count = plan.data.sizes[plan.x]
    if plan.style.dodge or count < 2:
        return (np.arange(count) + 0.5) / max(count, 1)
    x = plan.data[plan.x].values.astype(np.float64)
    if plan.scales[0] == "log" and (x > 0).all():
        x = np.log10(x)
    return np.asarray((x - x.min()) / (np.ptp(x) or 1.0))


def _title(plan: Plan, place: dict[str, object]) -> str:
    parts = [plan.name(v, d) for d, v in place.items() if not d.startswith("_")]
    if "variable" not in place and plan.data.name:
        parts.append(plan.name(plan.data.name))
    scale = ", logarithmic" if plan.scales[1] in ("log", "symlog") else ""
    return textwrap.fill(ascii_text(", ".join(parts) + scale), text_plot.WIDTH)


def cells(data: xr.Dataset, x: str, y: str, col: str, labels: dict[str, str]) -> str:
    """Return shaded cells as digits, a block for each variable; of the last panel each."""
    blocks = []
    last = data[col].values[-1]
    for name, da in data.data_vars.items():
        most = max(1.0, float(da.max()))
        here = da.sel({col: last}).transpose(y, x)
        title = f"{labels.get(str(name), str(name))}; 9: {text_plot.short(most)}"
        across, up = ([f"{v:g}" for v in here[d].values] for d in (x, y))
        blocks.append(f"{ascii_text(title)}\n{text_plot.heat(across, up, here.values, most)}")
    where = f"up: {labels.get(y, y)}; across: {labels.get(x, x)}; {labels.get(col, col)} {last:g}"
    note = textwrap.fill(ascii_text(f"{where}; simulated, means of the runs"), text_plot.WIDTH)
    return "\n".join([*blocks, note])
