"""Who has a CPU: sleepers first, those that never sleep in turns, and changes of it."""

from __future__ import annotations

from numalab.workload import Churn, Task
from tests.second_opinion import kernel_move
from tests.second_opinion.objects import Sim, Thread


class Seats:
    """Who runs on each CPU until the next tick."""

    def __init__(self, sim: Sim, now: int, until: int) -> None:
        self.sim, self.now, self.until = sim, now, until
        self.rated: list[list[Thread]] = [[] for _ in sim.curr]
        """Threads that sleep between touches; they come first."""
        self.flat: list[Thread | None] = [None for _ in sim.curr]
        """The thread that never sleeps and whose turn it is."""

    def seat(self, cpu: int) -> None:
        """Give what the sleepers of a CPU leave to the thread that ran least."""
        hungry = self._hungry(cpu)
        self.rated[cpu] = self._sleepers(cpu)
        self.flat[cpu] = min(hungry, key=lambda t: t.ran_ns) if hungry else None
        self.sim.curr[cpu] = self.flat[cpu]

    def has_cpu(self, t: Thread) -> bool:
        """Whether a thread runs when it wants to."""
        return self.flat[t.cpu] is t or t in self.rated[t.cpu]

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
        if t in self._hungry(old):
            t.ran_ns += self._ahead(cpu, t) - self._ahead(old, t)
        kernel_move.sched_setaffinity(self.sim, t, cpu)
        self.rated[old], self.rated[cpu] = self._sleepers(old), self._sleepers(cpu)
        if self.flat[old] is t:
            self.seat(old)
        if self.flat[cpu] is None:
            self.seat(cpu)

    def _ahead(self, cpu: int, t: Thread) -> int:
        """How long the thread that ran least on a CPU ran: a thread takes its lag along."""
        return min((other.ran_ns for other in self._hungry(cpu)), default=t.ran_ns)

    def _hungry(self, cpu: int) -> list[Thread]:
        return [t for t in threads_on(self.sim, cpu) if spins(t, self.now, self.until)]

    def _sleepers(self, cpu: int) -> list[Thread]:
        here = threads_on(self.sim, cpu)
        return [t for t in here if not spins(t, self.now, self.until) and not t.waits]


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


def found(sim: Sim, seats: Seats) -> list[Thread | None]:
    """Whom the tick finds on each CPU; runtimes move, behind the clock by what is lost."""
    share = 1 - sim.w.machine.speed.lost_share
    for t in all_threads(sim):
        t.sum_exec_runtime += int(t.used_ns * share)
        t.ran_ns += int(t.used_ns)
    length = seats.until - seats.now
    return [_found(sim, seats.rated[cpu], seats.flat[cpu], length) for cpu in range(len(sim.curr))]


def _found(sim: Sim, rated: list[Thread], flat: Thread | None, length: int) -> Thread | None:
    """Whom a tick finds on a CPU: a sleeper with the probability that is its share."""
    draw = sim.rng.random() * length if rated else 0.0
    for t in rated:
        if draw < t.used_ns:
            return t
        draw -= t.used_ns
    return flat
