"""The points of a sweep: what each of them runs, or why it does not, and what is left to run."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from numalab.engine import Start
from numalab.fields import InputError, field, shown, unknown_name, validate
from numalab.plain import as_identity, as_plain
from numalab.policy import Policy
from numalab.sweep.axes import Axis, labels
from numalab.sweep.building import ClashError, policy_at, start_at
from numalab.sweep.results import Measure
from numalab.sweep.settings import Source, check_complete, checked, of_policy
from numalab.totals import NAMES, totals
from numalab.versions import model_version

_MOST_POINTS = 1_000_000
_MOST_RUNS = 10_000_000
"""Totals of so many take 5 GB while the result is put together."""
_LONGEST = 500
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ALLOWED = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Name, ast.Constant,
    ast.List, ast.Tuple, ast.cmpop, ast.boolop, ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.Load,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All runs of a sweep: a workload, what varies, how often, and which points make no sense."""

    name: str = field("sweep", doc="name")
    about: str = field("", doc="what it asks, in one line")
    source: Source = field(doc="a workload, or a function that makes one")
    policy: str | Policy = field("linux-7.2", doc="scan policy, where no axis has one")
    axes: tuple[Axis, ...] = field((), doc="every combination of their values is a point")
    fixed: Mapping[str, Any] = field((), doc="fields that have one value")
    measures: tuple[Measure, ...] = field((totals,), doc="what is kept of a run")
    seed: int = field(0, at_least=0, doc="root of the random streams of every point")
    replicates: int = field(1, at_least=1, at_most=1_000_000, doc="runs of each point")
    drop: tuple[str, ...] = field((), doc="comparisons that take a point out")
    drop_invalid: bool = field(False, doc="take out points that cannot be built")

    def __post_init__(self) -> None:
        fixed = {k: checked(self.source, k, [v], k)[0] for k, v in dict(self.fixed).items()}
        object.__setattr__(self, "fixed", fixed)
        object.__setattr__(
            self, "policy", checked(self.source, "policy", [self.policy], "policy")[0]
        )
        validate(self)
        names = [name for axis in self.axes for name in (axis.name, *axis.coords)]
        targets = [t for axis in self.axes for t in axis.settings] + list(self.fixed)
        for given in (names, targets):
            for name in given:
                if given.count(name) > 1:
                    raise InputError(f"sweep: {name} is given twice")
        for name in NAMES if totals in self.measures else ():
            if name in names:
                raise InputError(f'axis "{name}": the result holds something else of that name')
        if not self.measures:
            raise InputError("sweep: no measure: nothing would be kept")
        check_complete(self.source, targets)
        points = math.prod(self.shape)
        if points > _MOST_POINTS:
            raise InputError(f"sweep: {points} points: at most {_MOST_POINTS}: split it")
        if points * self.replicates > _MOST_RUNS:
            raise InputError(
                f"sweep: {points} points x {self.replicates} replicates: at most {_MOST_RUNS} "
                "runs: split it"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(len(axis.labels) for axis in self.axes)


@dataclass(slots=True, kw_only=True)
class Point:
    """A combination of values with what it runs, or why it does not."""

    status: str = "done"
    reason: str = ""
    key: bytes = b""
    start: Start | None = None
    policy: Policy | None = None


def points_of(sweep: Sweep) -> list[Point]:
    """Build the points of a sweep, the last axis running fastest.

    Raises
    ------
    InputError
        If a rule of ``drop`` cannot be read, or two names set one field; not if a single point
        cannot be built.
    """
    dropped = _dropped(sweep)
    known: dict[tuple[bool, tuple[Any, ...]], Any] = {}
    given = {"policy": sweep.policy, **sweep.fixed}

    def part(index: tuple[int, ...], policy: bool) -> Any:
        """Build start or policy of a point, once for all points that agree on it."""
        chosen = tuple(
            i if any(of_policy(name) == policy for name in axis.settings) else None
            for i, axis in zip(index, sweep.axes, strict=True)
        )
        if (policy, chosen) not in known:
            values = dict(given)
            for i, axis in zip(index, sweep.axes, strict=True):
                values |= {name: at[i] for name, at in axis.settings.items()}
            try:
                made = policy_at(values) if policy else start_at(sweep.source, values)
                known[policy, chosen] = made, _digest(made)
            except ClashError:
                raise
            except InputError as error:
                known[policy, chosen] = error, b""
        return known[policy, chosen]

    found = []
    for number, index in enumerate(np.ndindex(sweep.shape)):
        if dropped[number]:
            found.append(Point(status="dropped", reason=dropped[number]))
            continue
        (policy, rules), (start, begin) = part(index, True), part(index, False)
        error = next((one for one in (policy, start) if isinstance(one, InputError)), None)
        if error is not None:
            status = "dropped" if sweep.drop_invalid else "failed"
            found.append(Point(status=status, reason=str(error)))
            continue
        seed = sweep.seed if start.seed is None else start.seed
        key = hashlib.sha256(begin + rules + f"{seed} {model_version()}".encode()).digest()
        found.append(Point(key=key, start=start, policy=policy))
    return found


def _digest(made: Start | Policy) -> bytes:
    """SHA-256 of what the numbers of a run follow from.

    A policy counts by the rules that can act, and not by its name; a workload without its name
    and what it says about itself; numbers by their value, so that 50 and 50.0 are one.
    """
    if isinstance(made, Policy):
        content: Any = made.acting_rules()
    else:
        content = as_identity(made.workload)
        for unused in ("name", "about"):
            del content[unused]
        content = [content, as_plain(made.setup)]
    text = json.dumps(_canonical(as_plain(content)), sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _canonical(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _dropped(sweep: Sweep) -> list[str]:
    """Return for each point the rule by which it is left out, or nothing."""
    size = math.prod(sweep.shape)
    found = np.full(size, "", dtype=object)
    if not sweep.drop:
        return found.tolist()
    given = {"policy": sweep.policy, "remedy": "none", **sweep.fixed}
    table = pd.DataFrame({k: labels([v]) * size for k, v in given.items()}, index=range(size))
    index = np.unravel_index(np.arange(size), sweep.shape) if sweep.axes else ()
    for axis, at in zip(sweep.axes, index, strict=True):
        columns = {k: labels(v) for k, v in axis.settings.items()} | {**axis.coords}
        for name, values in {**columns, axis.name: axis.labels}.items():
            table[name] = pd.Series(values).take(at).to_numpy()
    for rule in sweep.drop:
        found[holds(rule, table) & (found == "")] = rule
    return found.tolist()


def holds(rule: str, table: pd.DataFrame) -> np.ndarray:
    """Say for each row of a table whether a rule holds; a stranger may have written the rule.

    Raises
    ------
    InputError
        One line: the rule, and what in it is not a comparison or not known.
    """
    if len(rule) > _LONGEST:
        raise InputError(f"drop = {shown(rule)}: must be text of at most {_LONGEST} characters")
    names = sorted(table.columns, key=len, reverse=True)
    prefix = "column_"
    while prefix in rule:
        prefix += "_"
    marks = {name: f"{prefix}{i}" for i, name in enumerate(names)}
    known = rf"{_QUOTED}|`?(?<![\w.])({'|'.join(map(re.escape, names))})(?![\w.])`?"
    text = re.sub(known, lambda match: marks[match[1]] if match[1] else match[0], rule.strip())
    try:
        tree = ast.parse(text, mode="eval")
        for node in ast.walk(tree):
            _check_node(node, {mark: name for name, mark in marks.items()}, rule)
        found = table.rename(columns=marks).eval(
            ast.unparse(tree), engine="python", local_dict={}, global_dict={}
        )
        if np.asarray(found).dtype != bool:
            raise TypeError("not true or false")
    except InputError:
        raise
    except SyntaxError:
        raise InputError(f"drop = {shown(rule)}: no comparison, such as 'a > b'") from None
    except Exception as error:  # pandas raises of many kinds what cannot be compared
        raise InputError(f"drop = {shown(rule)}: cannot be computed: {error}") from None
    return np.broadcast_to(found, len(table))


def _check_node(node: ast.AST, columns: Mapping[str, str], rule: str) -> None:
    """Refuse all but comparisons of columns, numbers and texts."""
    good = isinstance(node, _ALLOWED)
    if isinstance(node, ast.Compare):  # pandas compares two constants in ways of its own
        good = any(isinstance(inner, ast.Name) for inner in ast.walk(node))
    if isinstance(node, ast.BinOp):
        good = not any(isinstance(getattr(x, "value", 0), str) for x in (node.left, node.right))
    if isinstance(node, ast.Name) and node.id not in columns:
        raise unknown_name(f"name in drop = {shown(rule)}:", node.id, list(columns.values()))
    if not good:
        part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
        part = re.sub("|".join(columns) or "$^", lambda match: columns[match[0]], part)
        raise InputError(
            f"drop = {shown(rule)}: {shown(part)} is not allowed: only names of axes and fields, "
            "numbers, texts, + - * /, comparisons, and, or, not"
        )
