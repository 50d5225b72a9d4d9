"""The text that a recorded run brings home: its sections and its trace events.

The guest's program (``record/init``) writes ``@section BYTES NAME`` lines, each
followed by that many bytes; ``@done`` ends the text, so a cut is always seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from numalab.fields import InputError
from numalab.units import PAGE_BYTES

_HEAD = re.compile(r"@section (\d+) ([^\n]+)\n")
_EVENT = re.compile(r"^\s*.*-(\d+)\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6}): (\w+): (.*)$")
_RANGE = re.compile(r"0x([0-9a-f]+) -- 0x([0-9a-f]+)")
_FIELD = re.compile(r"(\w+)=(?:0x)?([0-9A-Fa-f]+)")
_LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)
NOTIFIED = "kvm_unmap_hva_range"
"""KVM's tracepoint for an MMU notifier range."""


@dataclass(frozen=True, slots=True)
class Event:
    """A trace event: who, when (ms from the start instant), what, and its fields."""

    tid: int
    ms: float
    name: str
    fields: dict[str, int]
    reason: str


class RunLog(dict[str, str]):
    """The sections of one run, by name; its trace is parsed once."""

    @property
    def start_ns(self) -> int:
        """The start instant, on the clock of the guest [ns]."""
        return int(re.search(r"^start (\d+)$", self["setup"], re.MULTILINE)[1])  # type: ignore[index]

    @cached_property
    def events(self) -> list[Event]:
        """The trace in order, with the notifications of migrations.

        A notification has the fields ``start``, ``end`` [bytes] and ``calls``; those of the
        section "migrations" have the reason ``migrate``.
        """
        found = list(_trace(self["trace"], self.start_ns))
        if self.get("migrations"):
            found += _migrations(self["migrations"], self.start_ns)
            found.sort(key=lambda event: event.ms)
        return found

    @property
    def lost_events(self) -> int:
        """Number of trace events that the ring buffer or a return probe lost."""
        buffers = [text for name, text in self.items() if name.startswith("trace_stats")]
        probes = self.get("kprobe_profile", "").splitlines()
        return sum(int(n) for text in buffers for n in _LOST.findall(text)) + sum(
            int(line.split()[-1]) for line in probes
        )


def read(text: str) -> list[RunLog]:
    """Split the text of one boot into its runs; each holds the sections of the boot too.

    Raises
    ------
    InputError
        If the text is cut or is none of ours.
    """
    if not text.startswith("numalab-guest 1\n"):
        raise InputError("not a run log of numalab (first line)")
    position = text.index("\n") + 1
    boot = RunLog()
    found: list[RunLog] = []
    while not text.startswith("@done\n", position):
        head = _HEAD.match(text, position)
        end = head.end() + int(head[1]) if head else -1
        if head is None or end >= len(text):
            raise InputError(f"the run log is cut or damaged at byte {position}")
        if head[2] == "run":
            found.append(RunLog(boot))
        target = found[-1] if found else boot
        earlier = target.get(head[2], "") + "\n" if head[2] == "missing" else ""
        target[head[2]] = earlier + text[head.end() : end]
        position = end
    return found or [boot]


def _trace(text: str, start_ns: int) -> Iterator[Event]:
    for line in text.splitlines():
        match = _EVENT.match(line)
        if match is None:
            continue
        ms = (int(match[2]) * 1_000_000_000 + int(match[3]) * 1000 - start_ns) / 1e6
        body, _, reason = match[5].partition(" reason=")
        if match[4] == NOTIFIED and (ends := _RANGE.search(body)):
            values = {"start": int(ends[1], 16), "end": int(ends[2], 16), "calls": 1}
        else:
            values = {key: int(value, 16) for key, value in _FIELD.findall(body)}
        yield Event(int(match[1]), ms, match[4], values, reason)


def _migrations(text: str, start_ns: int) -> Iterator[Event]:
    """Notifications of migrations: "US TID PAGE PAGES CALLS", US and PAGE as differences."""
    us = page = 0
    for line in text.splitlines():
        later, tid, further, pages, calls = (int(word) for word in line.split())
        us, page = us + later, page + further
        values = {"start": page * PAGE_BYTES, "end": (page + pages) * PAGE_BYTES, "calls": calls}
        yield Event(tid, (us * 1000 - start_ns) / 1e6, NOTIFIED, values, "migrate")
