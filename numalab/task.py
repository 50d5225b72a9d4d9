"""A thread of a workload: what it touches, where it runs, and when it moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from numalab.fields import InputError, check_names, field, late_field, validate

PATTERNS = ("walk", "rand", "hot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a task touches: a range of a VMA, in a pattern, at a rate."""

    vma: str = field(doc="the VMA touched")
    lo: float = field(0.0, at_least=0, at_most=1, doc="start of the range, fraction of the VMA")
    hi: float = field(1.0, at_least=0, at_most=1, doc="end of the range, fraction of the VMA")
    pattern: str = field("walk", choices=PATTERNS, doc="in order, at random, or hot and cold")
    pages_per_s: float = field(
        0.0, unit="1/s", at_least=0, at_most=1e10, doc="page touches a second; 0: flat out"
    )
    write: bool = field(True, doc="write (true) or only read")
    hot_fraction: float = field(0.1, at_least=1e-6, at_most=1, doc="hot part of the range (hot)")
    hot_share: float = field(0.9, at_least=0, at_most=1, doc="touches that go to it (hot)")
    start_ms: float = field(0.0, unit="ms", at_least=0, at_most=1e9, doc="begins")
    stop_ms: float = field(1e9, unit="ms", at_least=0, at_most=1e9, doc="ends")

    def __post_init__(self) -> None:
        validate(self)
        if self.lo >= self.hi:
            raise InputError(f"access: lo = {self.lo:g}: must be below hi = {self.hi:g}")
        if self.start_ms >= self.stop_ms:
            raise InputError(
                f"access: start_ms = {self.start_ms:g} ms: must be before stop_ms = "
                f"{self.stop_ms:g} ms"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of CPU, as ``taskset -p`` makes it."""

    at_ms: float = field(unit="ms", at_least=0, at_most=1e9, doc="when")
    cpu: int = field(at_least=0, at_most=65535, doc="CPU that it is bound to from then on")

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A thread. Without accesses it spins; it keeps to ``cpu``, or is free to move (-1)."""

    name: str = field(doc="name, unique in the workload")
    process: str = field("main", doc="the process it belongs to")
    cpu: int = field(-1, at_least=-1, at_most=65535, doc="CPU it is bound to; -1: free to move")
    busy: bool = late_field(
        False, doc="never sleeps: computes until the next touch is due (false: it sleeps)"
    )
    waits: bool = late_field(False, doc="sleeps all the time, as most main threads do")
    access: tuple[Access, ...] = field((), doc="what it touches")
    move: tuple[Move, ...] = late_field((), doc="changes of its CPU")

    def __post_init__(self) -> None:
        validate(self)
        check_names(self, "name", "process")
        where = f'task "{self.name}"'
        if self.waits and (self.busy or self.access or self.move):
            key = "busy" if self.busy else "access" if self.access else "move"
            raise InputError(f"{where}: waits = true: it sleeps all the time; remove {key}")
        if self.move and self.cpu < 0:
            raise InputError(f"{where}: move needs a cpu that it is bound to before")
        for one, following in itertools.pairwise(self.move):
            if following.at_ms <= one.at_ms:
                raise InputError(
                    f"{where}: move at_ms = {following.at_ms:g} ms: must be after the one before "
                    f"it, {one.at_ms:g} ms"
                )
