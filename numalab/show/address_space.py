"""The address space of a workload as a picture: mappings to scale, pins, and who touches what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from numalab.report.canvas import canvas
from numalab.report.panels import COLORS
from numalab.show import address_map
from numalab.show.address_map import AddressMap, Band, grouped, middle, size_text, words
from numalab.units import PAGES_PER_MB
from numalab.workload import Access, Churn, Task, Vma, Workload

MOST_COLUMNS = 16
"""Columns of threads; those beyond share the last one."""
_NODE_COLORS = (COLORS[2], COLORS[5], COLORS[3], COLORS[4], COLORS[7], COLORS[1])
_FREE = "#8a8a8a"
_HATCHES = {"walk": "", "rand": "...", "hot": "---"}
_MIXED = 64
"""Copies of a mapping whose pinned heads are drawn one by one; of more, all is hatched."""


@dataclass(frozen=True, slots=True)
class _Column:
    """Threads that touch the same in the same way from the same node."""

    names: tuple[str, ...]
    color: str
    touched: tuple[Access, ...]

    @property
    def title(self) -> str:
        first, last = self.names[0], self.names[-1]
        if len(self.names) == 1:
            return first
        return f"{first} ... {last} ({len(self.names)})"


def draw(workload: Workload) -> Figure:
    """Draw the address spaces of a workload, and what each thread touches.

    Mappings are to scale; the space between them and the program are not. Any number is drawn:
    equal mappings side by side, and the smallest of very many, share a label; threads that do the
    same share a column.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the mappings of a process do not fit into its address space.
    """
    laid = address_map.lay_out(workload)
    columns = _columns(workload)
    named = grouped(laid)
    figure, axes = canvas("page")
    ax = axes[0, 0]
    figure.set_size_inches(8.4, max(3.2, 1.6 + 0.2 * (len(named) + 2)))
    for band in laid.bands:
        _memory(ax, band)
        _touches(ax, band, columns)
    _write(ax, laid, named, columns)
    figure.legend(
        handles=_legend(workload, columns), loc="outside lower left", ncols=4, fontsize=8,
        frameon=False,
    )  # fmt: skip
    return figure


def summary(workload: Workload) -> str:
    """Say in a sentence what the picture shows, for those who cannot see it."""
    laid = address_map.lay_out(workload)
    return f"Address space of {workload.name}: {'; '.join(map(words, grouped(laid)))}"


def _color(node: int) -> str:
    """Return the colour of a node; grey for memory or a thread that has none of its own."""
    return _FREE if node < 0 else _NODE_COLORS[node % len(_NODE_COLORS)]


def _columns(workload: Workload) -> list[_Column]:
    same: dict[Any, list[str]] = {}
    for thread in workload.threads:
        touched = thread.access if isinstance(thread, Task) else (_whole(thread),)
        if touched:
            key = (_color(thread.cpu // workload.machine.cpus_per_node), touched)
            same.setdefault(key, []).append(thread.name)
    found = [_Column(tuple(names), color, touched) for (color, touched), names in same.items()]
    if len(found) <= MOST_COLUMNS:
        return found
    rest = found[MOST_COLUMNS - 1 :]
    names = tuple(name for column in rest for name in column.names)
    touched = tuple(access for column in rest for access in column.touched)
    return [*found[: MOST_COLUMNS - 1], _Column(names, _FREE, touched)]


def _whole(churn: Churn) -> Access:
    return Access(vma=churn.name, pattern=churn.pattern, write=churn.write)


def _memory(ax: Axes, band: Band) -> None:
    """Draw what is mapped: the node it starts on, what is not there yet, and what is pinned."""
    size, of = band.high - band.low, band.of
    if of is None:
        ax.add_patch(Rectangle((0, band.low), 1, size, facecolor="#e4e4e0", edgecolor="none"))
        return
    dashed: dict[str, Any] = {"linestyle": (0, (3, 2))} if isinstance(of, Churn) else {}
    edge: dict[str, Any] = {"facecolor": "white", "edgecolor": "#1b1b1b", "linewidth": 0.8} | dashed
    ax.add_patch(Rectangle((0, band.low), 1, size, **edge))
    color = _color(of.first_touch_node)
    populated = of.populated if isinstance(of, Vma) else 1.0
    pinned = of.pinned_fraction
    head = not isinstance(of, Vma) or of.pin_placement == "head"
    for i in range(band.count if band.count <= _MIXED else 1):
        height = band.pages if band.count <= _MIXED else size
        low = band.high - (i + 1) * height
        ax.add_patch(Rectangle((0, low), 1, height * populated, facecolor=color, alpha=0.55))
        if pinned:
            part = pinned if head and band.count <= _MIXED else populated
            hatch = "////" if head else "//"
            ax.add_patch(
                Rectangle((0, low), 1, height * part, fill=False, hatch=hatch, linewidth=0)
            )
    if 1 < band.count <= _MIXED:
        between = [band.high - i * band.pages for i in range(1, band.count)]
        ax.hlines(between, 0, 1, color="white", linewidth=0.8)


def _touches(ax: Axes, band: Band, columns: Sequence[_Column]) -> None:
    """Draw what each thread touches of a mapping."""
    for x, column in enumerate(columns):
        for access in (a for a in column.touched if a.vma == band.name):
            hatch = _HATCHES[access.pattern]
            look: dict[str, Any] = {
                "facecolor": column.color,
                "alpha": 0.75 if access.write else 0.35,
            }
            for low, high in band.parts(access.lo, access.hi):
                box = (1.35 + 0.6 * x, low)
                ax.add_patch(
                    Rectangle(box, 0.45, high - low, hatch=hatch, edgecolor="white", **look)
                )


def _write(ax: Axes, laid: AddressMap, named: list[list[Band]], columns: Sequence[_Column]) -> None:
    """Write names of mappings, threads, processes and the widest gaps; take the axes away."""
    right = 1.35 + 0.6 * len(columns)
    step = laid.height * 1.06 / max(len(named), 14)
    for group, y in zip(named, _spread(list(map(middle, named)), step), strict=True):
        ax.plot([right - 0.12, right + 0.05], [middle(group), y], color="#bbbbbb", linewidth=0.6)
        ax.text(right + 0.1, y, words(group), va="center", fontsize=8)
    for x, column in enumerate(columns):
        ax.text(1.4 + 0.6 * x, laid.height * 1.02, column.title, rotation=40, fontsize=8)
    ax.text(0, laid.height * 1.02, "memory", rotation=40, fontsize=8)
    for process in laid.workload.process_names:
        mine = [band for band in laid.bands if band.process == process]
        ax.text(-0.36, middle(mine), process, rotation=90, va="center", ha="right", fontsize=8)
        gap = (mine[-1].high + mine[-2].low) / 2
        ax.plot([0, 1], [gap, gap], color="#8a8a8a", linewidth=0.8, linestyle=":")
    ax.set_xlim(-0.6, right + 3.4)
    ax.set_ylim(-0.01 * laid.height, laid.height * 1.01)
    ax.axis("off")
    mb = _round_mb(laid.height)
    bar = mb * PAGES_PER_MB
    ax.plot([-0.07, -0.07], [laid.height - bar, laid.height], color="#1b1b1b", linewidth=1.5)
    size = size_text(round(bar))
    ax.text(-0.12, laid.height - bar / 2, size, rotation=90, va="center", ha="right", fontsize=7)


def _spread(at: list[float], step: float) -> list[float]:
    """Move heights, given from the top down, apart by at least ``step``, and not below 0."""
    placed: list[float] = []
    for y in at:
        placed.append(min(y, placed[-1] - step) if placed else y)
    floor = 0.0
    for i in reversed(range(len(placed))):
        placed[i] = max(placed[i], floor)
        floor = placed[i] + step
    return placed


def _round_mb(pages: float) -> float:
    """Return a size [MB] of about a fifth of the picture: 1, 2 or 5 times a power of ten."""
    goal = pages / PAGES_PER_MB / 5
    power = 10.0 ** math.floor(math.log10(goal))
    return power * max(step for step in (1, 2, 5) if step * power <= goal)


def _legend(workload: Workload, columns: Sequence[_Column]) -> list[Patch]:
    """Explain what is drawn, and no more."""
    colors = {column.color for column in columns}
    owned = address_map.owned_by(workload)
    colors |= {_color(one.first_touch_node) for one in owned}
    found = [
        Patch(facecolor=color, label=f"node {node}")
        for node, color in enumerate(_NODE_COLORS[: workload.machine.nodes])
        if color in colors
    ]
    found += [Patch(facecolor=_FREE, label="node not fixed")] * (_FREE in colors)
    pinned = any(one.pinned_fraction for one in owned)
    found += [Patch(facecolor="white", edgecolor="black", hatch="////", label="pinned")] * pinned
    for pattern, label in (("rand", "touched at random"), ("hot", "hot and cold")):
        if any(a.pattern == pattern for c in columns for a in c.touched):
            look: dict[str, Any] = {
                "facecolor": "#555555",
                "edgecolor": "white",
                "hatch": _HATCHES[pattern],
            }
            found.append(Patch(label=label, **look))
    if any(not a.write for c in columns for a in c.touched):
        found.append(Patch(facecolor="#555555", alpha=0.35, label="only read"))
    return found
