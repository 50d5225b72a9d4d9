"""Dataclasses of declared fields as plain tables, and back: TOML, JSON, and what is hashed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from numalab.fields import InputError, shown, unknown_name

T = TypeVar("T")


def build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from a TOML table, refusing unknown and missing keys.

    Parameters
    ----------
    cls : type
        A dataclass whose fields were declared with :func:`numalab.fields.field`.
    table : mapping
        Keys and values as read from TOML; lists become tuples.
    where : str
        How a message names the table, for instance ``[machine]``.

    Raises
    ------
    InputError
        For an unknown key, a missing key, or a value out of its bounds.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where} = {shown(table)}: must be a table")
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise unknown_name(f"key in {where}", key, list(known))
    nothing = dataclasses.MISSING
    for name, item in known.items():
        required = item.default is nothing and item.default_factory is nothing
        if required and name not in table:
            raise InputError(f"{where}: {name} is missing ({item.metadata.get('doc', '')})")
    values = {k: _freeze(v) for k, v in table.items()}
    return cls(**values)


def _freeze(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_freeze(item) for item in value)
    return value


def as_plain(obj: Any) -> Any:
    """Turn nested dataclasses and tuples into dicts and lists, ready for JSON."""
    return _plain(obj, lambda item, value: value)


def as_identity(obj: Any) -> Any:
    """:func:`as_plain` without the late fields that have their default; defaults as they were.

    What was written before such a field existed, or without a field whose default has changed
    since, is still the same: where the default was 5 and is 20, 20 is written as 5, and 5 as 20.
    """

    def then(item: Any, value: Any) -> Any:
        old = item.metadata.get("once")
        if old is None:
            old = item.default
        elif value == item.default:
            value = old
        elif value == old:
            value = item.default
        return _LEFT_OUT if "late" in item.metadata and value == old else value

    return _plain(obj, then)


_LEFT_OUT = object()


def _plain(obj: Any, then: Callable[[Any, Any], Any]) -> Any:
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        items = [(i.name, then(i, getattr(obj, i.name))) for i in dataclasses.fields(obj)]
        return {name: _plain(value, then) for name, value in items if value is not _LEFT_OUT}
    if isinstance(obj, (tuple, list)):
        return [_plain(item, then) for item in obj]
    return obj
