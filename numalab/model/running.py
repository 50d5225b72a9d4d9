"""How a task uses its part of a tick: rated accesses first, then flat out."""

from __future__ import annotations

from numalab.jit import inlined, jitted
from numalab.linux.structs import NONE, START_NS
from numalab.model.accesses import touch
from numalab.model.faults import move_task, update_min_vruntime
from numalab.units import HPAGE_PMD_NR, NSEC_PER_MSEC

BURST_NS = 10 * NSEC_PER_MSEC
"""A task that sleeps wakes up so often, and makes the rated touches until the next time."""


@inlined
def is_active(access, elapsed_ns):
    """Say whether an access goes on at a time."""
    return access.start_ns <= elapsed_ns < access.stop_ns


@inlined
def waiting(w, a):
    """Folios that an access may find PROT_NONE or absent, counted over its range."""
    return w.pop.access_marked[a] + w.pop.access_absent[a]


@inlined
def own_waiting(w, t):
    """Say whether folios of the workload (not of the program) wait for a task."""
    if w.pop.task_waiting[t] == 0:
        return False
    for a in range(w.tasks[t].first_access, w.tasks[t].end_access):
        if waiting(w, a):
            return True
    return False


@inlined
def fall_due(w, t, part_ns):
    """Let the rated touches of a part of a tick become due.

    A busy task touches whenever a touch is due; one that sleeps wakes up every 10 ms, for all
    touches of the next 10 ms. Touches of the program's own pages come at any time.
    """
    p, clock = w.tasks[t], w.clock[0]
    now_ns = clock.now_ns - START_NS
    due_ns = 0.0
    if p.wake_ns + BURST_NS <= now_ns:  # it had nothing to do since
        p.wake_ns = now_ns // BURST_NS * BURST_NS
    while p.wake_ns < now_ns + part_ns:
        p.wake_ns += BURST_NS
        due_ns += BURST_NS
    if p.spins:
        due_ns = part_ns
    for a in range(p.image_access, p.end_access):
        access = w.accesses[a]
        if access.flat_out or not is_active(access, clock.elapsed_ns):
            continue
        if not access.image:
            access.carry += access.pages_per_ns * due_ns
        elif waiting(w, a):
            access.carry += access.pages_per_ns * part_ns


@inlined
def run_rated(w, t, budget_ns, rng):
    """Make the rated touches of a task that are due; return ns used.

    What it has no time for stays due, and is caught up with.
    """
    used = 0.0
    elapsed_ns = w.clock[0].elapsed_ns
    for a in range(w.tasks[t].image_access, w.tasks[t].end_access):
        access = w.accesses[a]
        if access.flat_out or not is_active(access, elapsed_ns):
            continue
        if access.image and waiting(w, a) == 0:
            continue
        due = float(int(access.carry))
        if due >= 1.0 and used < budget_ns:
            before = access.touches
            used += touch(w, a, budget_ns - used, due, rng)
            access.carry -= access.touches - before
    return used


@inlined
def has_time(w, t):
    """Say whether a task without flat-out accesses may run in this tick.

    One that is behind may not while another one has its turn, if any task there runs flat out.
    """
    p = w.tasks[t]
    return not p.behind or w.cpu_turn[p.cpu] == t or w.cpu_task[p.cpu] == NONE


@inlined
def stands_still(w, t, length_ns, parts):
    """Say whether a task without flat-out accesses waits although its CPU had time in a tick.

    It ran for less than what was due when the tick began: a scan or faults to pay for, touches. In
    each part less time may be left over than a touch takes. A task that moved is not looked at.
    """
    p = w.tasks[t]
    if p.cpu != p.tick_cpu or not has_time(w, t):
        return False
    longest = 0.0
    for a in range(p.first_access, p.end_access):
        if is_active(w.accesses[a], w.clock[0].elapsed_ns):
            longest = max(longest, w.accesses[a].touch_ns)
    left_ns = parts * (longest + 1.0)
    return p.running + left_ns < p.owed_ns and w.cpu_used_ns[p.cpu] + left_ns < length_ns


@inlined
def owed(w, t):
    """Time that is due when a tick begins [ns]: of a scan or faults, and of rated touches."""
    p = w.tasks[t]
    due_ns = float(p.debt_ns)
    if p.wants_cpu == 1:
        for a in range(p.first_access, p.end_access):
            access = w.accesses[a]
            if access.carry >= 1.0 and is_active(access, w.clock[0].elapsed_ns):
                due_ns += int(access.carry) * access.touch_ns
    return int(min(due_ns, 1e18))


@inlined
def _cost_of_touch(w, a, speed):
    access = w.accesses[a]
    huge = w.pop.segments[access.first_segment].unit == HPAGE_PMD_NR
    fault = access.refault_ns + (speed.hint_fault_huge_ns if huge else speed.hint_fault_ns)
    return access.touch_ns + fault * min(1.0, waiting(w, a) / access.pages)


@inlined
def _weight(w, first, last):
    """Add up what a touch of each flat-out access costs now, by its share [ns]."""
    weight = 0.0
    for a in range(first, last):
        access = w.accesses[a]
        if access.flat_out and is_active(access, w.clock[0].elapsed_ns):
            weight += access.share * _cost_of_touch(w, a, w.speed[0])
    return weight


@inlined
def run_flat_out(w, t, budget_ns, rng):
    """Run the flat-out accesses of a task, about as many touches each; return ns used.

    Each gets its part of the time that those before it were not given: what a touch costs changes
    as they run.
    """
    elapsed_ns = w.clock[0].elapsed_ns
    first, last = w.tasks[t].first_access, w.tasks[t].end_access
    used, left = 0.0, budget_ns
    runs = False
    for a in range(first, last):
        access = w.accesses[a]
        if access.flat_out and is_active(access, elapsed_ns):
            runs = True
            part = left
            others = _weight(w, a + 1, last)
            if others:
                own = access.share * _cost_of_touch(w, a, w.speed[0])
                part = left * own / (own + others)
            left -= part
            used += touch(w, a, part, 1e18, rng)
    return max(used, budget_ns) if runs else 0.0


@inlined
def touch_resident(w, t, length_ns):
    """Let flat-out accesses that nothing waits for touch for a while; no fault can occur."""
    elapsed_ns = w.clock[0].elapsed_ns
    first, last = w.tasks[t].first_access, w.tasks[t].end_access
    weight = 0.0
    for a in range(first, last):
        access = w.accesses[a]
        if access.flat_out and is_active(access, elapsed_ns):
            weight += access.share * access.touch_ns
    if weight == 0.0:
        return
    touches = length_ns / weight
    for a in range(first, last):
        access = w.accesses[a]
        if access.flat_out and is_active(access, elapsed_ns):
            pages = touches * access.share
            access.touches += pages
            access.position = (access.position + int(pages)) % access.pages


@jitted
def wants_cpu(w, t, elapsed_ns):
    """0 asleep, 1 only rated accesses, 2 flat out or busy."""
    p = w.tasks[t]
    if p.spins:
        return 2
    wants = 0
    for a in range(p.image_access, p.end_access):
        if is_active(w.accesses[a], elapsed_ns):
            wants = max(wants, 2 if w.accesses[a].flat_out else 1)
    return wants


@jitted
def wake_up(w, elapsed_ns):
    """Find out which tasks want a CPU; one that begins to gets no more time than others there.

    As place_entity() does, v6.1 to v7.2, without its credit for sleepers.
    """
    update_min_vruntime(w)
    for t in range(w.tasks.shape[0]):
        p = w.tasks[t]
        wants = wants_cpu(w, t, elapsed_ns)
        if wants == 2 and p.wants_cpu != 2:
            p.vruntime = max(p.vruntime, w.min_vruntime[p.cpu])
        p.wants_cpu = wants


@inlined
def contended(w):
    """Say whether folios wait that several tasks may touch."""
    for a in range(w.accesses.shape[0]):
        if w.accesses[a].shared and waiting(w, a):
            return True
    return False


@jitted
def move_tasks(w, elapsed_ns):
    """Make the changes of CPU that are due, in the order of the workload's tasks."""
    for i in range(w.moves.shape[0]):
        move = w.moves[i]
        if not move.done and move.at_ns <= elapsed_ns:
            move.done = 1
            move_task(w, move.task, move.cpu)


@jitted
def next_change(w, elapsed_ns):
    """When the next access begins or ends, or the next task moves."""
    soonest = 1 << 62
    for i in range(w.moves.shape[0]):
        if not w.moves[i].done:
            soonest = min(soonest, w.moves[i].at_ns)
    for a in range(w.accesses.shape[0]):
        access = w.accesses[a]
        if access.start_ns > elapsed_ns:
            soonest = min(soonest, access.start_ns)
        if access.stop_ns > elapsed_ns:
            soonest = min(soonest, access.stop_ns)
    return soonest


@inlined
def take_samples(w, sample, end_ns, into):
    """Fill the samples that fall before ``end_ns``; return how many are filled."""
    while sample < into.vmstat.shape[0] and sample * into.every_ns < end_ns:
        into.vmstat[sample] = w.stat[0]
        for m in range(w.mms.shape[0]):
            into.seqs[sample, m] = w.mms[m].numa_scan_seq
        sample += 1
    return sample
