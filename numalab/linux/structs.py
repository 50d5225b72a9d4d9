"""The kernel's structs as records: mm_struct, vm_area_struct, task_struct, numa_group.

Field names are the kernel's. Addresses are page numbers, times are jiffies, runtimes
ns, scan periods ms, as in C. Records exist for the few (address spaces, VMAs, tasks);
pages are counted in spans and cohorts (see :mod:`numalab.model.hardware`).

All integers are int64: negative values stay what they are in C (an int), and the
64-bit pid bitmaps only meet bit operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numalab.jit import jitted
from numalab.schema import EVENTS, event_type

NUMA_NO_NODE = -1
NONE = -1
START_JIFFIES, START_NS = 1_000_000, 4_000_000_000_000
"""Clocks when the tasks start: any numbers well above every delay."""

# How a VMA looks to the tests of task_numa_work(); the flags are facts of the mapping.
VM_PRIVATE = 1
VM_HUGETLB = 2
VM_NO_MIGRATE = 4
VM_SHMEM = 8
VM_FILE_RO = 16
VM_INACCESSIBLE = 32
VM_BOUND = 64
VM_THP = 128
VM_FILE_LRU = 256
VM_POLICY_MOF = 512
VM_SPECIAL = 1024
VM_THREAD_STACK = 2048
VM_UNMOVABLE = 4096

BY_SCAN, BY_MIGRATION = 0, 1
"""Why a notifier was sent: as in :data:`numalab.schema.WHYS`."""

STATS_MEM, STATS_CPU, STATS_MEMBUF, STATS_CPUBUF = 0, 1, 2, 3

mm_struct = np.dtype(
    [
        ("numa_next_scan", "i8"),
        ("numa_scan_offset", "i8"),
        ("numa_scan_seq", "i8"),
        ("mm_users", "i8"),
        ("nr_threads", "i8"),
        ("rss", "i8"),
        ("mmap", "i8"),
        ("mmap_base", "i8"),
        ("mems_allowed_one", "i8"),
        ("reset_at_ns", "i8"),
        ("opt_out", "i8"),
    ]
)
"""``mmap`` is the first VMA of a list in address order; ``rss`` counts 4 KiB pages;
``reset_at_ns`` is when the scan under way ends the pass, 0 if it does not."""

vm_area_struct = np.dtype(
    [
        ("vm_start", "i8"),
        ("vm_end", "i8"),
        ("vm_flags", "i8"),
        ("vm_mm", "i8"),
        ("next", "i8"),
        ("owner", "i8"),
        ("offset", "i8"),
        ("first_segment", "i8"),
        ("nr_segments", "i8"),
        ("numab_state", "i8"),
        ("next_scan", "i8"),
        ("pids_active_reset", "i8"),
        ("pids_active0", "i8"),
        ("pids_active1", "i8"),
        ("start_scan_seq", "i8"),
        ("prev_scan_seq", "i8"),
        ("subscriber", "i8"),
        ("pinned_until", "i8"),
        ("seen", "i8"),
        ("seen_pinned", "i8"),
        ("next_pid_slot", "i8"),
    ]
)
"""``owner`` is the VMA of the workload it is reported under, ``offset`` its first page there.
``subscriber`` is one of :mod:`numalab.linux.mmu_notifier`; ``pinned_until`` [jiffies] and
``seen``, ``seen_pinned`` [folios] are those of a remedy."""

task_struct = np.dtype(
    [
        ("mm", "i8"),
        ("pid", "i8"),
        ("cpu", "i8"),
        ("node", "i8"),
        ("numa_scan_seq", "i8"),
        ("numa_scan_period", "i8"),
        ("numa_scan_period_max", "i8"),
        ("numa_preferred_nid", "i8"),
        ("numa_migrate_retry", "i8"),
        ("node_stamp", "i8"),
        ("sum_exec_runtime", "i8"),
        ("locality_remote", "i8"),
        ("locality_local", "i8"),
        ("locality_failed", "i8"),
        ("total_numa_faults", "i8"),
        ("numa_pages_migrated", "i8"),
        ("numa_group", "i8"),
        ("last_task_numa_placement", "i8"),
        ("last_sum_exec_runtime", "i8"),
        ("free_to_move", "i8"),
        ("vruntime", "i8"),
        ("debt_ns", "i8"),
        ("running", "i8"),
        ("rated", "i8"),
        ("wants_cpu", "i8"),
        ("spins", "i8"),
        ("image_access", "i8"),
        ("first_access", "i8"),
        ("end_access", "i8"),
    ]
)
"""``locality_*`` is ``numa_faults_locality[3]``; ``debt_ns`` time used up ahead of the tick.
``wants_cpu`` is 0 asleep, 1 for rated accesses only, 2 flat out; a task that ``spins`` touches
nothing. ``image_access .. first_access`` are its accesses to pages of the program,
``first_access .. end_access`` those of the workload."""

numa_group = np.dtype(
    [
        ("refcount", "i8"),
        ("nr_tasks", "i8"),
        ("active_nodes", "i8"),
        ("max_faults_cpu", "i8"),
        ("total_faults", "i8"),
    ]
)

sched_numa = np.dtype(
    [
        ("hz", "i8"),
        ("tick_ns", "i8"),
        ("nr_node_ids", "i8"),
        ("numa_balancing", "i8"),
        ("scan_delay_ms", "i8"),
        ("scan_period_min_ms", "i8"),
        ("scan_period_max_ms", "i8"),
        ("scan_size_mb", "i8"),
        ("cpusets_enabled", "i8"),
        ("vma_scan_delay", "i8"),
        ("vma_delay_ms", "i8"),
        ("pid_filter", "i8"),
        ("forced_scan", "i8"),
        ("start_scan_seq", "i8"),
        ("partial_vma", "i8"),
        ("thread_count_rule", "i8"),
        ("seq_completed", "i8"),
        ("pid_reset_early", "i8"),
        ("one_node_cpuset", "i8"),
        ("shmem_task_policy", "i8"),
        ("pinned_filter", "i8"),
        ("notifier_per_pud", "i8"),
        ("single_thread_rule_thp", "i8"),
        ("page_count_rule", "i8"),
        ("lru_batch", "i8"),
        ("unmap_once", "i8"),
        ("notifier", "i8"),
        ("pinned_vma_mark", "i8"),
        ("numa_range_flag", "i8"),
    ]
)
"""The knobs as C sees them, and which rules the kernel has: one int each, 0 or 1.

``pid_filter``: 0 none, else how pids are remembered (see :mod:`numalab.linux.pids_active`);
``pinned_filter``: 1 private 4 KiB (6.1, 6.12), 2 all folios in all maps (7.2); ``notifier``:
one of :mod:`numalab.linux.mmu_notifier`.
"""

chunk_type, notice_type = (event_type(table) for table in EVENTS)
"""Records of a chunk that a scan walked, and of a notification that it sent."""

range_type = np.dtype([("start", "i8"), ("end", "i8")])

log_rows = np.dtype([("chunks", "i8"), ("notices", "i8"), ("scans", "i8")])
"""Chunks and notices so far, those included that had no room in their tables; scans begun."""


def records(dtype: np.dtype, count: int) -> Any:
    """Return ``count`` zeroed records whose fields read as attributes, jitted or not.

    Parameters
    ----------
    dtype : numpy.dtype
    count : int

    Returns
    -------
    numpy.recarray, shape (count,)
    """
    return np.zeros(count, dtype=dtype).view(np.recarray)


@jitted
def pid_bucket(pid: int) -> int:
    """Bit of a pid in ``pids_active``: ``hash_32(pid, ilog2(BITS_PER_LONG))``.

    Linux kernel commit d46031f40e0f ("sched/numa: use hash_32 to mix up PIDs
    accessing VMA").
    """
    return ((pid * 0x61C88647) & 0xFFFFFFFF) >> 26
