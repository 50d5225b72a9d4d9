"""Plots of a line's height, to stand in a table: SVG in the colour of the text around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WIDTH = 150
"""Of a plot [px]."""
_HEIGHT = 16


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
