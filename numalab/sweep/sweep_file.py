"""The sweep file: TOML text in, a :class:`~numalab.sweep.points.Sweep` out; see docs/sweeps.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numalab import files, workload_file
from numalab.fields import InputError, shown, unknown_name
from numalab.plain import build
from numalab.sweep.axes import Axis, Range, fitted, labels, read_axis
from numalab.sweep.design import latin_hypercube, sobol
from numalab.sweep.points import Sweep
from numalab.sweep.settings import Source, catalog_function, checked

_HEAD = ("name", "about", "workload", "policy", "seed", "replicates", "drop", "drop_invalid")
_SAMPLE = ("method", "points", "seed", "axes")
_SECTIONS = ("sweep", "fixed", "axes", "sample")
_AXIS = ("field", "values", *Range.__dataclass_fields__)
_METHODS = {"sobol": sobol, "latin-hypercube": latin_hypercube}


def load(path: str | Path) -> Sweep:
    """Read a sweep file; a workload file that it names lies relative to it.

    Raises
    ------
    InputError
        One line: the file, the key, the value, and the bound or the remedy.
    """
    path = Path(path)
    return parse(files.read_text(path), str(path), path.parent)


def parse(text: str, where: str = "sweep", folder: Path = Path()) -> Sweep:
    """Read a sweep from TOML text; messages call it ``where``, paths begin in ``folder``.

    Raises
    ------
    InputError
        As :func:`load`.
    """
    try:
        return _sweep(tomllib.loads(text), folder)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not TOML: {error}") from None


def _sweep(table: dict[str, Any], folder: Path) -> Sweep:
    _check_keys("section", table, _SECTIONS)
    for key, value in table.items():
        if not isinstance(value, dict):
            raise InputError(f"{key} = {shown(value)}: must be a [table]")
    head = table.get("sweep", {})
    _check_keys("key in [sweep]", head, _HEAD)
    if "workload" not in head:
        raise InputError("[sweep]: workload is missing (a workload file, or a catalog function)")
    source = _source(head["workload"], folder)
    axes = [_axis(source, *item) for item in _dotted(table.get("axes", {}))]
    if "sample" in table:
        axes.append(_sample(source, table["sample"]))
    given = {key: value for key, value in head.items() if key != "workload"}
    given |= {"source": source, "fixed": dict(_dotted(table.get("fixed", {})))}
    return build(Sweep, {**given, "axes": tuple(axes)}, "[sweep]")


def _check_keys(kind: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise unknown_name(kind, key, list(known))


def _dotted(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values; TOML reads a name with dots, if it has no quotes, as tables."""
    for key, value in table.items():
        if isinstance(value, dict) and value and not set(value) & {*_AXIS}:
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield before + key, value


def _source(name: Any, folder: Path) -> Source:
    if not isinstance(name, str):
        raise InputError(f"[sweep]: workload = {shown(name)}: must be text")
    if not name.endswith(".toml"):
        return catalog_function(name)
    path = folder / name
    if "\0" not in name and path.exists() and not path.is_file():  # a pipe would not end
        raise InputError(f"{path}: cannot be read: not a regular file")
    return workload_file.load(path)


def _axis(source: Source, name: str, given: Any) -> Axis:
    values, targets = _values(name, given)
    return read_axis(source, name, values, targets)


def _values(name: str, given: Any) -> tuple[list[Any] | Range, list[str]]:
    """Read a list, a range, or a table with ``field`` and one of the two; and the fields."""
    where = f'axis "{shown(name)[1:-1]}"'
    if isinstance(given, list):
        return given, [name]
    if not isinstance(given, dict):
        raise InputError(
            f"{where}: {shown(given)}: must be a list or {{ lowest = ..., highest = ... }}"
        )
    _check_keys(f"key in {where}:", given, _AXIS)
    targets = given.get("field", [name])
    targets = [targets] if isinstance(targets, str) else targets
    texts = isinstance(targets, list) and all(isinstance(one, str) for one in targets)
    if not texts or not targets:
        raise InputError(f"{where}: field = {shown(targets)}: must be text or a list of texts")
    rest = {key: value for key, value in given.items() if key != "field"}
    if "values" not in rest:
        return build(Range, rest, where), targets
    if len(rest) > 1 or not isinstance(rest["values"], list):
        raise InputError(f"{where}: {shown(rest)}: values must be a list, alone beside field")
    return rest["values"], targets


def _sample(source: Source, given: dict[str, Any]) -> Axis:
    """Read a design; its points lie along ``point``, its axes are coordinates of them."""
    _check_keys("key in [sample]", given, _SAMPLE)
    axes, method = given.get("axes", {}), given.get("method", "sobol")
    if not isinstance(axes, dict) or not axes:
        raise InputError("[sample]: axes must be a [sample.axes] table")
    if not isinstance(method, str) or method not in _METHODS:
        raise InputError(f"sample: method = {shown(method)}: must be one of {', '.join(_METHODS)}")
    for key, value in {"points": given.get("points"), "seed": given.get("seed", 0)}.items():
        if type(value) is not int or value < 0:
            raise InputError(f"sample: {key} = {shown(value)}: must be a whole number from 0 on")
    read = {name: _values(name, one) for name, one in _dotted(axes)}
    ranges = {
        name: fitted(source, values, targets) if isinstance(values, Range) else values
        for name, (values, targets) in read.items()
    }
    table = _METHODS[method](ranges, given["points"], given.get("seed", 0))
    settings = {
        target: checked(source, target, table[name], f'axis "{name}"')
        for name, (_, targets) in read.items()
        for target in targets
    }
    coords = {name: labels(settings[targets[0]]) for name, (_, targets) in read.items()}
    points = tuple(range(len(table)))
    return Axis(name="point", labels=points, settings=settings, coords=coords)
