"""An axis of a sweep: its name, its values or the range of them, and the fields that take them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numalab.fields import InputError, field, shown, types_of, validate, where_of
from numalab.sweeps.settings import Base, declaration
from numalab.totals import NAMES

MAX_VALUES = 100_000
_LARGEST = 1e100
_DIGITS = 12
_TAKEN = ("replicate", "point", "status", "reason", *NAMES)
_LONGEST_NAME = 100


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers between two bounds, evenly spaced, or evenly in the logarithm.

    Both bounds are included; where values are rounded to multiples of a step, the first and
    the last multiple between the bounds take their place.
    """

    lowest: float = field(at_least=-_LARGEST, at_most=_LARGEST, doc="first value (from)")
    highest: float = field(at_least=-_LARGEST, at_most=_LARGEST, doc="last value (to)")
    num: int = field(0, at_least=0, at_most=MAX_VALUES, doc="how many values; 0 in a sample")
    log: bool = field(False, doc="evenly spaced in the logarithm")
    step: float = field(0.0, at_least=0, at_most=_LARGEST, doc="round to a multiple; 0: not")

    def __post_init__(self) -> None:
        validate(self)
        if not self.lowest < self.highest:
            raise InputError(f"from = {self.lowest:g}: must be below to = {self.highest:g}")
        if self.log and self.lowest < 1 / _LARGEST:
            raise InputError(f"from = {self.lowest:g}: must be above 0 with log = true")
        finest = max(abs(self.lowest), abs(self.highest)) / 10**_DIGITS
        if 0 < self.step < finest:
            raise InputError(
                f"step = {self.step:g}: finer than the {_DIGITS} digits of values: "
                f"must be at least {finest:g}, or 0"
            )
        if self.step:
            self._multiples(self.step)

    def _multiples(self, step: float) -> tuple[int, int]:
        first = math.ceil(_rounded(self.lowest / step))
        last = math.floor(_rounded(self.highest / step))
        if first > last:
            raise InputError(
                f"no multiple of {step:g} lies between from = {self.lowest:g} and to = "
                f"{self.highest:g}"
            )
        return first, last

    def at(self, share: float, *, whole: bool = False) -> float:
        """Return the value at a share of the way, to 12 digits; whole ones on demand.

        So many digits that a finer range meets the values of a coarser one exactly.

        Raises
        ------
        InputError
            If no whole number lies in the range.
        """
        lo, hi = self.lowest, self.highest
        value = lo + share * (hi - lo) if not self.log else lo * (hi / lo) ** share
        step = self.step or float(whole)
        if step:
            first, last = self._multiples(step)
            value = min(max(round(_rounded(value / step)), first), last) * step
        return round(value) if whole else _rounded(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A dimension of the result, and the fields that take its value."""

    name: str = field(doc="name of the dimension")
    values: tuple[Any, ...] | Range = field(doc="values, or a range of them")
    fields: tuple[str, ...] = field((), doc="fields that take the value; empty: the name is one")

    def __post_init__(self) -> None:
        if isinstance(self.values, (list, tuple, np.ndarray)):
            plain = tuple(v.item() if isinstance(v, np.generic) else v for v in self.values)
            object.__setattr__(self, "values", plain)
        validate(self)
        name = self.name
        letter = name[:1].isalnum() or name[:1] == "_"
        fits = name.isprintable() and "/" not in name and name[-1:] != " "
        if not (letter and fits and len(name) <= _LONGEST_NAME):
            raise InputError(
                f"{self.where}: not a name that a dimension can have: up to {_LONGEST_NAME} "
                "printable characters, first a letter, no '/', no blank at the end"
            )
        if name in _TAKEN:
            raise InputError(f"{self.where}: the result holds something else of that name")
        if not isinstance(self.values, Range):
            if not self.values:
                raise InputError(f"{self.where}: holds no value")
            self.labels(self.values)

    @property
    def where(self) -> str:
        """The axis as messages name it."""
        return where_of(self)

    @property
    def targets(self) -> tuple[str, ...]:
        """Fields that take the value."""
        return self.fields or (self.name,)

    def at(self, base: Base) -> Callable[[float], Any]:
        """Return the function from a share of the way to the value as the fields want it.

        Raises
        ------
        InputError
            If the fields want whole numbers, and the range has none.
        """
        values = self.values
        if not isinstance(values, Range):
            return lambda share: values[min(int(share * len(values)), len(values) - 1)]
        types = [types_of(declaration(base, name)[0]) for name in self.targets]
        whole = any(int in one and float not in one for one in types)
        if whole and values.step % 1:
            raise InputError(f"{self.where}: step = {values.step:g}: holds whole numbers")
        return lambda share: values.at(share, whole=whole)

    def spread(self, base: Base) -> tuple[Any, ...]:
        """Return all values of the axis.

        Raises
        ------
        InputError
            If the range says no number of values, or two of them are equal.
        """
        found = self.values
        if isinstance(found, Range):
            if found.num < 2:
                raise InputError(f"{self.where}: num = {found.num}: at least 2")
            at, last = self.at(base), found.num - 1
            found = tuple(at(i / last) for i in range(found.num))
        seen = set()
        for label in self.labels(found).tolist():
            if label in seen:
                raise InputError(f"{self.where}: holds {shown(label)} twice")
            seen.add(label)
        return found

    def labels(self, values: Sequence[Any]) -> np.ndarray:
        """Return values as the result's labels; a list becomes its JSON text.

        Raises
        ------
        InputError
            For a value that no file can hold as a label, or values of several kinds.
        """
        kinds = {_kind(value): value for value in values}
        if None in kinds:
            raise InputError(
                f"{self.where}: {shown(kinds[None])}: no finite number of 64 bits, printable "
                "text, true, false, or list of them"
            )
        if len(kinds) > 1:
            one, other = [shown(value) for value in kinds.values()][:2]
            raise InputError(
                f"{self.where}: holds {one} and {other}: must be all numbers, all texts, "
                "all true or false, or all lists"
            )
        return np.array([json.dumps(v) if isinstance(v, (list, tuple)) else v for v in values])


def _kind(value: Any) -> type | None:
    """Say as what a value is a label: bool, float for all numbers, str, tuple; None: not."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, int):
        return float if -(1 << 63) <= value < 1 << 63 else None
    if isinstance(value, float):
        return float if math.isfinite(value) else None
    if isinstance(value, str):
        return str if value.isprintable() else None
    if isinstance(value, (list, tuple)):
        return tuple if all(_kind(item) for item in value) else None
    return None
