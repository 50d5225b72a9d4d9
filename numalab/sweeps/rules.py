"""Comparisons between the axes of a sweep, as text: ``scan_period_min_ms > scan_period_max_ms``.

Names, numbers, texts, + - * /, comparisons, ``and``, ``or``, ``not`` and lists behind ``in``;
nothing is called and nothing is looked up but the values of the point.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
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


def parse(text: str) -> ast.expr:
    """Read a rule, refusing everything but comparisons.

    Raises
    ------
    InputError
        One line: the rule, and what in it is not a comparison.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise InputError(f"drop = {shown(text)}: must be text of at most {_LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"drop = {shown(text)}: not a comparison") from None
    if not isinstance(tree, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        raise InputError(f"drop = {shown(text)}: not a comparison, such as 'a > b'")
    _check(tree, text)
    return tree


def _check(node: ast.AST, text: str) -> None:
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
        part = ast.get_source_segment(text.strip(), node)  # type: ignore[arg-type]
        raise InputError(
            f"drop = {shown(text)}: {shown(part)} is not allowed: only names of axes, "
            "numbers, texts, + - * /, comparisons, and, or, not"
        )
    if isinstance(node, (ast.Name, ast.Attribute)):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check(child, text)


def _name(node: ast.AST) -> str | None:
    """Return a dotted name (``tunables.scan_size_mb``) as one name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _name(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


def check_known(text: str, known: Collection[str]) -> None:
    """Refuse a rule with a name that no point has a value for.

    Raises
    ------
    InputError
        Naming the nearest one that exists.
    """

    def look(node: ast.AST) -> None:
        name = _name(node)
        if name is not None:
            if name not in known:
                raise unknown_name(f"name in drop = {shown(text)}:", name, list(known))
            return
        for child in ast.iter_child_nodes(node):
            look(child)

    look(parse(text))


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Say whether a rule holds for the values of a point.

    Raises
    ------
    InputError
        If the values cannot be compared (text with a number, division by zero).

    Examples
    --------
    >>> holds("2 * a >= b and policy != 'linux-6.1'", {"a": 1, "b": 2, "policy": "rfc-v1"})
    True
    """
    try:
        return bool(_value(parse(text), values))
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise InputError(f"drop = {shown(text)}: {error}") from None


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    name = _name(node)
    if name is not None:
        return values[name]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item, values) for item in node.elts]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, values)
        return not inner if isinstance(node.op, ast.Not) else -inner
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, values), _value(node.right, values)
        return _ARITHMETIC[type(node.op)](left, right)
    if isinstance(node, ast.BoolOp):
        parts = (bool(_value(part, values)) for part in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    assert isinstance(node, ast.Compare)
    terms = [_value(part, values) for part in (node.left, *node.comparators)]
    pairs = zip(node.ops, terms, terms[1:], strict=False)
    return all(_COMPARE[type(op)](a, b) for op, a, b in pairs)
