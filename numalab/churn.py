"""A thread of a workload that maps and unmaps."""

from __future__ import annotations

from dataclasses import dataclass

from numalab.fields import InputError, check_names, field, late_field, validate
from numalab.units import HPAGE_PMD_NR, PAGES_PER_MB, align_up
from numalab.vma import MAX_MB, check_pages

LIFETIMES = ("fixed", "exponential", "uniform", "lognormal", "pareto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """A thread that maps a VMA, touches it for a lifetime, unmaps it, and starts again."""

    name: str = field(doc="name, unique in the workload; also names its VMAs")
    size_mb: float = field(
        unit="MB", at_least=1 / PAGES_PER_MB, at_most=MAX_MB, doc="size of each mapping"
    )
    lifetime_ms: float = field(
        unit="ms", at_least=1, at_most=1e9, doc="how long a mapping lives (mean or fixed)"
    )
    lifetime: str = field("fixed", choices=LIFETIMES, doc="distribution of the lifetime")
    lifetime_shape: float = field(
        0.5, at_least=0.01, at_most=100, doc="uniform: half width / mean; lognormal: sigma; pareto"
    )
    gap_ms: float = field(0.0, unit="ms", at_least=0, at_most=1e9, doc="pause between mappings")
    process: str = field("main", doc="the process it belongs to")
    cpu: int = field(-1, at_least=-1, at_most=65535, doc="CPU it is bound to; -1: free to move")
    thp: bool = field(False, doc="2 MiB folios; without it MADV_NOHUGEPAGE")
    pattern: str = field("walk", choices=("walk", "rand"), doc="how it touches the mapping")
    pages_per_s: float = field(
        0.0, unit="1/s", at_least=0, at_most=1e10, doc="page touches a second; 0: flat out"
    )
    write: bool = field(True, doc="write (true) or only read")
    first_touch_node: int = late_field(
        -1,
        at_least=-1,
        at_most=63,
        doc="node that it is filled on at once; -1: as its thread comes to touch it",
    )
    pinned_fraction: float = late_field(
        0.0,
        at_least=0,
        at_most=1,
        doc="fraction of the pages, from the head, filled at once and pinned until the unmap",
    )

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name", "process")
        where = f'churn "{self.name}"'
        check_pages(where, self.size_mb)
        if self.thp and self.size_mb % 2:
            raise InputError(f"{where}: thp needs a multiple of 2 MB")
        if self.lifetime == "uniform" and self.lifetime_shape > 1:
            raise InputError(f"{where}: lifetime_shape = {self.lifetime_shape:g}: at most 1")
        if self.lifetime == "pareto" and self.lifetime_shape <= 1:
            raise InputError(
                f"{where}: lifetime_shape = {self.lifetime_shape:g}: pareto needs more than 1"
            )

    @property
    def pages(self) -> int:
        """4 KiB pages of one mapping."""
        return round(self.size_mb * PAGES_PER_MB)

    @property
    def pinned_pages(self) -> int:
        """Those of them that are pinned: the first ones, in whole folios."""
        unit = HPAGE_PMD_NR if self.thp else 1
        return int(align_up(round(self.pages * self.pinned_fraction), unit))
