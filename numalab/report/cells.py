"""How workloads, policies, runs, comparisons and intervals show themselves in a cell.

Small tables and plots, and not dumps: plots of a line's height stand in a table, SVG in the colour
of the text around them. What is shown is registered with IPython, which leaves the classes, and so
the version of the model, as they are.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from numalab.churn import Churn
from numalab.policy import Policy, changes
from numalab.report.frames import cell
from numalab.schema import SCHEMA
from numalab.task import Task
from numalab.workload import Workload

_JUDGED = {"recorded", "recorded_median", "model_median", "low", "high", "inside"}
"""Variables of a comparison, of :func:`numalab.compare.counters` and others."""
_MOST_ROWS = 30
WIDTH = 150
"""Of a plot [px]."""
_HEIGHT = 16


def enable(shell: Any) -> None:
    """Let an IPython shell show objects of this package as this module does."""
    formatter = shell.display_formatter.formatters["text/html"]
    for kind, show in (
        (Workload, workload),
        (Policy, policy),
        (xr.Dataset, dataset),
        (xr.DataArray, data_array),
    ):
        formatter.for_type(kind, show)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], title: str = "") -> str:
    """Lay out cells that are HTML; of many rows the first ones."""
    rows = list(rows)
    top = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{one}</td>' for one in row)}</tr>" for row in rows[:_MOST_ROWS]
    )
    rest = f"<p>and {len(rows) - _MOST_ROWS} more</p>" if len(rows) > _MOST_ROWS else ""
    head = f"<p>{title}</p>" if title else ""
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="table">{head}{table}{rest}</div>'


def workload(shown: Workload) -> str:
    """Show a workload: its mappings to scale, its threads, and knobs that are not as they come."""
    head = f"<strong>{html.escape(shown.name)}</strong> {html.escape(shown.about)}<br>"
    machine, knobs = shown.machine, shown.tunables
    head += f"{machine.nodes} nodes of {machine.cpus_per_node} CPUs and {machine.memory_mb} MB; "
    head += f"{shown.duration_ms / 1000:g} s"
    changed = [f for f in fields(knobs) if getattr(knobs, f.name) != f.default]
    head += "".join(f"; {f.name} = {getattr(knobs, f.name)}" for f in changed)
    owned: list[Any] = [*shown.vmas, *shown.churns]
    largest = max((_whole_mb(one) for one in owned), default=1.0)
    mappings = table(
        ("mapping", "MB", "", "what", "starts on node"),
        (
            (
                html.escape(one.name), _size(one),
                share(_whole_mb(one) / largest, one.pinned_fraction), _kind(one),
                cell(one.first_touch_node) if one.first_touch_node >= 0 else "as touched",
            )
            for one in owned
        ),
        head,
    )  # fmt: skip
    threads = table(
        ("thread", "process", "CPU", "touches"),
        (
            (html.escape(t.name), html.escape(t.process), cell(t.cpu) if t.cpu >= 0 else "any",
             html.escape(_touches(t)))
            for t in shown.threads
        ),
    )  # fmt: skip
    return mappings + threads


def _whole_mb(one: Any) -> float:
    return float(one.size_mb * getattr(one, "count", 1))


def _size(one: Any) -> str:
    count = getattr(one, "count", 1)
    return f"{count} x {one.size_mb:g}" if count > 1 else f"{one.size_mb:g}"


def _kind(one: Any) -> str:
    if isinstance(one, Churn):
        words = [f"comes and goes, {one.lifetime_ms:g} ms"]
    else:
        words = [one.kind] + [f"{100 * one.populated:g} % present"] * (one.populated < 1)
        words += [one.policy] * (one.policy != "default")
        words += [f"of {one.subscriber}"] * (one.subscriber != "none")
    words += ["2 MiB folios"] * one.thp
    words += [f"{100 * one.pinned_fraction:g} % pinned"] * bool(one.pinned_fraction)
    return html.escape(", ".join(words))


def _touches(thread: Task | Churn) -> str:
    if isinstance(thread, Churn):
        return f"{thread.name} ({thread.pattern})"
    if not thread.access:
        return "nothing" + ", waits" * thread.waits
    return "; ".join(
        f"{a.vma} ({a.pattern}"
        + f", {a.lo:g} to {a.hi:g}" * ((a.lo, a.hi) != (0, 1))
        + f", {a.pages_per_s:g} pages/s" * bool(a.pages_per_s)
        + ", only reads" * (not a.write)
        + ")"
        for a in thread.access
    )


def policy(shown: Policy) -> str:
    """Show a policy: what it changed against the one before it, and the other rules it has."""
    head = f"<strong>{html.escape(shown.name)}</strong> {html.escape(shown.about)}"
    head += f"<br>source: {html.escape(shown.source)}" * bool(shown.source)
    head += f"<br>changed against: {html.escape(shown.before)}" * bool(shown.before)
    new = changes(shown)
    declared = {f.name: f for f in fields(Policy)}
    kept = {k: v for k, v in shown.rules().items() if v != declared[k].default and k not in new}
    rows = [
        (html.escape(name), html.escape(cell(value)), html.escape(declared[name].metadata["doc"]),
         "changed" if name in new else "")
        for name, value in (*new.items(), *kept.items())
    ]  # fmt: skip
    return table(("rule", "is", "which means", ""), rows, head)


def dataset(shown: xr.Dataset) -> str:
    """Show a Dataset: of runs where their counters end, of a comparison how it judges."""
    if set(shown.data_vars) >= _JUDGED:
        return comparison(shown)
    if "provenance" not in shown.attrs or "time" not in shown.dims:
        return str(shown._repr_html_())
    recorded = shown.attrs["source"] == "recorded"
    runs = shown.sizes.get("replicate", 1)
    head = f"<strong>{'recorded on' if recorded else 'simulated,'} "
    head += f"{html.escape(shown.attrs['kernel'])}</strong>, {runs} run{'s' * (runs > 1)} of "
    head += f"{float(shown['time'][-1]) / 1000:g} s; at the end:"
    rows = []
    for name in (n for n, one in SCHEMA.items() if one.dims[0] == "time" and n in shown):
        values = shown[name].sum([d for d in shown[name].dims if d not in ("time", "replicate")])
        values = values if "replicate" in values.dims else values.expand_dims("replicate")
        ends = values.isel(time=-1).values
        typical = values.median("replicate").values.astype(np.float64)
        counts = (cell(f(ends)) for f in (np.min, np.median, np.max))
        what = html.escape(f"{SCHEMA[name].long_name} [{SCHEMA[name].units}]")
        rows.append((name, *counts, course(typical), what))
    whole = f"<details><summary>all variables</summary>{shown._repr_html_()}</details>"
    return table(("counter", "min", "median", "max", "over time", "what"), rows, head) + whole


def comparison(shown: xr.Dataset) -> str:
    """Show recorded values beside the model's prediction interval, and whether they lie in it."""
    flat = shown.stack(row=shown["inside"].dims)
    heads = [str(dim) for dim in shown["inside"].dims]
    rows = []
    for i in range(flat.sizes["row"]):
        one = flat.isel(row=i)
        low, high = float(one["low"]), float(one["high"])
        runs = one["recorded"].values.ravel().astype(np.float64)
        span = (min(0.0, low, runs.min()), max(high, runs.max()))
        plot = interval(low, high, span, marks=runs.tolist())
        labels = [html.escape(cell(one[dim].values)) for dim in heads]
        rows.append(
            (
                *labels, f"{cell(runs.min())} to {cell(runs.max())}",
                f"{cell(low)} to {cell(high)}", plot,
                "in" if bool(one["inside"]) else "<strong>OUT</strong>",
            )
        )  # fmt: skip
    level = f"{100 * shown.attrs['level']:g} % " if "level" in shown.attrs else ""
    head = "strokes: recorded runs; bar: prediction interval of the model, from 0"
    return table((*heads, "recorded", f"model, {level}interval", "", "median lies"), rows, head)


def data_array(shown: xr.DataArray) -> str:
    """Show intervals as such; anything else as xarray does."""
    ends = [str(one) for one in shown["statistic"].values] if "statistic" in shown.dims else []
    if not {"low", "high"} <= set(ends) or shown.size > 400:
        return str(shown._repr_html_())
    heads = [str(dim) for dim in shown.dims if dim != "statistic"]
    whole = shown.transpose(*heads, "statistic").values.reshape(-1, len(ends)).astype(np.float64)
    low, high = whole[:, ends.index("low")], whole[:, ends.index("high")]
    middles = np.delete(whole, [ends.index("low"), ends.index("high")], axis=1)
    known = whole[np.isfinite(whole)]
    span = (min(0.0, known.min()), known.max()) if known.size else (0.0, 1.0)
    labels = list(product(*(shown[dim].values.tolist() for dim in heads)))
    rows = [
        (
            *(html.escape(cell(value)) for value in at), *map(cell, middles[i]),
            f"[{cell(low[i])}, {cell(high[i])}]",
            interval(low[i], high[i], span, marks=middles[i].tolist()),
        )
        for i, at in enumerate(labels)
    ]  # fmt: skip
    names = [name for name in ends if name not in ("low", "high")]
    title = html.escape(str(shown.name or "interval"))
    return table((*heads, *names, "[low, high]", "from 0"), rows, title)


def _svg(content: str, label: str) -> str:
    return (
        f'<svg width="{WIDTH}" height="{_HEIGHT}" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{label}" style="vertical-align:middle">{content}</svg>'
    )


def _at(value: float, span: tuple[float, float]) -> float:
    """Return where a value lies across a plot of a span [px]."""
    low, high = span
    return 4 + (WIDTH - 8) * (0.5 if high <= low else (value - low) / (high - low))


def interval(
    low: float, high: float, span: tuple[float, float], *, marks: Sequence[float] = ()
) -> str:
    """Draw an interval as a thick line, and values over it as strokes.

    Parameters
    ----------
    low, high : float
        Ends of the interval.
    span : tuple
        What the plot is wide: the same for rows that are compared.
    marks : sequence of float
        Recorded runs, or the middle.
    """
    if not np.isfinite([low, high, *span]).all():
        return ""
    start, end = _at(low, span), max(_at(high, span), _at(low, span) + 1)
    drawn = f'<path d="M{start:.1f} 8H{end:.1f}" stroke="#8aa9c8" stroke-width="7"/>'
    for value in (v for v in marks if np.isfinite(v)):
        drawn += (
            f'<path d="M{_at(value, span):.1f} 2V14" stroke="currentColor" stroke-width="1.5"/>'
        )
    return _svg(drawn, f"from {low:g} to {high:g}")


def course(values: np.ndarray) -> str:
    """Draw how values go over time, from 0 to their largest; float64[n]."""
    top = float(values.max()) if values.size else 0.0
    if values.size < 2 or not top > 0:
        return ""
    x = np.linspace(1, WIDTH - 1, len(values))
    y = _HEIGHT - 1 - values / top * (_HEIGHT - 3)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    line = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.2"/>'
    return _svg(line, f"from {values[0]:g} to {values[-1]:g}")


def share(whole: float, pinned: float = 0.0) -> str:
    """Draw a size as a part of the largest, with the pinned part of it filled; both 0 to 1."""
    wide = max(2.0, whole * (WIDTH - 2))
    box = f'<rect x="1" y="3" width="{wide:.1f}" height="10" fill="none" stroke="currentColor"/>'
    if pinned:
        part = wide * pinned
        box += f'<rect x="1" y="3" width="{part:.1f}" height="10" fill="currentColor"/>'
    return _svg(box, f"{100 * whole:.0f} % of the largest, {100 * pinned:.0f} % pinned")
