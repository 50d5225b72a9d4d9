"""How long scans take: on a machine, from a calibration boot, and in a run beside that."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from math import log
from statistics import median, quantiles

from numalab.captures.runlog import Event, RunLog
from numalab.fields import InputError
from numalab.model.layout import ProcessSetup, Setup
from numalab.units import PAGE_BYTES, PMD_PAGES
from numalab.workload import Workload

REGION_PAGES = 64 * 256
"""Pages of the regions that the calibration marks in full, or finds pinned."""
_LONG_NS = 5e5
"""A scan that should take less says little of how fast the host was."""


def chunks(run: RunLog) -> list[tuple[float, int, int]]:
    """List (ns, pages, entries marked) of every chunk of a run."""
    return [_measures(begin, end) for begin, end in _calls(run, "chunk")]


def chunk_times(run: RunLog, vma: str) -> list[tuple[float, float]]:
    """List (ms from the start, ns) of the chunks of whole mappings that changed all or nothing."""
    ends = {
        int(start, 16): int(end, 16)
        for text in (text for name, text in run.items() if name.startswith("mappings "))
        for name, start, end in (line.split() for line in text.splitlines())
        if name == vma
    }
    return [
        (begin.ms, (end.ms - begin.ms) * 1e6)
        for begin, end in _calls(run, "chunk")
        if ends.get(begin.fields["start"]) == begin.fields["end"]
        and end.fields["n"] in (0, _measures(begin, end)[1])
    ]


def _measures(begin: Event, end: Event) -> tuple[float, int, int]:
    pages = (begin.fields["end"] - begin.fields["start"]) // PAGE_BYTES
    return (end.ms - begin.ms) * 1e6, pages, end.fields["n"]


def _calls(run: RunLog, name: str) -> list[tuple[Event, Event]]:
    """Entry and return of every call of a probed function."""
    found = []
    entered: dict[int, Event] = {}
    ended: dict[int, float] = {}
    for event in run.events:
        if event.name == name:
            entered[event.tid] = event
        elif event.name == f"{name}_end" and event.tid in entered:
            begin = entered.pop(event.tid)
            if event.ms < begin.ms or begin.ms < ended.get(event.tid, begin.ms):
                raise InputError(f"{name}_end at {event.ms:.3f} ms: the time of a thread goes back")
            ended[event.tid] = event.ms
            found.append((begin, event))
    return found


def scan_costs(run: RunLog) -> dict[str, float]:
    """Cost of a call, of looking at an entry, and of marking one, from one run."""
    found = chunks(run)
    # a call that changes nothing waits for no other CPU
    call = [ns for ns, pages, n in found if pages <= 4 and not n]
    look = [ns / pages for ns, pages, n in found if pages == REGION_PAGES and not n]
    mark = [ns / pages for ns, pages, n in found if pages == REGION_PAGES and n > 0.9 * pages]
    costs = {"scan_call_ns": median(call)} if call else {}
    if look:
        costs["scan_page_ns"] = median(look)
    if look and mark:
        costs["pte_update_ns"] = max(0.0, median(mark) - median(look))
    return costs


def flush_waits(run: RunLog) -> list[float]:
    """Times [ns] of small calls that marked something, in a run of several threads.

    Such a call does next to nothing but wait until other CPUs have flushed their TLBs.
    """
    if len(run["threads start"].splitlines()) < 2:
        return []
    return [ns for ns, pages, n in chunks(run) if n and pages < PMD_PAGES]


def late_flushes(waits: list[float]) -> dict[str, float]:
    """Share of the waits for a flush that took over a millisecond, and how long those took."""
    late = [ns for ns in waits if ns > 1e6]
    if not late:
        return {}
    return {"late_flush_share": len(late) / len(waits), "late_flush_ns": median(late)}


def scan_spread(runs: Iterable[RunLog]) -> dict[str, float]:
    """Spread of log(time) of chunks marked in full: from the quartiles, so without late ones."""
    logs = [
        log(ns)
        for run in runs
        for ns, pages, n in chunks(run)
        if pages == REGION_PAGES and n > 0.9 * pages
    ]
    if len(logs) < 4:
        return {}
    low, _, high = quantiles(logs, n=4)
    return {"scan_spread": (high - low) / 1.349}


def first_scan(run: RunLog) -> dict[str, float]:
    """What the first scan of a boot took more than the later ones, large chunks left out."""
    large = [
        (begin.tid, begin.ms, end.ms)
        for begin, end in _calls(run, "chunk")
        if _measures(begin, end)[1] >= PMD_PAGES
    ]
    times = []
    for begin, end in _calls(run, "scan"):
        inside = [
            b - a for tid, a, b in large if tid == begin.tid and begin.ms <= a and b <= end.ms
        ]
        if inside:
            times.append((end.ms - begin.ms - sum(inside)) * 1e6)
    return {"first_scan_ns": max(0.0, times[0] - median(times[1:]))} if len(times) > 3 else {}


def scan_factors(run: RunLog, setup: Setup, workload: Workload) -> tuple[float, ...]:
    """Tell how much longer scans of a run took than the calibrated costs say: the host's state.

    Looked at are scans that should take 0.5 ms at least, by tasks that have their CPU to themselves
    all the time: another one's time would be taken for the scan's. Not the first scan of a boot,
    which always takes longer.

    Parameters
    ----------
    run : RunLog
    setup : Setup
        Where the run started.
    workload : Workload
        On the calibrated machine.

    Returns
    -------
    tuple of float
        In the order of the scans; empty where none can be looked at.
    """
    tids = _undisturbed(setup, workload)
    scans = _calls(run, "scan")
    first = min((begin.ms for begin, _ in scans), default=0.0)
    chunks: dict[int, list[tuple[Event, Event]]] = {tid: [] for tid in tids}
    for call in _calls(run, "chunk"):
        if call[0].tid in tids:
            chunks[call[0].tid].append(call)
    cost = {tid: _CalibratedCost(process, workload) for tid, process in tids.items()}
    found = []
    for begin, end in sorted(scans, key=lambda scan: scan[0].ms):
        if begin.tid not in tids or begin.ms <= max(0.0, first):
            continue
        mine = chunks[begin.tid]
        inside = mine[
            bisect_left(mine, begin.ms, key=_entered) : bisect_right(mine, end.ms, key=_entered)
        ]
        should_ns = sum(cost[begin.tid].ns(b, e) for b, e in inside)
        if should_ns >= _LONG_NS:
            found.append((end.ms - begin.ms) * 1e6 / should_ns)
    return tuple(found)


def _undisturbed(setup: Setup, workload: Workload) -> dict[int, ProcessSetup]:
    """Processes of the tasks whose scans nobody interrupts, and that notify nobody, by tid."""
    if any(vma.subscriber != "none" for vma in workload.vmas):
        return {}
    runs = [thread for thread in workload.threads if not getattr(thread, "waits", False)]
    if any(thread.cpu < 0 for thread in runs):
        return {}
    moves = {task.name: [move.cpu for move in task.move] for task in workload.tasks}
    cpus = [thread.cpu for thread in runs] + [cpu for found in moves.values() for cpu in found]
    good = {t.name for t in workload.tasks if not moves[t.name] and cpus.count(t.cpu) == 1}
    found: dict[int, ProcessSetup] = {}
    for process in setup.processes:
        names = [t.name for t in workload.threads if t.process == process.name]
        found |= {
            tid: process for name, tid in zip(names, process.pids, strict=True) if name in good
        }
    return found


def _entered(call: tuple[Event, Event]) -> float:
    return call[0].ms


class _CalibratedCost:
    """What chunks of a process take on the calibrated machine.

    Of the program's mappings only the pages that are there count, of a churn's all.
    """

    def __init__(self, process: ProcessSetup, workload: Workload) -> None:
        self._mappings = process.mappings
        self._starts = [m.start for m in process.mappings]
        self._vmas = {vma.name: vma for vma in workload.vmas}
        self._speed = workload.machine.speed

    def ns(self, begin: Event, end: Event) -> float:
        """Time of a chunk [ns]."""
        page = begin.fields["start"] // PAGE_BYTES
        _, pages, entries = _measures(begin, end)
        unit = 1
        index = bisect_right(self._starts, page) - 1
        mapping = self._mappings[index] if index >= 0 else None
        if mapping and page < mapping.start + mapping.pages:
            own = self._vmas.get(mapping.owner)
            unit = PMD_PAGES if own and own.thp else 1
            pages = int(pages * own.populated) if own else min(pages, sum(mapping.present))
        looks = pages // unit * self._speed.scan_page_ns
        marks = entries // unit * self._speed.pte_update_ns
        return self._speed.scan_call_ns + looks + marks
