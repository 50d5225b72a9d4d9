"""The sweep file: TOML text in, a :class:`~numalab.sweeps.design.Sweep` out; see docs/sweeps.md."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from numalab import workload_file
from numalab.fields import InputError, build, shown, unknown_name
from numalab.sweeps.axes import Axis, Range
from numalab.sweeps.design import Sample, Sweep
from numalab.sweeps.settings import Base, catalog_function

_SECTIONS = ("sweep", "fixed", "axes", "sample")
_RANGE = {"from": "lowest", "to": "highest", "num": "num", "log": "log", "step": "step"}
"""Keys of a range, as the file and as the class calls them."""
_LISTED = ("field", "values")
_HEAD = ("name", "about", "workload", "policy", "seed", "replicates", "drop", "drop_invalid")


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


def _check_quoted(name: str, said: Any, values: type | tuple[type, ...]) -> None:
    """Refuse tables in tables that end in a value: a dotted name without its quotes."""
    dotted = name
    while isinstance(said, dict) and said and not {*_RANGE, *_LISTED} & set(said):
        key, said = next(iter(said.items()))
        dotted += f".{key}"
    if dotted != name and isinstance(said, values):
        raise InputError(f'a name with dots needs quotes: "{dotted}"')


def _fixed(name: str, value: Any) -> Any:
    _check_quoted(name, value, object)
    return _frozen(value)


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
    axes = tuple(_axis(name, said) for name, said in table.get("axes", {}).items())
    base = _base(head.pop("workload"), folder)
    values = {
        **head,
        "base": base,
        "fixed": {k: _fixed(k, v) for k, v in table.get("fixed", {}).items()},
        "axes": axes,
        "sample": _sample(table["sample"]) if "sample" in table else None,
    }
    return build(Sweep, values, "[sweep]")


def _base(name: Any, folder: Path) -> Base:
    if not isinstance(name, str):
        raise InputError(f"[sweep]: workload = {shown(name)}: must be text")
    if name.endswith(".toml"):
        return workload_file.load(folder / name)
    return catalog_function(name)


def _axis(name: str, said: Any) -> Axis:
    """Read an axis: a list, a range, or a table with ``field`` and one of the two."""
    try:
        if isinstance(said, list):
            return Axis(name=name, values=tuple(_frozen(v) for v in said))
        if not isinstance(said, dict):
            raise InputError(f"{shown(said)}: must be a list or {{ from = ..., to = ... }}")
        _check_quoted(name, said, (dict, list))
        said = dict(said)
        fields = said.pop("field", [])
        fields = [fields] if isinstance(fields, str) else fields
        if not isinstance(fields, list) or not all(isinstance(f, str) for f in fields):
            raise InputError(f"field = {shown(fields)}: must be text or a list of texts")
        if "values" in said:
            extra = [key for key in said if key != "values"]
            if extra or not isinstance(said["values"], list):
                raise InputError(f"{shown(said)}: values must be a list, alone beside field")
            given = tuple(_frozen(v) for v in said["values"])
            return Axis(name=name, values=given, fields=tuple(fields))
        return Axis(name=name, values=_range(said), fields=tuple(fields))
    except InputError as error:
        begin = f'axis "{shown(name)[1:-1]}": '
        raise InputError(begin + str(error).removeprefix(begin)) from None


def _range(said: dict[str, Any]) -> Range:
    for key in said:
        if key not in _RANGE:
            raise unknown_name("key", key, [*_RANGE, *_LISTED])
    for key in ("from", "to"):
        if key not in said:
            raise InputError(f"{key} is missing")
    try:
        return build(Range, {_RANGE[k]: v for k, v in said.items()}, "range")
    except InputError as error:
        text = str(error).removeprefix("range: ")
        for key in ("from", "to"):
            text = text.replace(f"{_RANGE[key]} = ", f"{key} = ", 1)
        raise InputError(text) from None


def _sample(said: dict[str, Any]) -> Sample:
    axes = said.get("axes", {})
    if not isinstance(axes, dict):
        raise InputError("[sample]: axes must be a [sample.axes] table")
    made = tuple(_axis(name, one) for name, one in axes.items())
    return build(Sample, {**said, "axes": made}, "[sample]")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
