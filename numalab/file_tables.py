"""Keys of a workload file that stand for several tables: what they are written out as."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from numalab.fields import InputError, field, shown, unknown_name, validate
from numalab.machine import Machine, Speed
from numalab.plain import build
from numalab.task import Access, Move, Task
from numalab.tunables import Tunables
from numalab.vma import Vma
from numalab.workload import Churn, Process, Workload

T = TypeVar("T")

_DEFAULTS: dict[int, dict[str, Any]] = {1: {}, 2: {"main_thread": "waits", "stack_kb": 8192}}
"""What ``format`` of a workload file changes: in 1 the first task of a process is its main
thread, and stacks have 128 kB; 2 is as most programs are that use glibc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTable(Task):
    """A ``[[task]]`` table: one thread, or several that differ by name and CPU."""

    count: int = field(
        1, at_least=1, at_most=4096, doc="equal threads: NAME0, NAME1, ... instead of NAME"
    )
    cpus: tuple[int, ...] = field((), doc="CPUs that these are bound to, in turn; instead of cpu")

    def __post_init__(self) -> None:
        validate(self)  # the rest is checked of each thread


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTable(Process):
    """A ``[[process]]`` table."""

    main_thread: str = field(
        "task",
        choices=("task", "waits"),
        doc="task: its first task; waits: one more thread, PROCESS-main, that waits",
    )


_WITHIN = ("machine", "tunables", "processes", "vmas", "tasks", "churns", "speed", "access", "move")
"""Fields that are tables of their own in a file."""
_OF_TABLES = {
    title: [f.name for f in fields(cls) if f.name not in _WITHIN]
    for title, cls in (
        ("[workload]", Workload),
        ("[machine]", Machine),
        ("[machine.speed]", Speed),
        ("[tunables]", Tunables),
        ("[[process]]", ProcessTable),
        ("[[vma]]", Vma),
        ("[[task]]", TaskTable),
        ("[[task.access]]", Access),
        ("[[task.move]]", Move),
        ("[[churn]]", Churn),
    )
}


def unknown_key(key: str, where: str) -> InputError:
    """Return the error for a key that a table has not: where it belongs, or the nearest one."""
    if homes := [title for title, keys in _OF_TABLES.items() if key in keys]:
        return InputError(f"unknown key in {where} {shown(key)}: belongs to {' or '.join(homes)}")
    own = _OF_TABLES.get(where, [])
    if not difflib.get_close_matches(str(key), own, n=1):
        others = [k for keys in _OF_TABLES.values() for k in keys]
        for near in difflib.get_close_matches(str(key), others, n=1, cutoff=0.75):
            home = next(title for title, keys in _OF_TABLES.items() if near in keys)
            return InputError(
                f"unknown key in {where} {shown(key)}; did you mean {near!r} of {home}?"
            )
    return unknown_name(f"key in {where}", key, own)


def read(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from a table of the file.

    Raises
    ------
    InputError
        As :func:`numalab.plain.build`; for an unknown key, naming the table that it belongs to.
    """
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    for key in table if isinstance(table, Mapping) else ():
        if key not in known:
            raise unknown_key(key, where)
    return build(cls, table, where)


def format_of(head: dict[str, Any]) -> int:
    """Take ``format`` out of the ``[workload]`` table; 1 if it does not say.

    Raises
    ------
    InputError
        If there is no such format.
    """
    found = head.pop("format", 1)
    if type(found) is not int or found not in _DEFAULTS:
        raise InputError(f"[workload]: format = {shown(found)}: must be 1 or 2")
    return found


def tasks_of(tables: list[TaskTable]) -> tuple[Task, ...]:
    """Write out the threads of ``[[task]]`` tables, in their order.

    Raises
    ------
    InputError
        If a table says ``cpu`` and ``cpus``, or more CPUs than threads.
    """
    plain = [f.name for f in fields(Task)]
    found = []
    for table in tables:
        where = f'task "{table.name}"'
        if table.cpus and table.cpu >= 0:
            raise InputError(f"{where}: cpu and cpus: say one of them")
        if len(table.cpus) > table.count:
            raise InputError(
                f"{where}: cpus names {len(table.cpus)} CPUs, count = {table.count}: must be at "
                "least as many threads"
            )
        values = {name: getattr(table, name) for name in plain}
        for i in range(table.count):
            one = dict(values)
            if table.count > 1:
                one["name"] = f"{table.name}{i}"
            if table.cpus:
                one["cpu"] = table.cpus[i % len(table.cpus)]
            found.append(Task(**one))
    return tuple(found)


def process_table(table: dict[str, Any], file_format: int) -> ProcessTable:
    """Read a ``[[process]]`` table; what it does not say is as its format has it.

    Raises
    ------
    InputError
        One line: the key, the value, the bound.
    """
    return read(ProcessTable, {**_DEFAULTS[file_format], **table}, "[[process]]")


def processes_of(
    tables: list[ProcessTable], names: list[str], file_format: int
) -> tuple[tuple[Process, ...], tuple[Task, ...]]:
    """Write out the processes; return them, and the main threads that wait.

    Parameters
    ----------
    names : list of str
        Processes that have a thread, in the order of their first ones. Those without a table
        get one if their format differs from the defaults.
    """
    known = {table.name for table in tables}
    if file_format > 1:
        tables = tables + [process_table({"name": n}, file_format) for n in names if n not in known]
    keys = [f.name for f in fields(Process)]
    processes = tuple(Process(**{key: getattr(table, key) for key in keys}) for table in tables)
    waiting = tuple(
        Task(name=f"{table.name}-main", process=table.name, waits=True)
        for table in tables
        if table.main_thread == "waits" and table.name in names
    )
    return processes, waiting
