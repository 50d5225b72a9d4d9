"""Scan policies: a kernel generation or a proposal is a set of named rules.

A rule is on or off; the compiled engine is shared by all policies.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numalab.fields import InputError, field, unknown_name, validate

PID_MEMORIES = ("two-windows", "one-window", "four-slots", "four-slots-defect")
"""In the order of the numbers in :mod:`numalab.linux.pids_active`."""

NOTIFIERS = ("range", "late", "each-folio")
"""In the order of the numbers in :mod:`numalab.linux.mmu_notifier`."""
PID_RULES = (
    "pid_memory", "pid_reset_early", "start_scan_seq", "partial_vma", "thread_count_rule",
)  # fmt: skip
"""Rules of vma_is_accessed() and of what it reads: without the PID filter nobody asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which rules a kernel has. Field order is the order of the tests in fair.c."""

    name: str = field(doc="name")
    before: str = field("", doc="the policy that it is a change of")
    about: str = field("", doc="what it is, in one line")
    source: str = field("", doc="release, commit or message id")
    one_node_cpuset: bool = field(False, doc="a task in a one-node cpuset does not scan")
    shmem_task_policy: bool = field(False, doc="a shmem VMA falls back to the task's policy")
    vma_scan_delay: bool = field(False, doc="a new VMA waits scan_delay_ms (ef6a22b70f6d)")
    vma_delay_ms: int = field(
        0, unit="ms", at_least=0, at_most=600_000,
        doc="what it waits instead, with vma_scan_delay; 0: scan_delay_ms, as in every kernel",
    )  # fmt: skip
    pid_filter: bool = field(False, doc="only tasks that faulted in a VMA scan it (fc137c0ddab2)")
    pid_memory: str = field(
        "two-windows", choices=PID_MEMORIES, doc="how a VMA remembers pids, with pid_filter"
    )
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
    page_count_rule: bool = field(
        False, doc="a private page with one more reference is not marked (80d47f5de5e3)"
    )
    locality_reset: bool = field(
        False, doc="one failed migration doubles the period once, not for ever (e81ee0630837)"
    )
    lru_batch: int = field(31, at_least=1, at_most=31, doc="pages that wait for an LRU list")
    migration_drains: bool = field(
        False, doc="a migrated page empties its CPU's batch (c3096e6782b7, until eebb3dabbb5c)"
    )
    resets_cpupid: bool = field(
        False,
        doc="the write after a migration unsets last_cpupid of a private 4 KiB page (6a56ccbcf6c6)",
    )
    unmap_once: bool = field(
        False, doc="migrate_pages() unmaps a folio once, and not again for each retry"
    )
    notifier_level: str = field(
        "pmd", choices=("pmd", "pud"), doc="page-table level that sends the notifier"
    )
    notifier: str = field(
        "range", choices=NOTIFIERS, doc="what a scan notifies: see numalab.remedies"
    )
    pinned_vma_mark: bool = field(False, doc="a VMA found pinned is left alone for a minute")
    numa_range_flag: bool = field(False, doc="guests keep pinned pages mapped in a scan's range")
    process_opt_out: bool = field(False, doc="processes with a guest or a GPU do not scan")
    eevdf: bool = field(
        False, doc="flat-out tasks of a CPU take turns of a base slice, not of CFS (147f3efaa241)"
    )
    bound: bool = field(False, doc="memory of guests and GPUs is under MPOL_BIND")
    confined: bool = field(False, doc="processes with a guest or a GPU are in one-node cpusets")

    def __post_init__(self) -> None:
        validate(self)

    def rules(self) -> dict[str, bool | int | str]:
        """Return the rules by name, without name, source and the like."""
        texts = ("name", "before", "about", "source")
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in texts
        }

    def acting_rules(self) -> dict[str, bool | int | str]:
        """Return the rules that can change a run: those of the PID filter only with it."""
        idle = () if self.pid_filter else PID_RULES
        return {name: value for name, value in self.rules().items() if name not in idle}


_LINUX_6_1 = Policy(
    name="linux-6.1",
    about="before any per-VMA scan state: every suitable VMA is scanned",
    source="6.1.192",
    page_count_rule=True,
    lru_batch=15,
    migration_drains=True,
)
_RFC_V1 = replace(
    _LINUX_6_1,
    name="rfc-v1",
    before="linux-6.1",
    about="four pid slots for each VMA, with the defect that leaves the first one empty",
    source="67bf778d592c39d02444825c416c2ed11d2ef4b2.1673610485.git.raghavendra.kt@amd.com",
    pid_filter=True,
    pid_memory="four-slots-defect",
)
_RFC_V1_INTENDED = replace(
    _RFC_V1,
    name="rfc-v1-as-intended",
    before="rfc-v1",
    about="four pid slots for each VMA, all four of them used",
    pid_memory="four-slots",
)
_GORMAN = replace(
    _LINUX_6_1,
    name="gorman-prototype",
    before="linux-6.1",
    about="a scan delay for each VMA and nothing else",
    source="20230117145951.s2jmva4v54lfrhds@suse.de",
    vma_scan_delay=True,
)
_RFC_V2 = replace(
    _GORMAN,
    name="rfc-v2",
    before="gorman-prototype",
    about="scan delay, and one window of 64 pid bits for each VMA",
    source="cover.1675159422.git.raghavendra.kt@amd.com",
    pid_filter=True,
    pid_memory="one-window",
)
_LINUX_6_4 = replace(
    _RFC_V2,
    name="linux-6.4",
    before="rfc-v2",
    resets_cpupid=True,
    unmap_once=True,
    about="as merged: two windows of hashed pids; a VMA first seen late is never scanned",
    source="ef6a22b70f6d, fc137c0ddab2, 20f586486b87, d46031f40e0f",
    pid_memory="two-windows",
)
_LINUX_6_7 = replace(
    _LINUX_6_4,
    name="linux-6.7",
    before="linux-6.4",
    about="pid windows age at every visit, half-scanned VMAs are finished, inactive ones forced",
    source="9ae5c00ea2e6..84db47ca7146",
    pid_reset_early=True,
    seq_completed=True,
    start_scan_seq=True,
    partial_vma=True,
    forced_scan=True,
    eevdf=True,
    migration_drains=False,
)
_LINUX_6_12 = replace(
    _LINUX_6_7,
    name="linux-6.12",
    before="linux-6.7",
    about="an unscanned VMA is scanned after as many passes as there are threads",
    source="6.12.107 (stable, holds f22cde4371f3)",
    thread_count_rule=True,
    page_count_rule=False,
    lru_batch=31,
    notifier_level="pud",
)
_LINUX_7_2 = replace(
    _LINUX_6_12,
    name="linux-7.2",
    before="linux-6.12",
    about="pinned folios skipped in all maps, shmem scanned, one-node cpusets not",
    source="7.2.13",
    one_node_cpuset=True,
    shmem_task_policy=True,
    pinned_filter="all",
    single_thread_rule_thp=True,
)
_LINUX_NEXT = replace(
    _LINUX_7_2,
    name="linux-next",
    before="linux-7.2",
    about="7.2 and what is queued since: a failed migration is forgotten at the next placement",
    source="7.2.13 and e81ee0630837 (tip/sched/core, September 2026)",
    locality_reset=True,
)

GENERATIONS = tuple(p.name for p in (_LINUX_6_1, _LINUX_6_4, _LINUX_6_7, _LINUX_6_12, _LINUX_7_2))
POLICIES = {
    policy.name: policy
    for policy in (
        _LINUX_6_1,
        _RFC_V1,
        _RFC_V1_INTENDED,
        _GORMAN,
        _RFC_V2,
        _LINUX_6_4,
        _LINUX_6_7,
        _LINUX_6_12,
        _LINUX_7_2,
        _LINUX_NEXT,
    )
}
NAMES = tuple(POLICIES)


def get(name: str) -> Policy:
    """Return a policy by name.

    Raises
    ------
    InputError
        Naming the nearest policy that exists; for a kernel, the newest one before it.
    """
    if name in POLICIES:
        return POLICIES[name]
    if version := re.fullmatch(r"(?:linux-|v)?(\d+)\.(\d+)\S*", name):
        before = newest_before(int(version[1]), int(version[2]))
        if before is not None:
            raise InputError(f"unknown policy {name!r}; the newest before it: {before.name!r}")
    raise unknown_name("policy", name, NAMES)


def lacking(name: str, rules: Iterable[str], field: str) -> Policy:
    """Return a policy by name that has none of some rules: for where they are put on it.

    Raises
    ------
    InputError
        Naming the field and the first rule that it has, or that is not on or off.
    """
    found = get(name)
    known = found.rules()
    for rule in rules:
        if rule not in known:
            raise unknown_name("rule", rule, list(known))
        if not isinstance(known[rule], bool):
            raise InputError(f"rule {rule}: is a choice, and not on or off")
        if known[rule]:
            raise InputError(f"{field} = {name}: has {rule} already: must be a policy before it")
    return found


def newest_before(major: int, minor: int) -> Policy | None:
    """Return the newest kernel generation that is not newer than a version, if there is one."""
    known = {tuple(map(int, n.removeprefix("linux-").split("."))): n for n in GENERATIONS}
    old = [version for version in known if version <= (major, minor)]
    return POLICIES[known[max(old)]] if old else None


def with_rules(policy: Policy, name: str, **rules: Any) -> Policy:
    """Return a policy with some rules changed, under a name of its own.

    Raises
    ------
    InputError
        For a rule that does not exist, or a value that it cannot have.
    """
    known = policy.rules()
    for rule in rules:
        if rule not in known:
            raise unknown_name("rule", rule, list(known))
    return replace(policy, name=name, before=policy.name, about="", source="", **rules)


def changes(policy: Policy, of: Mapping[str, Policy] = POLICIES) -> dict[str, bool | int | str]:
    """Return the rules in which a policy differs from the one that it is a change of."""
    if policy.before not in of:
        default = {f.name: f.default for f in dataclasses.fields(Policy)}
        return {k: v for k, v in policy.rules().items() if v != default[k]}
    then = of[policy.before].rules()
    return {k: v for k, v in policy.rules().items() if v != then[k]}
