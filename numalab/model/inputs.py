"""Records of what is given: of a policy, a machine, processes and threads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from numalab.linux import structs as st
from numalab.model.layout import ProcessSetup, Setup, threads_of
from numalab.model.world import MAX_EVENTS, ScanLog, alone_type
from numalab.policy import NOTIFIERS, PID_MEMORIES, Policy
from numalab.records import record, records
from numalab.schema import IMAGE_VMAS, counts_type
from numalab.units import HPAGE_PMD_NR, align_up, msecs_to_jiffies, tick_nsec
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


def scan_log(workload: Workload) -> ScanLog:
    """Return a log in which nothing is counted."""
    return ScanLog(
        records(counts_type, len(owners_of(workload))),
        records(st.chunk_type, MAX_EVENTS),
        records(st.notice_type, MAX_EVENTS),
        records(st.range_type, workload.tunables.scan_size_mb // 1024 + 4),
        records(st.log_rows, 1),
    )


def owners_of(workload: Workload) -> list[str]:
    """Names along the ``vma`` dimension: VMAs, churns, then the image's."""
    return [v.name for v in workload.vmas] + [c.name for c in workload.churns] + list(IMAGE_VMAS)


def kernel_record(workload: Workload, policy: Policy) -> Any:
    """Return the ``sched_numa`` record: knobs as C sees them, and the policy's rules."""
    k = records(st.sched_numa, 1)
    machine, tunables = workload.machine, workload.tunables
    r = k[0]
    r.hz = machine.hz
    r.tick_ns = tick_nsec(machine.hz)
    r.nr_node_ids = machine.nodes
    r.numa_balancing = int(tunables.numa_balancing and machine.nodes > 1)
    for item in dataclasses.fields(tunables):
        if item.name != "numa_balancing":
            setattr(r, item.name, getattr(tunables, item.name))
    r.cpusets_enabled = int(policy.confined or any(p.cpuset_mems for p in workload.processes))
    for name in (
        "one_node_cpuset", "shmem_task_policy", "vma_scan_delay", "pid_reset_early",
        "seq_completed", "start_scan_seq", "partial_vma", "thread_count_rule",
        "forced_scan", "single_thread_rule_thp", "page_count_rule", "unmap_once",
        "pinned_vma_mark", "numa_range_flag",
    ):  # fmt: skip
        setattr(r, name, int(getattr(policy, name)))
    r.vma_delay_ms = policy.vma_delay_ms or tunables.scan_delay_ms
    r.pid_filter = PID_MEMORIES.index(policy.pid_memory) + 1 if policy.pid_filter else 0
    r.pinned_filter = 2 if policy.pinned_filter == "all" else 1
    r.lru_batch = policy.lru_batch
    r.notifier = NOTIFIERS.index(policy.notifier)
    r.notifier_per_pud = int(policy.notifier_level == "pud")
    return k


def speed_record(workload: Workload) -> Any:
    """Return the machine's speed as a record."""
    items = dataclasses.asdict(workload.machine.speed)
    speed = records(record("", floats=" ".join(items)), 1)
    speed[0] = tuple(items.values())
    return speed


def mapping_flags(kind: str, vma: Vma | None, bound: bool = False) -> int:
    """Return the ``VM_`` flags of a mapping; ``vma`` is the workload's, if it is one.

    ``bound``: the memory of guests and GPUs is under MPOL_BIND, whatever the workload says.
    """
    flags = _KIND_FLAGS[kind]
    if vma is None:
        return flags
    if vma.thp:
        flags |= st.VM_THP
    bound = bound and vma.subscriber != "none"
    if bound or vma.policy in ("bind", "interleave"):
        flags |= st.VM_BOUND
    elif vma.policy == "bind_balancing":
        flags |= st.VM_POLICY_MOF
    return flags


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


def borders_of(workload: Workload, vma: Vma) -> list[int]:
    """Page offsets at which the accessors or the pin state of a VMA change."""
    total = vma.pages * vma.count
    unit = HPAGE_PMD_NR if vma.thp else 1
    found = {0, total, *range(0, total, vma.pages)}
    for task in workload.tasks:
        for access in (a for a in task.access if a.vma == vma.name):
            for lo, hi, _ in ranges_of(access, vma):
                found |= {lo, hi}
    for copy in range(vma.count):
        found.add(copy * vma.pages + round(vma.pages * vma.populated))
        if vma.pin_placement == "head":
            found.add(copy * vma.pages + round(vma.pages * vma.pinned_fraction))
    return sorted({min(total, -(-b // unit) * unit) for b in found})


def mm_record(mm: Any, workload: Workload, process: ProcessSetup, policy: Policy) -> None:
    """Fill an ``mm_struct`` record from a process's setup."""
    threads = len(threads_of(workload, process.name))
    hz = workload.machine.hz
    reset = int(process.reset_ms * hz // 1000)
    delay = msecs_to_jiffies(workload.tunables.scan_delay_ms, hz)
    mm.numa_next_scan = st.START_JIFFIES + reset + delay
    mm.mm_users = threads
    mm.nr_threads = threads
    mm.mmap = st.NONE
    mm.mmap_base = max(m.start + m.pages for m in process.mappings if m.kind != "stack")
    cpuset = [n for p in workload.processes if p.name == process.name for n in p.cpuset_mems]
    subscribed = any(v.subscriber != "none" for v in workload.vmas if v.process == process.name)
    mm.mems_allowed_one = int(len(cpuset) == 1 or (policy.confined and subscribed))
    mm.opt_out = int(policy.process_opt_out and subscribed)


def task_record(p: Any, thread: Task | Churn, workload: Workload, setup: Setup) -> None:
    """Fill a ``task_struct`` record; the first thread of a process is its main thread."""
    process = setup.of(thread.process)
    index = threads_of(workload, thread.process).index(thread.name)
    p.mm = list(workload.process_names).index(thread.process)
    p.pid = process.pids[index]
    p.numa_scan_period = workload.tunables.scan_delay_ms
    p.numa_scan_period_max = workload.tunables.scan_period_max_ms
    p.numa_preferred_nid = st.NUMA_NO_NODE
    p.numa_group = st.NONE
    p.sum_exec_runtime = int(process.runtime_ms[index] * 1e6)
    if index:
        p.node_stamp = min(60_000, workload.tunables.scan_period_max_ms) + 2 * tick_nsec(
            workload.machine.hz
        )
    p.free_to_move = int(thread.cpu < 0)


def place_tasks(tasks: np.ndarray, workload: Workload) -> np.ndarray:
    """Put every thread on its CPU, a free one on the idlest; return threads a CPU."""
    machine = workload.machine
    load = np.zeros(machine.cpus, np.int64)
    threads = workload.threads
    for thread in (t for t in threads if t.cpu >= 0):
        load[thread.cpu] += 1
    for i, thread in enumerate(threads):
        cpu = thread.cpu
        if cpu < 0:
            spread = load + np.arange(machine.cpus) % machine.cpus_per_node * 1e-3
            cpu = int(np.argmin(spread))
            load[cpu] += 1
        tasks[i].cpu = cpu
        tasks[i].node = cpu // machine.cpus_per_node
    return load


def alone_records(workload: Workload, setup: Setup) -> np.ndarray:
    """Return when each process's main thread ran alone with balancing on."""
    alone = records(alone_type, len(workload.process_names))
    threads = [t.process for t in workload.threads]
    hz = workload.machine.hz
    for m, name in enumerate(workload.process_names):
        process = setup.of(name)
        alone[m].task = threads.index(name)
        if threads.count(name) > 1 and process.balancing_ms < process.reset_ms:
            alone[m].first_ns = int(process.balancing_ms * 1e6)
            alone[m].last_ns = int(process.reset_ms * 1e6)
            delay = msecs_to_jiffies(workload.tunables.scan_delay_ms, hz)
            alone[m].next_scan = st.START_JIFFIES + int(process.fork_ms * hz // 1000) + delay
    return alone
