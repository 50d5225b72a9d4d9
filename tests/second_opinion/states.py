"""One drawn state as both sides hold it: the engine's records, the second opinion's objects."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from numalab import vma as vmas
from numalab.machine import Machine
from numalab.model.inputs import kernel_record, mapping_flags
from numalab.policy import NAMES, Policy, get
from numalab.tunables import Tunables
from numalab.workload import Task, Vma, Workload
from tests.linux import parts
from tests.second_opinion.objects import Group, Mapped, Mm, NumabState, Sim, Thread

NODES = 3
CPUS_PER_NODE = 2
MM_FIELDS = ("numa_next_scan", "numa_scan_offset", "numa_scan_seq", "rss")
TASK_FIELDS = (
    "pid",
    "cpu",
    "numa_scan_seq",
    "numa_scan_period",
    "numa_scan_period_max",
    "numa_preferred_nid",
    "numa_migrate_retry",
    "node_stamp",
    "sum_exec_runtime",
    "total_numa_faults",
    "numa_pages_migrated",
    "last_task_numa_placement",
    "last_sum_exec_runtime",
)
VMA_FIELDS = ("next_scan", "pids_active_reset", "start_scan_seq", "prev_scan_seq")
KINDS = ("mem", "cpu", "membuf", "cpubuf")

names = st.sampled_from(NAMES)
jiffies = st.integers(1000, 1004)
seqs = st.sampled_from([0, 1, 2, 3, 4, 4, 5])
any_pid = st.integers(1, 1 << 22)
pids = st.one_of(any_pid, any_pid, any_pid, st.integers(0, 1 << 13).map(lambda n: n << 8 | 0xFF))
"""One in four ends in 0xff, which looks like no pid to cpupid_pid_unset()."""
tunables = st.builds(
    Tunables,
    scan_delay_ms=st.integers(0, 3000),
    scan_period_min_ms=st.integers(1, 3000),
    scan_period_max_ms=st.integers(1, 90_000),
    scan_size_mb=st.sampled_from([1, 64, 100, 256, 1000, 1281, 2559, 2560, 2561, 9999]),
)


@dataclass(repr=False)
class Both:
    """A state on both sides."""

    sim: Sim
    k: Any
    mm: Any
    tasks: Any
    ref_mm: Mm
    ref_tasks: list[Thread]
    groups: Any
    group_faults: Any
    faults: Any

    def __repr__(self) -> str:
        """Short: a failing example is looked at in a debugger."""
        return f"<{self.sim.policy.name}, {len(self.ref_tasks)} tasks>"

    def world(self, now: int = 0, now_ns: int = 0) -> Any:
        """The engine's world around its side of the state, at a time."""
        return parts.world(
            self.k, self.mm, now, now_ns, tasks=self.tasks, groups=self.groups,
            group_faults=self.group_faults, faults=self.faults, cpus_per_node=CPUS_PER_NODE,
        )  # fmt: skip

    def same_tasks(self) -> None:
        """Assert that both sides hold the same mm, tasks, statistics and groups."""
        for name in MM_FIELDS:
            assert int(self.mm[name]) == getattr(self.ref_mm, name), name
        for i, p in enumerate(self.ref_tasks):
            for name in TASK_FIELDS:
                assert int(self.tasks[i][name]) == getattr(p, name), (p.name, name)
            record = self.tasks[i]
            found = [record.locality_remote, record.locality_local, record.locality_failed]
            assert [int(n) for n in found] == p.numa_faults_locality, p.name
            assert self.faults[i].tolist() == table(p.numa_faults or Counter(), 4)
            group = -1 if p.numa_group is None else p.numa_group.gid
            assert int(record.numa_group) == group, p.name

    def same_groups(self) -> None:
        """Assert that both sides hold the same groups, of those with members."""
        members = [p.numa_group for p in self.ref_tasks if p.numa_group]
        for group in {id(g): g for g in members}.values():
            record = self.groups[group.gid]
            assert self.group_faults[group.gid].tolist() == table(group.faults, 2)
            assert int(record.nr_tasks) == group.nr_tasks
            assert int(record.total_faults) == group.total_faults
            assert int(record.active_nodes) == group.active_nodes


def table(counts: Counter, kinds: int) -> list[list[list[int]]]:
    """Fault statistics as the engine lays them out: [kind][node][private]."""
    return [
        [[counts[kind, nid, priv] for priv in (0, 1)] for nid in range(NODES)]
        for kind in KINDS[:kinds]
    ]


def simulator(rules: Policy, hz: int = 250, knobs: Tunables | None = None) -> tuple[Sim, Any]:
    """A second opinion without anything in it, and the engine's record of its kernel."""
    machine = Machine(nodes=NODES, cpus_per_node=CPUS_PER_NODE, hz=hz)
    w = Workload(name="k", machine=machine, tunables=knobs or Tunables(), tasks=(Task(name="t0"),))
    k = kernel_record(w, rules)[0]
    sim = Sim(w=w, policy=rules, rng=random.Random(0), tick_ns=int(k.tick_ns), phase_ns=1)
    sim.free = [1 << 20] * NODES
    sim.curr = [None] * machine.cpus
    return sim, k


def _counts(draw: Any, kinds: int) -> Counter:
    some = st.one_of(st.just(0), st.integers(0, 100), st.integers(0, 1 << 20))
    return Counter(
        {
            (kind, nid, priv): draw(some)
            for kind in KINDS[:kinds]
            for nid in range(NODES)
            for priv in (0, 1)
        }
    )


@st.composite
def states(draw: Any, number: int = 1, name: Any = names) -> Both:
    """A process with some tasks, each perhaps in a group of its own or the first one's."""
    hz = draw(st.sampled_from([100, 250, 300, 1000]))
    sim, k = simulator(get(draw(name)), hz, draw(tunables))
    users = max(number, draw(st.integers(1, 4)))
    values = {
        "numa_next_scan": draw(jiffies),
        "numa_scan_offset": draw(st.integers(0, 1 << 21)),
        "numa_scan_seq": draw(seqs),
        "rss": draw(st.one_of(st.just(0), st.integers(0, 1 << 26))),
    }
    ref_mm = Mm(name="main", vmas=[], **values)
    mm = parts.mm(**values, mm_users=users, nr_threads=users)
    tasks = parts.tasks(users)
    groups, group_faults = parts.no_groups(users + 1, NODES)
    both = Both(sim, k, mm, tasks, ref_mm, [], groups, group_faults, parts.no_faults(users, NODES))
    for i in range(users):
        _task(draw, both, i)
    sim.mms = [ref_mm]
    return both


def _task(draw: Any, both: Both, i: int) -> None:
    """Draw task ``i`` on both sides."""
    cpu = draw(st.integers(0, NODES * CPUS_PER_NODE - 1))
    runtime = draw(st.integers(0, 10**10))
    values = {
        "pid": draw(pids),
        "numa_scan_seq": draw(seqs),
        "numa_scan_period": draw(st.integers(1, 90_000)),
        "numa_scan_period_max": draw(st.integers(1, 90_000)),
        "numa_preferred_nid": draw(st.integers(-1, NODES - 1)),
        "numa_migrate_retry": draw(jiffies),
        "node_stamp": draw(st.one_of(st.just(0), st.integers(0, 10**10))),
        "sum_exec_runtime": runtime,
        "last_task_numa_placement": draw(st.sampled_from([0, 10**9])),
        "last_sum_exec_runtime": draw(st.integers(0, runtime)),
        "total_numa_faults": draw(st.integers(0, 1 << 20)),
    }
    locality = draw(st.lists(st.sampled_from([0, 0, 3, 7, 5000]), min_size=3, max_size=3))
    faults = _counts(draw, 4)
    p = Thread(spec=Task(name=f"t{i}"), mm=both.ref_mm, cpu=cpu, bound=True, **values)
    p.numa_faults, p.numa_faults_locality = faults, locality
    both.ref_mm.tasks.append(p)
    both.ref_tasks.append(p)
    parts.fill(
        both.tasks[i],
        **values,
        cpu=cpu,
        node=cpu // CPUS_PER_NODE,
        locality_remote=locality[0],
        locality_local=locality[1],
        locality_failed=locality[2],
        has_faults=1,
    )
    both.faults[i] = table(faults, 4)
    if draw(st.booleans()):
        _group(draw, both, i, p)


def _group(draw: Any, both: Both, i: int, p: Thread) -> None:
    """Put a task into a group of its own, with at least its own faults in it."""
    faults = _counts(draw, 2)
    own = p.numa_faults or Counter()
    faults.update({key: n for key, n in own.items() if key[0] in KINDS[:2]})
    values = {
        "refcount": draw(st.integers(1, 5)),
        "nr_tasks": draw(st.integers(1, 3)),
        "active_nodes": draw(st.integers(1, NODES)),
        "max_faults_cpu": draw(st.integers(0, 1 << 20)),
        "total_faults": p.total_numa_faults + draw(st.integers(0, 1 << 20)),
    }
    p.numa_group = Group(gid=i, faults=faults, **values)
    parts.fill(both.groups[i], **values)
    both.group_faults[i] = table(faults, 2)
    both.tasks[i].numa_group = i


def unsigned(bits: Any) -> int:
    """A mask that the engine holds as a signed number."""
    return int(bits) & ((1 << 64) - 1)


class Sides(tuple):
    """A VMA on both sides."""

    def __repr__(self) -> str:
        """Short: numpy's would fill pages."""
        return f"<{self[0].kind}, {self[0].mempolicy}>"


@st.composite
def mappings(
    draw: Any, kinds: tuple[str, ...] = ("anon",), mempolicies: tuple[str, ...] = vmas.POLICIES
) -> tuple[Mapped, Any]:
    """A VMA with its scan state."""
    kind = draw(st.sampled_from(kinds))
    own = kind in vmas.KINDS
    mempolicy = draw(st.sampled_from(mempolicies)) if own else "default"
    start, pages = draw(st.integers(1, 1 << 21)), draw(st.integers(1, 1 << 12))
    ref = Mapped(vm_start=start, vm_end=start + pages, kind=kind, owner="v", mempolicy=mempolicy)
    spec = Vma(name="v", size_mb=2, kind=kind, policy=mempolicy) if own else None
    record = parts.vma(vm_start=start, vm_end=start + pages, vm_flags=mapping_flags(kind, spec))
    return Sides((ref, record))


@st.composite
def scan_states(draw: Any) -> dict[str, Any]:
    """All that a VMA may remember; whether it does is drawn too."""
    values = {name: draw(jiffies) for name in VMA_FIELDS[:2]}
    values |= {name: draw(st.integers(-1, 4)) for name in VMA_FIELDS[2:]}
    return {
        "values": values,
        "there": draw(st.booleans()),
        "windows": [draw(st.integers(0, (1 << 64) - 1)) for _ in (0, 1)],
        "slots": [draw(st.integers(0, 255)) for _ in range(4)],
        "next": draw(st.integers(0, 3)),
    }


def give_state(found: dict[str, Any], ref: Mapped, record: Any, slots: bool) -> None:
    """Give a VMA its state on both sides: pids in windows, or in RFC v1's slots."""
    if slots:
        ref.accessing_pids, ref.next_pid_slot = list(found["slots"]), found["next"]
        packed = sum(pid << (8 * i) for i, pid in enumerate(ref.accessing_pids))
        parts.fill(record, pids_active0=packed, next_pid_slot=ref.next_pid_slot)
    elif found["there"]:
        values, windows = found["values"], list(found["windows"])
        ref.numab_state = NumabState(**values, pids_active=windows)
        signed = [int(np.uint64(window).astype(np.int64)) for window in windows]
        parts.fill(record, **values, numab_state=1, pids_active0=signed[0], pids_active1=signed[1])


def same_state(ref: Mapped, record: Any, slots: bool) -> None:
    """Assert that a VMA's scan state is the same on both sides."""
    if slots:
        found = [unsigned(record.pids_active0) >> (8 * i) & 0xFF for i in range(4)]
        assert (found, int(record.next_pid_slot)) == (ref.accessing_pids, ref.next_pid_slot)
        return
    assert bool(record.numab_state) == (ref.numab_state is not None)
    if ref.numab_state is None:
        return
    for name in VMA_FIELDS:
        assert int(record[name]) == getattr(ref.numab_state, name), name
    found = [unsigned(record.pids_active0), unsigned(record.pids_active1)]
    assert found == ref.numab_state.pids_active


def thread(sim: Sim, cpu: int, users: int = 1) -> Thread:
    """The first thread of a process with some."""
    mm = Mm(name="main", vmas=[])
    for i in range(users):
        mm.tasks.append(Thread(spec=Task(name=f"t{i}"), pid=100 + i, mm=mm, cpu=cpu, bound=True))
    return mm.tasks[0]
