"""Where a process starts that nobody recorded: laid out as the recorder's program does.

The program is at the bottom, mappings from the top down in the order they were made, each between
PROT_NONE guard pages, thread stacks below them, the main stack on top.
"""

from __future__ import annotations

from dataclasses import replace

from numalab.fields import InputError
from numalab.model.layout import IMAGE_KINDS, Mapping, ProcessSetup, Setup, threads_of, vcpus_of
from numalab.units import HPAGE_PMD_NR, PAGES_PER_MB
from numalab.vma import Vma
from numalab.workload import Workload

_MMAP_BASE = 0x7F0443EB3
_STACK_TOP = 0x7FFCCA053
_PROGRAM = (
    # start, pages, kind, pages present: the recorder's static program, as 6.12 maps it
    (0x400, 1, "text", ()),
    (0x401, 172, "text", ()),
    (0x4AD, 48, "text", ()),
    (0x4DD, 4, "text", ()),
    (0x4E1, 3, "file-data", (3,)),
    (0x4E4, 151, "data", (8,)),
    (0x3AE0E, 34, "heap", (4,)),
    (_MMAP_BASE, 4, "vvar", ()),
    (_MMAP_BASE + 4, 2, "vdso", ()),
    (_STACK_TOP - 33, 33, "stack", (2,)),
)
_PROGRAM_END = max(start + pages for start, pages, *_ in _PROGRAM if start < _MMAP_BASE)
_VCPU_PAGES = 3
"""What a vCPU shares with KVM (KVM_GET_VCPU_MMAP_SIZE), one page of it present."""
_SHARED_PAGES = 1033
"""The program's page of flags and results, a shared mapping made before all others."""


def _place_down(top: int, vma: Vma) -> tuple[int, int]:
    """Return (start, lower guard) of a mapping placed below ``top`` with guards."""
    start = top - 1 - vma.pages
    if vma.thp or vma.kind == "hugetlb":
        start -= start % HPAGE_PMD_NR
    return start, start - 1


def _check_room(workload: Workload, process: str, lowest: int) -> None:
    """Refuse mappings, the lowest of them at ``lowest``, that reach down to the program."""
    for churn in (c for c in workload.churns if c.process == process):
        lowest -= churn.pages + 2 * (HPAGE_PMD_NR if churn.thp else 1)
    if lowest < _PROGRAM_END:
        top = _MMAP_BASE - _SHARED_PAGES
        need, room = -((lowest - top) // PAGES_PER_MB), (top - _PROGRAM_END) // PAGES_PER_MB
        raise InputError(
            f'process "{process}": its mappings need {need} MB: an address space has 2^35 pages, '
            f"{room} MB are free for them; lower size_mb or count"
        )


def _mappings(workload: Workload, process: str) -> tuple[Mapping, ...]:
    image = IMAGE_KINDS
    top = _MMAP_BASE - _SHARED_PAGES
    found = [
        Mapping(start=start, pages=pages, kind=kind, owner=image[kind], present=present)
        for start, pages, kind, present in (
            *_PROGRAM,
            (top, _SHARED_PAGES, "shared", (1,)),
        )
    ]
    guard_top = top
    for vma in (v for v in workload.vmas if v.process == process):
        for copy in range(vma.count):
            start, guard = _place_down(top, vma)
            end = start + vma.pages
            found.append(
                Mapping(start=end, pages=guard_top - end, kind="guard", owner=image["guard"])
            )
            found.append(
                Mapping(
                    start=start,
                    pages=vma.pages,
                    kind=vma.kind,
                    owner=vma.name,
                    offset=copy * vma.pages,
                )
            )
            guard_top, top = start, guard
    if guard_top > top:
        found.append(Mapping(start=top, pages=guard_top - top, kind="guard", owner=image["guard"]))
    stack = workload.process(process).stack_kb // 4
    for _ in threads_of(workload, process)[1:]:
        start = top - stack
        found.append(
            Mapping(
                start=start,
                pages=stack,
                kind="thread-stack",
                owner=image["thread-stack"],
                present=(2,),
            )
        )
        found.append(Mapping(start=start - 1, pages=1, kind="guard", owner=image["guard"]))
        top = start - 1
    for task in reversed([t for t in vcpus_of(workload) if t.process == process]):
        top -= _VCPU_PAGES
        node = max(task.cpu, 0) // workload.machine.cpus_per_node
        found.append(
            Mapping(
                start=top,
                pages=_VCPU_PAGES,
                kind="vcpu",
                owner=image["vcpu"],
                present=tuple(int(n == node) for n in range(workload.machine.nodes)),
            )
        )
    _check_room(workload, process, top)
    return tuple(sorted(found, key=lambda m: m.start))


def first_touch_ms(workload: Workload, process: str) -> float:
    """CPU time [ms] of touching all populated pages of a process for the first time."""
    speed = workload.machine.speed
    total = 0.0
    for vma in (v for v in workload.vmas if v.process == process):
        pages = vma.pages * vma.count * vma.populated
        if vma.thp:
            total += pages / HPAGE_PMD_NR * speed.first_touch_huge_ns
        else:
            total += pages * speed.first_touch_ns
    return total / 1e6


def default_setup(workload: Workload) -> Setup:
    """Lay out every process of a workload as the recorder's program would.

    Parameters
    ----------
    workload : Workload

    Returns
    -------
    Setup
        Pids are consecutive from 100; a process with several threads was reset by its
        first clone 2 ms before the start, one with a single thread by its fork.

    Raises
    ------
    InputError
        If the mappings of a process do not fit into its address space.
    """
    processes = []
    pid = 100
    for name in workload.process_names:
        names = threads_of(workload, name)
        busy = first_touch_ms(workload, name)
        processes.append(
            ProcessSetup(
                name=name,
                mappings=_mappings(workload, name),
                pids=tuple(range(pid, pid + len(names))),
                runtime_ms=(busy, *(0.0 for _ in names[1:])),
                reset_ms=-2.0 if len(names) > 1 else -busy - 2.0,
            )
        )
        pid += len(names)
    return Setup(processes=tuple(processes))


_BEFORE_STAMP_MS = 1.0


def possible_starts(workload: Workload) -> tuple[Setup, ...]:
    """List the starts that a program may have had, where nobody recorded its start.

    A main thread that has used more CPU time than the scan delay may have scanned just before it
    made its first clone. Of 152 such threads recorded with the recorder's program 124 had scanned:
    23 before they stamped the time of the clone, 45 later, 56 later still, so that they found the
    stack of the first thread. Of 18 of the foreign program none had. Both programs weigh the same
    here, and the three ways to scan.

    Returns
    -------
    tuple of Setup
        Equally likely ones: three times that of :func:`default_setup`, once with each way to scan;
        only the first where nobody can have scanned.
    """
    default = default_setup(workload)
    ways = ((-_BEFORE_STAMP_MS, False), (0.0, False), (0.0, True))
    scanned = [_scanned_before(workload, default, *way) for way in ways]
    if scanned[0].processes == default.processes:
        return (default,)
    return (*[default] * 3, *scanned)


def _scanned_before(workload: Workload, setup: Setup, after_ms: float, stack: bool) -> Setup:
    """Let the main threads that may have scanned before their first clone have done so.

    ``after_ms``: when, from the stamp of that clone on; ``stack``: it is there already.
    """
    delay_ms = workload.tunables.scan_delay_ms
    processes = []
    for process in setup.processes:
        if len(process.pids) > 1 and process.runtime_ms[0] > delay_ms:
            process = replace(
                process,
                fork_ms=process.reset_ms - process.runtime_ms[0],
                balancing_ms=process.reset_ms - 2 * _BEFORE_STAMP_MS,
                alone_ms=process.reset_ms + after_ms,
                alone_stack=stack,
            )
        processes.append(process)
    return replace(setup, processes=tuple(processes), scanned_before=True)
