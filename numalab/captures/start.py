"""Where a recorded run stood when its tasks started: address spaces, threads and clocks."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from numalab.captures.runlog import RunLog
from numalab.fields import InputError, shown
from numalab.model.layout import IMAGE_KINDS, Mapping, ProcessSetup, Setup, threads_of, vcpus_of
from numalab.units import PAGE_BYTES
from numalab.workload import Workload

MAX_ADDRESS = 1 << 47
"""End of the address space of a process [bytes]."""
_IMAGES = ("/init", "/foreign")
"""Paths of the programs that run workloads."""


class Region(NamedTuple):
    """A VMA: a line of /proc/PID/maps, and its present pages on each node."""

    start: int
    end: int
    path: str
    kind: str
    label: str
    """Name of the workload's VMA or churn, or ``image:`` and what it is of the program."""
    first_page: int
    """Where it begins in the concatenated mappings of its label."""
    pages_on_node: tuple[int, ...]

    @property
    def pages(self) -> int:
        """4 KiB pages it spans."""
        return (self.end - self.start) // PAGE_BYTES


class Thread(NamedTuple):
    """A thread at the start or the end: when it was created, and what it has done since."""

    tid: int
    created_ns: int
    touches: int
    sum_exec_runtime_ns: int


def threads(log: RunLog, when: str) -> dict[str, Thread]:
    """Return the threads at ``start`` or ``end`` by name."""
    rows = [line.split() for line in log[f"threads {when}"].splitlines()]
    found = {name: Thread(*(int(word) for word in rest[:4])) for name, *rest in rows}
    if len(found) < len(rows) or any(min(thread) < 0 for thread in found.values()):
        raise InputError(f'section "threads {when}": a name is there twice, or a number is below 0')
    return found


def regions(log: RunLog, process: str, when: str, workload: Workload) -> list[Region]:
    """Return the address space of a process at ``start`` or ``end``, by address.

    A mapping that is neither the workload's nor in the image of the start is a churn's
    if its size is; else ``image:other``.
    """
    vmas = {v.name: v for v in workload.vmas}
    churns = churns_of(workload, process)
    none = (0,) * workload.machine.nodes
    own = _own_mappings(log, process, workload)
    present = _numa_maps(log[f"numa_maps {process} {when}"], workload.machine.nodes)
    old = {int(x.split("-")[0], 16) for x in log[f"maps {process} start"].splitlines()}
    found: list[Region] = []
    for line in log[f"maps {process} {when}"].splitlines():
        parts = line.split(maxsplit=5)
        start, end = (int(x, 16) for x in parts[0].split("-"))
        path = parts[5].strip() if len(parts) > 5 else ""
        data_end = found[-1].end if found and found[-1].path in _IMAGES else -1
        kind = _kind(parts[1], path, start == data_end)
        label, first = IMAGE_KINDS[kind], 0
        if start in own:
            label, first = own[start]
            kind = vmas[label].kind
        elif start not in old and kind == "thread-stack":
            label = churns.get((end - start) // PAGE_BYTES, "image:other")
        found.append(Region(start, end, path, kind, label, first, present.get(start, none)))
    _check_regions(found)
    return found


def _check_regions(found: Sequence[Region]) -> None:
    """Refuse an address space that no kernel reports."""
    before = 0
    for region in found:
        span = f"mapping {shown(f'{region.start:x}-{region.end:x}')}"
        outside = region.end > MAX_ADDRESS and not region.path.startswith("[vsyscall")
        if region.start % PAGE_BYTES or region.end % PAGE_BYTES or outside:
            raise InputError(f"{span}: must be whole pages of 4 KiB below {MAX_ADDRESS:#x}")
        if not before <= region.start < region.end:
            raise InputError(f"{span}: must begin at {before:#x} or above, behind the one before")
        if min(region.pages_on_node) < 0 or sum(region.pages_on_node) > region.pages:
            raise InputError(
                f"{span}: {shown(sum(region.pages_on_node))} pages are present: must be 0 to "
                f"{region.pages}"
            )
        before = region.end


def churns_of(workload: Workload, process: str) -> dict[int, str]:
    """Names of the churns of a process by their pages, which is how they are found."""
    return {c.pages: c.name for c in workload.churns if c.process == process}


def _own_mappings(log: RunLog, process: str, workload: Workload) -> dict[int, tuple[str, int]]:
    """VMA of the workload, and the page of it, that begins at an address."""
    sizes = {v.name: v.pages for v in workload.vmas}
    found: dict[int, tuple[str, int]] = {}
    seen = dict.fromkeys(sizes, 0)
    for line in log[f"mappings {process}"].splitlines():
        name, at, _ = line.split()
        found[int(at, 16)] = (name, seen[name] * sizes[name])
        seen[name] += 1
    return found


def _numa_maps(text: str, nodes: int) -> dict[int, tuple[int, ...]]:
    pages = {}
    for line in text.splitlines():
        parts = dict(w.split("=", 1) for w in line.split()[2:] if "=" in w)
        scale = int(parts.get("kernelpagesize_kB", 4)) // 4
        counts = (int(parts.get(f"N{node}", 0)) * scale for node in range(nodes))
        pages[int(line.split()[0], 16)] = tuple(counts)
    return pages


def _kind(permissions: str, path: str, follows_program: bool) -> str:
    """Kind of a mapping that is not the workload's own: a key of IMAGE_KINDS."""
    if permissions.startswith("---"):
        return "guard"
    if path.startswith("[vvar"):
        return "vvar"
    if path.startswith(("[vdso", "[vsyscall")):
        return "vdso"
    if path in ("[heap]", "[stack]"):
        return path[1:-1]
    if path in _IMAGES:
        return "file-data" if "w" in permissions else "text"
    if path.startswith("anon_inode:kvm-vcpu"):
        return "vcpu"
    if permissions.endswith("s"):
        return "shared"
    if path:
        return "other"
    return "data" if follows_program else "thread-stack"


def _present(region: Region, workload: Workload) -> tuple[int, ...]:
    """Pages present; a thread's stack gets its first page when the thread starts.

    What a vCPU shares with KVM lies on the node where its thread made it: its own. vCPUs are
    numbered in the order in which they came to be, which is that of the tasks.
    """
    if not region.label.startswith("image:"):
        return ()  # of the workload's own VMAs the workload says
    if region.kind == "thread-stack" and not sum(region.pages_on_node):
        return (1,)
    if region.kind == "vcpu":
        task = vcpus_of(workload)[int(region.path.rsplit(":", 1)[1])]
        node = max(task.cpu, 0) // workload.machine.cpus_per_node
        return tuple(int(n == node) for n in range(workload.machine.nodes))
    return region.pages_on_node


def _scan_alone(log: RunLog, pid: int, mappings: Sequence[Mapping]) -> dict[str, Any]:
    """What the last scan of a main thread before the start was like; fields of ProcessSetup.

    It has scanned before it made its first clone, which takes longer than its stamp says. If the
    work that a tick queued walked nothing, the clone had already put the next scan off.
    """
    probes, missing = ("task_numa_work", "change_prot_numa"), log.get("missing", "")
    if not log.get("trace") or any(probe in missing for probe in probes):
        return {}
    found = re.findall(rf"-{pid}\s+\[(\d+)\]\s+\S+\s+([\d.]+): scan: ", log["trace"])
    scans = [(float(s) * 1e3 - log.start_ns / 1e6, int(cpu)) for cpu, s in found]
    chunks = [e for e in log.events if e.tid == pid and e.name == "chunk" and e.ms < 0]
    before = [(ms, cpu) for ms, cpu in scans if any(ms <= e.ms for e in chunks)]
    if not before:
        return {"alone_ms": math.inf}
    alone_ms, cpu = before[-1]
    walked = [e.fields for e in chunks if alone_ms <= e.ms]
    stacks = [m.start * PAGE_BYTES for m in mappings if m.kind == "thread-stack"]
    return {
        "alone_cpu": cpu,
        "alone_ms": alone_ms,
        "alone_stack": any(c["start"] <= max(stacks, default=-1) < c["end"] for c in walked),
    }


def setup(log: RunLog, workload: Workload) -> Setup:
    """Start the model where a recorded run started.

    Returns
    -------
    Setup
        Every VMA at its address; pids, CPU time used and the last reset of the scan clock
        (the first clone of a process with several threads, else its fork), in ms from the
        start, so mostly negative. Pages were laid out with NUMA balancing off; it was
        switched on ``balancing_ms`` before the threads were let go.

    Raises
    ------
    InputError
        If the run is not one of the workload.
    """
    lines = [line.split() for line in log["setup"].splitlines()]
    at = threads(log, "start")
    switched_ns = next(int(parts[1]) for parts in lines if parts[0] == "balancing")

    def ms(ns: int) -> float:
        return (ns - log.start_ns) / 1e6

    processes = []
    for name, pid, forked_ns in ((w[1], w[2], int(w[3])) for w in lines if w[0] == "process"):
        mine = [at[thread] for thread in threads_of(workload, name)]
        mappings = tuple(
            Mapping(
                start=region.start // PAGE_BYTES,
                pages=region.pages,
                kind=region.kind,
                owner=region.label,
                offset=region.first_page,
                present=_present(region, workload),
            )
            for region in regions(log, name, "start", workload)
        )
        processes.append(
            ProcessSetup(
                name=name,
                mappings=mappings,
                pids=tuple(t.tid for t in mine),
                runtime_ms=tuple(t.sum_exec_runtime_ns / 1e6 for t in mine),
                reset_ms=min((ms(t.created_ns) for t in mine[1:]), default=ms(forked_ns)),
                fork_ms=ms(forked_ns),
                balancing_ms=ms(switched_ns),
                **_scan_alone(log, int(pid), mappings),
            )
        )
    return Setup(processes=tuple(processes))


class AddressSpace:
    """Finds the label and the page of an address in a process as it started."""

    def __init__(self, process: ProcessSetup, workload: Workload) -> None:
        self._mappings = process.mappings
        self._starts = [m.start for m in process.mappings]
        self._churns = churns_of(workload, process.name)

    def locate(self, address: int, vm_start: int, vm_end: int) -> tuple[str, int]:
        """Label of the VMA that spans [vm_start, vm_end), and the page of ``address`` in it."""
        page = address // PAGE_BYTES
        index = bisect_right(self._starts, page) - 1
        known = self._mappings[index] if index >= 0 else None
        within = (address - vm_start) // PAGE_BYTES
        if known is None or page >= known.start + known.pages:
            return self._churns.get((vm_end - vm_start) // PAGE_BYTES, "image:other"), within
        if known.kind == "guard":
            return known.owner, within
        return known.owner, known.offset + page - known.start
