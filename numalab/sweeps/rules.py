"""Comparisons between the axes of a sweep, as text: ``scan_period_min_ms > scan_period_max_ms``.

Names, numbers, texts, + - * / of numbers, comparisons, ``and``, ``or``, ``not`` and lists behind
``in``; nothing is called and nothing is looked up but the values of the point. A name is any
name of the sweep, also one that Python could not read (``task.t0.access.0.lo``, ``vma.*.thp``).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from numalab.fields import InputError, shown, unknown_name

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 500
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read; ``names`` says what the names in its tree stand for."""

    text: str
    tree: ast.expr
    names: Mapping[str, str]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Say whether the rule holds for the values of a point.

        Raises
        ------
        InputError
            If the values cannot be compared (text with a number, division by zero).
        """
        try:
            return bool(_value(self.tree, lambda mark: values[self.names[mark]]))
        except (TypeError, ZeroDivisionError, OverflowError, RecursionError) as error:
            raise InputError(f"drop = {shown(self.text)}: {error}") from None


def read(text: str, known: Collection[str]) -> Rule:
    """Read a rule, refusing everything but comparisons of what is known.

    Parameters
    ----------
    text : str
    known : collection of str
        Names that every point has a value for. Where one could be read as part of another,
        the longer one is meant.

    Raises
    ------
    InputError
        One line: the rule, and what in it is not a comparison or not known.

    Examples
    --------
    >>> rule = read("2 * a >= b and policy != 'linux-6.1'", ["a", "b", "policy"])
    >>> rule.holds({"a": 1, "b": 2, "policy": "rfc-v1"})
    True
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise InputError(f"drop = {shown(text)}: must be text of at most {_LONGEST} characters")
    readable, names = _marked(text.strip(), known)
    try:
        tree = ast.parse(readable, mode="eval").body
        if not isinstance(tree, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            raise SyntaxError
        _check(tree, readable, names, text)
    except InputError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"drop = {shown(text)}: not a comparison of names of the sweep, such as 'a > b'"
        ) from None
    return Rule(text, tree, names)


def _marked(text: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Put a name that Python can read in the place of each known one, and say which."""
    mark = "name_"
    while mark in text:
        mark += "_"
    marks = {name: f"{mark}{i}" for i, name in enumerate(sorted(known, key=len, reverse=True))}
    found = rf"{_QUOTED}|(?<![\w.])(?:{'|'.join(map(re.escape, marks))})(?![\w.])"
    readable = re.sub(found, lambda match: marks.get(match[0], match[0]), text)
    return readable, {mark: name for name, mark in marks.items()}


def _check(node: ast.AST, readable: str, names: Mapping[str, str], text: str) -> None:
    good = (
        isinstance(node, (ast.Compare, ast.BoolOp, ast.List, ast.Tuple))
        or (isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC)
        or (isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)))
        or (isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)))
        or (isinstance(node, (ast.Name, ast.Attribute)) and _name(node) is not None)
    )
    if isinstance(node, ast.Compare):
        good = all(type(op) in _COMPARE for op in node.ops)
    if not good:
        part = str(ast.get_source_segment(readable, node))  # type: ignore[arg-type]
        part = re.sub(r"name_+\d+", lambda match: names.get(match[0], match[0]), part)
        raise InputError(
            f"drop = {shown(text)}: {shown(part)} is not allowed: only names of axes and fields, "
            "numbers, texts, + - * /, comparisons, and, or, not"
        )
    if isinstance(node, (ast.Name, ast.Attribute)):
        if (name := str(_name(node))) not in names:
            raise unknown_name(f"name in drop = {shown(text)}:", name, list(names.values()))
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check(child, readable, names, text)


def _name(node: ast.AST) -> str | None:
    """Return a dotted name (``tunables.scan_size_mb``) as one name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _name(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


def _value(node: ast.AST, look_up: Callable[[str], Any]) -> Any:
    if isinstance(node, ast.Name):
        return look_up(node.id)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item, look_up) for item in node.elts]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, look_up)
        return not inner if isinstance(node.op, ast.Not) else -inner
    if isinstance(node, ast.BinOp):
        both = _value(node.left, look_up), _value(node.right, look_up)
        if not all(isinstance(one, (int, float)) for one in both):
            raise TypeError("+ - * / need numbers")
        return _ARITHMETIC[type(node.op)](*both)
    if isinstance(node, ast.BoolOp):
        parts = (bool(_value(part, look_up)) for part in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    assert isinstance(node, ast.Compare)
    terms = [_value(part, look_up) for part in (node.left, *node.comparators)]
    pairs = zip(node.ops, terms, terms[1:], strict=False)
    return all(_COMPARE[type(op)](a, b) for op, a, b in pairs)
