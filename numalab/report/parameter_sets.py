"""Sets of parameters: one, or a matrix of them, from words of the command line and from a file.

A parameter that is given as a list where the notebook takes one value, or as a list of lists
where it takes a list, is an axis: the sets are all combinations of the axes.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from numalab.fields import InputError, unknown_name
from numalab.report import parameters
from numalab.report.parameters import Parameter

MOST_SETS = 100
_MOST_BYTES = 100_000
_LONGEST = 60
"""Letters of a set's name, as a folder's name has it."""
_BY_THE_REPORT = {"out": "use --out", "reproduce": "it is the command", "quick": "use --quick"}


class _Texts(yaml.BaseLoader):
    """YAML whose plain values all are texts: 6.10 stays 6.10, and ``no`` is no truth value."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # type: ignore[no-untyped-call]
            raise yaml.YAMLError("an alias (*) is not taken")
        return super().compose_node(parent, index)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            raise yaml.YAMLError(f"a key of {', '.join(map(str, found))} is given twice")
        return found


def read_words(words: list[str]) -> dict[str, Any]:
    """Turn ``name=value`` words into texts by name; ``[a, b]`` is a list of texts.

    Raises
    ------
    InputError
        For a word without ``=``, a name given twice, or brackets that do not match.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"parameter {word!r}: must be name=value")
        if name in found:
            raise InputError(f"parameter {name}: is given twice")
        found[name] = _texts(text, f"parameter {word}") if text.lstrip()[:1] == "[" else text
    return found


def read_file(path: Path) -> list[dict[str, Any]]:
    """Read a file of parameters: a mapping, or a list of mappings, of texts by name.

    Raises
    ------
    InputError
        Naming the file, and what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path}: has more than {_MOST_BYTES} bytes")
    found = _texts(data, str(path))
    tables = found if isinstance(found, list) else [found]
    if not tables or not all(isinstance(table, dict) and table for table in tables):
        raise InputError(f"{path}: must be 'name: value' lines, or a list of such mappings")
    return tables


def _texts(source: str | bytes, where: str) -> Any:
    try:
        return yaml.load(source, Loader=_Texts)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark and isinstance(source, bytes) else ""
        raise InputError(f"{where}{line}: {reason or 'is nested too deeply'}") from None


def combine(
    declared: Mapping[str, Parameter], tables: list[dict[str, Any]], where: str
) -> list[dict[str, Any]]:
    """Return the sets that tables of texts stand for, each value checked.

    Parameters
    ----------
    declared : mapping
        Parameters of the notebook.
    tables : list of dict
        Each is crossed by itself; their sets follow each other.
    where : str
        Name of the notebook, for messages.

    Raises
    ------
    InputError
        For an unknown name (with the nearest one), a value of another type or out of its
        bounds, a set that comes twice, or too many of them.
    """
    found: list[dict[str, Any]] = []
    for table in tables:
        axes = {name: _axis(declared, name, texts, where) for name, texts in table.items()}
        crossed = itertools.islice(itertools.product(*axes.values()), MOST_SETS + 1)
        found += [dict(zip(axes, values, strict=True)) for values in crossed]
        if len(found) > MOST_SETS:
            raise InputError(f"{where}: more than {MOST_SETS} sets of parameters: give fewer")
    for number, one in enumerate(found):
        if one in found[:number]:
            raise InputError(f"{where}: the set {label(one)} comes twice")
    return found


def _axis(declared: Mapping[str, Parameter], name: str, texts: Any, where: str) -> list[Any]:
    """Return the values of a parameter, one for each set: most often a single one."""
    if name in _BY_THE_REPORT:
        raise InputError(f"parameter {name}: the report sets it: {_BY_THE_REPORT[name]}")
    if name not in declared:
        raise unknown_name(f"parameter of {where}", name, list(declared))
    parameter = declared[name]
    if isinstance(texts, dict):
        raise InputError(f"{where}: {name}: must be a value or a list of values")
    value = parameters.typed(parameter, texts)
    if parameter.listed:
        items = value if isinstance(value, list) else [value]
        nested = any(isinstance(item, list) for item in items)
        values = [i if isinstance(i, list) else [i] for i in items] if nested else [items]
    else:
        values = value if isinstance(value, list) else [value]
        if not values:
            raise InputError(f"{where}: {name} = []: must hold a value")
    for one in values:
        parameters.check(parameter, one, where)
    return values


def label(values: Mapping[str, Any]) -> str:
    """Return a set as words for the command line, without quotes.

    Examples
    --------
    >>> label({"vcpus": 4, "policies": ["linux-6.1", "linux-7.2"]})
    'vcpus=4, policies=[linux-6.1, linux-7.2]'
    """
    return ", ".join(word(name, value) for name, value in values.items())


def word(name: str, value: Any) -> str:
    """Return ``name=value``, from which :func:`read_words` makes the value again."""
    return f"{name}={text(value)}"


def text(value: Any) -> str:
    """Return a value as the command line takes it."""
    return f"[{', '.join(map(_item, value))}]" if isinstance(value, list) else str(value)


def _item(item: Any) -> str:
    """Return an item of a list; a text that would read as more than a word is quoted."""
    word = str(item)
    return word if re.fullmatch(r"-?[\w.][\w.+/-]*", word) else "'" + word.replace("'", "''") + "'"


def varied(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each set only what is not the same in all."""
    names = dict.fromkeys(name for one in sets for name in one)
    same = {name for name in names if all(one.get(name, one) == sets[0].get(name) for one in sets)}
    return [{n: value for n, value in one.items() if n not in same} for one in sets]


def folder_name(values: Mapping[str, Any]) -> str:
    """Return a name for the folder of a set: short, and another one for each set.

    Examples
    --------
    >>> folder_name({"vcpus": 4, "policy": "linux-7.2+mbind"})
    'vcpus=4_policy=linux-7.2+mbind'
    """
    words = label(values)
    name = re.sub(r"[^\w.=+-]+", "-", words.replace(", ", "_")).strip("-")
    if len(name) > _LONGEST or any(c in words for c in "[/"):
        name = f"{name[:_LONGEST]}_{hashlib.sha256(words.encode()).hexdigest()[:6]}"
    return name
