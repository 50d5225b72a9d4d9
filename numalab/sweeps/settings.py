"""One point of a sweep: values by name become a workload and a policy.

A name is an argument of the function that makes the workload, ``policy``, a rule of it
(``policy.pid_filter``), or a field of the workload: ``duration_ms`` and the knobs and the
machine's fields by their own name, all others by their place in a workload file
(``vma.old.pinned_fraction``, ``churn.*.lifetime_ms``, ``task.t0.access.0.pages_per_s``).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Mapping
from typing import Any

from numalab import catalog, remedies
from numalab import policy as policies
from numalab.fields import InputError, shown, unknown_name
from numalab.machine import Machine, Speed
from numalab.policy import Policy
from numalab.tunables import Tunables
from numalab.vma import Vma
from numalab.workload import Access, Churn, Process, Task, Workload
from numalab.workload_file import from_tables, to_tables

Base = Workload | Callable[..., Workload]
"""What a sweep changes: a workload, or a function whose arguments are swept."""

_PLAIN = {"workload": Workload, "tunables": Tunables, "machine": Machine, "machine.speed": Speed}
_LISTS = {"vma": Vma, "churn": Churn, "task": Task, "process": Process}
_NESTED = ("machine", "tunables", "processes", "vmas", "tasks", "churns", "speed")


@functools.cache
def catalog_functions() -> dict[str, Callable[..., Workload]]:
    """Return every function of :mod:`numalab.catalog` that makes a workload, by name."""
    found: dict[str, Callable[..., Workload]] = {}
    for info in pkgutil.iter_modules(catalog.__path__):
        module = importlib.import_module(f"{catalog.__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and typing.get_type_hints(function).get("return") is Workload:
                found[name] = function
    return found


def catalog_function(name: str) -> Callable[..., Workload]:
    """Return a function of the catalog.

    Raises
    ------
    InputError
        Naming the nearest one that exists.
    """
    if name not in catalog_functions():
        raise unknown_name("workload of the catalog", name, list(catalog_functions()))
    return catalog_functions()[name]


def arguments(base: Base) -> dict[str, Any]:
    """Types of the arguments of a base by name; ``**`` stands for any other name."""
    if isinstance(base, Workload):
        return {}
    hints = typing.get_type_hints(base)
    parameters = inspect.signature(base).parameters.values()
    return {"**" if p.kind is p.VAR_KEYWORD else p.name: hints.get(p.name, Any) for p in parameters}


def _place(base: Base, name: str) -> tuple[tuple[str, ...], type]:
    """Return where a field of the workload stands, and the class that declares it."""
    *section, last = name.split(".")
    if not section:
        found = [(*key.split("."), name) for key, cls in _PLAIN.items() if _declares(cls, name)]
        if not found:
            known = [*arguments(base), "policy"] + [
                f.name for cls in _PLAIN.values() for f in dataclasses.fields(cls)
            ]
            known = [k for k in dict.fromkeys(known) if k not in (*_NESTED, "**")]
            raise unknown_name("field of a sweep", name, known)
        return found[0], _PLAIN[".".join(found[0][:-1])]
    cls: Any = _PLAIN.get(".".join(section))
    if cls is None:
        if section[0] not in _LISTS:
            raise unknown_name("section in the field of a sweep", section[0], [*_PLAIN, *_LISTS])
        nested = section[0] == "task" and section[2:3] == ["access"] and len(section) == 4
        if len(section) != 2 and not nested:
            raise InputError(f"field {shown(name)}: must be '{section[0]}.NAME.FIELD'")
        cls = Access if nested else _LISTS[section[0]]
    if not _declares(cls, last):
        known = [f.name for f in dataclasses.fields(cls) if f.name not in _NESTED]
        raise unknown_name(f"field of {'.'.join(section)}", last, known)
    return (*section, last), cls


def _declares(cls: type, name: str) -> bool:
    return name not in _NESTED and any(f.name == name for f in dataclasses.fields(cls))


def type_of(base: Base, name: str) -> Any:
    """Return the declared type of a field; for a base and its arguments too.

    Raises
    ------
    InputError
        For a field that does not exist, naming the nearest one that does.
    """
    known = arguments(base)
    if name in known:
        return known[name]
    if name == "policy":
        return str
    if name.startswith("policy."):
        rule = name.removeprefix("policy.")
        if rule not in Policy.__dataclass_fields__:
            raise unknown_name("rule", rule, list(policies.get("linux-6.1").rules()))
        return typing.get_type_hints(Policy)[rule]
    if "**" in known:
        return Any
    path, cls = _place(base, name)
    if isinstance(base, Workload):
        _find(to_tables(base), path)
    return typing.get_type_hints(cls)[path[-1]]


def _find(tables: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the tables whose last key a path names; several for ``*``."""
    found = [tables]
    for key in path[:-1]:
        below: list[dict[str, Any]] = []
        for table in found:
            if isinstance(table, dict):
                below.append(table[key])
                continue
            named = [one for i, one in enumerate(table) if key in ("*", str(i), one.get("name"))]
            if not named:
                known = [str(one.get("name", i)) for i, one in enumerate(table)]
                raise unknown_name(f"name in the field {'.'.join(path)}:", key, known)
            below += named
        found = below
    return [one for table in found for one in (table if isinstance(table, list) else [table])]


def workload_at(base: Base, values: Mapping[str, Any]) -> Workload:
    """Build the workload of a point; ``policy`` and its rules are not looked at.

    Raises
    ------
    InputError
        One line that says why there is no such workload.
    """
    values = {k: v for k, v in values.items() if k.partition(".")[0] != "policy"}
    known = arguments(base)
    given = {k: v for k, v in values.items() if k in known or "**" in known}
    made = base if isinstance(base, Workload) else base(**given)
    rest = {k: v for k, v in values.items() if k not in given}
    if not rest:
        return made
    tables = to_tables(made)
    for name, value in rest.items():
        path, _ = _place(base, name)
        for table in _find(tables, path):
            table[path[-1]] = value
    return from_tables(tables)


def policy_at(values: Mapping[str, Any]) -> Policy:
    """Build the policy of a point: ``policy`` with the rules that the point changes.

    Remedies stand behind the policy's name: ``linux-7.2+mbind``.

    Raises
    ------
    InputError
        For a policy that does not exist, or a value that a rule cannot have.
    """
    policy = remedies.get(values["policy"])
    rules = {k.removeprefix("policy."): v for k, v in values.items() if k.startswith("policy.")}
    return policies.with_rules(policy, policy.name, **rules) if rules else policy
