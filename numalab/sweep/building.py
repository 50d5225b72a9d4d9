"""What the runs of a point start with, and their policy, built from the values of its names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from numalab import policy as policies
from numalab import remedies
from numalab.engine import Start
from numalab.fields import InputError, shown
from numalab.policy import Policy
from numalab.sweep.calls import CallError, called, name_of
from numalab.sweep.settings import PLAIN, Source, arguments, find, of_policy, place, with_remedies
from numalab.workload import Workload
from numalab.workload_file import from_tables, to_tables


class ClashError(InputError):
    """Two names for one field: what one of them sets would not be so, at every point."""


def start_at(source: Source, values: Mapping[str, Any]) -> Start:
    """Build what the runs of a point start with; names of the policy are not looked at.

    Raises
    ------
    InputError
        One line that says why there is no such workload.
    ClashError
        If two of the names set the same field.
    """
    values = {k: v for k, v in values.items() if not of_policy(k)}
    known = arguments(source)
    given = {k: v for k, v in values.items() if k in known or "**" in known}
    start = _made(source, given, values)
    rest = {k: v for k, v in values.items() if k not in given}
    if not rest:
        return start
    tables = to_tables(start.workload)
    by: dict[tuple[int, str], str] = {}
    for name, value in rest.items():
        path, _ = place(source, name)
        plain = ".".join(path[:-1]) in PLAIN
        for table in find(tables, path):
            other = path[-1] if plain and path[-1] in given else by.get((id(table), path[-1]))
            if other:
                raise ClashError(f"sweep: {other} and {name} are one field: give one of them")
            by[id(table), path[-1]] = name
            table[path[-1]] = value
    return dataclasses.replace(start, workload=from_tables(tables))


def _made(source: Source, given: Mapping[str, Any], values: Mapping[str, Any]) -> Start:
    made, where = source, "workload"
    if callable(source):
        where = f"workload {name_of(source)}"
        try:
            made = called(source, **given)
        except CallError as error:
            raise CallError(f"{where}: {error}") from None
    elif source is None:
        made = values["workload"]
    made = made if isinstance(made, Start) else Start(workload=made)  # type: ignore[arg-type]
    if not isinstance(made.workload, Workload):
        where += ": returned" if callable(source) else " ="
        raise InputError(f"{where} {shown(made.workload)}: must be a Workload or a Start")
    return made


def policy_at(values: Mapping[str, Any]) -> Policy:
    """Build the policy of a point: ``policy`` with its ``remedy`` and the rules it changes.

    Raises
    ------
    InputError
        For a value that a rule cannot have.
    ClashError
        For a rule that the remedy decides too.
    """
    policy = with_remedies(values["policy"], values.get("remedy", "none"))
    rules = {k.removeprefix("policy."): v for k, v in values.items() if k.startswith("policy.")}
    for name in policy.name.split("+")[1:]:
        for rule, _ in remedies.REMEDIES[name].rules if name in remedies.REMEDIES else ():
            if rule in rules:
                raise ClashError(
                    f"sweep: policy.{rule}: remedy {name} decides it too: leave it out, or "
                    "drop such points"
                )
    return policies.with_rules(policy, policy.name, **rules) if rules else policy
