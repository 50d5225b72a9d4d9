"""Scan policies: a kernel generation or a proposal is a set of named rules.

A rule is on or off; the compiled engine is shared by all policies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from numalab.fields import field, unknown_name, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which rules a kernel has. Field order is the order of the tests in fair.c."""

    name: str = field(doc="name")
    about: str = field("", doc="what it is, in one line")
    source: str = field("", doc="release, commit or message id")
    one_node_cpuset: bool = field(False, doc="a task in a one-node cpuset does not scan")
    shmem_task_policy: bool = field(False, doc="a shmem VMA falls back to the task's policy")
    vma_scan_delay: bool = field(False, doc="a new VMA waits scan_delay_ms (ef6a22b70f6d)")
    pid_filter: bool = field(False, doc="only tasks that faulted in a VMA scan it (fc137c0ddab2)")
    pid_reset_early: bool = field(False, doc="pid windows age at every visit (2e2675db1906)")
    seq_completed: bool = field(False, doc="a VMA is scanned once a pass (f169c62ff7cd)")
    start_scan_seq: bool = field(False, doc="two free passes for each VMA (84db47ca7146)")
    partial_vma: bool = field(False, doc="a half-scanned VMA is finished (b7a5b537c55c)")
    thread_count_rule: bool = field(False, doc="scan after nr_threads passes (f22cde4371f3)")
    forced_scan: bool = field(False, doc="force one inactive VMA a pass (f169c62ff7cd)")
    pinned_filter: str = field(
        "private_4k", choices=("private_4k", "all"), doc="which pinned folios are not marked"
    )
    single_thread_rule_thp: bool = field(False, doc="local huge folios of a lone thread are spared")
    notifier_level: str = field(
        "pmd", choices=("pmd", "pud"), doc="page-table level that sends the notifier"
    )

    def __post_init__(self) -> None:
        validate(self)


_LINUX_6_1 = Policy(
    name="linux-6.1",
    about="before any per-VMA scan state: every suitable VMA is scanned",
    source="6.1.192",
)
_LINUX_6_12 = Policy(
    name="linux-6.12",
    about="scan delay and PID filter for each VMA, forced scans, thread-count rule",
    source="6.12.107 (stable, holds f22cde4371f3)",
    vma_scan_delay=True,
    pid_filter=True,
    pid_reset_early=True,
    seq_completed=True,
    start_scan_seq=True,
    partial_vma=True,
    thread_count_rule=True,
    forced_scan=True,
    notifier_level="pud",
)
_LINUX_7_2 = replace(
    _LINUX_6_12,
    name="linux-7.2",
    about="pinned folios skipped in all maps, shmem scanned, one-node cpusets not",
    source="7.2.13",
    one_node_cpuset=True,
    shmem_task_policy=True,
    pinned_filter="all",
    single_thread_rule_thp=True,
)

POLICIES = {policy.name: policy for policy in (_LINUX_6_1, _LINUX_6_12, _LINUX_7_2)}
NAMES = tuple(POLICIES)


def get(name: str) -> Policy:
    """Return a policy by name.

    Raises
    ------
    InputError
        Naming the nearest policy that exists.
    """
    if name not in POLICIES:
        raise unknown_name("policy", name, NAMES)
    return POLICIES[name]
