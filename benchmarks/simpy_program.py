"""The same work in SimPy, an event a hint fault: what one writes without an engine.

One process on linux-6.1, each thread alone on a CPU and walking flat out over a VMA of its
own: private-converge. Rules as in docs/model.md; nothing that this workload does not need
(groups, PID filter, huge folios, pinned pages, pages of the program).
"""

import math
from dataclasses import dataclass, field

import numpy as np
import simpy

NOWHERE = -1


@dataclass
class Mm:
    """Scan state of the process."""

    next_scan: int
    vmas: list
    rss: int
    offset: int = 0
    seq: int = 0
    reset_at: float = 0.0


@dataclass
class Thread:
    """A walker, its pages and its NUMA state; times in ns."""

    cpu: int
    node: int
    pages: int
    home: int
    exec_ns: float
    stamp: float
    period_ms: int
    marked: bytearray = field(default_factory=bytearray)
    at: list = field(default_factory=list)
    waiting: int = 0
    position: int = 0
    debt: float = 0.0
    wake: object = None
    seq: int = 0
    preferred: int = NOWHERE
    retry: int = 0
    local: int = 0
    remote: int = 0


class Program:
    """Walkers, ticks and scans of one run."""

    def __init__(self, w, seed):
        self.w, self.speed, self.knobs = w, w.machine.speed, w.tunables
        self.rng = np.random.default_rng(seed)
        self.env = simpy.Environment()
        self.tick = 1e9 / w.machine.hz
        self.phase = self.rng.uniform(0, self.tick)
        self.faults = self.local = self.migrated = self.updates = 0
        sizes = {v.name: v for v in w.vmas}
        self.threads = []
        for i, task in enumerate(w.tasks):
            vma = sizes[task.access[0].vma]
            first = sum(v.pages for v in w.vmas) * self.speed.first_touch_ns if i == 0 else 0.0
            self.threads.append(
                Thread(
                    cpu=task.cpu, node=task.cpu // w.machine.cpus_per_node, pages=vma.pages,
                    home=vma.first_touch_node, exec_ns=first,
                    stamp=0.0 if i == 0 else 60_000 + 2 * self.tick,
                    period_ms=self.knobs.scan_delay_ms,
                )
            )  # fmt: skip
        for t in self.threads:
            t.marked, t.at = bytearray(t.pages), [t.home] * t.pages
        rss = sum(t.pages for t in self.threads)
        delay = self.jiffies_of(self.knobs.scan_delay_ms)
        self.mm = Mm(next_scan=delay, vmas=self.threads[::-1], rss=rss)

    def jiffies_of(self, ms):
        return math.ceil(ms * self.w.machine.hz / 1000)

    @property
    def jiffies(self):
        return max(0, int((self.env.now - self.phase) // self.tick) + 1)

    def run(self):
        for t in self.threads:
            self.env.process(self.walk(t))
        self.env.process(self.ticks())
        self.env.run(until=self.w.duration_ms * 1e6)
        return self

    def period_min(self):
        windows = -(-self.mm.rss // (self.knobs.scan_size_mb << 8))
        floor = 1000 // max(1, 2560 // self.knobs.scan_size_mb)
        return max(floor, self.knobs.scan_period_min_ms // windows), windows

    def ticks(self):
        yield self.env.timeout(self.phase)
        while True:
            self.end_pass()
            for t in self.threads:
                t.exec_ns += self.tick
                if t.exec_ns > t.stamp + t.period_ms * 1e6:
                    if t.stamp == 0:
                        t.period_ms = self.period_min()[0]
                    t.stamp += t.period_ms * 1e6
                    if self.jiffies >= self.mm.next_scan:
                        self.scan(t)
            yield self.env.timeout(self.tick)

    def end_pass(self, now=None):
        mm = self.mm
        if mm.reset_at and mm.reset_at <= (self.env.now if now is None else now):
            mm.reset_at, mm.offset = 0.0, 0
            mm.seq += 1

    def scan(self, t):
        mm, speed = self.mm, self.speed
        self.end_pass(math.inf)
        mm.next_scan = self.jiffies + self.jiffies_of(t.period_ms)
        t.stamp += 2 * self.tick
        budget, cost, base = self.knobs.scan_size_mb << 8, 0.0, 0
        for vma in mm.vmas:
            lo, hi = max(0, mm.offset - base), vma.pages
            if lo < hi and budget > 0:
                hi = min(hi, lo + budget)
                found = hi - lo - vma.marked.count(1, lo, hi)
                vma.marked[lo:hi] = b"\1" * (hi - lo)
                vma.waiting += found
                self.updates += found
                cost += speed.scan_call_ns + (hi - lo) * speed.scan_page_ns
                cost += found * speed.pte_update_ns
                budget -= hi - lo
                if vma.wake is not None and not vma.wake.triggered:
                    vma.wake.succeed()
                mm.offset = base + hi
            base += vma.pages
        cost *= self.rng.lognormal(0, speed.scan_spread)
        if budget > 0:
            mm.reset_at = self.env.now + cost
        if cost >= self.tick:
            t.stamp += 32 * (cost // self.tick * self.tick)
        t.debt += cost

    def walk(self, t):
        env, walk_ns = self.env, self.speed.touch_walk_ns
        while True:
            if t.debt:
                debt, t.debt = t.debt, 0.0
                yield env.timeout(debt)
            elif not t.waiting:
                began, t.wake = env.now, env.event()
                yield t.wake
                t.position = (t.position + int((env.now - began) / walk_ns)) % t.pages
            else:
                page = t.marked.find(1, t.position)
                if page < 0:
                    page = t.marked.find(1)
                gap = (page - t.position) % t.pages
                t.position = page
                yield env.timeout(gap * walk_ns + self.fault(t, page))

    def fault(self, t, page):
        """Handle one hint fault; return its time."""
        t.marked[page] = 0
        t.waiting -= 1
        self.faults += 1
        spent = self.speed.hint_fault_ns
        here = t.at[page] == t.node
        if here:
            self.local += 1
            t.local += 1
        else:  # its own page, never another's: it follows at once
            t.at[page] = t.node
            t.remote += 1
            self.migrated += 1
            spent += self.speed.migrate_page_ns
        jiffies = self.jiffies
        if jiffies > t.retry:
            self.end_pass()
            here = self.placement(t, jiffies, here)
            if t.preferred != NOWHERE:
                t.retry = jiffies + min(self.w.machine.hz, self.jiffies_of(t.period_ms) // 16)
        return spent

    def placement(self, t, jiffies, here):
        mm = self.mm
        if t.seq == mm.seq:
            return
        t.seq = mm.seq
        t.preferred = t.node
        smin, windows = self.period_min()
        smax = max(smin, self.knobs.scan_period_max_ms // windows)
        before = t.local - (1 if here else 0)
        if before == 0:
            t.period_ms = min(smax, 2 * t.period_ms)
            mm.next_scan = jiffies + self.jiffies_of(t.period_ms)
            return
        t.period_ms = min(max(t.period_ms + 3 * -(-t.period_ms // 10), smin), smax)
        t.local, t.remote = (1, 0) if here else (0, 1)


def simulate(w, seed=0):
    """Run a workload of this kind; return its counters."""
    found = Program(w, seed).run()
    return {
        "numa_pte_updates": found.updates,
        "numa_hint_faults": found.faults,
        "numa_hint_faults_local": found.local,
        "numa_pages_migrated": found.migrated,
    }
