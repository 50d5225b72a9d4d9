"""The text that a recorded run brings home: its sections and its trace events.

The guest's program (``record/init``) writes ``@section BYTES NAME`` lines, each
followed by that many bytes; ``@done`` ends the text, so a cut is always seen.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from numalab.fields import InputError, shown
from numalab.units import PAGE_BYTES, PMD_PAGES

MAX_SECTIONS = 20_000
"""Of a log: a run has six for each process and one for each thread."""
MAX_EVENTS = 1 << 19
"""Of a trace: the largest known has 42 260."""
_MAX_PAGE = 1 << 52
_MAX_MISSING = 10_000
"""Characters of the names of events that a kernel does not have."""
_HEAD = re.compile(r"@section (\d{1,9}) ([^\n]{1,200})\n")
_EVENT = re.compile(
    r"^.*-(\d{1,10})[ \t]+\[\d+\][ \t]+\S+[ \t]+(\d{1,9})\.(\d{6}): (\w+): (.*)$", re.MULTILINE
)
_RANGE = re.compile(r"0x([0-9a-f]{1,16}) -- 0x([0-9a-f]{1,16})\b")
_FIELD = re.compile(r"\b(\w+)=(?:0x)?([0-9A-Fa-f]{1,16})\b")
_LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)
_LAST = "@done\n"
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
        migrations = self.get("migrations", "")
        both = itertools.chain(
            _trace(self["trace"], self.start_ns), _migrations(migrations, self.start_ns)
        )
        found = list(itertools.islice(both, MAX_EVENTS + 1))
        if len(found) > MAX_EVENTS:
            raise InputError(f"the trace holds more than {MAX_EVENTS} events: record a shorter run")
        if migrations:
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
    sections = 0
    while not text.startswith(_LAST, position):
        head = _HEAD.match(text, position)
        end = head.end() + int(head[1]) if head else -1
        if head is None or end >= len(text):
            raise InputError(f"the run log is cut or damaged at byte {position}")
        name, body = head[2], text[head.end() : end]
        if name == "run":
            found.append(RunLog(boot))
        target = found[-1] if found else boot
        if name == "missing":
            body = f"{target[name]}\n{body}" if name in target else body
            if len(body) > _MAX_MISSING:
                raise InputError(f'section "{name}" has more than {_MAX_MISSING} characters')
        elif name in target and name != "run":
            raise InputError(f"section {shown(name)} is there twice")
        target[name] = body
        position = end
        sections += 1 + len(boot) * (name == "run")
        if sections > MAX_SECTIONS:
            raise InputError(f"the run log holds more than {MAX_SECTIONS} sections")
    if position + len(_LAST) != len(text):
        raise InputError("the run log goes on after its end")
    return found or [boot]


def _trace(text: str, start_ns: int) -> Iterator[Event]:
    for match in _EVENT.finditer(text):
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
    for line in re.findall(".+", text):
        later, tid, further, pages, calls = (int(word) for word in line.split())
        us, page = us + later, page + further
        if not (0 <= page < _MAX_PAGE and 0 < pages <= PMD_PAGES and calls > 0):
            raise InputError(f"migrations: {shown(line)}: no range of pages")
        values = {"start": page * PAGE_BYTES, "end": (page + pages) * PAGE_BYTES, "calls": calls}
        yield Event(tid, (us * 1000 - start_ns) / 1e6, NOTIFIED, values, "migrate")
