"""A mapping of a workload: what backs it, where its pages start, who else maps it."""

from __future__ import annotations

from dataclasses import dataclass

from numalab.fields import InputError, check_names, field, late_field, validate
from numalab.units import PAGES_PER_MB

KINDS = ("anon", "shmem", "file_ro", "file_rw", "hugetlb")
POLICIES = ("default", "bind", "bind_balancing", "interleave")
SUBSCRIBERS = ("none", "kvm", "sev", "gpu")
GUESTS = ("kvm", "sev")
"""Subscribers for which a task that touches the VMA is a vCPU."""
MAX_MB = 1 << 30


def check_pages(where: str, size_mb: float) -> None:
    """Refuse a size that is no whole number of pages."""
    if (size_mb * PAGES_PER_MB) % 1:
        raise InputError(f"{where}: size_mb = {size_mb} MB: must be a whole number of 4 KiB pages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vma:
    """A mapping, or ``count`` equal ones; a PROT_NONE guard page keeps neighbours apart."""

    name: str = field(doc="name, unique in the workload")
    size_mb: float = field(
        unit="MB", at_least=1 / PAGES_PER_MB, at_most=MAX_MB, doc="size of each mapping"
    )
    count: int = field(1, at_least=1, at_most=1_000_000, doc="equal mappings under this name")
    process: str = field("main", doc="the process that owns it")
    kind: str = field("anon", choices=KINDS, doc="what is mapped")
    thp: bool = field(False, doc="2 MiB folios; without it MADV_NOHUGEPAGE")
    first_touch_node: int = field(0, at_least=0, at_most=63, doc="node that its pages start on")
    populated: float = field(
        1.0, at_least=0, at_most=1, doc="fraction touched before the tasks start, from the head"
    )
    pinned_fraction: float = field(
        0.0, at_least=0, at_most=1, doc="fraction of the pages under a long-term pin"
    )
    pin_placement: str = field("head", choices=("head", "scattered"), doc="where pinned pages lie")
    policy: str = field("default", choices=POLICIES, doc="memory policy of the mapping")
    subscriber: str = late_field(
        "none",
        choices=SUBSCRIBERS,
        doc="secondary MMU that maps it: a guest's, a device's",
    )

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name", "process")
        where = f'vma "{self.name}"'
        check_pages(where, self.size_mb)
        if self.thp and (self.size_mb % 2 or self.kind not in ("anon", "shmem")):
            raise InputError(f"{where}: thp needs kind anon or shmem and a multiple of 2 MB")
        if self.kind == "hugetlb" and self.size_mb % 2:
            raise InputError(f"{where}: size_mb = {self.size_mb} MB: hugetlb needs multiples of 2")
        if self.pinned_fraction > self.populated:
            raise InputError(
                f"{where}: pinned_fraction = {self.pinned_fraction}: must be at most "
                f"populated = {self.populated}, a pinned page is present"
            )
        if self.subscriber in GUESTS and self.count != 1:
            raise InputError(
                f'{where}: count = {self.count}: subscriber = "{self.subscriber}" is the memory '
                "of one guest: count must be 1, name the memory of each guest"
            )
        if self.subscriber in GUESTS and self.kind not in ("anon", "shmem"):
            raise InputError(
                f'{where}: kind = "{self.kind}": subscriber = "{self.subscriber}" needs kind '
                "anon or shmem"
            )

    @property
    def pages(self) -> int:
        """4 KiB pages of one mapping."""
        return round(self.size_mb * PAGES_PER_MB)
