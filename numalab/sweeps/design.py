"""What a sweep varies: axes, ranges and space-filling samples, and the points they make."""

from __future__ import annotations

import itertools
import json
import math
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numalab.fields import InputError, field, shown, validate
from numalab.sweeps import rules
from numalab.sweeps.settings import Base, type_of

METHODS = ("sobol", "latin-hypercube")
_MOST_POINTS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers between two bounds, both included; evenly spaced, or evenly in the logarithm."""

    lowest: float = field(doc="first value (from)")
    highest: float = field(doc="last value (to)")
    num: int = field(0, at_least=0, at_most=100_000, doc="how many values; 0 in a sample")
    log: bool = field(False, doc="evenly spaced in the logarithm")
    step: float = field(0.0, at_least=0, doc="round to a multiple of this; 0: not")

    def __post_init__(self) -> None:
        validate(self)
        if not self.lowest < self.highest:
            raise InputError(f"from = {self.lowest:g}: must be below to = {self.highest:g}")
        if self.log and self.lowest <= 0:
            raise InputError(f"from = {self.lowest:g}: must be above 0 with log = true")

    def at(self, share: float) -> float:
        """Return the value at a share of the way, to 12 digits.

        So many that a finer range meets the values of a coarser one exactly.
        """
        lo, hi = self.lowest, self.highest
        value = lo + share * (hi - lo) if not self.log else lo * (hi / lo) ** share
        if self.step:
            value = round(value / self.step) * self.step
        return float(f"{value:.12g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A dimension of the result, and the fields that take its value."""

    name: str = field(doc="name of the dimension")
    values: tuple[Any, ...] | Range = field(doc="values, or a range of them")
    fields: tuple[str, ...] = field((), doc="fields that take the value; empty: the name is one")

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name in ("replicate", "point", "status"):
            raise InputError(f"axis {shown(self.name)}: not a name that a dimension can have")
        if not isinstance(self.values, Range) and not self.values:
            raise InputError(f'axis "{self.name}": holds no value')

    @property
    def targets(self) -> tuple[str, ...]:
        """Fields that take the value."""
        return self.fields or (self.name,)

    def fitted(self, base: Base, value: Any) -> Any:
        """Return a value as the fields want it: of a range, whole where they hold whole ones."""
        ranged = isinstance(self.values, Range)
        hints = [type_of(base, name) for name in self.targets]
        whole = all(int in (typing.get_args(h) or (h,)) for h in hints)
        return round(value) if ranged and whole else value

    def spread(self, base: Base) -> tuple[Any, ...]:
        """Return all values of the axis.

        Raises
        ------
        InputError
            If the range says no number of values, or two of them are equal.
        """
        if isinstance(self.values, Range):
            if self.values.num < 2:
                raise InputError(f'axis "{self.name}": num = {self.values.num}: at least 2')
            shares = [i / (self.values.num - 1) for i in range(self.values.num)]
            found = tuple(self.fitted(base, self.values.at(share)) for share in shares)
        else:
            found = tuple(self.fitted(base, value) for value in self.values)
        for i, value in enumerate(found):
            if any(type(v) is type(value) and v == value for v in found[:i]):
                raise InputError(f'axis "{self.name}": holds {shown(value)} twice')
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A space-filling design over several axes at once; becomes the dimension ``point``."""

    method: str = field("sobol", choices=METHODS, doc="scipy.stats.qmc")
    points: int = field(at_least=1, at_most=_MOST_POINTS, doc="how many; Sobol: a power of 2")
    seed: int = field(0, at_least=0, doc="of the design, not of the runs")
    axes: tuple[Axis, ...] = field(doc="ranges, or lists of choices")

    def __post_init__(self) -> None:
        validate(self)
        if not self.axes:
            raise InputError("sample: no axes")
        if self.method == "sobol" and self.points & (self.points - 1):
            below = 1 << (self.points.bit_length() - 1)
            raise InputError(
                f"sample: points = {self.points}: a Sobol design needs a power of 2, "
                f"such as {below} or {2 * below}"
            )

    def spread(self, base: Base) -> list[tuple[Any, ...]]:
        """Return the values of each point.

        Twice as many Sobol points with the same seed begin with the same points.
        """
        from scipy.stats import qmc  # slow to import, and only wanted here

        kind = qmc.Sobol if self.method == "sobol" else qmc.LatinHypercube
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy renames the argument from release to release
            unit = kind(len(self.axes), seed=np.random.default_rng(self.seed)).random(self.points)
        return [
            tuple(_at(axis, base, float(u)) for axis, u in zip(self.axes, row, strict=True))
            for row in unit
        ]


def _at(axis: Axis, base: Base, share: float) -> Any:
    if isinstance(axis.values, Range):
        return axis.fitted(base, axis.values.at(share))
    choice = axis.values[min(math.floor(share * len(axis.values)), len(axis.values) - 1)]
    return axis.fitted(base, choice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All runs of a sweep: a base, what varies, how often, and which points make no sense."""

    name: str = field("sweep", doc="name")
    about: str = field("", doc="what it asks, in one line")
    base: Base = field(doc="a workload, or a function that makes one")
    policy: str = field("linux-7.2", doc="scan policy, where no axis says one")
    seed: int = field(0, at_least=0, doc="root of the random streams of every point")
    replicates: int = field(1, at_least=1, at_most=1_000_000, doc="runs of each point")
    fixed: Mapping[str, Any] = field(doc="fields that have one value", default=())
    axes: tuple[Axis, ...] = field((), doc="every combination of their values is a point")
    sample: Sample | None = field(None, doc="points spread over further axes")
    drop: tuple[str, ...] = field((), doc="comparisons that take a point out")
    drop_invalid: bool = field(False, doc="take out points that cannot be built")

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", dict(self.fixed))
        validate(self)
        names = [axis.name for axis in self.every_axis]
        targets = [t for axis in self.every_axis for t in axis.targets] + list(self.fixed)
        for given in (names, targets):
            for name in given:
                if given.count(name) > 1:
                    raise InputError(f"sweep: {name} is given twice")
        for name in self.fixed:
            type_of(self.base, name)
        for rule in self.drop:
            rules.check_known(rule, [*names, *targets, "policy"])

    @property
    def every_axis(self) -> tuple[Axis, ...]:
        """Axes of the grid, then those of the sample."""
        return self.axes + (self.sample.axes if self.sample else ())


class Point(typing.NamedTuple):
    """A combination of values; ``dropped`` says by which rule it is left out, if it is."""

    values: dict[str, Any]
    dropped: str


class Layout(typing.NamedTuple):
    """Dimensions of a sweep with their coordinates, and its points in that order."""

    coords: dict[str, tuple[Any, ...]]
    along_point: dict[str, tuple[Any, ...]]
    points: list[Point]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension, without ``replicate``."""
        return tuple(len(values) for values in self.coords.values())


def lay_out(sweep: Sweep) -> Layout:
    """Spread out the points of a sweep, the last axis running fastest.

    Raises
    ------
    InputError
        If a field does not exist, or there are more points than anybody wants.
    """
    coords = {axis.name: axis.spread(sweep.base) for axis in sweep.axes}
    rows = sweep.sample.spread(sweep.base) if sweep.sample else [()]
    count = math.prod(map(len, coords.values())) * len(rows)
    if count > _MOST_POINTS:
        raise InputError(f"sweep: {count} points: at most {_MOST_POINTS}")
    points = [
        _point(sweep, (*grid, *row)) for grid in itertools.product(*coords.values()) for row in rows
    ]
    along_point = {}
    if sweep.sample:
        coords["point"] = tuple(range(len(rows)))
        columns = zip(*rows, strict=True)
        along_point = {a.name: v for a, v in zip(sweep.sample.axes, columns, strict=True)}
    return Layout(coords, along_point, points)


def _point(sweep: Sweep, values: tuple[Any, ...]) -> Point:
    named = {"policy": sweep.policy, **sweep.fixed}
    axes = {}
    for axis, value in zip(sweep.every_axis, values, strict=True):
        axes[axis.name] = value
        named.update(dict.fromkeys(axis.targets, value))
    dropped = next((rule for rule in sweep.drop if rules.holds(rule, named | axes)), "")
    return Point(named, dropped)


def as_coordinate(value: Any) -> Any:
    """Return a value as a coordinate holds it; a list becomes its JSON text."""
    return json.dumps(value) if isinstance(value, (list, tuple)) else value
