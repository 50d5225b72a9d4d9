"""The typed parameters cell of a notebook, read and checked before anything runs."""

from __future__ import annotations

import ast
import difflib
import io
import math
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from numalab.fields import InputError, shown

_QUICK = "; quick: "
_MAY_BE_EMPTY = "may be empty"
_MAY_BE_NEGATIVE = "may be negative"
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_LOWEST = re.compile(rf"\bat least {_NUMBER}\b|(?<![\w.]){_NUMBER} or more\b")
_HIGHEST = re.compile(rf"\bat most {_NUMBER}\b")
_NEARLY_QUICK = re.compile(
    r"(?:^|[;,])\s*(\w+)\s*[:=]|[;,]\s*(quick)\b|\b(quick)\s*[:=]", re.IGNORECASE
)
"""Words that may be meant to begin a quick value: how near they are is looked at."""
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One line of a parameters cell: ``name: type = default  # help; quick: value``.

    The help holds the bounds of a number, and of each number of a list: ``at least 2`` or
    ``2 or more``, ``at most 9``, ``may be negative``. Without a word on it, none is below 0.
    """

    name: str
    type: str
    default: Any
    help: str
    quick: Any = None
    """Its value in a quick run, if that is another one."""

    @property
    def listed(self) -> str:
        """Type of what the list holds that it is; empty: it is no list."""
        inner = re.fullmatch(r"list\[(\w+)\]", self.type)
        return inner[1] if inner else ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest number that its help allows."""
        low, high = _LOWEST.search(self.help), _HIGHEST.search(self.help)
        lowest = -math.inf if _MAY_BE_NEGATIVE in self.help else 0.0
        return (
            float(next(filter(None, low.groups()))) if low else lowest,
            float(high[1]) if high else math.inf,
        )


def read(source: str, where: str) -> dict[str, Parameter]:
    """Read a parameters cell.

    Parameters
    ----------
    source : str
        The cell: one annotated assignment a line, each with a comment.
    where : str
        Name of the notebook, for messages.

    Raises
    ------
    InputError
        For a line of another form, a type that is not int, float, str, bool or a list of
        them, a default of another type, a missing help, or a comment that looks like a quick
        value and is none.
    """
    found: dict[str, Parameter] = {}
    lines = source.splitlines()
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        bad = str(error.text or "").strip()
        raise InputError(f"{where}: parameters cell: {bad!r}: {error.msg}") from None
    comments = _comments(source)
    for node in tree.body:
        line = lines[node.lineno - 1]
        if (
            not isinstance(node, ast.AnnAssign)
            or not isinstance(node.target, ast.Name)
            or node.value is None
        ):
            raise InputError(f"{where}: {line!r}: must be 'name: type = default  # help'")
        name, kind = node.target.id, ast.unparse(node.annotation)
        comment = comments.pop(node.end_lineno or node.lineno, "")
        text, marker, fast = comment.partition(_QUICK)
        if not text:
            raise InputError(f"{where}: parameter {name} has no help (a comment behind it)")
        if name in found:
            raise InputError(f"{where}: parameter {name} is given twice")
        _check_quick(text, f"parameter {name}", where)
        _check_quick(fast, f"parameter {name}", where)
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            shown = ast.unparse(node.value)
            raise InputError(f"{where}: {name} = {shown}: must be a plain value") from None
        parameter = Parameter(name=name, type=kind, default=default, help=text)
        check(parameter, parameter.default, where)
        if marker:
            parameter = replace(parameter, quick=_quick(parameter, fast, where))
        found[name] = parameter
    for comment in comments.values():
        _check_quick(comment, "a comment that is behind no parameter", where)
    return found


def _comments(source: str) -> dict[int, str]:
    """Return the comments of a cell by the number of their line, the first being 1."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("#").strip() for t in tokens if t.type == tokenize.COMMENT}


def _check_quick(text: str, of: str, where: str) -> None:
    """Refuse a help that looks as if it held a quick value."""
    for match in _NEARLY_QUICK.finditer(text):
        word = next(filter(None, match.groups()))
        if difflib.get_close_matches(word.lower(), ["quick"], cutoff=0.7):
            raise InputError(
                f"{where}: {of}: {text[match.start() :].strip()!r} looks like a quick value: it is "
                f"written '{_QUICK}VALUE', once, behind the help"
            )


def _quick(parameter: Parameter, text: str, where: str) -> Any:
    """Return a quick value; a text must be in quotes, so that no further help is taken for it."""
    value = _plain(text)
    check(parameter, value, where)
    if value == text:
        raise InputError(f"{where}: {parameter.name}: quick: {text}: must be in quotes")
    return value


def check(parameter: Parameter, value: Any, where: str) -> None:
    """Refuse a value that is not of the parameter's type, or out of the bounds of its help.

    Raises
    ------
    InputError
        Naming the parameter, the value, and the type or the bound.
    """
    name, inner = parameter.name, parameter.listed
    items = value if inner else [value]
    kind = inner or parameter.type
    if kind not in _TYPES:
        raise InputError(f"{where}: parameter {name}: type {parameter.type} is not known")
    good = isinstance(items, list) and all(
        isinstance(item, _TYPES[kind]) and (kind == "bool" or not isinstance(item, bool))
        for item in items
    )
    if not good:
        raise InputError(f"{where}: {name} = {shown(value)}: must be {parameter.type}")
    if inner and not items and _MAY_BE_EMPTY not in parameter.help:
        raise InputError(f"{where}: {name} = []: must hold a value")
    lowest, highest = parameter.bounds
    for item in items if kind in ("int", "float") else ():
        if isinstance(item, float) and not math.isfinite(item):
            raise InputError(f"{where}: {name} = {item}: must be finite")
        if item < lowest:
            raise InputError(f"{where}: {name} = {shown(item)}: must be at least {lowest:g}")
        if item > highest:
            raise InputError(f"{where}: {name} = {shown(item)}: must be at most {highest:g}")


def check_cell(names: Mapping[str, Any]) -> None:
    """Check what a parameters cell has set, by the types that it wrote behind the names.

    Parameters
    ----------
    names : mapping
        ``globals()`` of the notebook.

    Raises
    ------
    InputError
        Naming the parameter, the value and the type.
    """
    given = names.get("__annotations__", {})
    cell = _cell_with(given, names.get("In", ()))
    for name, kind in given.items():
        written = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
        anything = f"{_MAY_BE_EMPTY}, {_MAY_BE_NEGATIVE}"
        unknown = Parameter(name=name, type=written, default=None, help=anything)
        check(cell.get(name, unknown), names[name], "parameters cell")


def _cell_with(given: Iterable[str], sources: Sequence[str]) -> dict[str, Parameter]:
    """Parameters of the last of Jupyter's cells that declares all of these; none: empty."""
    for source in reversed(sources):
        try:
            found = read(source, "parameters cell")
        except InputError:
            continue
        if found.keys() >= set(given):
            return found
    return {}


def quick_values(declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values of a quick run, by name, of those parameters that have one."""
    return {p.name: p.quick for p in declared.values() if p.quick is not None} | {"quick": True}


def typed(parameter: Parameter, text: Any) -> Any:
    """Return the value that a text stands for, not yet checked; of a list, of each text in it."""
    if isinstance(text, list):
        return [typed(parameter, item) for item in text]
    kind = parameter.listed or parameter.type
    return text if kind == "str" else _plain(text)


def _plain(text: str) -> Any:
    """Return the number, truth value or list that a text is; else the text."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
