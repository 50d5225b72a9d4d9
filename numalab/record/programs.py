"""The programs that run a recorded workload: the recorder's own, and one as users write them."""

from __future__ import annotations

from collections.abc import Iterator

from numalab.fields import InputError, unknown_name
from numalab.task import Task
from numalab.vma import Vma
from numalab.workload import Workload

RECORDER, FOREIGN = "recorder", "foreign"
PROGRAMS = (RECORDER, FOREIGN)
LIMITS = {"process": 64, "vma": 256, "thread": 512, "access": 1024, "move": 256}
"""Rows of the tables of the guest's program (init/program.h)."""
MAX_STEPS = 16
"""Most accesses, and most moves, of a thread of the foreign program."""


def check(workload: Workload, by: str) -> None:
    """Refuse what a program cannot do.

    Raises
    ------
    InputError
        In one line: what, and the remedy. An unknown program, too.
    """
    if by not in PROGRAMS:
        raise unknown_name("program", by, PROGRAMS)
    counted = {
        "process": len(workload.process_names),
        "vma": len(workload.vmas),
        "thread": len(workload.threads),
        "access": sum(len(t.access) for t in workload.tasks) + len(workload.churns),
        "move": sum(len(t.move) for t in workload.tasks),
    }
    for what, number in counted.items():
        if number > LIMITS[what]:
            raise InputError(
                f"{number} tables of [[{what}]]: the recorder has room for {LIMITS[what]}"
            )
    if by == FOREIGN:
        for line in _not_foreign(workload):
            raise InputError(f'{line}: program = "{FOREIGN}" cannot: use "{RECORDER}"')
        _check_main_threads(workload)


def _not_foreign(workload: Workload) -> Iterator[str]:
    """Yield what of a workload the foreign program has no words for."""
    for churn in workload.churns:
        yield f'churn "{churn.name}": a thread that maps and unmaps'
    for process in workload.processes:
        if process.cpuset_mems:
            yield f'process "{process.name}": cpuset_mems'
    for vma in workload.vmas:
        yield from _not_foreign_vma(vma)
    for task in workload.tasks:
        for key, steps in (("access", task.access), ("move", task.move)):
            if len(steps) > MAX_STEPS:
                yield f'task "{task.name}": more than {MAX_STEPS} of {key}'


def _not_foreign_vma(vma: Vma) -> Iterator[str]:
    where = f'vma "{vma.name}"'
    if vma.kind not in ("anon", "shmem"):
        yield f'{where}: kind = "{vma.kind}"'
    if vma.subscriber != "none":
        yield f'{where}: subscriber = "{vma.subscriber}"'
    if vma.policy != "default":
        yield f'{where}: policy = "{vma.policy}"'
    if vma.pinned_fraction and vma.pin_placement != "head":
        yield f'{where}: pin_placement = "{vma.pin_placement}"'


def _check_main_threads(workload: Workload) -> None:
    for process in workload.process_names:
        first = next(t for t in workload.threads if t.process == process)
        if not (isinstance(first, Task) and first.waits):
            raise InputError(
                f'process "{process}": the main thread of program = "{FOREIGN}" waits: say '
                f'main_thread = "waits" in its [[process]], or format = 2 in [workload]'
            )
