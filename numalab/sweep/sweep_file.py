"""The sweep file: TOML text in, a :class:`~numalab.sweep.points.Sweep` out; see docs/sweeps.md."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from numalab import workload_file
from numalab.fields import InputError, build, shown, unknown_name
from numalab.sweep.design import Axis, Range, fitted, labels, latin_hypercube, read_axis, sobol
from numalab.sweep.points import Sweep
from numalab.sweep.settings import Source, catalog_function, checked

_SECTIONS = ("sweep", "fixed", "axes", "sample")
_RANGE = {"from": "lowest", "to": "highest", "num": "num", "log": "log"}
"""Keys of a range, as the file and as the class calls them."""
_LISTED = ("field", "values")
_HEAD = ("name", "about", "workload", "policy", "seed", "replicates", "drop", "drop_invalid")
_METHODS = {"sobol": sobol, "latin-hypercube": latin_hypercube}


def load(path: str | Path) -> Sweep:
    """Read a sweep file; a workload file that it names lies relative to it.

    Raises
    ------
    InputError
        One line: the file, the key, the value, and the bound or the remedy.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"{path}: cannot be read: {reason}") from None
    return parse(text, str(path), path.parent)


def parse(text: str, where: str = "sweep", folder: Path = Path()) -> Sweep:
    """Read a sweep from TOML text.

    Parameters
    ----------
    text : str
    where : str
        How messages name it.
    folder : Path
        Where the path of a workload file begins.

    Raises
    ------
    InputError
        As :func:`load`.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not TOML: {error}{_hint(text, str(error))}") from None
    try:
        return _sweep(table, folder)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _hint(text: str, error: str) -> str:
    """Say what is amiss where the line of an error begins with a dotted name."""
    lines = text.rstrip("\n").split("\n")
    found = re.search(r"at line (\d+)", error)
    line = lines[min(int(found[1]), len(lines)) - 1] if found else lines[-1]
    name = line.partition("=")[0].strip()
    dotted = "." in name and not set("\"'[]{}#") & set(name) and "Unclosed" not in error
    return f'; a name with dots needs quotes: "{name}"' if dotted else ""


def _check_quoted(name: str, given: Any, values: type | tuple[type, ...]) -> None:
    """Refuse tables in tables that end in a value: a dotted name without its quotes."""
    dotted = name
    while isinstance(given, dict) and given and not {*_RANGE, *_LISTED} & set(given):
        key, given = next(iter(given.items()))
        dotted += f".{key}"
    if dotted != name and isinstance(given, values):
        raise InputError(f'a name with dots needs quotes: "{dotted}"')


def _sweep(table: dict[str, Any], folder: Path) -> Sweep:
    for key, value in table.items():
        if key not in _SECTIONS:
            raise unknown_name("section", key, list(_SECTIONS))
        if not isinstance(value, dict):
            raise InputError(f"{key} = {shown(value)}: must be a [table]")
    head = dict(table.get("sweep", {}))
    for key in head:
        if key not in _HEAD:
            raise unknown_name("key in [sweep]", key, list(_HEAD))
    if "workload" not in head:
        raise InputError("[sweep]: workload is missing (a workload file, or a catalog function)")
    source = _source(head.pop("workload"), folder)
    fixed = table.get("fixed", {})
    for name, value in fixed.items():
        _check_quoted(name, value, object)
    axes = [_axis(source, name, given) for name, given in table.get("axes", {}).items()]
    if "sample" in table:
        axes.append(_sample(source, table["sample"]))
    return build(Sweep, {**head, "source": source, "fixed": fixed, "axes": tuple(axes)}, "[sweep]")


def _source(name: Any, folder: Path) -> Source:
    if not isinstance(name, str):
        raise InputError(f"[sweep]: workload = {shown(name)}: must be text")
    if name.endswith(".toml"):
        return workload_file.load(folder / name)
    return catalog_function(name)


def _axis(source: Source, name: str, given: Any) -> Axis:
    try:
        values, targets = _values(name, given)
        return read_axis(source, name, values, targets)
    except InputError as error:
        begin = f'axis "{shown(name)[1:-1]}": '
        raise InputError(begin + str(error).removeprefix(begin)) from None


def _values(name: str, given: Any) -> tuple[list[Any] | Range, list[str]]:
    """Read a list, a range, or a table with ``field`` and one of the two; and the fields."""
    if isinstance(given, list):
        return given, [name]
    if not isinstance(given, dict):
        raise InputError(f"{shown(given)}: must be a list or {{ from = ..., to = ... }}")
    _check_quoted(name, given, (dict, list))
    given = dict(given)
    targets = given.pop("field", [name])
    targets = [targets] if isinstance(targets, str) else targets
    if not isinstance(targets, list) or not all(isinstance(one, str) for one in targets):
        raise InputError(f"field = {shown(targets)}: must be text or a list of texts")
    if "values" in given:
        if len(given) > 1 or not isinstance(given["values"], list):
            raise InputError(f"{shown(given)}: values must be a list, alone beside field")
        return given["values"], targets
    for key in given:
        if key not in _RANGE:
            raise unknown_name("key", key, [*_RANGE, *_LISTED])
    for key in ("from", "to"):
        if key not in given:
            raise InputError(f"{key} is missing")
    try:
        return build(Range, {_RANGE[k]: v for k, v in given.items()}, "range"), targets
    except InputError as error:
        text = str(error).removeprefix("range: ")
        for key in ("from", "to"):
            text = text.replace(f"{_RANGE[key]} = ", f"{key} = ", 1)
        raise InputError(text) from None


def _sample(source: Source, given: dict[str, Any]) -> Axis:
    """Read a design; its points lie along ``point``, its axes are coordinates of them."""
    for key in given:
        if key not in ("method", "points", "seed", "axes"):
            raise unknown_name("key in [sample]", key, ["method", "points", "seed", "axes"])
    axes = given.get("axes", {})
    if not isinstance(axes, dict) or not axes:
        raise InputError("[sample]: axes must be a [sample.axes] table")
    ranges: dict[str, Any] = {}
    fields: dict[str, list[str]] = {}
    for name, one in axes.items():
        values, fields[name] = _values(name, one)
        ranges[name] = fitted(source, values, fields[name]) if isinstance(values, Range) else values
    method = given.get("method", "sobol")
    if method not in _METHODS:
        raise InputError(f"sample: method = {shown(method)}: must be one of {', '.join(_METHODS)}")
    for key, value in {"points": given.get("points"), "seed": given.get("seed", 0)}.items():
        if type(value) is not int or value < 0:
            raise InputError(f"sample: {key} = {shown(value)}: must be a whole number from 0 on")
    try:
        table = _METHODS[method](ranges, given["points"], given.get("seed", 0))
    except InputError as error:
        raise InputError(f"sample: {error}") from None
    settings = {
        target: checked(source, target, table[name], f'axis "{name}"')
        for name, targets in fields.items()
        for target in targets
    }
    coords = {name: labels(settings[targets[0]]) for name, targets in fields.items()}
    points = tuple(range(len(table)))
    return Axis(name="point", labels=points, settings=settings, coords=coords)
