"""The kernel's structs as records: mm_struct, vm_area_struct, task_struct, numa_group.

Field names are the kernel's. Addresses are page numbers, times are jiffies, runtimes
ns, scan periods ms, as in C. Records exist for the few (address spaces, VMAs, tasks);
pages are counted in spans and cohorts (see :mod:`numalab.model.faults`).

All integers are int64: negative values stay what they are in C (an int), and the
64-bit pid bitmaps only meet bit operations.
"""

from __future__ import annotations

from numalab.jit import jitted
from numalab.records import record
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
VM_TASK_POLICY_MOF = 8192

BY_SCAN, BY_MIGRATION = 0, 1
"""Why a notifier was sent: as in :data:`numalab.schema.WHYS`."""

STATS_MEM, STATS_CPU, STATS_MEMBUF, STATS_CPUBUF = 0, 1, 2, 3

mm_struct = record(
    "numa_next_scan numa_scan_offset numa_scan_seq mm_users nr_threads rss mmap mmap_base "
    "mems_allowed_one reset_at_ns scanner opt_out"
)
"""``mmap`` is the first VMA of a list in address order; ``rss`` counts 4 KiB pages;
``reset_at_ns`` is when the scan under way ends the pass, 0 if it does not; ``scanner`` the task
that scanned last."""

vm_area_struct = record(
    "vm_start vm_end vm_flags vm_mm next owner offset first_segment nr_segments numab_state "
    "next_scan pids_active_reset pids_active0 pids_active1 start_scan_seq prev_scan_seq "
    "subscriber pinned_until seen seen_pinned next_pid_slot"
)
"""``owner`` is the VMA of the workload it is reported under, ``offset`` its first page there.
``subscriber`` is one of :mod:`numalab.linux.mmu_notifier`; ``pinned_until`` [jiffies] and
``seen``, ``seen_pinned`` [folios] are those of a remedy."""

task_struct = record(
    "mm pid cpu node numa_scan_seq numa_scan_period numa_scan_period_max numa_preferred_nid "
    "numa_migrate_retry node_stamp sum_exec_runtime locality_remote locality_local "
    "locality_failed has_faults total_numa_faults numa_pages_migrated numa_group "
    "last_task_numa_placement last_sum_exec_runtime free_to_move vruntime ran_ns slice_ns "
    "queued behind wake_ns debt_ns in_debt owed_ns paid_ns running tick_cpu rank rated wants_cpu "
    "spins image_access first_access end_access",
    floats="scan_ns fault_ns",
)
"""``vruntime`` decides who of several flat-out tasks has a CPU, ``ran_ns`` is how long each ran,
``slice_ns`` of its turn; ``queued``: a scan is to run when the task has its CPU again;
``behind``: a task that would sleep has something to do still; ``wake_ns`` when it wakes next;
``locality_*`` is ``numa_faults_locality[3]``; ``has_faults`` says that ``numa_faults`` is
allocated, as the first fault does; ``debt_ns`` time that scans and faults used ahead of the tick
(``in_debt``: at the start of this part of it; ``owed_ns``: what was due at the start of the tick,
touches too), ``paid_ns`` what they take of this part unless the task runs flat out; ``tick_cpu``
is where it began the tick; ``rank`` says when in a part its rated touches come; ``scan_ns`` and
``fault_ns`` are all that its scans and faults took. ``wants_cpu`` is 0 asleep, 1 for rated
accesses only, 2 flat out or busy; a task that ``spins`` runs when it has nothing to touch.
``image_access .. first_access`` are its accesses to pages of the program, ``first_access ..
end_access`` those of the workload."""

numa_group = record("refcount nr_tasks active_nodes max_faults_cpu total_faults")

sched_numa = record(
    "hz tick_ns nr_node_ids numa_balancing scan_delay_ms scan_period_min_ms "
    "scan_period_max_ms scan_size_mb cpusets_enabled vma_scan_delay vma_delay_ms pid_filter "
    "forced_scan start_scan_seq partial_vma thread_count_rule seq_completed pid_reset_early "
    "one_node_cpuset shmem_task_policy pinned_filter notifier_per_pud "
    "single_thread_rule_thp page_count_rule locality_reset resets_cpupid lru_batch unmap_once "
    "migration_drains notifier pinned_vma_mark numa_range_flag eevdf sched_scaling"
)
"""The knobs as C sees them, and which rules the kernel has: one int each, 0 or 1.

``pid_filter``: 0 none, else how pids are remembered (see :mod:`numalab.linux.pids_active`);
``pinned_filter``: 1 private 4 KiB (6.1, 6.12), 2 all folios in all maps (7.2); ``notifier``:
one of :mod:`numalab.linux.mmu_notifier`. ``sched_scaling``: by how much slices grow with the CPUs,
1 + log2 of at most 8, as get_update_sysctl_factor() has it.
"""

chunk_type, notice_type = (event_type(table) for table in EVENTS)
"""Records of a chunk that a scan walked, and of a notification that it sent."""

range_type = record("start end")

log_rows = record("chunks notices scans")
"""Chunks and notices so far, those included that had no room in their tables; scans begun."""


@jitted
def pid_bucket(pid: int) -> int:
    """Bit of a pid in ``pids_active``: ``hash_32(pid, ilog2(BITS_PER_LONG))``.

    Linux kernel commit d46031f40e0f ("sched/numa: use hash_32 to mix up PIDs
    accessing VMA").
    """
    return ((pid * 0x61C88647) & 0xFFFFFFFF) >> 26
