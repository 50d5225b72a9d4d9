"""Where the mappings of a workload lie on a picture's address axis, and what is written there.

An address space is nearly empty: of 128 TB some megabytes are mapped. So mappings are to scale and
the space between them is not, and the program with its stacks is one strip below. Where mappings
are many, some share a label.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from numalab.model.default_start import default_setup
from numalab.model.layout import ProcessSetup
from numalab.units import PAGES_PER_MB
from numalab.workload import Churn, Vma, Workload

_GAP = 0.012
"""Height of the space between two bands, as a share of all mappings; all of it at most a third."""
_PROGRAM = 0.05
"""Height of the strip of a program, likewise."""
MOST = 24
"""Labels of a picture; of more mappings, the smallest neighbours are named together."""
_UNITS = ((1, "MB"), (1 << 10, "GB"), (1 << 20, "TB"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A VMA with all its copies, the mapping of a churn, or a program with its stacks."""

    process: str
    name: str
    """Of the VMA or churn; empty for the program."""
    of: Vma | Churn | None
    """None for the program."""
    pages: int
    """Of one mapping; of a program, of all."""
    count: int
    """Mappings; all in one piece if it is the program."""
    low: float
    high: float
    """Ends on the axis [pages]."""
    gap_pages: int
    """Address space that is free or guarded above it [pages]; 0 where it is not known."""

    def place(self, first: np.ndarray, pages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where ranges of pages lie on the axis; of the program, anywhere is all of it.

        Copies of a VMA are mapped from the top down: the first pages lie in the upper one.

        Parameters
        ----------
        first : int64[n]
            From the start of the first copy, as in ``chunk_start``. A range ends in its copy.
        pages : int64[n]

        Returns
        -------
        tuple
            Lower and upper ends, float64[n] [pages].
        """
        if self.of is None:
            return np.full(len(first), self.low), np.full(len(first), self.high)
        copy, offset = np.divmod(np.asarray(first), self.pages)
        low = self.high - (copy + 1.0) * self.pages + offset
        return low, low + pages

    def parts(self, lo: float, hi: float) -> Iterator[tuple[float, float]]:
        """Yield where a range lies that goes over copies, as lower and upper ends on the axis.

        Parameters
        ----------
        lo, hi : float
            Fractions of all copies, as of :class:`numalab.task.Access`.
        """
        begin, end = lo * self.count, hi * self.count
        cuts = {begin, end, *(c for c in (math.ceil(begin), math.floor(end)) if begin < c < end)}
        for one, other in pairwise(sorted(cuts)):
            copy = math.floor(one)
            top = copy if other > copy + 1 else copy + 1 - (other - copy)
            high = self.high - top * self.pages
            yield high - (other - one) * self.pages, high


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressMap:
    """The address spaces of all processes of a workload on one axis."""

    workload: Workload
    bands: tuple[Band, ...]
    """From the top down, process by process; each process ends with its program."""

    @property
    def height(self) -> float:
        """Upper end of the axis, which begins at 0 [pages]."""
        return self.bands[0].high

    def of(self, name: str) -> list[Band]:
        """Return the band of a VMA or churn; of an ``image:`` name, the programs' bands."""
        wanted = "" if name.startswith("image:") else name
        return [band for band in self.bands if band.name == wanted]


def owned_by(workload: Workload) -> list[Vma | Churn]:
    """Return all mappings of a workload: those that stay, then those that come and go."""
    return [*workload.vmas, *workload.churns]


def lay_out(workload: Workload) -> AddressMap:
    """Lay the mappings of a workload out on one axis.

    They lie as the recorder's program makes them (:mod:`numalab.model.default_start`); those that
    come and go below those that stay.

    Raises
    ------
    InputError
        If the mappings of a process do not fit into its address space.
    """
    owned = owned_by(workload)
    sizes = {one.name: one.pages * getattr(one, "count", 1) for one in owned}
    total = sum(sizes.values()) or PAGES_PER_MB
    gap = total * min(_GAP, 1 / (3 * (len(owned) + 1)))
    found: list[Band] = []
    for setup in default_setup(workload).processes:
        at = found[-1].low - 4 * gap if found else 0.0
        starts, ends = _ends(setup)
        above = 0
        for one in (one for one in owned if one.process == setup.name):
            high = ends.get(one.name, 0)
            found.append(
                Band(
                    process=setup.name, name=one.name, of=one, pages=one.pages,
                    count=getattr(one, "count", 1), low=at - sizes[one.name], high=at,
                    gap_pages=above - high if above and high else 0,
                )
            )  # fmt: skip
            at, above = found[-1].low - gap, starts.get(one.name, 0)
        found.append(_program(setup, at - 2 * gap, total * _PROGRAM))
    lowest = found[-1].low
    lifted = [replace(b, low=b.low - lowest, high=b.high - lowest) for b in found]
    return AddressMap(workload=workload, bands=tuple(lifted))


def _ends(setup: ProcessSetup) -> tuple[dict[str, int], dict[str, int]]:
    """Return the lowest page of each named VMA, and the one behind its highest page."""
    own = [m for m in setup.mappings if not m.owner.startswith("image:")]
    starts = {m.owner: m.start for m in reversed(own)}
    return starts, {m.owner: m.start + m.pages for m in own}


def _program(setup: ProcessSetup, high: float, height: float) -> Band:
    image = [m for m in setup.mappings if m.owner.startswith("image:")]
    widest = max(b.start - a.start - a.pages for a, b in pairwise(setup.mappings))
    return Band(
        process=setup.name, name="", of=None, pages=sum(m.pages for m in image),
        count=len(image), low=high - height, high=high, gap_pages=widest,
    )  # fmt: skip


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
