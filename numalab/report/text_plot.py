"""Figures as text, of at most 75 columns: lines as letters, cells of a surface as digits."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH = 73
"""Columns: a mail sets it off by two."""
_ROWS = 11
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_PANELS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Positions of values between the two ends of an axis."""

    least: float
    most: float
    log: bool

    @classmethod
    def over(cls, values: np.ndarray, scale: str) -> Scale:
        """Return the scale of values: from 0, or of a logarithm from the least above 0."""
        known = values[np.isfinite(values)]
        if scale in ("log", "symlog") and (known > 0).any():
            return cls(least=known[known > 0].min(), most=known.max(), log=True)
        return cls(
            least=min(0.0, known.min(initial=0.0)), most=known.max(initial=0.0) or 1.0, log=False
        )

    def cells(self, values: np.ndarray, count: int) -> np.ndarray:
        """Return the cell of each value, int64[n] of 0 to ``count - 1``; -1: it has none."""
        ends = np.array([self.least, self.most])
        with np.errstate(divide="ignore", invalid="ignore"):
            at, (low, high) = (np.log10(v) if self.log else v for v in (values, ends))
            part = (at - low) / (high - low) if high > low else np.where(np.isfinite(at), 0.0, at)
        good = np.isfinite(part)
        if self.log:  # what is 0 or less stands at the lower end
            part, good = np.where(values <= 0, 0.0, part), np.isfinite(values)
        cells = np.where(good, np.rint(np.clip(np.where(good, part, 0), 0, 1) * (count - 1)), -1)
        return np.asarray(cells, np.int64)


def short(value: float) -> str:
    """Return a number in few characters.

    Examples
    --------
    >>> [short(v) for v in (0, 0.5, 85.25, 7345, 2.1e6)]
    ['0', '0.5', '85.2', '7.34k', '2.1M']
    """
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def legend(names: Sequence[str], note: str) -> str:
    """Return which letter is which line, of those that have a name."""
    lines = [f"{_LETTERS[i % len(_LETTERS)]} {name}" for i, name in enumerate(names) if name]
    text = "; ".join([*lines, *(["*: several"] if len(names) > 1 else []), note])
    return textwrap.fill(text, WIDTH)


def plot(x: np.ndarray, labels: Sequence[str], lines: np.ndarray, scale: Scale) -> str:
    """Draw lines over positions.

    Parameters
    ----------
    x : ndarray, float64[n]
        Positions from 0 to 1.
    labels : sequence of str
        Text for each position.
    lines : ndarray, float64[lines, n]
        Values; what is missing is left out.
    scale : Scale
        Of the values.

    Examples
    --------
    >>> scale = Scale(least=0.0, most=4.0, log=False)
    >>> print(plot(np.array([0.0, 1.0]), ["1", "2"], np.array([[0.0, 4.0]]), scale).splitlines()[0])
        4 |                                                                a
    """
    width = WIDTH - 8
    grid = np.full((_ROWS, width), " ")
    columns = np.rint(x * (width - 1)).astype(int)
    for i, line in enumerate(lines):
        rows = scale.cells(line, _ROWS)
        for row, column in zip(rows[rows >= 0], columns[rows >= 0], strict=True):
            _put(grid, _ROWS - 1 - row, column, i)
    middle = (np.sqrt(scale.least * scale.most) if scale.log
              else (scale.least + scale.most) / 2)  # fmt: skip
    ticks = {0: short(scale.most), _ROWS // 2: short(middle), _ROWS - 1: short(scale.least)}
    out = [f"{ticks.get(i, ''):>5} |{''.join(row)}".rstrip() for i, row in enumerate(grid)]
    return "\n".join([*out, " " * 6 + "+" + "-" * width, _below(columns, labels, width)])


def rows(labels: Sequence[str], lines: np.ndarray, scale: Scale) -> str:
    """Draw values along rows that have names, as :func:`plot` over positions.

    Parameters
    ----------
    labels : sequence of str
    lines : ndarray, float64[lines, n]
    scale : Scale
    """
    left = min(28, max(map(len, labels), default=0))
    width = WIDTH - left - 2
    grid = np.full((len(labels), width), " ")
    for i, line in enumerate(lines):
        for row, column in enumerate(scale.cells(line, width)):
            if column >= 0:
                _put(grid, row, column, i)
    out = [f"{n[:left]:{left}} |{''.join(r)}".rstrip() for n, r in zip(labels, grid, strict=True)]
    ends = f"{short(scale.least)}{short(scale.most):>{width - len(short(scale.least))}}"
    return "\n".join([*out, " " * (left + 2) + ends])


def heat(x: Sequence[str], y: Sequence[str], cells: np.ndarray, most: float) -> str:
    """Draw cells as digits: 9 is ``most``, 0 nothing, a dot a value that is missing.

    Parameters
    ----------
    x, y : sequence of str
        Names of columns, and of rows from below.
    cells : ndarray, float64[y, x]
    most : float

    Examples
    --------
    >>> print(heat(["1", "20"], ["a", "b"], np.array([[0.0, 1.0], [5.0, 9.0]]), 9.0))
    b  5  9
    a  0  1
       1 20
    """
    left = max(map(len, y))
    wide = max(2, *map(len, x))
    shown = max(1, (WIDTH - left) // (wide + 1))
    part = np.floor(np.clip(cells / most if most > 0 else cells * 0, 0, 1) * 9.999)
    out = [
        f"{name:{left}}" + "".join(
            f" {'.' if np.isnan(v) else f'{v:.0f}':>{wide}}" for v in row[:shown]
        )
        for name, row in zip(y, part, strict=True)
    ]  # fmt: skip
    foot = " " * left + "".join(f" {name:>{wide}}" for name in x[:shown])
    return "\n".join([*reversed(out), foot])


def _put(grid: np.ndarray, row: int, column: int, line: int) -> None:
    letter = _LETTERS[line % len(_LETTERS)]
    grid[row, column] = letter if grid[row, column] in (" ", letter) else "*"


def _below(columns: np.ndarray, labels: Sequence[str], width: int) -> str:
    """Write labels below their positions, where they do not touch."""
    out, free = [" "] * width, 0
    for column, label in sorted(zip(columns.tolist(), labels, strict=True)):
        begin = min(max(0, column - len(label) // 2), width - len(label))
        if begin >= free:
            out[begin : begin + len(label)] = label
            free = begin + len(label) + 1
    return (" " * 7 + "".join(out)).rstrip()
