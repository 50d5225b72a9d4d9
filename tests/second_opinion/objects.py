"""What the second opinion is made of: pages, VMAs, address spaces, tasks, groups, a machine."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from numalab.policy import Policy
from numalab.workload import Churn, Task, Workload

NUMA_NO_NODE = -1
FAULT_KINDS = ("mem", "cpu", "membuf", "cpubuf")


@dataclass(slots=True, eq=False)
class Page:
    """A folio: one 4 KiB page, or 512 of them behind one PMD."""

    vma: Mapped
    nr: int = 1
    node: int = NUMA_NO_NODE
    present: bool = False
    prot_none: bool = False
    pinned: bool = False
    normal: bool = True
    cow_shared: bool = False
    dirty_file: bool = False
    """A page of a file (not tmpfs) that waits to be written."""
    isolated: bool = False
    """Whether a fault took it off its list, to move it, and has not unmapped it yet."""
    last_cpupid: int = -1
    read_only: bool = False
    """Whether its entry must take a write fault before it is written (6a56ccbcf6c6, 6.2)."""


@dataclass(slots=True, eq=False)
class NumabState:
    """struct vma_numab_state."""

    next_scan: int
    pids_active_reset: int
    start_scan_seq: int
    prev_scan_seq: int
    pids_active: list[int] = field(default_factory=lambda: [0, 0])


@dataclass(slots=True, eq=False)
class Mapped:
    """struct vm_area_struct, addresses in pages."""

    vm_start: int
    vm_end: int
    kind: str
    owner: str
    offset: int = 0
    mempolicy: str = "default"
    pages: list[Page] = field(default_factory=list)
    numab_state: NumabState | None = None
    accessing_pids: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """RFC v1: low bytes of pids in the VMA itself; zero is an empty slot."""
    next_pid_slot: int = 0

    @property
    def on_tmpfs(self) -> bool:
        """Whether shmem's vm_ops serve it: every file of the guest lies on tmpfs."""
        return self.kind in ("shmem", "shared", "file_ro", "file_rw", "text", "file-data")

    @property
    def private(self) -> bool:
        """Whether it is a private mapping."""
        return self.kind not in ("shmem", "shared", "file_ro", "file_rw")

    @property
    def private_anonymous(self) -> bool:
        """Whether its pages belong to no file, and to this process alone."""
        return self.private and not self.on_tmpfs

    @property
    def read_only_file(self) -> bool:
        """Whether a file is mapped to be read and not written."""
        return self.kind in ("file_ro", "text")

    @property
    def accessible(self) -> bool:
        """Whether it can be read, written or executed at all."""
        return self.kind != "guard"


@dataclass(slots=True, eq=False)
class Mm:
    """struct mm_struct, with the threads of the process."""

    name: str
    vmas: list[Mapped]
    tasks: list[Thread] = field(default_factory=list)
    rss: int = 0
    cpuset_mems: tuple[int, ...] = ()
    numa_next_scan: int = 0
    numa_scan_offset: int = 0
    numa_scan_seq: int = 0
    ending: list[tuple[float, Thread]] = field(default_factory=list)
    """Passes whose last scan is still under way: when it is over, and who scans."""

    @property
    def mm_users(self) -> int:
        """Threads that use it; nr_threads is the same number."""
        return len(self.tasks)


@dataclass(slots=True, eq=False)
class Group:
    """struct numa_group."""

    gid: int
    faults: Counter
    refcount: int = 1
    nr_tasks: int = 1
    total_faults: int = 0
    active_nodes: int = 1
    max_faults_cpu: int = 0


@dataclass(slots=True, eq=False)
class Touching:
    """One stream of touches: an access, or what a churn does to its mapping."""

    pages: list[Page]
    walk: bool
    touch_ns: float
    rate: float
    write: bool = True
    start_ns: float = 0.0
    stop_ns: float = 1e18
    position: int = 0
    owed: float = 0.0
    cold: list[Page] = field(default_factory=list)
    hot_share: float = 1.0


@dataclass(slots=True, eq=False)
class Migration:
    """A huge folio that a hint fault moves: where from, where to, and how long until unmapped."""

    page: Page
    src_nid: int
    dst_nid: int
    left_ns: float = 0.0


@dataclass(slots=True, eq=False)
class Thread:
    """struct task_struct, and what the thread does."""

    spec: Task | Churn
    pid: int
    mm: Mm
    cpu: int
    bound: bool
    mempolicy: str = "default"
    """Its own memory policy, over all nodes."""
    moves: list[tuple[int, int]] = field(default_factory=list)
    """When [ns] and to which CPU its affinity will change."""
    streams: list[Touching] = field(default_factory=list)
    sum_exec_runtime: int = 0
    vruntime: int = 0
    cpu_of_vruntime: int = field(init=False)
    """The CPU whose other threads it is compared with."""
    slice_ns: int = 0
    """How long it ran since it got the turn on its CPU."""
    behind: bool = False
    """Whether it sleeps between touches, and the last tick left it with something to do."""
    scan_queued: bool = False
    """Whether task_numa_work() waits until it has its CPU."""
    debt_ns: float = 0.0
    """Time already spent of what comes next: scans, and the last touch's overhang."""
    moving: Migration | None = None
    """What the last touch moved, if it is a huge folio; it is still isolated between runs."""
    turn: int = 0
    touches: int = 0
    used_ns: float = 0.0
    """Time a rated thread used since the last tick."""
    mapped: Mapped | None = None
    change_ns: float = 0.0
    """When a churn maps or unmaps next."""
    node_stamp: int = 0
    numa_scan_seq: int = 0
    numa_scan_period: int = 0
    numa_scan_period_max: int = 0
    numa_preferred_nid: int = NUMA_NO_NODE
    numa_migrate_retry: int = 0
    numa_pages_migrated: int = 0
    total_numa_faults: int = 0
    numa_faults: Counter | None = None
    numa_faults_locality: list[int] = field(default_factory=lambda: [0, 0, 0])
    numa_group: Group | None = None
    last_task_numa_placement: int = 0
    last_sum_exec_runtime: int = 0

    def __post_init__(self) -> None:
        self.cpu_of_vruntime = self.cpu

    @property
    def name(self) -> str:
        """Name in the workload."""
        return self.spec.name

    @property
    def waits(self) -> bool:
        """Whether it sleeps all the time."""
        return isinstance(self.spec, Task) and self.spec.waits


@dataclass(slots=True, eq=False)
class Sim:
    """The machine at an instant, and what was counted."""

    w: Workload
    policy: Policy
    rng: random.Random
    tick_ns: int
    phase_ns: int
    jiffies: int = 1 << 32
    now_ns: float = 0.0
    tick_time_ns: int = 0
    mms: list[Mm] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    curr: list[Thread | None] = field(default_factory=list)
    turn: list[Thread | None] = field(default_factory=list)
    """Whose turn it is on each CPU, of the threads that want it all the time."""
    min_vruntime: list[int] = field(default_factory=list)
    count: Counter = field(default_factory=Counter)
    skips: Counter = field(default_factory=Counter)
    scan_calls: Counter = field(default_factory=Counter)
    scan_pages: Counter = field(default_factory=Counter)
    notifier_calls: Counter = field(default_factory=Counter)
    notifier_pages: Counter = field(default_factory=Counter)
    chunks: list[dict] = field(default_factory=list)
    scans: int = 0
    groups: int = 0

    def node_of(self, cpu: int) -> int:
        """Node of a CPU."""
        return cpu // self.w.machine.cpus_per_node

    def scan_seq(self, mm: Mm, task: Thread) -> int:
        """mm->numa_scan_seq as a task sees it now, while a scan may be under way elsewhere."""
        over = sum(1 for end, who in mm.ending if who is task or end <= self.now_ns)
        return mm.numa_scan_seq + over
