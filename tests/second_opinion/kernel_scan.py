"""kernel/sched/fair.c, the scanner: when a task scans, and which VMAs it walks."""

from __future__ import annotations

import math

from numalab.policy import Policy
from tests.second_opinion import kernel_memory, kernel_period, kernel_policy
from tests.second_opinion.objects import Mapped, Mm, NumabState, Sim, Thread

NSEC_PER_MSEC = 1_000_000
CHUNK_COLUMNS = ("scan", "ns", "task", "vma", "start", "pages", "updated")


def msecs_to_jiffies(ms: int, hz: int) -> int:
    """Milliseconds to jiffies, rounded up."""
    return -(-ms * hz // 1000)


def init_numa_balancing(sim: Sim, p: Thread, main: bool) -> None:
    """What fork or clone leaves in a new task; mm_users counts the threads before it."""
    p.node_stamp = 0
    p.numa_scan_period = sim.w.tunables.scan_delay_ms
    p.numa_scan_seq = p.mm.numa_scan_seq
    if not main:
        users = p.mm.tasks.index(p)
        delay = min(kernel_period.task_scan_max(sim, p), p.numa_scan_period * users * NSEC_PER_MSEC)
        p.node_stamp = delay + 2 * sim.tick_ns


def task_tick_numa(sim: Sim, curr: Thread) -> bool:
    """Charge the scan clock at a tick; true if task_numa_work() is to run."""
    period = curr.numa_scan_period * NSEC_PER_MSEC
    if curr.sum_exec_runtime <= curr.node_stamp + period:
        return False
    if curr.node_stamp == 0:
        curr.numa_scan_period = kernel_period.task_scan_start(sim, curr)
    curr.node_stamp += period
    return sim.jiffies >= curr.mm.numa_next_scan


def reset_ptenuma_scan(mm: Mm) -> None:
    """End a pass."""
    mm.numa_scan_seq += 1
    mm.numa_scan_offset = 0


def end_passes(sim: Sim, mm: Mm, scanner: Thread | None = None) -> None:
    """End the passes whose last scan is over by now, or was this task's own."""
    for end, who in list(mm.ending):
        if end <= sim.now_ns or who is scanner:
            mm.ending.remove((end, who))
            reset_ptenuma_scan(mm)


def find_vma(mm: Mm, addr: int) -> int | None:
    """Index of the first VMA that ends above an address."""
    return next((i for i, vma in enumerate(mm.vmas) if vma.vm_end > addr), None)


def pid_bucket(pid: int) -> int:
    """hash_32(pid, 6)."""
    return ((pid * 0x61C88647) % (1 << 32)) >> 26


def pid_bit(rules: Policy, pid: int) -> int:
    """Which of the 64 bits stands for a pid."""
    return pid % 64 if rules.pid_memory == "one-window" else pid_bucket(pid)


def _slots_allow(pid: int, slots: list[int]) -> bool:
    """RFC v1: a pid that is found may scan, and everybody if all slots are taken."""
    for slot in slots:
        if slot == pid & 0xFF:
            return True
        if slot == 0:
            return False
    return True


def vma_is_accessed(sim: Sim, p: Thread, vma: Mapped) -> bool:
    """Whether a VMA may be scanned by this task, as far as its pid history goes."""
    rules, mm, state = sim.policy, p.mm, vma.numab_state
    if rules.pid_memory.startswith("four-slots"):
        return mm.numa_scan_seq < 2 or _slots_allow(p.pid, vma.accessing_pids)
    assert state is not None
    first = state.start_scan_seq if rules.start_scan_seq else 0
    if mm.numa_scan_seq - first < 2:
        return True
    if (state.pids_active[0] | state.pids_active[1]) >> pid_bit(rules, p.pid) & 1:
        return True
    if rules.partial_vma and mm.numa_scan_offset > vma.vm_start:
        sim.skips[vma.owner, "ignore_pid_inactive"] += 1
        return True
    return rules.thread_count_rule and mm.numa_scan_seq > state.prev_scan_seq + mm.mm_users


def age_pids(sim: Sim, mm: Mm, state: NumabState, jiffies: int) -> None:
    """Shift the windows of pids when their time is over."""
    if mm.numa_scan_seq and jiffies > state.pids_active_reset:
        period = 4 * sim.w.tunables.scan_delay_ms
        state.pids_active_reset += msecs_to_jiffies(period, sim.w.machine.hz)
        one = sim.policy.pid_memory == "one-window"
        state.pids_active = [0 if one else state.pids_active[1], 0]


def keeps_state(rules: Policy) -> bool:
    """Whether a kernel has a numab_state."""
    windows = rules.pid_filter and rules.pid_memory.endswith(("window", "windows"))
    return rules.vma_scan_delay or windows or rules.seq_completed


def _unfit(sim: Sim, p: Thread, vma: Mapped) -> str | None:
    """Why a VMA is never scanned, or nothing."""
    movable = kernel_memory.vma_migratable(vma) and kernel_policy.vma_policy_mof(sim, p, vma)
    if not movable or vma.kind == "hugetlb":
        return "unsuitable"
    if vma.read_only_file:
        return "shared_ro"
    if not vma.accessible:
        return "inaccessible"
    return None


def skip_reason(
    sim: Sim, p: Thread, vma: Mapped, now: int, jiffies: int, forced: bool
) -> str | None:
    """Why a VMA is passed over, or nothing; the scan began at ``now`` and is at ``jiffies``."""
    rules, mm, hz = sim.policy, p.mm, sim.w.machine.hz
    reason = _unfit(sim, p, vma)
    if reason:
        return reason
    if not keeps_state(rules):
        filtered = rules.pid_filter and not forced and not vma_is_accessed(sim, p, vma)
        return "pid_inactive" if filtered else None
    if vma.numab_state is None:
        delay = sim.w.tunables.scan_delay_ms
        next_scan = now + msecs_to_jiffies(rules.vma_delay_ms or delay, hz)
        vma.numab_state = NumabState(
            next_scan=next_scan,
            pids_active_reset=next_scan + msecs_to_jiffies(4 * delay, hz),
            start_scan_seq=mm.numa_scan_seq,
            prev_scan_seq=mm.numa_scan_seq - 1,
        )
    state = vma.numab_state
    if rules.vma_scan_delay and mm.numa_scan_seq and jiffies < state.next_scan:
        return "scan_delay"
    if rules.pid_filter and rules.pid_reset_early:
        age_pids(sim, mm, state, jiffies)
    if rules.seq_completed and state.prev_scan_seq == mm.numa_scan_seq:
        mm.numa_scan_offset = vma.vm_end
        return "seq_completed"
    if rules.pid_filter and not forced and not vma_is_accessed(sim, p, vma):
        return "pid_inactive"
    if rules.pid_filter and not rules.pid_reset_early:
        age_pids(sim, mm, state, jiffies)
    return None


class _Budget:
    """What a scan may still walk, and what it took."""

    def __init__(self, sim: Sim) -> None:
        self.pages = sim.w.tunables.scan_size_mb * 256
        self.virtpages = 8 * self.pages
        self.took_ns = 0.0

    @property
    def spent(self) -> bool:
        """Whether nothing is left of it."""
        return self.pages <= 0 or self.virtpages <= 0


def _walk_vma(sim: Sim, p: Thread, vma: Mapped, start: int, left: _Budget) -> int:
    """Walk a VMA chunk by chunk from an address; return where it stopped."""
    speed = sim.w.machine.speed
    start = max(start, vma.vm_start)
    while True:
        end = min(-(-(start + left.pages) // 512) * 512, vma.vm_end)
        walked_ns = sim.now_ns + left.took_ns
        updated, looked, marked = kernel_memory.change_prot_numa(sim, p, vma, start, end)
        left.took_ns += speed.scan_call_ns
        left.took_ns += looked * speed.scan_page_ns + marked * speed.pte_update_ns
        sim.scan_calls[vma.owner] += 1
        sim.scan_pages[vma.owner] += end - start
        first = start - vma.vm_start + vma.offset
        row = (sim.scans, round(walked_ns), p.name, vma.owner, first, end - start, updated)
        sim.chunks.append(dict(zip(CHUNK_COLUMNS, row, strict=True)))
        if updated:
            left.pages -= end - start
        left.virtpages -= end - start
        start = end
        if left.spent or end == vma.vm_end:
            return start


def task_numa_work(sim: Sim, p: Thread) -> None:
    """Scan: mark the next part of the address space."""
    mm, hz, rules = p.mm, sim.w.machine.hz, sim.policy
    now = sim.jiffies
    end_passes(sim, mm, p)
    kernel_memory.go_on_moving(p, math.inf)
    if rules.one_node_cpuset and len(mm.cpuset_mems) == 1:
        return
    if mm.numa_next_scan == 0:
        mm.numa_next_scan = now + msecs_to_jiffies(sim.w.tunables.scan_delay_ms, hz)
    if now < mm.numa_next_scan:
        return
    if p.numa_scan_period == 0:
        p.numa_scan_period_max = kernel_period.task_scan_max(sim, p)
        p.numa_scan_period = kernel_period.task_scan_start(sim, p)
    mm.numa_next_scan = now + msecs_to_jiffies(p.numa_scan_period, hz)
    p.node_stamp += 2 * sim.tick_ns
    left = _Budget(sim)
    if left.pages == 0:
        return
    sim.scans += 1
    reached, start = _pass(sim, p, now, left)
    left.took_ns *= sim.rng.lognormvariate(0.0, sim.w.machine.speed.scan_spread)
    if reached:
        mm.numa_scan_offset = start
    elif left.took_ns > 0:
        mm.ending.append((sim.now_ns + left.took_ns, p))
    else:
        reset_ptenuma_scan(mm)
    p.debt_ns += left.took_ns
    runtime_a_tick = int(sim.tick_ns * (1 - sim.w.machine.speed.lost_share))
    p.node_stamp += 32 * (int(left.took_ns) // sim.tick_ns * runtime_a_tick)


def _pass(sim: Sim, p: Thread, now: int, left: _Budget) -> tuple[bool, int]:
    """Walk VMAs until the budget is spent or the list is; whether a VMA is current, and where."""
    mm = p.mm
    forced = skipped = False
    while True:
        start = mm.numa_scan_offset
        first = find_vma(mm, start)
        if first is None:
            reset_ptenuma_scan(mm)
            start, first = 0, 0
        for vma in mm.vmas[first:]:
            jiffies = now + int(left.took_ns // sim.tick_ns)
            reason = skip_reason(sim, p, vma, now, jiffies, forced)
            if reason:
                sim.skips[vma.owner, reason] += 1
                skipped = skipped or reason == "pid_inactive"
                continue
            start = _walk_vma(sim, p, vma, start, left)
            if left.spent:
                return True, start
            if vma.numab_state is not None:
                vma.numab_state.prev_scan_seq = mm.numa_scan_seq
            if forced:
                return True, start
        if forced or not skipped or not sim.policy.forced_scan:
            return False, start
        forced = True
