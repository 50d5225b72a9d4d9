"""What the names of a sweep mean: an argument, the policy, or a field of the workload.

A name is an argument of the function that makes the workload, ``policy``, a rule of it
(``policy.pid_filter``), ``remedy``, ``workload`` where there is no other, or a field of the
workload: ``duration_ms``, the knobs and the machine's fields by their own name, all others by
their place in a workload file (``vma.old.pinned_fraction``, ``churn.*.lifetime_ms``,
``task.t0.access.0.pages_per_s``).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from numalab import catalog, remedies
from numalab import policy as policies
from numalab.engine import Start
from numalab.fields import InputError, check_kind, declared, shown, types_of, unknown_name
from numalab.machine import Machine, Speed
from numalab.policy import Policy
from numalab.tunables import Tunables
from numalab.vma import Vma
from numalab.workload import Access, Churn, Process, Task, Workload
from numalab.workload_file import to_tables

Source = Workload | Start | Callable[..., Workload | Start] | None
"""What a sweep changes: a workload, or a function whose arguments it sets; None: an axis has it."""

PLAIN = {"workload": Workload, "tunables": Tunables, "machine": Machine, "machine.speed": Speed}
_LISTS = {"vma": Vma, "churn": Churn, "task": Task, "process": Process}
_NESTED = ("machine", "tunables", "processes", "vmas", "tasks", "churns", "speed")
_CHECKED = {int, float, str, bool, tuple, type(None)}
"""Types of arguments that values are checked against; of any other hint nothing is known."""


def catalog_function(name: str) -> Callable[..., Workload]:
    """Return a function of :mod:`numalab.catalog` that makes a workload.

    Raises
    ------
    InputError
        Naming the nearest one that exists.
    """
    found: dict[str, Callable[..., Workload]] = {}
    for info in pkgutil.iter_modules(catalog.__path__, f"{catalog.__name__}."):
        for known, one in vars(importlib.import_module(info.name)).items():
            own = inspect.isfunction(one) and one.__module__ == info.name and known[0] != "_"
            if own and typing.get_type_hints(one).get("return") is Workload:
                found[known] = one
    if name not in found:
        raise unknown_name("workload of the catalog", name, list(found))
    return found[name]


@functools.lru_cache(maxsize=64)
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except NameError:  # a hint that only a type checker could resolve
        parameters = inspect.signature(function).parameters
    except ValueError as error:
        raise InputError(f"workload: {error}: give a function that is written in Python") from None
    return {
        "**" if p.kind is p.VAR_KEYWORD else name: (
            p.annotation if _CHECKED.issuperset(types_of(p.annotation)) else Any
        )
        for name, p in parameters.items()
    }


def arguments(source: Source) -> dict[str, Any]:
    """Types of the arguments of a source by name; ``**`` stands for any other name."""
    return _hints(source) if callable(source) else {"workload": Any} if source is None else {}


def check_complete(source: Source, names: Collection[str]) -> None:
    """Refuse a source with an argument that nobody gives.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    try:
        if callable(source):
            known = arguments(source)
            inspect.signature(source).bind(**{name: 0 for name in names if name in known})
        elif source is None and "workload" not in names:
            raise TypeError("missing a required argument: 'workload'")
    except TypeError as error:
        raise InputError(f"sweep: {error}: give it as fixed or as an axis") from None


def place(source: Source, name: str) -> tuple[tuple[str, ...], type]:
    """Return where a field of the workload stands, and the class that declares it."""
    *section, last = name.split(".")
    if not section:
        plain = {f.name: k for k, cls in reversed(PLAIN.items()) for f in dataclasses.fields(cls)}
        known = [k for k in plain if k not in _NESTED]
        if last not in known:
            arguments_ = [a for a in arguments(source) if a != "**"]
            raise unknown_name("field of a sweep", name, [*arguments_, "policy", "remedy", *known])
        return (*plain[last].split("."), last), PLAIN[plain[last]]
    cls: Any = PLAIN.get(".".join(section))
    if cls is None:
        if section[0] not in _LISTS:
            raise unknown_name("section in the field of a sweep", section[0], [*PLAIN, *_LISTS])
        nested = section[0] == "task" and section[2:3] == ["access"] and len(section) == 4
        if len(section) != 2 and not nested:
            raise InputError(f"field {shown(name)}: must be '{section[0]}.NAME.FIELD'")
        cls = Access if nested else _LISTS[section[0]]
    known = [f.name for f in dataclasses.fields(cls) if f.name not in _NESTED]
    if last not in known:
        raise unknown_name(f"field of {'.'.join(section)}", last, known)
    return (*section, last), cls


def declaration(source: Source, name: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the declared type of a field or an argument, and its metadata.

    Raises
    ------
    InputError
        For a field that does not exist, naming the nearest one that does.
    """
    known = arguments(source)
    if name in known:
        return known[name], {}
    if name in ("policy", "remedy"):
        return str, {}
    if name.startswith("policy."):
        rule, rules = name.removeprefix("policy."), policies.get("linux-6.1").rules()
        if rule not in rules:
            raise unknown_name("rule", rule, list(rules))
        return declared(Policy)[rule]
    if "**" in known:
        return Any, {}
    path, cls = place(source, name)
    if source is not None and not callable(source):
        find(to_tables(source.workload if isinstance(source, Start) else source), path)
    return declared(cls)[path[-1]]


def wants_whole(source: Source, name: str) -> bool:
    """Say whether a field takes whole numbers only."""
    types = types_of(declaration(source, name)[0])
    return int in types and float not in types


def checked(source: Source, name: str, values: Iterable[Any], where: str) -> tuple[Any, ...]:
    """Return values as a field takes them: plain Python, policies as such.

    Bounds are not looked at: a point beyond them fails by itself.

    Raises
    ------
    InputError
        One line: where, the value, and what it must be.
    """
    hint, metadata = declaration(source, name)
    whole = wants_whole(source, name)
    found = []
    for value in map(_plain, values):
        if whole and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not (name == "policy" and isinstance(value, Policy)):
            check_kind(where, value, hint, metadata.get("choices", ()))
        try:
            if name == "policy" and isinstance(value, str):
                value = remedies.get(value)
            if name == "remedy":
                with_remedies(policies.get("linux-6.1"), value)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        found.append(value)
    return tuple(found)


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0 else value
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def find(tables: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
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


def of_policy(name: str) -> bool:
    """Say whether a name belongs to the policy, and not to the workload."""
    return name.partition(".")[0] in ("policy", "remedy")


def with_remedies(policy: Policy, remedy: str) -> Policy:
    """Return a policy with one remedy, several that a ``+`` joins, or ``none``."""
    added = [] if remedy == "none" else remedy.split("+")
    return functools.reduce(remedies.with_remedy, added, policy)
