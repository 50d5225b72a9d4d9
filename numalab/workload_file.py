"""The workload file: TOML text in, a checked :class:`~numalab.workload.Workload` out.

Every key, with its unit, default and bounds, is documented in docs/workload.md.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from numalab.fields import InputError, as_plain, build, unknown_name
from numalab.machine import Machine, Speed
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Process, Task, Vma, Workload

_SECTIONS = {
    "workload": None,
    "machine": Machine,
    "tunables": Tunables,
    "process": Process,
    "vma": Vma,
    "task": Task,
    "churn": Churn,
}


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
            raise unknown_name("section", key, list(_SECTIONS))
    if "workload" not in table:
        raise InputError("section [workload] is missing (it holds the name)")
    head = table["workload"]
    if not isinstance(head, dict):
        raise InputError("workload must be a [table]")
    for key in ("machine", "tunables", "processes", "vmas", "tasks", "churns"):
        if key in head:
            raise unknown_name("key in [workload]", key, ["name", "about", "duration_ms"])
    machine = _machine(table.get("machine", {}))
    values = {
        **head,
        "machine": machine,
        "tunables": build(Tunables, table.get("tunables", {}), "[tunables]"),
        "processes": tuple(build(Process, t, "[[process]]") for t in _tables(table, "process")),
        "vmas": tuple(build(Vma, t, "[[vma]]") for t in _tables(table, "vma")),
        "tasks": tuple(_task(t) for t in _tables(table, "task")),
        "churns": tuple(build(Churn, t, "[[churn]]") for t in _tables(table, "churn")),
    }
    return build(Workload, values, "[workload]")


def to_tables(workload: Workload) -> dict[str, Any]:
    """Return the sections of the file that would be read as this workload."""
    return _sections(as_plain(workload))


def from_plain(values: dict[str, Any]) -> Workload:
    """Build a workload from what :func:`numalab.fields.as_plain` makes of it.

    Raises
    ------
    InputError
        As :func:`from_tables`.
    """
    return from_tables(_sections(dict(values)))


def _sections(plain: dict[str, Any]) -> dict[str, Any]:
    names = {"processes": "process", "vmas": "vma", "tasks": "task", "churns": "churn"}
    tables = {name: plain.pop(key) for key, name in names.items()}
    return {"machine": plain.pop("machine"), "tunables": plain.pop("tunables"), **tables} | {
        "workload": plain
    }


def _machine(table: dict[str, Any]) -> Machine:
    if isinstance(table, dict) and "speed" in table:
        table = {**table, "speed": build(Speed, table["speed"], "[machine.speed]")}
    return build(Machine, table, "[machine]")


def _tables(table: dict[str, Any], key: str, parent: str = "") -> list[dict[str, Any]]:
    tables = table.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise InputError(f"{key} must be written as [[{parent}{key}]]")
    return tables


def _task(table: dict[str, Any]) -> Task:
    accesses = _tables(table, "access", "task.")
    built = tuple(build(Access, t, "[[task.access]]") for t in accesses)
    return build(Task, {**table, "access": built}, "[[task]]")


def load(path: str | Path) -> Workload:
    """Read a workload file.

    Raises
    ------
    InputError
        If the file cannot be read or says something impossible.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        text = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = error.strerror if isinstance(error, OSError) else text
        raise InputError(f"{path}: cannot be read: {reason}") from None
    return parse(text, str(path))
