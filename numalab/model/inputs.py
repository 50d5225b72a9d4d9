"""Records of what is given: of a policy, a machine, processes and threads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from numalab.linux import structs as st
from numalab.machine import Speed
from numalab.model.layout import Setup, threads_of
from numalab.model.world import ScanLog, alone_type, move_type, walk_type
from numalab.policy import NOTIFIERS, PID_MEMORIES, Policy
from numalab.records import record, records
from numalab.schema import IMAGE_VMAS, counts_type
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC, align_up, msecs_to_jiffies, tick_nsec
from numalab.workload import Access, Churn, Task, Vma, Workload

_KIND_FLAGS = {
    "anon": st.VM_PRIVATE,
    "shmem": st.VM_SHMEM,
    "file_ro": st.VM_FILE_RO | st.VM_PRIVATE | st.VM_SHMEM,
    "file_rw": st.VM_SHMEM,
    "hugetlb": st.VM_PRIVATE | st.VM_HUGETLB,
    "text": st.VM_FILE_RO | st.VM_PRIVATE | st.VM_SHMEM,
    "file-data": st.VM_PRIVATE | st.VM_SHMEM,
    "data": st.VM_PRIVATE,
    "heap": st.VM_PRIVATE,
    "stack": st.VM_PRIVATE,
    "thread-stack": st.VM_PRIVATE | st.VM_THREAD_STACK,
    "guard": st.VM_PRIVATE | st.VM_INACCESSIBLE,
    "vdso": st.VM_PRIVATE | st.VM_SPECIAL,
    "vvar": st.VM_PRIVATE | st.VM_NO_MIGRATE,
    "shared": st.VM_SHMEM,
    "other": st.VM_PRIVATE,
    "vcpu": st.VM_UNMOVABLE,
}
"""Files of the recorder's guest lie on its tmpfs root, so they are shmem to the kernel."""

_RULES = (
    "one_node_cpuset", "shmem_task_policy", "vma_scan_delay", "pid_reset_early", "seq_completed",
    "start_scan_seq", "partial_vma", "thread_count_rule", "forced_scan", "single_thread_rule_thp",
    "page_count_rule", "locality_reset", "resets_cpupid", "unmap_once", "pinned_vma_mark",
    "numa_range_flag", "lru_batch", "migration_drains", "eevdf",
)  # fmt: skip
"""Fields of a policy that are fields of ``sched_numa``."""
_SPEED = record("", floats=" ".join(item.name for item in fields(Speed)))


def filled(dtype: np.dtype, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return records with the given values; a field that a row does not name is 0.

    Raises
    ------
    KeyError
        If a row names what is no field.
    """
    names = dtype.names or ()
    if unknown := {name for row in rows for name in row} - {*names}:
        raise KeyError(", ".join(sorted(unknown)))
    values = [tuple(row.get(name, 0) for name in names) for row in rows]
    return np.array(values, dtype).view(np.recarray)


def scan_log(workload: Workload, events: int) -> ScanLog:
    """Return a log in which nothing is counted, with room for so many chunks and notices."""
    return ScanLog(
        records(counts_type, len(owners_of(workload))),
        records(st.chunk_type, events),
        records(st.notice_type, events),
        records(st.range_type, workload.tunables.scan_size_mb // 1024 + 4),
        records(walk_type, 1),
        records(st.log_rows, 1),
    )


def owners_of(workload: Workload) -> list[str]:
    """Names along the ``vma`` dimension: VMAs, churns, then the image's."""
    return [v.name for v in workload.vmas] + [c.name for c in workload.churns] + list(IMAGE_VMAS)


def kernel_record(workload: Workload, policy: Policy) -> Any:
    """Return the ``sched_numa`` record: knobs as C sees them, and the policy's rules."""
    machine, tunables = workload.machine, workload.tunables
    confined = policy.confined or any(p.cpuset_mems for p in workload.processes)
    return filled(
        st.sched_numa,
        [
            {
                **{name: getattr(policy, name) for name in _RULES},
                **{item.name: getattr(tunables, item.name) for item in fields(tunables)},
                "hz": machine.hz,
                "tick_ns": tick_nsec(machine.hz),
                "nr_node_ids": machine.nodes,
                "numa_balancing": tunables.numa_balancing and machine.nodes > 1,
                "cpusets_enabled": confined,
                "vma_delay_ms": policy.vma_delay_ms or tunables.scan_delay_ms,
                "pid_filter": policy.pid_filter and PID_MEMORIES.index(policy.pid_memory) + 1,
                "pinned_filter": 2 if policy.pinned_filter == "all" else 1,
                "notifier": NOTIFIERS.index(policy.notifier),
                "notifier_per_pud": policy.notifier_level == "pud",
                "sched_scaling": min(machine.cpus, 8).bit_length(),
            }
        ],
    )


def speed_record(workload: Workload) -> Any:
    """Return the machine's speed as a record."""
    speed = workload.machine.speed
    return filled(_SPEED, [{name: getattr(speed, name) for name in _SPEED.names or ()}])


_TASK_POLICY_FLAGS = {
    "default": 0,
    "bind": st.VM_BOUND,
    "bind_balancing": st.VM_TASK_POLICY_MOF,
}


def mapping_flags(
    kind: str, vma: Vma | None, bound: bool = False, task_policy: str = "default"
) -> int:
    """Return the ``VM_`` flags of a mapping.

    Parameters
    ----------
    kind : str
        A workload kind, or a key of :data:`numalab.model.layout.IMAGE_KINDS`.
    vma : Vma or None
        The workload's, if it is one.
    bound : bool
        The memory of guests and GPUs is under MPOL_BIND, whatever the workload says.
    task_policy : str
        Of the tasks of the process: holds where the mapping has none of its own.
    """
    flags = _KIND_FLAGS[kind]
    of_task = _TASK_POLICY_FLAGS[task_policy]
    if vma is None:
        return flags | of_task
    if vma.thp:
        flags |= st.VM_THP
    if (bound and vma.subscriber != "none") or vma.policy in ("bind", "interleave"):
        return flags | st.VM_BOUND
    if vma.policy == "bind_balancing":
        return flags | st.VM_POLICY_MOF
    return flags | of_task


def ranges_of(access: Access, vma: Vma) -> list[tuple[int, int, float]]:
    """Return (lo, hi, share) in pages of the concatenated mappings; two for hot and cold.

    A range is widened to whole folios.
    """
    total = vma.pages * vma.count
    unit = HPAGE_PMD_NR if vma.thp else 1
    lo = min(round(access.lo * total), total - 1) // unit * unit
    hi = align_up(max(round(access.hi * total), lo + 1), unit)
    if access.pattern != "hot":
        return [(lo, hi, 1.0)]
    border = align_up(lo + max(1, round(access.hot_fraction * (hi - lo))), unit)
    if border >= hi:
        return [(lo, hi, 1.0)]
    return [(lo, border, access.hot_share), (border, hi, 1.0 - access.hot_share)]


def borders_of(vma: Vma, accesses: Iterable[Access]) -> list[int]:
    """Page offsets at which the accessors or the pin state of a VMA change; ``accesses`` to it."""
    total = vma.pages * vma.count
    unit = HPAGE_PMD_NR if vma.thp else 1
    found = {0, total, *range(0, total, vma.pages)}
    for access in accesses:
        for lo, hi, _ in ranges_of(access, vma):
            found |= {lo, hi}
    for copy in range(vma.count):
        found.add(copy * vma.pages + round(vma.pages * vma.populated))
        if vma.pin_placement == "head":
            found.add(copy * vma.pages + round(vma.pages * vma.pinned_fraction))
    return sorted({min(total, -(-b // unit) * unit) for b in found})


def mm_records(workload: Workload, setup: Setup, policy: Policy) -> Any:
    """Return the ``mm_struct`` record of every process."""
    hz = workload.machine.hz
    delay = msecs_to_jiffies(workload.tunables.scan_delay_ms, hz)
    rows = []
    for process in map(setup.of, workload.process_names):
        threads = len(threads_of(workload, process.name))
        cpuset = [n for p in workload.processes if p.name == process.name for n in p.cpuset_mems]
        vmas = [v for v in workload.vmas if v.process == process.name]
        subscribed = any(v.subscriber != "none" for v in vmas)
        base = max(m.start + m.pages for m in process.mappings if m.kind != "stack")
        rows.append(
            {
                "numa_next_scan": st.START_JIFFIES + int(process.reset_ms * hz // 1000) + delay,
                "mm_users": threads,
                "nr_threads": threads,
                "mmap": st.NONE,
                "mmap_base": base,
                "mems_allowed_one": len(cpuset) == 1 or (policy.confined and subscribed),
                "opt_out": policy.process_opt_out and subscribed,
            }
        )
    return filled(st.mm_struct, rows)


def task_row(workload: Workload, setup: Setup, thread: Task | Churn) -> dict[str, Any]:
    """Return fields of a ``task_struct``; the first thread of a process is its main thread."""
    process, tunables = setup.of(thread.process), workload.tunables
    index = threads_of(workload, thread.process).index(thread.name)
    stamp = min(60_000, tunables.scan_period_max_ms) + 2 * tick_nsec(workload.machine.hz)
    return {
        "mm": workload.process_names.index(thread.process),
        "pid": process.pids[index],
        "numa_scan_period": tunables.scan_delay_ms,
        "numa_scan_period_max": tunables.scan_period_max_ms,
        "numa_preferred_nid": st.NUMA_NO_NODE,
        "numa_group": st.NONE,
        "sum_exec_runtime": int(process.runtime_ms[index] * 1e6),
        "node_stamp": stamp if index else 0,
        "free_to_move": thread.cpu < 0,
        "spins": isinstance(thread, Task) and (thread.busy or not (thread.access or thread.waits)),
    }


def placed(workload: Workload) -> tuple[list[int], np.ndarray]:
    """Put every thread on its CPU, a free one on the idlest; return the CPUs, threads a CPU."""
    machine = workload.machine
    load = np.zeros(machine.cpus, np.int64)
    for thread in workload.threads:
        if thread.cpu >= 0 and not _waits(thread):
            load[thread.cpu] += 1
    cpus = []
    for thread in workload.threads:
        cpu = thread.cpu
        if cpu < 0:
            spread = load + np.arange(machine.cpus) % machine.cpus_per_node * 1e-3
            cpu = int(np.argmin(spread))
            load[cpu] += not _waits(thread)
        cpus.append(cpu)
    return cpus, load


def _waits(thread: Task | Churn) -> bool:
    return isinstance(thread, Task) and thread.waits


def move_records(workload: Workload) -> Any:
    """Return the changes of CPU that the workload asks for, by task."""
    return filled(
        move_type,
        [
            {"task": i, "cpu": move.cpu, "at_ns": int(move.at_ms * NSEC_PER_MSEC)}
            for i, task in enumerate(workload.tasks)
            for move in task.move
        ],
    )


def alone_records(workload: Workload, setup: Setup) -> Any:
    """Return when each process's main thread ran alone with balancing on."""
    hz, threads = workload.machine.hz, [t.process for t in workload.threads]
    delay = msecs_to_jiffies(workload.tunables.scan_delay_ms, hz)
    rows: list[dict[str, int]] = []
    for process in map(setup.of, workload.process_names):
        rows.append({"task": threads.index(process.name), "cpu": process.alone_cpu})
        if threads.count(process.name) < 2 or process.balancing_ms >= process.reset_ms:
            continue
        first_ms, last_ms = process.balancing_ms, process.reset_ms
        if process.alone_ms is not None:
            first_ms, last_ms = process.alone_ms - 1000.0 / hz, process.alone_ms
        if first_ms < math.inf:
            rows[-1] |= {
                "first_ns": int(first_ms * 1e6),
                "last_ns": int(last_ms * 1e6),
                "stamp_ns": int(process.reset_ms * 1e6),
                "next_scan": st.START_JIFFIES + int(process.fork_ms * hz // 1000) + delay,
                "stack": int(process.alone_stack),
                "exact": int(process.alone_ms is not None),
            }
    return filled(alone_type, rows)
