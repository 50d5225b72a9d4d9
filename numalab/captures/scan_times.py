"""What a scan costs on a machine, from the probes of a calibration boot's trace."""

from __future__ import annotations

from collections.abc import Iterable
from math import log
from statistics import median, quantiles

from numalab.captures.runlog import Event, RunLog
from numalab.units import PAGE_BYTES, PMD_PAGES

REGION_PAGES = 64 * 256
"""Pages of the regions that the calibration marks in full, or finds pinned."""


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
    for event in run.events:
        if event.name == name:
            entered[event.tid] = event
        elif event.name == f"{name}_end" and event.tid in entered:
            found.append((entered.pop(event.tid), event))
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
