"""Versions of code: hashes of what sources mean, not of how they are written.

An edit that could change what the code does changes them; comments, docstrings, and where in
the package the code stands do not.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

_FOLDER = Path(__file__).parent


@functools.cache
def model_version() -> str:
    """Return the version of the model: of all code that the numbers of a run follow from.

    Another numpy or numba is another model.
    """
    libraries = " ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    return hashlib.sha256(f"{libraries} {code_version('totals')}".encode()).hexdigest()[:16]


@functools.cache
def compiled_version() -> str:
    """Return the version of what is compiled: of the jitted modules and all that they import."""
    jitted = [p for p in _FOLDER.rglob("*.py") if b"from numalab.jit import" in p.read_bytes()]
    names = [".".join(p.relative_to(_FOLDER).with_suffix("").parts) for p in jitted]
    return code_version(*sorted(names))


@functools.cache
def code_version(*modules: str) -> str:
    """Return a hash of modules of this package and of all that they import of it.

    Parameters
    ----------
    modules : str
        Names within the package (``totals``, ``measures.stall``).
    """
    files = sources(*modules)
    parts = sorted(part for path in files for part in _statements(path))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def sources(*modules: str) -> list[Path]:
    """Return the files of modules of this package, and of all that they import of it."""
    found: set[Path] = set()
    new = {path for name in modules for path in _files(f"numalab.{name}")}
    while new:
        found |= new
        new = {file for path in new for file in _imported(path)} - found
    return sorted(found)


def _files(module: str) -> set[Path]:
    """Return the file of a module, or the files of a folder of them."""
    place = _FOLDER.joinpath(*module.split(".")[1:])
    if place.is_dir():
        return set(place.glob("*.py")) if place != _FOLDER else set()
    return {place.with_suffix(".py")} if place.with_suffix(".py").is_file() else set()


def _imported(path: Path) -> set[Path]:
    found: set[Path] = set()
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and _is_own(node):
            inner = [_files(f"{node.module}.{alias.name}") for alias in node.names]
            found = found.union(*(inner if all(inner) else [_files(str(node.module)), *inner]))
    return found


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return bare(ast.parse(path.read_bytes()))


def _statements(path: Path) -> list[str]:
    """Return the statements of a module, without its imports of this package."""
    kept = [one for one in _parsed(path).body if not (_is_own(one) and not _renames(one))]
    return [ast.dump(one) for one in kept]


def _is_own(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "numalab"


def _renames(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(alias.asname for alias in node.names)


def bare(tree: ast.Module) -> ast.Module:
    """Take docstrings out of a syntax tree; comments and layout are not in it."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and any(map(_is_text, body)):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
