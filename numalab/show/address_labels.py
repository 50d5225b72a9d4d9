"""What is written beside the mappings of a workload: one by one, or together where many are."""

from __future__ import annotations

import math
from dataclasses import fields
from itertools import pairwise

from numalab.show.address_map import AddressMap, Band
from numalab.units import PAGES_PER_MB
from numalab.workload import Churn

MOST = 24
"""Labels of a picture; of more mappings, the smallest neighbours are named together."""
_UNITS = ((1, "MB"), (1 << 10, "GB"), (1 << 20, "TB"))


def size_text(pages: int) -> str:
    """Return a number of 4 KiB pages as a size.

    Examples
    --------
    >>> size_text(1), size_text(16 * 256), size_text(1 << 20), size_text(1 << 35)
    ('4 kB', '16 MB', '4 GB', '128 TB')
    """
    mb = pages / PAGES_PER_MB
    if mb < 1:
        return f"{pages * 4} kB"
    scale, unit = max((one for one in _UNITS if mb >= one[0]), default=_UNITS[0])
    size = mb / scale
    return f"{size:.0f} {unit}" if size >= 100 else f"{size:.3g} {unit}"


def grouped(laid: AddressMap) -> list[list[Band]]:
    """Return the bands of a picture from the top down, those together that share a label.

    Equal ones beside each other do, and of more than :data:`MOST` the smallest neighbours.
    """
    groups: list[list[Band]] = []
    for band in laid.bands:
        before = groups[-1][-1] if groups else None
        alike = before and before.process == band.process and _alike(before, band)
        groups[-1].append(band) if alike else groups.append([band])
    while len(groups) > MOST:
        sums = [_joined(one, other) for one, other in pairwise(groups)]
        if min(sums) == math.inf:
            break
        at = sums.index(min(sums))
        groups[at : at + 2] = [groups[at] + groups[at + 1]]
    return groups


def middle(group: list[Band]) -> float:
    """Return the height at which bands with one label are in the middle [pages]."""
    return (group[0].high + group[-1].low) / 2


def _joined(one: list[Band], other: list[Band]) -> float:
    """Return the pages of two groups together; infinite if they cannot share a label."""
    if one[0].process != other[0].process or one[0].of is None or other[0].of is None:
        return math.inf
    return sum(band.pages * band.count for band in (*one, *other))


def _alike(one: Band, other: Band) -> bool:
    if one.of is None or type(one.of) is not type(other.of):
        return False
    names = [f.name for f in fields(one.of) if f.name not in ("name", "cpu")]
    return all(getattr(one.of, n) == getattr(other.of, n) for n in names)


def name(group: list[Band]) -> str:
    """Name the mappings that share a label, in a word or two."""
    first, last = group[0].name or "program", group[-1].name
    count = sum(band.count for band in group)
    if group[0].of is None or count == 1:
        return first
    return f"{first} ({count})" if len(group) == 1 else f"{first}...{last} ({count})"


def words(group: list[Band]) -> str:
    """Say of the mappings that share a label what they are."""
    first, of = group[0], group[0].of
    if of is None:
        size, free = size_text(first.pages), size_text(first.gap_pages)
        return f"program, stacks, guards: {size}, {first.count} mappings; {free} free"
    count = sum(band.count for band in group)
    title = first.name if len(group) == 1 else f"{first.name} ... {group[-1].name}"
    if len(group) > 1 and not all(_alike(first, band) for band in group):
        least, most = (size_text(f(b.pages for b in group)) for f in (min, max))
        return f"{title}: {count} mappings of {least} to {most}"
    many = f"{count} x " if count > 1 else ""
    if isinstance(of, Churn):
        ends = f"comes and goes, {of.lifetime_ms:g} ms"
        return f"{title}: {many}{size_text(of.pages)} {ends}{_pin(of.pinned_fraction)}"
    more = [of.kind + " thp" * of.thp]
    more += [f"{100 * of.populated:g} % present"] * (of.populated < 1)
    more += [of.policy] * (of.policy != "default")
    more += [f"of {of.subscriber}"] * (of.subscriber != "none")
    placed = "" if of.pin_placement == "head" else f", {of.pin_placement}"
    pin = _pin(of.pinned_fraction) + placed * bool(of.pinned_fraction)
    return f"{title}: {many}{size_text(of.pages)} {', '.join(more)}{pin}"


def _pin(fraction: float) -> str:
    return f", {100 * fraction:g} % pinned" if fraction else ""
