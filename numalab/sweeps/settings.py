"""One point of a sweep: values by name become a workload and a policy.

A name is an argument of the function that makes the workload, ``policy``, a rule of it
(``policy.pid_filter``), ``remedy``, or a field of the workload: ``duration_ms`` and the knobs and
the machine's fields by their own name, all others by their place in a workload file
(``vma.old.pinned_fraction``, ``churn.*.lifetime_ms``, ``task.t0.access.0.pages_per_s``).
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
from numalab.fields import InputError, check_kind, declared, shown, types_of, unknown_name
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


_CHECKED = {int, float, str, bool, tuple, type(None)}
"""Types of arguments that values are checked against; of any other hint nothing is known."""


@functools.lru_cache(maxsize=64)
def _signature(function: Callable[..., Workload]) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(function, eval_str=True)
    except NameError:  # a hint that only a type checker could resolve
        found = inspect.signature(function)
    return {"**" if p.kind is p.VAR_KEYWORD else p.name: p for p in found.parameters.values()}


def arguments(base: Base) -> dict[str, Any]:
    """Types of the arguments of a base by name; ``**`` stands for any other name."""
    if isinstance(base, Workload):
        return {}
    hints = {name: p.annotation for name, p in _signature(base).items()}
    return {name: h if _CHECKED.issuperset(types_of(h)) else Any for name, h in hints.items()}


def missing(base: Base, given: Collection[str]) -> str:
    """Return the first argument that a base needs and nobody gives; empty: there is none."""
    needed = {} if isinstance(base, Workload) else _signature(base)
    for name, p in needed.items():
        by_name = p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        if by_name and p.default is p.empty and name not in given:
            return name
    return ""


def _place(base: Base, name: str) -> tuple[tuple[str, ...], type]:
    """Return where a field of the workload stands, and the class that declares it."""
    *section, last = name.split(".")
    if not section:
        found = [(*key.split("."), name) for key, cls in _PLAIN.items() if _declares(cls, name)]
        if not found:
            known = [*arguments(base), "policy", "remedy"] + [
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


def declaration(base: Base, name: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the declared type of a field and its metadata; for a base and its arguments too.

    Raises
    ------
    InputError
        For a field that does not exist, naming the nearest one that does.
    """
    known = arguments(base)
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
    path, cls = _place(base, name)
    if isinstance(base, Workload):
        _find(to_tables(base), path)
    return declared(cls)[path[-1]]


def names_a_field(base: Base, name: str) -> bool:
    """Say whether a name is one of a field, and not just any name that a function takes."""
    try:
        return declaration(base, name)[0] is not Any or name in arguments(base)
    except InputError:
        return False


def check_values(base: Base, name: str, values: Iterable[Any], where: str) -> None:
    """Refuse a value of another type than the field's, or a word that it does not know.

    Bounds are not looked at: a point beyond them fails by itself.

    Raises
    ------
    InputError
        One line: where, the value, and what it must be.
    """
    hint, metadata = declaration(base, name)
    for value in values:
        check_kind(where, value, hint, metadata.get("choices", ()))
        if name in ("policy", "remedy"):
            try:
                remedies.get(policy_name({"policy": policies.NAMES[0], name: value}))
            except InputError as error:
                raise InputError(f"{where}: {error}") from None


def check_range(base: Base, name: str, where: str) -> None:
    """Refuse a range for a field that holds no numbers.

    Raises
    ------
    InputError
        Naming the field.
    """
    hint, _ = declaration(base, name)
    if hint is not Any and not {int, float} & set(types_of(hint)):
        raise InputError(f"{where}: a range is of numbers, {name} is not: give a list of values")


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


class ClashError(InputError):
    """Two names for one field: what one of them says would not be so, at every point."""


def of_policy(name: str) -> bool:
    """Say whether a name belongs to the policy, and not to the workload."""
    return name.partition(".")[0] in ("policy", "remedy")


def workload_at(base: Base, values: Mapping[str, Any]) -> Workload:
    """Build the workload of a point; the policy, its rules and its remedy are not looked at.

    Raises
    ------
    InputError
        One line that says why there is no such workload.
    ClashError
        If two of the names set the same field.
    """
    values = {k: v for k, v in values.items() if not of_policy(k)}
    known = arguments(base)
    given = {k: v for k, v in values.items() if k in known or "**" in known}
    made = base if isinstance(base, Workload) else base(**given)
    rest = {k: v for k, v in values.items() if k not in given}
    if not rest:
        return made
    tables = to_tables(made)
    by: dict[tuple[int, str], str] = {}
    for name, value in rest.items():
        path, _ = _place(base, name)
        plain = ".".join(path[:-1]) in _PLAIN
        for table in _find(tables, path):
            other = path[-1] if plain and path[-1] in given else by.get((id(table), path[-1]))
            if other:
                raise ClashError(f"sweep: {other} and {name} are one field: give one of them")
            by[id(table), path[-1]] = name
            table[path[-1]] = value
    return from_tables(tables)


def policy_name(values: Mapping[str, Any]) -> str:
    """Return the name of a point's policy with its remedy: ``linux-7.2+mbind``."""
    policy, remedy = values["policy"], values.get("remedy", "none")
    return policy if remedy == "none" else f"{policy}+{remedy}"


def policy_at(values: Mapping[str, Any]) -> Policy:
    """Build the policy of a point: ``policy`` with its ``remedy`` and the rules it changes.

    Remedies may also stand behind the policy's name: ``linux-7.2+mbind``.

    Raises
    ------
    InputError
        For a policy that does not exist, or a value that a rule cannot have.
    ClashError
        For a rule that the remedy decides too.
    """
    name = policy_name(values)
    policy = remedies.get(name)
    rules = {k.removeprefix("policy."): v for k, v in values.items() if k.startswith("policy.")}
    for remedy in name.split("+")[1:]:
        for rule, _ in remedies.REMEDIES[remedy].rules:
            if rule in rules:
                raise ClashError(
                    f"sweep: policy.{rule}: remedy {remedy} decides it too: leave it out, or "
                    "drop such points"
                )
    return policies.with_rules(policy, policy.name, **rules) if rules else policy
