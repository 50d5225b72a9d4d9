"""Time goes by: threads touch pages between ticks, a touch at a time."""

from __future__ import annotations

import itertools
import math

from numalab.workload import Churn, Task
from tests.second_opinion import cpus, kernel_memory, kernel_scan
from tests.second_opinion.machine import NSEC_PER_MSEC, folios, lifetime_ms, mmap, munmap
from tests.second_opinion.objects import Page, Sim, Thread, Touching

PARTS = 4
WAKE_NS = 10_000_000
"""How often a thread that is not busy wakes up."""


def run(sim: Sim, until_ns: float) -> None:
    """Run until a time; a tick at that very time is not taken any more."""
    on = sim.w.tunables.numa_balancing and sim.w.machine.nodes > 1
    now, tick = 0, sim.phase_ns
    while tick < until_ns:
        picked = _between_ticks(sim, now, tick)
        sim.jiffies += 1
        sim.tick_time_ns = tick
        _tick(sim, tick, picked, bool(on))
        now, tick = tick, tick + sim.tick_ns
    _between_ticks(sim, now, int(until_ns))
    sim.now_ns = until_ns
    for mm in sim.mms:
        kernel_scan.end_passes(sim, mm)


def _between_ticks(sim: Sim, now: int, until: int) -> list[Thread | None]:
    """Run all CPUs up to a tick in parts; return whom the tick finds running on each CPU."""
    order = cpus.in_turn(sim)
    seats = cpus.Seats(sim, now, until)
    seats.move(now)
    for cpu in order:
        seats.seat(cpu)
    for t in cpus.all_threads(sim):
        t.used_ns = 0.0
    _queued_scans(sim, seats, order, now)
    for a, b in itertools.pairwise(_cuts(sim, now, until)):
        sim.now_ns = a
        for mm in sim.mms:
            kernel_scan.end_passes(sim, mm)
        seats.move(a)
        for t in cpus.all_threads(sim):
            if not seats.has_cpu(t):
                _put_off(t, b - a)
            _fall_due(t, t.streams, a, min(b, t.change_ns) if isinstance(t.spec, Churn) else b)
        for cpu in order:
            _run_cpu(sim, seats, cpu, a, b)
    return cpus.found(sim, seats)


def _run_cpu(sim: Sim, seats: cpus.Seats, cpu: int, a: int, b: int) -> None:
    """Run the threads of a CPU in a part of a tick."""
    left = float(b - a)
    for t in seats.seated(cpu):
        sim.curr[cpu] = t
        _put_off(t, b - a - left)
        used = _run(sim, t, a, b, left)
        t.used_ns += used
        left -= used
    sim.curr[cpu] = seats.flat[cpu]


def _queued_scans(sim: Sim, seats: cpus.Seats, order: list[int], now: int) -> None:
    """Run the scans of threads that have their CPU again, before anything else."""
    for cpu in order:
        for t in seats.seated(cpu):
            if t.scan_queued:
                t.scan_queued, sim.now_ns = False, now
                kernel_scan.task_numa_work(sim, t)


def _put_off(t: Thread, waited: float) -> None:
    """Put off the end of a scan whose thread waits for its CPU: it scans in its own time."""
    if t.debt_ns > 0:
        t.mm.ending = [(end + waited if who is t else end, who) for end, who in t.mm.ending]


def _cuts(sim: Sim, now: int, until: int) -> list[int]:
    """Where the parts of a tick begin and end: also where a thread wakes or changes its CPU."""
    cuts = {now + (until - now) * part // PARTS for part in range(PARTS + 1)}
    moves = {at for t in cpus.all_threads(sim) for at, _ in t.moves if now < at < until}
    return sorted(cuts | moves | set(_wakes(now, until)))


def _wakes(a: float, b: float) -> range:
    """When threads that are not busy wake up, from a to b."""
    return range(math.ceil(a / WAKE_NS) * WAKE_NS, math.ceil(b), WAKE_NS)


def _fall_due(t: Thread, streams: list[Touching], a: float, b: float) -> None:
    """Note the rated touches that fall due from a to b, whether their thread runs or not."""
    for s in streams:
        if isinstance(t.spec, Task) and t.spec.busy:
            due_ns = max(0.0, min(b, s.stop_ns) - max(a, s.start_ns))
        else:
            due_ns = WAKE_NS * sum(s.start_ns <= at < s.stop_ns for at in _wakes(a, b))
        s.owed += s.rate * due_ns / 1e9


def _tick(sim: Sim, tick: int, picked: list[Thread | None], on: bool) -> None:
    """The tick of every CPU, from a random one."""
    for cpu in cpus.in_turn(sim):
        t = picked[cpu]
        sim.now_ns = tick
        for mm in sim.mms:
            kernel_scan.end_passes(sim, mm)
        if t is None or not on or t.scan_queued or not kernel_scan.task_tick_numa(sim, t):
            continue
        if _loses_cpu(sim, t, cpu, tick):
            t.scan_queued = True
        else:
            kernel_scan.task_numa_work(sim, t)


def _loses_cpu(sim: Sim, t: Thread, cpu: int, tick: int) -> bool:
    """Whether the tick takes the CPU from a thread that never sleeps."""
    until = tick + sim.tick_ns
    return sim.curr[cpu] is t and cpus.next_up(sim, cpu, tick, until) not in (t, None)


def _run(sim: Sim, t: Thread, a: int, b: int, left: float) -> float:
    """Run a thread for at most ``left`` ns of the time from a to b; return what it used."""
    if isinstance(t.spec, Churn):
        return _run_churn(sim, t, a, b, left)
    active = [s for s in t.streams if s.start_ns < b and s.stop_ns > a]
    return _touch_all(sim, t, active, a, left)


def _touch_all(sim: Sim, t: Thread, active: list[Touching], a: float, left: float) -> float:
    """Touch what is due, and flat out in what is left of the time."""
    kernel_memory.go_on_moving(t, left)
    used, t.debt_ns = t.debt_ns, 0.0
    for s in active:
        if s.rate:
            while s.owed >= 1 and fits(sim, s, left - used):
                used += touch(sim, t, s, a + used)
                s.owed -= 1
    flat = [s for s in active if not s.rate]
    while flat and fits(sim, flat[t.turn % len(flat)], left - used):
        s = flat[t.turn % len(flat)]
        t.turn += 1
        used += touch(sim, t, s, a + used)
    kernel_memory.leave_isolated(sim, t, used - left)
    if cpus.computes(t):
        used = max(used, left)
    if flat or used > left:
        t.debt_ns = used - left
        used = left
    return used


def fits(sim: Sim, s: Touching, left: float) -> bool:
    """Whether the next touch, as far as it is known, is over in the time that is left."""
    takes = s.touch_ns
    if s.walk:
        page, speed = s.pages[s.position], sim.w.machine.speed
        if page.present and page.prot_none:
            takes += speed.hint_fault_huge_ns if page.nr > 1 else speed.hint_fault_ns
        elif not page.present:
            takes += speed.first_touch_huge_ns if page.nr > 1 else speed.first_touch_ns
    return takes <= left


def touch(sim: Sim, t: Thread, s: Touching, now: float) -> float:
    """Touch the next page of a stream; return how long it took [ns]."""
    t.touches += 1
    t.moving = None
    if s.walk:
        page = s.pages[s.position]
        s.position = s.position + 1 if s.position + 1 < len(s.pages) else 0
    else:
        pages = s.cold if s.cold and sim.rng.random() >= s.hot_share else s.pages
        page = pages[int(sim.rng.random() * len(pages))]
    took = s.touch_ns
    if not page.present or page.prot_none:
        sim.now_ns = now
        took += _fault(sim, t, page)
    if s.write and page.read_only:  # also the write that took the hint fault, tried again
        kernel_memory.do_wp_page(page)
    return took


def _fault(sim: Sim, t: Thread, page: Page) -> float:
    """Populate an absent page, or take a hint fault."""
    speed = sim.w.machine.speed
    if page.present:
        if page.nr > 1:
            return kernel_memory.do_huge_pmd_numa_page(sim, t, page)
        return kernel_memory.do_numa_page(sim, t, page)
    kernel_memory.populate(sim, page, sim.node_of(t.cpu))
    t.mm.rss += page.nr
    return speed.first_touch_huge_ns if page.nr > 1 else speed.first_touch_ns


def _run_churn(sim: Sim, t: Thread, a: int, b: int, left: float) -> float:
    """Map, touch, unmap, sleep, as often as the time holds it."""
    used = 0.0
    cursor = float(a)
    while cursor < b and used < left:
        if t.mapped is None:
            if t.change_ns >= b:
                break
            cursor = max(cursor, t.change_ns)
            filling = _map(sim, t, cursor)
            _fall_due(t, t.streams, cursor, min(b, t.change_ns))
            used += filling
            cursor += filling
        stop = min(float(b), t.change_ns)
        if stop > cursor:
            used += _touch_all(sim, t, t.streams, cursor, min(left - used, stop - cursor))
        cursor = max(cursor, stop)
        if t.mapped is not None and t.change_ns <= cursor:
            munmap(sim, t.mm, t.mapped)
            t.mapped, t.streams = None, []
            t.change_ns += t.spec.gap_ms * NSEC_PER_MSEC
    return used


def _map(sim: Sim, t: Thread, now: float) -> float:
    """Make a churn's next mapping, filled if it starts on a node, its head pinned.

    Return the time it takes.
    """
    churn = t.spec
    assert isinstance(churn, Churn)
    t.mapped = mmap(sim, t.mm, churn)
    t.change_ns = now + lifetime_ms(sim, churn) * NSEC_PER_MSEC
    speed = sim.w.machine.speed
    walk = churn.pattern == "walk"
    touch_ns = speed.touch_walk_ns if walk else speed.touch_rand_ns
    t.streams = [
        Touching(
            pages=t.mapped.pages,
            walk=walk,
            touch_ns=touch_ns,
            rate=churn.pages_per_s,
            write=churn.write,
        )
    ]
    here = folios(t.mapped.pages)
    pinned = math.ceil(round(churn.pages * churn.pinned_fraction) / here[0].nr)
    elsewhere = churn.first_touch_node >= 0
    takes = 0.0
    for i, page in enumerate(here if elsewhere else here[:pinned]):
        node = churn.first_touch_node if elsewhere else sim.node_of(t.cpu)
        kernel_memory.populate(sim, page, node)
        page.pinned = i < pinned
        t.mm.rss += page.nr
        takes += speed.first_touch_huge_ns if page.nr > 1 else speed.first_touch_ns
    return takes
