"""What a scan costs on a machine, from the probes of a calibration boot's trace."""

from __future__ import annotations

from math import log
from statistics import median, quantiles

from numalab.recorded import runlog
from numalab.units import PAGE_BYTES, PMD_PAGES

REGION_PAGES = 64 * 256
"""Pages of the regions that the calibration marks in full, or finds pinned."""


def chunks(facts: dict[str, str]) -> list[tuple[float, int, int]]:
    """List (ns, pages, entries marked) of every chunk of a run."""
    return [_measures(begin, end) for begin, end in _pairs(facts, "chunk")]


def chunk_times(facts: dict[str, str], vma: str) -> list[tuple[float, float]]:
    """List (ms from the start, ns) of the chunks of whole mappings that changed all or nothing."""
    ends = {
        int(start, 16): int(end, 16)
        for text in (text for name, text in facts.items() if name.startswith("mappings "))
        for name, start, end in (line.split() for line in text.splitlines())
        if name == vma
    }
    return [
        (begin.ms, (end.ms - begin.ms) * 1e6)
        for begin, end in _pairs(facts, "chunk")
        if ends.get(begin.fields["start"]) == begin.fields["end"]
        and end.fields["n"] in (0, _measures(begin, end)[1])
    ]


def _measures(begin: runlog.Event, end: runlog.Event) -> tuple[float, int, int]:
    pages = (begin.fields["end"] - begin.fields["start"]) // PAGE_BYTES
    return (end.ms - begin.ms) * 1e6, pages, end.fields["n"]


def _pairs(facts: dict[str, str], name: str) -> list[tuple[runlog.Event, runlog.Event]]:
    """Entry and return of every call of a probed function."""
    found = []
    entered: dict[int, runlog.Event] = {}
    for event in runlog.trace_events(facts):
        if event.name == name:
            entered[event.tid] = event
        elif event.name == f"{name}_end" and event.tid in entered:
            found.append((entered.pop(event.tid), event))
    return found


def scan_costs(facts: dict[str, str]) -> dict[str, float]:
    """Cost of a call, of looking at an entry, and of marking one, from one run."""
    found = chunks(facts)
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


def late_flushes(runs: list[dict[str, str]]) -> dict[str, float]:
    """Share of small calls that marked something and took over a millisecond; how long those.

    Such a call does next to nothing but wait until other CPUs have flushed their TLBs.
    """
    waits = [
        ns
        for facts in runs
        if len(facts["threads start"].splitlines()) > 1
        for ns, pages, n in chunks(facts)
        if n and pages < PMD_PAGES
    ]
    late = [ns for ns in waits if ns > 1e6]
    if not late:
        return {}
    return {"late_flush_share": len(late) / len(waits), "late_flush_ns": median(late)}


def scan_spread(runs: list[dict[str, str]]) -> dict[str, float]:
    """Spread of log(time) of chunks marked in full: from the quartiles, so without late ones."""
    logs = [
        log(ns)
        for facts in runs
        for ns, pages, n in chunks(facts)
        if pages == REGION_PAGES and n > 0.9 * pages
    ]
    if len(logs) < 4:
        return {}
    low, _, high = quantiles(logs, n=4)
    return {"scan_spread": (high - low) / 1.349}


def first_scan(facts: dict[str, str]) -> dict[str, float]:
    """What the first scan of a boot took more than the later ones, large chunks left out."""
    large = [
        (begin.tid, begin.ms, end.ms)
        for begin, end in _pairs(facts, "chunk")
        if _measures(begin, end)[1] >= PMD_PAGES
    ]
    times = []
    for begin, end in _pairs(facts, "scan"):
        inside = [
            b - a for tid, a, b in large if tid == begin.tid and begin.ms <= a and b <= end.ms
        ]
        if inside:
            times.append((end.ms - begin.ms - sum(inside)) * 1e6)
    return {"first_scan_ns": max(0.0, times[0] - median(times[1:]))} if len(times) > 3 else {}
