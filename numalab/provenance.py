"""What a function computes, known by its content: what keeps results of measures apart."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import json
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from numalab.fields import InputError, shown
from numalab.versions import bare, code_version

_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc, type(np.concatenate))
"""Types of what is known by module and name."""


def function_version(function: Callable[..., Any]) -> str:
    """Return a hash of what a function computes: its source, and all that it refers to.

    That is what ``functools.partial`` binds, closures, defaults and globals: plain values by
    content; functions of this package by the version of their module, of other packages by
    the version of the package, of the user by their source. Its own name counts for nothing.

    Raises
    ------
    InputError
        For anything that cannot be known by its content, naming it.
    """
    content = json.dumps(_content(function, "the function", ()), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _content(value: Any, name: str, above: tuple[int, ...]) -> Any:
    """Return what a value is known by, ready for JSON; ``above`` are functions that led here."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
        return [type(value).__name__, repr(value)]
    inner = functools.partial(_content, above=above)
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return ["array", value.dtype.str, value.shape, digest]
    if type(value).__module__.startswith("xarray.") and hasattr(value, "to_dict"):
        return ["xarray", inner(value.to_dict(data="array"), name)]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [inner(one, name) for one in value]]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(json.dumps(inner(one, name)) for one in value)]
    if isinstance(value, Mapping):
        pairs = [[inner(k, name), inner(v, f"{name}[{k!r}]")] for k, v in value.items()]
        return ["mapping", sorted(pairs, key=json.dumps)]
    if isinstance(value, functools.partial):
        bound = [inner(part, name) for part in (value.args, value.keywords)]
        return ["partial", inner(value.func, name), *bound]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return ["dataclass", inner(type(value), name), inner(fields, name)]
    if (origin := _origin(value)) is not None:
        return origin
    value = inspect.unwrap(getattr(value, "py_func", value))
    if isinstance(value, types.FunctionType):
        return _function(value, name, above)
    raise InputError(
        f"{name} = {shown(value)}: cannot be known by its content, so results cannot be kept: "
        "use numbers, texts, arrays and plain functions, or no store"
    )


def _origin(value: Any) -> Any:
    """Return what a module, class or function of a package is known by; None: it is no such."""
    module = value.__name__ if isinstance(value, types.ModuleType) else _module_of(value)
    package = module.partition(".")[0]
    name = getattr(value, "__qualname__", "")
    if package == "numalab" and module != "numalab":
        return ["numalab", code_version(module.removeprefix("numalab.")), name]
    known = getattr(sys.modules.get(package), "__version__", None)
    if package in sys.stdlib_module_names and package != "__main__":
        known = "standard library"
    return ["package", module, name, known] if known else None


def _module_of(value: Any) -> str:
    named = isinstance(value, _NAMED) or hasattr(value, "py_func")
    return str(getattr(value, "__module__", None) or "") if named else ""


def _function(function: types.FunctionType, name: str, above: tuple[int, ...]) -> Any:
    """Return source, defaults, and what a function refers to."""
    if id(function) in above:
        return "itself"
    node = _definition(function)
    inner = functools.partial(_content, above=(*above, id(function)))
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closed = {key: cell.cell_contents for key, cell in cells}
    read = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    used = (read & set(_global_names(function.__code__)) & set(function.__globals__)) - {*closed}
    found = {**closed, **{key: function.__globals__[key] for key in used}}
    refers = {key: inner(one, f"{name}: {key}") for key, one in sorted(found.items())}
    defaults = inner([function.__defaults__, function.__kwdefaults__], f"{name}: a default")
    return [ast.dump(node), defaults, refers]


def _definition(function: types.FunctionType) -> ast.AST:
    """Return the syntax tree of a function without its name."""
    name = function.__name__
    kinds = (ast.Lambda,) if name == "<lambda>" else (ast.FunctionDef,)
    try:
        tree = bare(ast.parse(textwrap.dedent(inspect.getsource(function))))
        (node,) = [one for one in ast.walk(tree) if isinstance(one, kinds)][: 1 + (name[0] == "<")]
    except (OSError, TypeError, SyntaxError, ValueError):
        raise InputError(
            f"{name}: its source cannot be read, so results cannot be kept: write it as a "
            "function with 'def', or use no store"
        ) from None
    if isinstance(node, ast.FunctionDef):
        node.name = ""
    return node


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Yield what a function and those within it look up outside (and names of attributes)."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _global_names(inner)
