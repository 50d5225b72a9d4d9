"""Plain-text tables: ASCII, at most 75 columns, numbers right-aligned."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from numalab.costs import Costs, words
from numalab.fields import InputError
from numalab.policy import POLICIES, Policy, changes
from numalab.remedies import REMEDIES
from numalab.stats import Crossing, format_number

WIDTH = 75


def plain(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lay out rows in columns; the first ``left`` columns are left-aligned.

    Raises
    ------
    InputError
        If a line would be wider than 75 columns.
    """
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        words = [
            word.ljust(width) if i < left else word.rjust(width)
            for i, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(words).rstrip())
    for line in lines:
        if len(line) > WIDTH:
            raise InputError(f"table line of {len(line)} columns: must be at most {WIDTH}")
    return "\n".join(lines)


def span(values: Sequence[float]) -> str:
    """Print a range of times, briefly.

    Examples
    --------
    >>> span([0.414, 123.4, 83000])
    '0.41..123..83k'
    """
    return "..".join(_brief(v / 1000) + "k" if v >= 1000 else _brief(v) for v in values)


def _brief(value: float) -> str:
    if value < 0.005:
        return "0"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def agreement(table: xr.Dataset) -> str:
    """Table of one comparison: recorded min, median, max; model median, low, high; in or out."""
    rows = []
    for counter in table["counter"].values:
        one = table.sel(counter=counter)
        runs = one["recorded"].values
        rows.append(
            [
                str(counter),
                format_number(float(runs.min())),
                format_number(float(one["recorded_median"])),
                format_number(float(runs.max())),
                format_number(float(one["model_median"])),
                format_number(float(one["low"])),
                format_number(float(one["high"])),
                "in" if bool(one["inside"]) else "OUT",
            ]
        )
    header = ["counter", "min", "med", "max", "med", "low", "high", ""]
    return plain(header, rows)


def crossing_words(found: Crossing) -> str:
    """Say from which share on a cost is lower.

    Examples
    --------
    >>> crossing_words(Crossing(0.31, 0.28, np.inf))
    '0.31 [0.28, never]'
    >>> crossing_words(Crossing(0.67, 0.66, np.inf, rising=True))
    'only up to 0.67 [0.66, 1]'
    >>> crossing_words(Crossing(-np.inf, -np.inf, -np.inf)), crossing_words(Crossing(*[np.nan] * 3))
    ('nowhere dearer', 'crosses more than once')
    """
    *value, rising = found
    if np.isnan(found.at):
        return "crosses more than once"
    everywhere = np.inf if rising else -np.inf
    if all(v == everywhere for v in value):
        return "nowhere dearer"
    if all(v == -everywhere for v in value):
        return "never"
    end = "1" if rising else "never"
    middle, low, high = (end if v == np.inf else "0" if v == -np.inf else f"{v:.2f}" for v in value)
    return f"{'only up to ' * rising}{middle} [{low}, {high}]"


def costs(table: Costs) -> str:
    """Return name and range [us] of each cost, and its source on the lines below."""
    lines = []
    indent = " " * 4
    for name, values, source in words(table):
        lines.append(f"{name}  {values}")
        lines += textwrap.wrap(source, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def policies() -> Iterator[str]:
    """Say in lines what each policy and each remedy is, and what a policy changed."""
    docs = {f.name: f.metadata["doc"] for f in dataclasses.fields(Policy)}
    for policy in POLICIES.values():
        yield f"{policy.name}  ({policy.source})\n  {policy.about}"
        if policy.before:
            yield f"  against {policy.before}:"
        for rule, value in changes(policy).items():
            yield f"    {rule} = {value}: {docs[rule]}"
    yield "\nremedies, on top of any policy (POLICY+REMEDY):"
    for remedy in REMEDIES.values():
        yield f"{remedy.name}  ({remedy.source})\n  {remedy.about}"
        yield f"    needs: {remedy.needs}\n    built: {remedy.built}"
