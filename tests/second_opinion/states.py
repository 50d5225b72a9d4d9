"""One drawn state as both sides hold it: the engine's records, the second opinion's objects."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from numalab.machine import Machine
from numalab.model.inputs import kernel_record
from numalab.policy import NAMES, Policy, get
from numalab.tunables import Tunables
from numalab.workload import Task, Workload
from tests.linux import parts
from tests.second_opinion.objects import Group, Mm, Sim, Thread

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


def thread(sim: Sim, cpu: int, users: int = 1) -> Thread:
    """The first thread of a process with some."""
    mm = Mm(name="main", vmas=[])
    for i in range(users):
        mm.tasks.append(Thread(spec=Task(name=f"t{i}"), pid=100 + i, mm=mm, cpu=cpu, bound=True))
    return mm.tasks[0]
