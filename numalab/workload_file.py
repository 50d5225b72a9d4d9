"""The workload file: TOML text in, a checked :class:`~numalab.workload.Workload` out.

Every key, with its unit, default and bounds, is documented in docs/workload.md.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from numalab import files
from numalab.fields import InputError, unknown_name
from numalab.file_tables import (
    TaskTable,
    format_of,
    process_table,
    processes_of,
    read,
    tasks_of,
    unknown_key,
)
from numalab.machine import Machine, Speed
from numalab.plain import as_plain
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Move, Process, Task, Vma, Workload

_SECTIONS = {
    "workload": None,
    "machine": Machine,
    "tunables": Tunables,
    "process": Process,
    "vma": Vma,
    "task": Task,
    "churn": Churn,
}
_SINGULAR = {"processes": "process", "vmas": "vma", "tasks": "task", "churns": "churn"}


def parse(text: str, where: str = "workload") -> Workload:
    """Read a workload from TOML text.

    Parameters
    ----------
    text : str
        The TOML document.
    where : str
        How messages name it, for instance the file name.

    Raises
    ------
    InputError
        One line: where, the key, the value, the bound.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not TOML: {error}") from None
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise InputError(f"{where}: holds a number of more than {digits} digits") from None
    try:
        return from_tables(table)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def from_tables(table: dict[str, Any]) -> Workload:
    """Build a workload from the sections of a file.

    Raises
    ------
    InputError
        One line: the section, the key, the value, the bound.
    """
    for key in table:
        if key not in _SECTIONS:
            is_table = isinstance(table[key], (dict, list))
            raise (
                unknown_name("section", key, list(_SECTIONS))
                if is_table
                else unknown_key(key, "the file's head")
            )
    if "workload" not in table:
        raise InputError("section [workload] is missing (it holds the name)")
    head = table["workload"]
    if not isinstance(head, dict):
        raise InputError("workload must be a [table]")
    for key in ("machine", "tunables", "processes", "vmas", "tasks", "churns"):
        if key in head:
            raise unknown_key(key, "[workload]")
    machine = _machine(table.get("machine", {}))
    head = dict(head)
    file_format = format_of(head)
    churns = tuple(read(Churn, t, "[[churn]]") for t in _tables(table, "churn"))
    tasks = tasks_of([_task(t) for t in _tables(table, "task")])
    names = dict.fromkeys([t.process for t in tasks] + [c.process for c in churns])
    described = [process_table(t, file_format) for t in _tables(table, "process")]
    processes, waiting = processes_of(described, list(names), file_format)
    values = {
        **head,
        "machine": machine,
        "tunables": read(Tunables, table.get("tunables", {}), "[tunables]"),
        "processes": processes,
        "vmas": tuple(read(Vma, t, "[[vma]]") for t in _tables(table, "vma")),
        "tasks": (*waiting, *tasks),
        "churns": churns,
    }
    return read(Workload, values, "[workload]")


def text(workload: Workload) -> str:
    """Write a workload as the file that is read as it, without values that are defaults.

    Examples
    --------
    >>> print(text(parse('''
    ... workload = {name = "one"}
    ... vma = [{name = "a", size_mb = 64, pinned_fraction = 0.0}]
    ... task = [{name = "t", access = [{vma = "a"}]}]
    ... ''')))
    [workload]
    name = "one"
    <BLANKLINE>
    [[vma]]
    name = "a"
    size_mb = 64
    <BLANKLINE>
    [[task]]
    name = "t"
    <BLANKLINE>
    [[task.access]]
    vma = "a"
    """
    return "\n\n".join("\n".join(lines) for lines in _written("[workload]", workload))


def _written(title: str, section: Any) -> list[list[str]]:
    """Return the lines of a section, and of those within it."""
    lines, within = [title], []
    path = "" if title == "[workload]" else title.strip("[]") + "."
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            tables = _written(f"[{path}{f.name}]", value)
            within += tables if len(tables) > 1 or len(tables[0]) > 1 else []
        elif isinstance(value, tuple) and any(map(is_dataclass, value)):
            name = _SINGULAR.get(f.name, f.name)
            within += [table for one in value for table in _written(f"[[{path}{name}]]", one)]
        elif value != f.default:
            lines.append(f"{f.name} = {_toml(value)}")
    return [lines, *within]


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def to_tables(workload: Workload) -> dict[str, Any]:
    """Return the sections of the file that would be read as this workload."""
    return _sections(as_plain(workload))


def from_plain(values: dict[str, Any]) -> Workload:
    """Build a workload from what :func:`numalab.plain.as_plain` makes of it.

    Raises
    ------
    InputError
        As :func:`from_tables`.
    """
    return from_tables(_sections(dict(values)))


def _sections(plain: dict[str, Any]) -> dict[str, Any]:
    tables = {name: plain.pop(key) for key, name in _SINGULAR.items()}
    return {"machine": plain.pop("machine"), "tunables": plain.pop("tunables"), **tables} | {
        "workload": plain
    }


def _machine(table: dict[str, Any]) -> Machine:
    if isinstance(table, dict) and "speed" in table:
        table = {**table, "speed": read(Speed, table["speed"], "[machine.speed]")}
    return read(Machine, table, "[machine]")


def _tables(table: dict[str, Any], key: str, parent: str = "") -> list[dict[str, Any]]:
    tables = table.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise InputError(f"{key} must be written as [[{parent}{key}]]")
    return tables


def _task(table: dict[str, Any]) -> TaskTable:
    rows = {
        key: tuple(read(cls, t, f"[[task.{key}]]") for t in _tables(table, key, "task."))
        for key, cls in (("access", Access), ("move", Move))
    }
    return read(TaskTable, {**table, **rows}, "[[task]]")


def load(path: str | Path) -> Workload:
    """Read a workload file.

    Raises
    ------
    InputError
        If the file cannot be read or says something impossible.
    """
    return parse(files.read_text(Path(path)), str(path))
