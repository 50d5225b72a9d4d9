"""The text that a recorded run brings home: its sections, facts and trace events.

The guest's program (``record/init``) writes ``@section BYTES NAME`` lines, each
followed by that many bytes; ``@done`` ends the text, so a cut is always seen.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from numalab.fields import InputError
from numalab.units import PAGE_BYTES
from numalab.workload import Workload

_HEAD = re.compile(r"@section (\d+) ([^\n]+)\n")
_EVENT = re.compile(r"^\s*.*-(\d+)\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6}): (\w+): (.*)$")
_RANGE = re.compile(r"0x([0-9a-f]+) -- 0x([0-9a-f]+)")
NOTIFIED = "kvm_unmap_hva_range"
"""KVM's tracepoint for an MMU notifier range."""
_FIELD = re.compile(r"(\w+)=(?:0x)?([0-9A-Fa-f]+)")


@dataclass(frozen=True, slots=True)
class Region:
    """A line of /proc/PID/maps, with its label and its present pages on each node."""

    start: int
    end: int
    permissions: str
    path: str
    label: str
    first_page: int
    pages_on_node: tuple[int, ...]

    @property
    def pages(self) -> int:
        """4 KiB pages it spans."""
        return (self.end - self.start) // PAGE_BYTES


@dataclass(frozen=True, slots=True)
class ProcessSetup:
    """A process at the start instant; times in ms from it, so mostly negative."""

    name: str
    pid: int
    forked_ms: float
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class ThreadSetup:
    """A thread at the start instant: when it was created and the CPU time it has used."""

    name: str
    process: str
    tid: int
    created_ms: float
    sum_exec_runtime_ms: float


@dataclass(frozen=True, slots=True)
class Setup:
    """What the model needs to start where the kernel was when the tasks started.

    Pages were laid out with NUMA balancing off; it was switched on ``balancing_ms``
    (negative) before the threads were let go.
    """

    processes: tuple[ProcessSetup, ...]
    threads: tuple[ThreadSetup, ...]
    balancing_ms: float


@dataclass(frozen=True, slots=True)
class Event:
    """A trace event: who, when (ms from the start instant), what, and its fields."""

    tid: int
    ms: float
    name: str
    fields: dict[str, int]
    reason: str


def sections(text: str) -> dict[str, str]:
    """Split a run's text into its sections.

    Raises
    ------
    InputError
        If the text is cut or is none of ours.
    """
    return runs(text)[-1]


def runs(text: str) -> list[dict[str, str]]:
    """Split the text of one boot into its runs; each holds the sections of the boot too."""
    if not text.startswith("numalab-guest 1\n"):
        raise InputError("not a run log of numalab (first line)")
    position = text.index("\n") + 1
    boot: dict[str, str] = {}
    found: list[dict[str, str]] = []
    while not text.startswith("@done\n", position):
        head = _HEAD.match(text, position)
        end = head.end() + int(head[1]) if head else -1
        if head is None or end >= len(text):
            raise InputError(f"the run log is cut or damaged at byte {position}")
        if head[2] == "run":
            found.append(dict(boot))
        target = found[-1] if found else boot
        earlier = target.get(head[2], "") + "\n" if head[2] == "missing" else ""
        target[head[2]] = earlier + text[head.end() : end]
        position = end
    return found or [boot]


def _numa_maps(text: str, nodes: int) -> dict[int, tuple[int, ...]]:
    pages = {}
    for line in text.splitlines():
        words = dict(w.split("=", 1) for w in line.split()[2:] if "=" in w)
        scale = int(words.get("kernelpagesize_kB", 4)) // 4
        counts = (int(words.get(f"N{node}", 0)) * scale for node in range(nodes))
        pages[int(line.split()[0], 16)] = tuple(counts)
    return pages


def _image_label(permissions: str, path: str, start: int, data_end: int) -> str:
    if permissions.startswith("---"):
        return "image:guards"
    if path.startswith(("[vdso", "[vvar", "[vsyscall")):
        return "image:vdso"
    if path in ("[heap]", "[stack]"):
        return f"image:{path[1:-1]}"
    if path == "/init":
        return "image:data" if "w" in permissions else "image:text"
    if not path and start == data_end:
        return "image:data"
    return "image:other" if path else "image:thread-stacks"


def regions(facts: dict[str, str], process: str, when: str, workload: Workload) -> list[Region]:
    """Return the address space of a process at ``start`` or ``end``, labelled.

    A mapping that is neither the workload's nor in the image of the start is a churn's
    if its size is; else ``image:other``.
    """
    known: dict[int, tuple[str, int]] = {}
    sizes = {v.name: v.pages for v in workload.vmas}
    seen: dict[str, int] = {}
    for line in facts[f"mappings {process}"].splitlines():
        name, at, _ = line.split()
        known[int(at, 16)] = (name, seen.get(name, 0) * sizes[name])
        seen[name] = seen.get(name, 0) + 1
    churns = {c.pages: c.name for c in workload.churns if c.process == process}
    pages = _numa_maps(facts[f"numa_maps {process} {when}"], workload.machine.nodes)
    old = {int(x.split("-")[0], 16) for x in facts[f"maps {process} start"].splitlines()}
    found: list[Region] = []
    for line in facts[f"maps {process} {when}"].splitlines():
        words = line.split(maxsplit=5)
        start, end = (int(x, 16) for x in words[0].split("-"))
        path = words[5].strip() if len(words) > 5 else ""
        data_end = found[-1].end if found and found[-1].path == "/init" else -1
        label = _image_label(words[1], path, start, data_end)
        first = 0
        if start in known:
            label, first = known[start]
        elif start not in old and label == "image:thread-stacks":
            label = churns.get((end - start) // PAGE_BYTES, "image:other")
        present = pages.get(start, (0,) * workload.machine.nodes)
        found.append(Region(start, end, words[1], path, label, first, present))
    return found


def _threads(facts: dict[str, str], when: str) -> list[tuple[str, int, int, int, int]]:
    found = []
    for line in facts[f"threads {when}"].splitlines():
        name, tid, created, touches, runtime = line.split()[:5]
        found.append((name, int(tid), int(created), int(touches), int(runtime)))
    return found


def thread_ends(facts: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Touches and sum_exec_runtime [ns] of each thread at the end."""
    return {name: (touches, ns) for name, _, _, touches, ns in _threads(facts, "end")}


def setup(facts: dict[str, str], workload: Workload) -> Setup:
    """Return where everything stood at the start instant."""
    lines = [line.split() for line in facts["setup"].splitlines()]
    start = next(int(words[1]) for words in lines if words[0] == "start")
    switched = next(int(words[1]) for words in lines if words[0] == "balancing")
    owner = {t.name: t.process for t in workload.tasks}
    owner |= {c.name: c.process for c in workload.churns}
    return Setup(
        tuple(
            ProcessSetup(
                name=words[1],
                pid=int(words[2]),
                forked_ms=(int(words[3]) - start) / 1e6,
                regions=tuple(regions(facts, words[1], "start", workload)),
            )
            for words in lines
            if words[0] == "process"
        ),
        tuple(
            ThreadSetup(name, owner[name], tid, (created - start) / 1e6, runtime / 1e6)
            for name, tid, created, _, runtime in _threads(facts, "start")
        ),
        (switched - start) / 1e6,
    )


def trace_events(facts: dict[str, str]) -> list[Event]:
    """Return the trace as events, in order; times in ms from the start instant.

    A notification has the fields ``start``, ``end`` [bytes] and ``calls``; those of the
    section "migrations" have the reason ``migrate``.
    """
    start = next(int(x.split()[1]) for x in facts["setup"].splitlines() if x.startswith("start"))
    found = []
    for line in facts["trace"].splitlines():
        match = _EVENT.match(line)
        if match is None:
            continue
        ms = (int(match[2]) * 1_000_000_000 + int(match[3]) * 1000 - start) / 1e6
        body, _, reason = match[5].partition(" reason=")
        values = {key: int(value, 16) for key, value in _FIELD.findall(body)}
        if match[4] == NOTIFIED and (ends := _RANGE.search(body)):
            values = {"start": int(ends[1], 16), "end": int(ends[2], 16), "calls": 1}
        found.append(Event(int(match[1]), ms, match[4], values, reason))
    if facts.get("migrations"):
        found += _migrations(facts["migrations"], start)
        found.sort(key=lambda event: event.ms)
    return found


def _migrations(text: str, start_ns: int) -> list[Event]:
    """Notifications of migrations: "US TID PAGE PAGES CALLS", US and PAGE as differences."""
    found = []
    us = page = 0
    for line in text.splitlines():
        later, tid, further, pages, calls = (int(word) for word in line.split())
        us, page = us + later, page + further
        values = {"start": page * PAGE_BYTES, "end": (page + pages) * PAGE_BYTES, "calls": calls}
        found.append(Event(tid, (us * 1000 - start_ns) / 1e6, NOTIFIED, values, "migrate"))
    return found


def lost_events(facts: dict[str, str]) -> int:
    """Number of trace events that the ring buffer or a return probe lost."""
    lost = 0
    for name, text in facts.items():
        if name.startswith("trace_stats"):
            found = re.findall(r"^(?:overrun|commit overrun|dropped events): (\d+)$", text, re.M)
            lost += sum(int(n) for n in found)
        if name == "kprobe_profile":
            lost += sum(int(line.split()[-1]) for line in text.splitlines())
    return lost


class Layout:
    """Finds the label and the page of an address in one process."""

    def __init__(self, process: ProcessSetup, workload: Workload) -> None:
        self._regions = process.regions
        self._starts = [r.start for r in process.regions]
        self._churns = {c.pages: c.name for c in workload.churns if c.process == process.name}

    def locate(self, address: int, vm_start: int, vm_end: int) -> tuple[str, int]:
        """Label of the VMA that spans [vm_start, vm_end), and the page of ``address`` in it."""
        index = bisect_right(self._starts, address) - 1
        region = self._regions[index] if index >= 0 else None
        if region is not None and address < region.end and region.label != "image:guards":
            return region.label, region.first_page + (address - region.start) // PAGE_BYTES
        pages = (vm_end - vm_start) // PAGE_BYTES
        label = "image:guards" if region is not None and address < region.end else "image:other"
        label = self._churns.get(pages, label) if label == "image:other" else label
        return label, (address - vm_start) // PAGE_BYTES
