"""What a sweep varies: axes of values, and ranges of numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from numalab.engine import Start
from numalab.fields import InputError, field, shown, types_of, validate
from numalab.policy import Policy
from numalab.sweep.settings import Source, arguments, checked, declaration, wants_whole
from numalab.workload import Workload

MAX_VALUES = 100_000
_LARGEST = 1e100
_DIGITS = 12
_TAKEN = ("replicate", "status", "reason")
_LONGEST_NAME = 100
MOST_DEPTH = 8
"""Lists within lists that a value may be made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers between two bounds, both included, evenly spaced or evenly in the logarithm."""

    lowest: float = field(at_least=-_LARGEST, at_most=_LARGEST, doc="first value")
    highest: float = field(at_least=-_LARGEST, at_most=_LARGEST, doc="last value")
    num: int = field(0, at_least=0, at_most=MAX_VALUES, doc="how many values; 0 in a design")
    log: bool = field(False, doc="evenly spaced in the logarithm")
    whole: bool = field(False, doc="rounded to whole numbers, as for fields that hold such")

    def __post_init__(self) -> None:
        validate(self)
        if not self.lowest < self.highest:
            raise InputError(f"lowest = {self.lowest:g}: must be below highest = {self.highest:g}")
        if self.log and self.lowest < 1 / _LARGEST:
            raise InputError(f"lowest = {self.lowest:g}: must be above 0 with log")
        if self.whole and math.ceil(self.lowest) > math.floor(self.highest):
            raise InputError(f"no whole number lies from {self.lowest:g} to {self.highest:g}")

    def at(self, share: float) -> float:
        """Return the value at a share of the way, to 12 digits.

        So many digits that a finer range meets the values of a coarser one exactly.
        """
        lo, hi = self.lowest, self.highest
        value = lo + share * (hi - lo) if not self.log else lo * (hi / lo) ** share
        value = float(f"{value:.{_DIGITS}g}")
        return min(max(round(value), math.ceil(lo)), math.floor(hi)) if self.whole else value

    def values(self) -> tuple[float, ...]:
        """Return all ``num`` values.

        Raises
        ------
        InputError
            If there are fewer than two.
        """
        if self.num < 2:
            raise InputError(f"num = {self.num}: at least 2")
        return tuple(self.at(i / (self.num - 1)) for i in range(self.num))


def fitted(source: Source, given: Range, targets: Sequence[str]) -> Range:
    """Return a range as fields take it: of whole numbers, if one of them wants those.

    Raises
    ------
    InputError
        If a field holds no numbers, or no whole number lies in the range.
    """
    for target in targets:
        hint = declaration(source, target)[0]
        if hint is not Any and not {int, float} & {*types_of(hint)}:
            raise InputError(f"a range is of numbers, {target} is not: give a list of values")
    return replace(given, whole=given.whole or any(wants_whole(source, t) for t in targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A dimension of the result, and the fields that are set along it."""

    name: str
    labels: tuple[Any, ...]
    settings: Mapping[str, tuple[Any, ...]]
    """Values of each field, one for each label."""
    coords: Mapping[str, tuple[Any, ...]]
    """Labels of further coordinates along the dimension."""


Values: TypeAlias = Sequence[Any] | Mapping[str, Any] | Range | pd.DataFrame
"""What is given for an axis: values, values by label, a range, or rows that set fields together."""


def read_axis(source: Source, name: str, given: Values, fields: Sequence[str] = ()) -> Axis:
    """Read an axis of a sweep; ``fields`` take the value where the name is none.

    The rows of a table are labelled by its index, its columns become coordinates along them.

    Raises
    ------
    InputError
        One line: the axis, the value, and what it must be.
    """
    where = f'axis "{name}"'
    _check_name(name, where)
    targets = tuple(fields) or (name,)
    try:
        if isinstance(given, pd.DataFrame):
            targets = tuple(map(str, given))
        if name not in targets and _is_field(source, name):
            raise InputError("is the name of a field that it does not set")
        if isinstance(given, pd.DataFrame):
            if given.empty:
                raise InputError("holds no value")
            _distinct([str(column) for column in given])
            columns = {str(k): checked(source, str(k), given[k], where) for k in given}
            coords = {k: labels(v) for k, v in columns.items()}
            for taken in {name, *_TAKEN} & {*coords}:
                raise InputError(f"column {taken}: is the name of a dimension")
            return Axis(name=name, labels=_distinct(given.index), settings=columns, coords=coords)
        if isinstance(given, Range):
            given = fitted(source, given, targets).values()
        values = _listed(given.values() if isinstance(given, Mapping) else given)
        named = list(given) if isinstance(given, Mapping) else labels(values)
        if not values:
            raise InputError("holds no value")
        settings = {target: checked(source, target, values, where) for target in targets}
        return Axis(name=name, labels=_distinct(named), settings=settings, coords={})
    except InputError as error:
        prefix = "" if str(error).startswith(where) else f"{where}: "
        raise InputError(f"{prefix}{error}") from None


def _listed(given: Any) -> list[Any]:
    """Return what is in order in a list, an array, a column or the like."""
    ordered = isinstance(given, Iterable) and not isinstance(given, str | bytes | set | frozenset)
    if not ordered or getattr(given, "ndim", 1) == 0:
        raise InputError(
            f"values = {shown(given)}: must be a list, a dict of values by label, a Range, or a "
            "pandas.DataFrame"
        )
    return list(given)


def _is_field(source: Source, name: str) -> bool:
    """Say whether a name is one of a field, and not just any name that a function takes."""
    try:
        return declaration(source, name)[0] is not Any or name in arguments(source)
    except InputError:
        return False


def _check_name(name: str, where: str) -> None:
    if not isinstance(name, str):
        raise InputError(f"axis {shown(name)}: its name must be text")
    fits = re.fullmatch(r"\w([^/`]*[^/` ])?", name) and name.isprintable()
    if not fits or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{where}: not a name that a dimension can have: up to {_LONGEST_NAME} "
            "printable characters, first a letter, no '/' or '`', no blank at the end"
        )
    if name in _TAKEN:
        raise InputError(f"{where}: the result holds something else of that name")


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    found = labels(values)
    for one in pd.Series(found)[pd.Series(found).duplicated()]:
        raise InputError(f"holds {shown(one)} twice")
    return found


def labels(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return values as labels of a result: policies and workloads by name, lists as JSON text.

    Raises
    ------
    InputError
        For a value that no file can hold as a label, or values of several kinds.
    """
    found = [_label(value) for value in values]
    kinds = {float if type(one) is int else type(one): one for one in found}
    if len(kinds) > 1:
        one, other = [shown(value) for value in kinds.values()][:2]
        raise InputError(
            f"holds {one} and {other}: must be all numbers, all texts, all true or false, or "
            "all lists"
        )
    return tuple(found)


def _label(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, Start):
        value = value.workload
    if isinstance(value, (Policy, Workload)):
        value = value.name
    if isinstance(value, (list, tuple)):
        return json.dumps(_inner(value, MOST_DEPTH))
    if isinstance(value, bool):
        return value
    good = isinstance(value, int) and -(1 << 63) <= value < 1 << 63
    good = good or (isinstance(value, float) and math.isfinite(value))
    if not (good or (isinstance(value, str) and value.isprintable())):
        raise InputError(
            f"{shown(value)}: no finite number of 64 bits, printable text, true, false, or list "
            "of them: name it, as in {name: value}"
        )
    return value


def _inner(value: Any, left: int) -> Any:
    """Return a value of a list as JSON takes it."""
    if not isinstance(value, (list, tuple)):
        return _label(value)
    if not left:
        raise InputError(f"a list in more than {MOST_DEPTH} others: name it, as in {{name: value}}")
    return [_inner(one, left - 1) for one in value]
