"""A bare address space that a test scans by hand: no program, no stacks, no clock."""

import dataclasses

import numpy as np

from numalab.linux.fair_scan import FOREVER_NS, finish_scan, task_numa_work
from numalab.linux.structs import START_JIFFIES, pid_bucket
from numalab.machine import Machine, Speed
from numalab.model.initial import assemble
from numalab.model.layout import Mapping, ProcessSetup, Setup
from numalab.policy import get
from numalab.schema import REASONS
from numalab.workload import Access, Process, Task, Vma, Workload

FREE = Speed(
    **{
        f.name: 0.01 if "touch_" in f.name and "first" not in f.name else 0
        for f in dataclasses.fields(Speed)
    }
)
"""A machine on which scans and faults take no time."""
GIB = 1 << 18
"""Pages in 1 GiB."""


class Scanner:
    """An mm with the given VMAs, threads with pids 100, 101, ..., and a hand on the scan."""

    def __init__(self, policy, vmas, threads=1, base=1 << 20, rules=None, cpuset=(), **tunables):
        from numalab.tunables import Tunables

        self.policy = dataclasses.replace(get(policy), **(rules or {}))
        nouns = tuple(Vma(name=f"v{i}", **vma) for i, vma in enumerate(vmas))
        tasks = tuple(
            Task(name=f"t{i}", cpu=i % 2, access=(Access(vma="v0"),)) for i in range(threads)
        )
        self.workload = Workload(
            name="bare",
            machine=Machine(memory_mb=1 << 21, speed=FREE),
            tunables=Tunables(**tunables),
            vmas=nouns,
            tasks=tasks,
            processes=(Process(name="main", cpuset_mems=cpuset),) if cpuset else (),
        )
        mappings, at = [], base
        for vma in nouns:
            mappings.append(Mapping(start=at, pages=vma.pages, kind=vma.kind, owner=vma.name))
            at += vma.pages + 512
        process = ProcessSetup(
            name="main",
            mappings=tuple(mappings),
            pids=tuple(range(100, 100 + threads)),
            runtime_ms=(0.0,) * threads,
            reset_ms=0.0,
        )
        self.rng = np.random.default_rng(0)
        setup = Setup(processes=(process,))
        self.world = assemble(self.workload, self.policy, setup, 1 << 12, self.rng)
        self.mm = self.world.mms[0]
        self.vmas = self.world.vmas
        self.jiffies = START_JIFFIES

    def wait(self, ms):
        """Let time pass: 4 ms a jiffy."""
        self.jiffies += ms // 4
        return self

    def scan(self, task=0, due=True):
        """Run task_numa_work() once; return {VMA name: pages walked} and the skips of it."""
        w = self.world
        if due:
            self.mm.numa_next_scan = self.jiffies
        before = w.log.counts.copy()
        w.clock[0].jiffies, w.clock[0].now_ns = self.jiffies, 10**12
        task_numa_work(w, task, self.rng)
        finish_scan(self.mm, FOREVER_NS)
        names = [v.name for v in self.workload.vmas]
        calls, pages, more = (
            w.log.counts[name] - before[name] for name in ("scan_calls", "scan_pages", "skips")
        )
        self.calls = {n: int(c) for n, c in zip(names, calls, strict=False) if c}
        walked = {n: int(c) for n, c in zip(names, pages, strict=False) if c}
        self.skipped = {
            n: REASONS[int(np.argmax(more[i]))] for i, n in enumerate(names) if more[i].sum()
        }
        return walked

    def fault_in(self, v, task=0):
        """Remember a hint fault of a task in a VMA, as vma_set_access_pid_bit() does."""
        bit = np.int64(1) << np.int64(pid_bucket(100 + task))
        self.vmas[v].pids_active1 |= bit

    def has_bit(self, v, task=0):
        bit = np.int64(1) << np.int64(pid_bucket(100 + task))
        return bool((self.vmas[v].pids_active0 | self.vmas[v].pids_active1) & bit)

    @property
    def stat(self):
        return self.world.stat[0]

    @property
    def seq(self):
        return int(self.mm.numa_scan_seq)
