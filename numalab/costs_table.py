"""The costs as a table: each with its range and its source."""

from __future__ import annotations

import textwrap

from numalab.costs import Costs, words
from numalab.tables import WIDTH

_INDENT = "    "


def plain_table(costs: Costs) -> str:
    """Return name and range [us] of each cost, and its source on the lines below."""
    lines = []
    for name, values, source in words(costs):
        lines.append(f"{name}  {values}")
        lines += textwrap.wrap(source, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return "\n".join(lines)
