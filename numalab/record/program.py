"""A workload as the guest's program: the flat text that ``init/program.c`` reads.

All fractions become whole pages here, so that the model and the guest agree:
``populated`` and ``pinned_fraction`` are of each mapping, the range of an access is of
all mappings of its VMA one after another.
"""

from __future__ import annotations

from numalab.churn import LIFETIMES, Churn
from numalab.fields import InputError
from numalab.record.programs import FOREIGN, RECORDER, check
from numalab.task import PATTERNS, Access, Task
from numalab.units import NSEC_PER_MSEC, PMD_PAGES
from numalab.vma import KINDS, POLICIES, Vma
from numalab.workload import Process, Workload

_KNOBS = "/sys/kernel/debug/sched/numa_balancing"
_THP = "/sys/kernel/mm/transparent_hugepage"
TIMED = len(PATTERNS)
"""A pattern of the guest's only: a walk whose every touch is timed (calibration)."""
MAX_KVM_MB = 3000
"""Largest memory of a KVM guest: its vCPUs run in flat 32-bit mode."""


def _ns(ms: float) -> int:
    return round(ms * NSEC_PER_MSEC)


def populated_pages(vma: Vma) -> int:
    """Pages of one mapping that are touched before the start; whole 2 MiB where huge."""
    return _whole_folios(vma, vma.populated)


def pinned_pages(vma: Vma) -> int:
    """Pages of one mapping that are pinned; whole 2 MiB where huge."""
    return min(_whole_folios(vma, vma.pinned_fraction), populated_pages(vma))


def _whole_folios(vma: Vma, fraction: float) -> int:
    unit = PMD_PAGES if vma.thp or vma.kind == "hugetlb" else 1
    return round(fraction * vma.pages / unit) * unit


def access_range(access: Access, vma: Vma) -> tuple[int, int, int]:
    """First page, end page and number of hot pages of an access."""
    total = vma.pages * vma.count
    lo = min(round(access.lo * total), total - 1)
    hi = max(lo + 1, round(access.hi * total))
    return lo, hi, max(1, round(access.hot_fraction * (hi - lo)))


def _check_subscriber(vma: Vma) -> None:
    if vma.subscriber in ("sev", "gpu"):
        raise InputError(
            f'vma "{vma.name}": subscriber = "{vma.subscriber}": the recorder cannot run one: '
            "use simulate"
        )
    if vma.subscriber == "kvm" and vma.size_mb > MAX_KVM_MB:
        raise InputError(
            f'vma "{vma.name}": size_mb = {vma.size_mb:g} MB: the recorder runs KVM guests of at '
            f"most {MAX_KVM_MB} MB (their vCPUs are in 32-bit mode): use simulate"
        )


def _vma_line(vma: Vma) -> str:
    _check_subscriber(vma)
    if vma.kind == "file_ro" and vma.pinned_fraction:
        raise InputError(
            f'vma "{vma.name}": pinned_fraction = {vma.pinned_fraction:g}: a read-only file '
            "mapping cannot be pinned by io_uring; choose another kind to record it"
        )
    values = (
        vma.name,
        KINDS.index(vma.kind),
        int(vma.thp),
        vma.pages,
        vma.count,
        vma.first_touch_node,
        populated_pages(vma),
        pinned_pages(vma),
        int(vma.pin_placement == "scattered"),
        POLICIES.index(vma.policy),
        int(vma.subscriber == "kvm"),
    )
    return " ".join(str(v) for v in ("vma", *values))


def _access_line(access: Access, vmas: list[Vma]) -> str:
    index = [v.name for v in vmas].index(access.vma)
    if access.pattern == "hot" and vmas[index].subscriber == "kvm":
        raise InputError(
            f'vma "{access.vma}": pattern = "hot": the vCPUs of a recorded KVM guest walk or '
            "draw at random: use walk or rand"
        )
    lo, hi, hot = access_range(access, vmas[index])
    values = (
        index,
        lo,
        hi,
        PATTERNS.index(access.pattern),
        repr(float(access.pages_per_s)),
        int(access.write),
        hot,
        repr(float(access.hot_share)),
        _ns(access.start_ms),
        _ns(access.stop_ms),
    )
    return " ".join(str(v) for v in ("access", *values))


def _task_lines(task: Task, vmas: list[Vma]) -> list[str]:
    lines = [f"thread {task.name} {task.cpu}"]
    lines += [key for key in ("busy", "waits") if getattr(task, key)]
    lines += [_access_line(access, vmas) for access in task.access]
    return lines + [f"move {_ns(move.at_ms)} {move.cpu}" for move in task.move]


def _process_lines(process: Process) -> list[str]:
    mems = ",".join(str(node) for node in process.cpuset_mems) or "-"
    lines = [f"process {process.name} {mems}"]
    if process.stack_kb != Process(name=process.name).stack_kb:
        lines.append(f"stack {process.stack_kb * 1024}")
    if process.policy != "default":
        lines.append(f"policy {POLICIES.index(process.policy)}")
    return lines


def _churn_line(churn: Churn) -> str:
    values = (
        churn.pages,
        int(churn.thp),
        _ns(churn.lifetime_ms),
        LIFETIMES.index(churn.lifetime),
        repr(float(churn.lifetime_shape)),
        _ns(churn.gap_ms),
        PATTERNS.index(churn.pattern),
        repr(float(churn.pages_per_s)),
        int(churn.write),
        churn.first_touch_node,
        churn.pinned_pages,
    )
    return " ".join(str(v) for v in ("churn", *values))


def _settings(workload: Workload) -> list[str]:
    t = workload.tunables
    lines = [
        "write /proc/sys/kernel/numa_balancing 0",
        f"write {_THP}/enabled madvise",
        f"write {_THP}/shmem_enabled advise",
        f"write {_THP}/khugepaged/scan_sleep_millisecs 3600000",
        f"write {_KNOBS}/scan_delay_ms {t.scan_delay_ms}",
        f"write {_KNOBS}/scan_period_min_ms {t.scan_period_min_ms}",
        f"write {_KNOBS}/scan_period_max_ms {t.scan_period_max_ms}",
        f"write {_KNOBS}/scan_size_mb {t.scan_size_mb}",
    ]
    for node in range(workload.machine.nodes):
        pages = sum(
            v.count * v.pages // PMD_PAGES
            for v in workload.vmas
            if v.kind == "hugetlb" and v.first_touch_node == node
        )
        if pages:
            folder = f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB"
            lines.append(f"write {folder}/nr_hugepages {pages}")
    return lines


def program(workload: Workload, seed: int = 0, by: str = RECORDER) -> str:
    """Compile a workload into the guest's program.

    Parameters
    ----------
    workload : Workload
        What to run; threads are listed per process, tasks before churns.
    seed : int
        Seeds the draws of the threads (patterns, lifetimes).
    by : str
        The program whose processes do it, one of :data:`numalab.record.programs.PROGRAMS`.

    Returns
    -------
    str
        The lines described at the top of ``init/program.c``.

    Raises
    ------
    InputError
        For what only the model can do, or the other program.
    """
    check(workload, by)
    head = (workload.name, _ns(workload.duration_ms), _ns(workload.sample_ms), seed)
    tail = (workload.machine.cpus_per_node, workload.tunables.numa_balancing)
    lines = [" ".join(str(v) for v in ("run", *head, *tail)), *([FOREIGN] if by == FOREIGN else [])]
    lines += _settings(workload)
    described = {p.name: p for p in workload.processes}
    # The guest numbers VMAs in the order of the lines: by process.
    ordered = sorted(workload.vmas, key=lambda v: workload.process_names.index(v.process))
    for process in workload.process_names:
        lines += _process_lines(described.get(process, Process(name=process)))
        lines += [_vma_line(v) for v in ordered if v.process == process]
        for task in workload.tasks:
            if task.process == process:
                lines += _task_lines(task, ordered)
        for churn in workload.churns:
            if churn.process == process:
                lines += [f"thread {churn.name} {churn.cpu}", _churn_line(churn)]
    return "\n".join([*lines, "go", ""])
