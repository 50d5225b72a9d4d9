"""Tables of pandas or xarray as ASCII text: wrapped, and cut with a note, but never refused."""

from __future__ import annotations

import html
import math
import textwrap
import unicodedata
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from numalab.report.mail import WIDTH

LONGEST = 80
"""Rows of a table in a mail; the page has them all."""
_INDENT = 2
_GAP = 2
_PLAIN = str.maketrans(
    {"µ": "u", "μ": "u", "±": "+-", "×": "x", "–": "-", "—": "-", "−": "-", "…": "...",
     "≤": "<=", "≥": ">=", "≈": "~", "→": "->", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
     "“": '"', "”": '"', "\t": " "}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What a notebook cell shows: HTML on the page, text elsewhere."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def ascii_text(text: str) -> str:
    """Replace what a kernel mailing list would not take, nearest character first.

    Examples
    --------
    >>> ascii_text("3 µs ± 1 – naïve")
    '3 us +- 1 - naive'
    """
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return "".join(c if c == "\n" or (c.isascii() and c.isprintable()) else "?" for c in letters)


def cell(value: Any) -> str:
    """Print one value of a table: three digits, large ones with a unit letter.

    Examples
    --------
    >>> [cell(v) for v in (True, 12, 3.14159, 98765.4, 2.36e6, float("nan"), "x")]
    ['yes', '12', '3.14', '98765', '2.36M', '-', 'x']
    """
    if hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return " ".join(ascii_text(str(value)).split())
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if limit <= abs(value) < math.inf:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def to_frame(data: pd.DataFrame | pd.Series | xr.DataArray) -> pd.DataFrame:
    """Return a table as a DataFrame; the last dimension of a DataArray gives the columns."""
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame()
    name = str(data.name or "value")
    data = data.reset_coords(drop=True)
    if data.ndim < 2:
        return data.to_series().to_frame(name) if data.ndim else pd.DataFrame({name: [data.item()]})
    return data.to_series().unstack(str(data.dims[-1]), sort=False)


def _cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return a table of text, and how many of its columns are labels of rows."""
    names = [name for name in frame.index.names if name is not None]
    labelled = bool(names) or not isinstance(frame.index, pd.RangeIndex)
    labels = frame.index.to_frame(index=False) if labelled else pd.DataFrame(index=frame.index)
    values = pd.concat([labels.reset_index(drop=True), frame.reset_index(drop=True)], axis=1)
    heads = [*(str(n) if n is not None else "" for n in frame.index.names)] if labelled else []
    heads += [" ".join(map(cell, c)) if isinstance(c, tuple) else cell(c) for c in frame.columns]
    text = pd.DataFrame([[cell(v) for v in row] for row in values.itertuples(index=False)])
    text = text.reindex(columns=range(len(heads)))
    text.columns = pd.Index([ascii_text(h) for h in heads])
    if labelled:
        return text, labels.shape[1]
    texts = [all(isinstance(v, str) for v in values.iloc[:, i]) for i in range(len(heads))]
    return text, next((i for i, is_text in enumerate(texts) if not is_text), len(texts) - 1)


def _lines(columns: list[list[str]], left: int) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    return [
        (" " * _GAP).join(
            word.ljust(width) if i < left else word.rjust(width)
            for i, (word, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in zip(*columns, strict=True)
    ]  # fmt: skip


def plain(frame: pd.DataFrame, width: int = WIDTH - _INDENT) -> str:
    """Lay a table out as text of at most ``width`` columns.

    Labels of rows are at the left. Columns that do not fit beside each other go below, with the
    labels again; a cell too long for a line is cut; rows beyond :data:`LONGEST` are left out. A
    note says so each time.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of numbers, texts or booleans; a named index gives the labels.
    width : int
    """
    text, left = _cells(frame)
    notes = []
    if len(text) > LONGEST:
        notes.append(f"({LONGEST} of {len(text)} rows; the notebook shows them all)")
        text = text.iloc[:LONGEST]
    columns = [[str(head), *text.iloc[:, i]] for i, head in enumerate(text.columns)]
    if not columns:
        return "(an empty table)"
    room = max(8, (width - _GAP * left) // (left + 1))
    if any(len(word) > room for column in columns[:left] for word in column):
        columns[:left] = [[_cut(word, room) for word in column] for column in columns[:left]]
        notes.append("(long labels are cut)")
    used = sum(max(map(len, column)) + _GAP for column in columns[:left])
    if any(len(word) > width - used for column in columns[left:] for word in column):
        columns[left:] = [[_cut(word, width - used) for word in c] for c in columns[left:]]
        notes.append("(long cells are cut; the notebook shows them)")
    blocks: list[list[list[str]]] = [[]]
    free = width - used
    for column in columns[left:]:
        needs = max(map(len, column))
        if blocks[-1] and needs > free:
            blocks.append([])
            free = width - used
        blocks[-1].append(column)
        free -= needs + _GAP
    if len(blocks) > 1:
        notes.append(f"(the columns go on below: {len(columns) - left} in {len(blocks)} blocks)")
    laid = ["\n".join(_lines([*columns[:left], *block], left)) for block in blocks]
    return "\n".join([*laid, *notes])


def _cut(word: str, room: int) -> str:
    return word if len(word) <= room else word[: room - 2] + ".."


def shown(data: pd.DataFrame | pd.Series | xr.DataArray | str, caption: str = "") -> Shown:
    """Return a table, or a text that is laid out already, as a cell shows it."""
    head = f"<p><strong>{html.escape(caption)}</strong></p>" if caption else ""
    if isinstance(data, str):
        # a line that fits keeps its blanks
        lines = ascii_text(data).splitlines()
        text = "\n".join(textwrap.fill(o, WIDTH) if len(o) > WIDTH else o for o in lines)
        body = f"<pre>{html.escape(text)}</pre>"
    else:
        frame = to_frame(data)
        text = plain(frame)
        cells, _ = _cells(frame)
        body = f'<div class="table">{cells.to_html(index=False, border=0)}</div>'
    return Shown(f"{ascii_text(caption)}\n{text}" if caption else text, head + body)
