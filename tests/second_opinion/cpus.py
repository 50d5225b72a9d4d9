"""Who has a CPU: those that wake up first, those that want it all the time in turns."""

from __future__ import annotations

from numalab.workload import Churn, Task
from tests.second_opinion import kernel_move
from tests.second_opinion.objects import Sim, Thread

SCHED_LATENCY_NS, MIN_GRANULARITY_NS, SLEEPER_CREDIT_NS = 6_000_000, 750_000, 3_000_000


class Seats:
    """Who runs on each CPU until the next tick."""

    def __init__(self, sim: Sim, now: int, until: int) -> None:
        self.sim, self.now, self.until = sim, now, until
        self.rated: list[list[Thread]] = [[] for _ in sim.curr]
        """Threads that sleep between touches and may run; they come first."""
        self.flat: list[Thread | None] = [None for _ in sim.curr]
        """The thread that never sleeps and has what they leave."""

    def seat(self, cpu: int) -> None:
        """Give the turn to who comes next."""
        self._turn_to(cpu, next_up(self.sim, cpu, self.now, self.until))
        self._sit_down(cpu)
        for t in self.rated[cpu]:
            if not t.behind and (flat := self.flat[cpu]):
                t.vruntime = max(t.vruntime, flat.vruntime - credit_ns(self.sim))

    def has_cpu(self, t: Thread) -> bool:
        """Whether a thread runs when it wants to."""
        return self.flat[t.cpu] is t or t in self.rated[t.cpu]

    def seated(self, cpu: int) -> list[Thread]:
        """Threads that may run on a CPU, in the order in which they do."""
        flat = self.flat[cpu]
        return [*self.rated[cpu], *([flat] if flat else ())]

    def move(self, now: int) -> None:
        """Change the CPU of each thread whose time for that has come."""
        for t in all_threads(self.sim):
            while t.moves and t.moves[0][0] <= now:
                _, cpu = t.moves.pop(0)
                if cpu != t.cpu:
                    self._move(t, cpu)

    def _move(self, t: Thread, cpu: int) -> None:
        """Move a thread: the old CPU turns to the next one, the new one finishes its turn."""
        old = t.cpu
        kernel_move.sched_setaffinity(self.sim, t, cpu)
        for changed in (old, cpu):
            if self.sim.turn[changed] in (t, None):
                self.seat(changed)
            else:
                self._sit_down(changed)

    def _turn_to(self, cpu: int, t: Thread | None) -> None:
        """Begin a slice, unless the thread had the CPU before, as set_next_entity() does."""
        holder, self.sim.turn[cpu] = self.sim.turn[cpu], t
        if holder is not t:
            for other in filter(None, (holder, t)):
                other.slice_ns = 0

    def _sit_down(self, cpu: int) -> None:
        """Let those run who wake up, who has the turn, and one that never sleeps.

        A sleeper that is behind runs in its turn only, or when nobody else has what is left.
        """
        turn = self.sim.turn[cpu]
        here = threads_on(self.sim, cpu)
        flat = [t for t in here if spins(t, self.now, self.until)]
        best = turn if turn in flat else min(flat, key=_vruntime, default=None)
        rated = [t for t in here if t not in flat and not t.waits]
        woken, behind = ([t for t in rated if t.behind == late] for late in (False, True))
        behind.sort(key=lambda t: t is not turn)
        self.rated[cpu] = woken + (behind if best is None else [t for t in behind if t is turn])
        self.flat[cpu] = self.sim.curr[cpu] = best


def scale(sim: Sim) -> int:
    """How much longer slices are on a machine of many CPUs: 1 + ilog2(min(CPUs, 8))."""
    return min(sim.w.machine.cpus, 8).bit_length()


def slice_ns(sim: Sim, number: int) -> float:
    """How long a thread keeps the CPU that a number of threads want."""
    share = 0.0 if sim.policy.eevdf else SCHED_LATENCY_NS / number
    return scale(sim) * max(share, MIN_GRANULARITY_NS)


def credit_ns(sim: Sim) -> int:
    """How far a thread that wakes up may be ahead of the one that never sleeps."""
    return 0 if sim.policy.eevdf else scale(sim) * SLEEPER_CREDIT_NS


def contenders(sim: Sim, cpu: int, now: int, until: int) -> list[Thread]:
    """Threads that want a CPU all the time; one that comes to want it does not catch up."""
    found = []
    for t in threads_on(sim, cpu):
        if t.cpu_of_vruntime != cpu:
            t.vruntime += sim.min_vruntime[cpu] - sim.min_vruntime[t.cpu_of_vruntime]
            t.cpu_of_vruntime, t.slice_ns = cpu, 0
        if spins(t, now, until):
            t.vruntime = max(t.vruntime, sim.min_vruntime[cpu])
            found.append(t)
        elif t.behind:
            found.append(t)
    return found


def next_up(sim: Sim, cpu: int, now: int, until: int) -> Thread | None:
    """Whose turn it is from now on: who has not used up its slice, else who ran least."""
    wanting = contenders(sim, cpu, now, until)
    holder = sim.turn[cpu]
    if holder in wanting and _goes_on(sim, holder, wanting):
        return holder
    return min(wanting, key=_vruntime, default=None)


def _goes_on(sim: Sim, holder: Thread, wanting: list[Thread]) -> bool:
    return holder.slice_ns < slice_ns(sim, len(wanting))


def _vruntime(t: Thread) -> int:
    return t.vruntime


def all_threads(sim: Sim) -> list[Thread]:
    """Every thread, in the workload's order."""
    by_name = {t.name: t for mm in sim.mms for t in mm.tasks}
    return [by_name[spec.name] for spec in sim.w.threads]


def threads_on(sim: Sim, cpu: int) -> list[Thread]:
    """Threads of a CPU, in the workload's order."""
    return [t for t in all_threads(sim) if t.cpu == cpu]


def in_turn(sim: Sim) -> list[int]:
    """All CPUs, from a random one."""
    number = sim.w.machine.cpus
    first = sim.rng.randrange(number) if number > 1 else 0
    return [(first + i) % number for i in range(number)]


def computes(t: Thread) -> bool:
    """Whether a thread uses all of the time that its touches leave."""
    return isinstance(t.spec, Task) and not t.waits and (t.spec.busy or not t.spec.access)


def spins(t: Thread, now: int, until: int) -> bool:
    """Whether a thread never sleeps before a tick, once it runs."""
    if isinstance(t.spec, Churn):
        return not t.spec.pages_per_s and (t.mapped is not None or t.change_ns < until)
    flat = [s for s in t.streams if not s.rate and s.start_ns < until and s.stop_ns > now]
    return computes(t) or bool(flat)


def is_behind(t: Thread, now: float) -> bool:
    """Whether a thread still has something to do: time to pay, or a touch that is due."""
    return t.debt_ns > 0 or any(s.owed >= 1 and s.stop_ns > now for s in t.streams)


def found(sim: Sim, seats: Seats) -> list[Thread | None]:
    """Whom the tick finds on each CPU; runtimes move, behind the clock by what is lost."""
    for t in all_threads(sim):
        _account(sim, seats, t)
    for cpu, floor in enumerate(sim.min_vruntime):
        wanting = contenders(sim, cpu, seats.now, seats.until)
        wanting = wanting or [t for t in seats.seated(cpu) if t.used_ns]
        sim.min_vruntime[cpu] = max(floor, min(map(_vruntime, wanting), default=floor))
    length = seats.until - seats.now
    return [_found(sim, seats.rated[cpu], seats.flat[cpu], length) for cpu in range(len(sim.curr))]


def _account(sim: Sim, seats: Seats, t: Thread) -> None:
    """Add what a thread ran to its runtimes; a sleeper may be behind from now on."""
    ran = int(t.used_ns * (1 - sim.w.machine.speed.lost_share))
    t.sum_exec_runtime += ran
    t.vruntime += ran
    if sim.turn[t.cpu] is t:
        t.slice_ns += ran
    t.behind = not spins(t, seats.now, seats.until) and is_behind(t, seats.until)


def _found(sim: Sim, rated: list[Thread], flat: Thread | None, length: int) -> Thread | None:
    """Whom a tick finds on a CPU: a sleeper with the probability that is its share."""
    draw = sim.rng.random() * length if rated else 0.0
    for t in rated:
        if draw < t.used_ns:
            return t
        draw -= t.used_ns
    return flat
