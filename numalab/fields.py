"""Dataclass fields that carry their unit, bounds and meaning, and the checks on them.

Every input of numalab is a frozen keyword-only dataclass. The meaning of a field
lives next to it, as metadata; :func:`validate` turns a bad value into one line that
names field, value and bound. :mod:`numalab.plain` makes tables of such objects, and back.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """A bad input, described in one line: the field, the value, the bound or the remedy."""

    def __init__(self, message: str = "") -> None:
        line = " ".join(message.splitlines())
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def field(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    unit: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Sequence[str] = (),
    once: Any = None,
) -> Any:
    """Declare a dataclass field with unit, inclusive bounds, choices and meaning.

    Parameters
    ----------
    default : optional
        The default value; without one the field is required.
    doc : str
        One line that says what the field means.
    unit : str
        The unit of the value, as printed in messages and in the documentation.
    at_least, at_most : float, optional
        Inclusive bounds of a number.
    choices : sequence of str
        The words that a string field accepts.
    once : optional
        The default that recordings were made with; see :func:`numalab.plain.as_identity`.
    """
    bounds = {"at_least": at_least, "at_most": at_most}
    metadata = {"doc": doc, "unit": unit, **bounds, "choices": tuple(choices), "once": once}
    return dataclasses.field(default=default, metadata=metadata)


def late_field(default: Any, **declaration: Any) -> Any:
    """Declare a :func:`field` that recordings exist without; see :mod:`numalab.plain`."""
    metadata = {**field(**declaration).metadata, "late": True}
    return dataclasses.field(default=default, metadata=metadata)


MAX_NAME = 24
MAX_SHOWN = 60


def shown(value: Any) -> str:
    """Return a value as a message shows it: one line, not long."""
    try:
        text = " ".join(repr(value).splitlines())
    except ValueError:
        text = f"a number of more than {sys.get_int_max_str_digits()} digits"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 15]}...{text[-12:]}"


def _number(value: float) -> str:
    if abs(value) > sys.float_info.max:
        return shown(value)
    text = f"{value:g}"
    return text if float(text) == value else shown(value)


def _arms(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(arm for arg in typing.get_args(hint) for arm in _arms(arg))
    return (hint,)


@functools.cache
def types_of(hint: Any) -> tuple[type, ...]:
    """Return the types that a hint allows, without what lists hold."""
    return tuple(typing.get_origin(arm) or arm for arm in _arms(hint))


@functools.cache
def _lists(hint: Any) -> tuple[Any, ...]:
    """Return what the lists that a hint allows may hold."""
    args = (typing.get_args(arm) for arm in _arms(hint) if typing.get_origin(arm) is tuple)
    return tuple(item for item, *more in args if more == [...])


def _describe(types_: tuple[type, ...]) -> str:
    words = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        tuple: "a list",
        Path: "a path",
        Mapping: "a table of values by name",
        Callable: "a function",
    }
    return " or ".join(
        dict.fromkeys(words.get(t, t.__name__) for t in types_ if t is not types.NoneType)
    )


def _check_type(where: str, value: Any, hint: Any) -> None:
    if hint is Any:
        return
    allowed = types_of(hint)
    accepted = isinstance(value, allowed) or (float in allowed and isinstance(value, int))
    if isinstance(value, bool) and bool not in allowed:
        accepted = False
    if not accepted:
        raise InputError(f"{where} = {shown(value)}: must be {_describe(allowed)}")
    if isinstance(value, tuple):
        for item in _lists(hint):
            for i, one in enumerate(value):
                _check_type(f"{where}[{i}]", one, item)


def _check_bounds(where: str, value: float, metadata: Mapping[str, Any]) -> None:
    unit = f" {metadata['unit']}" if metadata["unit"] else ""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} = {value}{unit}: must be finite")
    lowest, highest = metadata["at_least"], metadata["at_most"]
    lowest = -sys.float_info.max if lowest is None else lowest
    highest = sys.float_info.max if highest is None else highest
    if value < lowest:
        raise InputError(
            f"{where} = {_number(value)}{unit}: must be at least {_number(lowest)}{unit}"
        )
    if value > highest:
        raise InputError(
            f"{where} = {_number(value)}{unit}: must be at most {_number(highest)}{unit}"
        )


def where_of(obj: Any) -> str:
    """Name an object for a message: ``vma "a"``, or the class name in lower case."""
    kind = type(obj).__name__.lower().removesuffix("table")
    name = getattr(obj, "name", "")
    if not name:
        return kind
    text = shown(name)
    return f'{kind} "{text[1:-1] if isinstance(name, str) else text}"'


@functools.cache
def declared(cls: type) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """Return type and metadata of each field of a dataclass, by name."""
    hints = typing.get_type_hints(cls)  # evaluates text: once for each class
    return {item.name: (hints[item.name], item.metadata) for item in dataclasses.fields(cls)}


def check_kind(where: str, value: Any, hint: Any, choices: Sequence[str] = ()) -> None:
    """Refuse a value of another type than the declared one, or a word that is no choice.

    Raises
    ------
    InputError
        One line: where, the value, and the type or the choices.
    """
    _check_type(where, value, hint)
    if choices and isinstance(value, str) and value not in choices:
        raise InputError(f"{where} = {shown(value)}: must be one of {', '.join(choices)}")


def validate(obj: Any) -> None:
    """Check every field of a dataclass against its declaration.

    Raises
    ------
    InputError
        One line: the object, the field, the value, and the bound or the choices.
    """
    whole = where_of(obj)
    for name, (hint, metadata) in declared(obj.__class__).items():
        value = getattr(obj, name)
        where = f"{whole}: {name}"
        check_kind(where, value, hint, metadata.get("choices", ()))
        if "doc" in metadata and isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_bounds(where, value, metadata)


def check_names(obj: Any, *keys: str) -> None:
    """Check fields that hold a name: of the object itself, or of another.

    Raises
    ------
    InputError
        One line: the object, the field, the value, and what a name is made of.
    """
    for key in keys:
        name = getattr(obj, key)
        if not 0 < len(name) <= MAX_NAME or not all(c.isalnum() or c in "-_" for c in name):
            raise InputError(
                f"{where_of(obj)}: {key} = {shown(name)}: must be 1 to {MAX_NAME} letters, digits, "
                "'-' or '_'"
            )


def unknown_name(kind: str, name: str, known: Sequence[str]) -> InputError:
    """Return the error for a name that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
    return InputError(f"unknown {kind} {shown(name)}{hint}")
