"""What a sweep varies, and the points that makes: a grid of axes, a space-filling sample."""

from __future__ import annotations

import itertools
import math
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numalab.fields import InputError, field, validate
from numalab.sweeps import rules
from numalab.sweeps.axes import Axis, Range
from numalab.sweeps.settings import Base, check_range, check_values, missing, names_a_field

METHODS = ("sobol", "latin-hypercube")
_MOST_POINTS = 1_000_000
"""Planning so many takes 6 minutes and 2.3 GB of memory."""
_MOST_RUNS = 10_000_000
"""Totals of so many take 5 GB while the result is put together."""


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
        for axis in self.axes:
            if isinstance(axis.values, Range) and axis.values.num:
                raise InputError(
                    f"{axis.where}: num = {axis.values.num}: a sample says points, not num"
                )
        if self.method == "sobol" and self.points & (self.points - 1):
            below = 1 << (self.points.bit_length() - 1)
            raise InputError(
                f"sample: points = {self.points}: a Sobol design needs a power of 2, "
                f"such as {below} or {2 * below}"
            )

    def spread(self, base: Base) -> list[tuple[Any, ...]]:
        """Return the values of each point.

        Twice as many Sobol points with the same seed begin with the same points.

        Raises
        ------
        InputError
            As :meth:`numalab.sweeps.axes.Axis.at`.
        """
        from scipy.stats import qmc  # slow to import, and only wanted here

        kind = qmc.Sobol if self.method == "sobol" else qmc.LatinHypercube
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy renames the argument from release to release
            unit = kind(len(self.axes), seed=np.random.default_rng(self.seed)).random(self.points)
        at = [axis.at(base) for axis in self.axes]
        return [tuple(one(u) for one, u in zip(at, row, strict=True)) for row in unit.tolist()]


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
        for name, value in {"policy": self.policy, **self.fixed}.items():
            check_values(self.base, name, [value], name)
        for axis in self.every_axis:
            self._check_axis(axis)
        if lacking := missing(self.base, targets):
            raise InputError(f"sweep: {lacking} is missing: give it in [fixed] or [axes]")
        for rule in self.drop:
            rules.read(rule, self.known)

    def _check_axis(self, axis: Axis) -> None:
        if axis.name not in axis.targets and names_a_field(self.base, axis.name):
            raise InputError(f"{axis.where}: is the name of a field that it does not set")
        for target in axis.targets:
            if isinstance(axis.values, Range):
                check_range(self.base, target, axis.where)
            else:
                check_values(self.base, target, axis.values, axis.where)

    @property
    def every_axis(self) -> tuple[Axis, ...]:
        """Axes of the grid, then those of the sample."""
        return self.axes + (self.sample.axes if self.sample else ())

    @property
    def known(self) -> tuple[str, ...]:
        """Names that every point has a value for."""
        axes = [name for axis in self.every_axis for name in (axis.name, *axis.targets)]
        return tuple(dict.fromkeys(["policy", "remedy", *self.fixed, *axes]))


class Point(typing.NamedTuple):
    """A combination of values; ``dropped`` says by which rule it is left out, if it is."""

    values: dict[str, Any]
    dropped: str


class Layout(typing.NamedTuple):
    """Dimensions of a sweep with their labels, and its points in that order."""

    coords: dict[str, np.ndarray]
    along_point: dict[str, np.ndarray]
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
        If there are more points than anybody wants, or values that cannot be labels.
    """
    values = {axis.name: axis.spread(sweep.base) for axis in sweep.axes}
    count = math.prod(map(len, values.values())) * (sweep.sample.points if sweep.sample else 1)
    if count > _MOST_POINTS:
        raise InputError(f"sweep: {count} points: at most {_MOST_POINTS}: split it")
    if count * sweep.replicates > _MOST_RUNS:
        raise InputError(
            f"sweep: {count} points x {sweep.replicates} replicates: at most {_MOST_RUNS} runs: "
            "split it"
        )
    rows = sweep.sample.spread(sweep.base) if sweep.sample else [()]
    coords = {axis.name: axis.labels(values[axis.name]) for axis in sweep.axes}
    along_point = {}
    if sweep.sample:
        coords["point"] = np.arange(len(rows))
        columns = zip(*rows, strict=True)
        along_point = {
            axis.name: axis.labels(column)
            for axis, column in zip(sweep.sample.axes, columns, strict=True)
        }
    drop = [rules.read(rule, sweep.known) for rule in sweep.drop]
    points = [
        _point(sweep, drop, (*grid, *row))
        for grid in itertools.product(*values.values())
        for row in rows
    ]
    return Layout(coords, along_point, points)


def _point(sweep: Sweep, drop: list[rules.Rule], values: tuple[Any, ...]) -> Point:
    named = {"policy": sweep.policy, "remedy": "none", **sweep.fixed}
    axes = {}
    for axis, value in zip(sweep.every_axis, values, strict=True):
        axes[axis.name] = value
        named.update(dict.fromkeys(axis.targets, value))
    dropped = next((rule.text for rule in drop if rule.holds(named | axes)), "") if drop else ""
    return Point(named, dropped)
