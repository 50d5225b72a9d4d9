"""The lists that a run is laid out as, before arrays are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as plain
from typing import Any

from numalab.workload import Vma


@dataclass(slots=True)
class Segment:
    """A range of folios between two borders of accesses, before it is a record."""

    lo: int
    hi: int
    unit: int
    owner: Vma | None
    present: tuple[int, ...] = ()
    start: int = 0
    vma: int = -1
    in_batch: bool = False


@dataclass(slots=True)
class Plan:
    """What is laid out, as lists, before the arrays are made."""

    segments: list[Segment] = plain(default_factory=list)
    vmas: list[dict[str, Any]] = plain(default_factory=list)
    accesses: list[dict[str, Any]] = plain(default_factory=list)
    churns: list[dict[str, int]] = plain(default_factory=list)
    of_owner: dict[str, list[int]] = plain(default_factory=dict)
    of_mapping: dict[tuple[str, int], list[int]] = plain(default_factory=dict)
    image: dict[tuple[str, str], list[int]] = plain(default_factory=dict)
